"""Clients that keep their connections, and look whether these have ended before they use them."""

from __future__ import annotations

import contextlib
import http.client
import random
import select
import threading
from typing import TYPE_CHECKING

from tests.e2e.clients import ask

if TYPE_CHECKING:
    import socket

    from tests.process.conftest import Server


class Keepers:
    """So many clients, which ask from the beginning of the block to its end.

    A request that was sent and not answered is a failure, and so is a connection that cannot be
    made, before ``allow_refusal``; after it a refusal is the end of a client.
    """

    def __init__(self, srv: Server, clients: int, longest_pause_s: float) -> None:
        self._srv = srv
        self._pause_s = longest_pause_s
        self._stop = threading.Event()
        self._may_refuse = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]
        self.answers: list[str] = []  # the bodies
        self.failures: list[object] = []
        self.last_answers = 0  # such as ended their connections

    def __enter__(self) -> Keepers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def allow_refusal(self) -> None:
        """Take refused connections as the end from now on."""
        self._may_refuse.set()

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more requests have been answered."""
        enough = len(self.answers) + count
        self._srv.wait_until(lambda: len(self.answers) >= enough, f"{count} more answers")

    def _run(self, number: int) -> None:
        pauses = random.Random(number)
        while not self._stop.is_set():
            try:
                client = self._srv.connect()
            except OSError as error:
                if not (self._may_refuse.is_set() and isinstance(error, ConnectionRefusedError)):
                    self.failures.append(error)
                return
            with client:
                self._use(client, pauses)

    def _use(self, client: socket.socket, pauses: random.Random) -> None:
        while not self._stop.is_set():
            if select.select([client], [], [], 0)[0]:
                with contextlib.suppress(ConnectionResetError):
                    if not client.recv(1):
                        return
                self.failures.append("a reset, or an answer to no request")
                return
            try:
                answer = ask(client, "/pid")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(error)
                return
            if answer.status != 200:
                self.failures.append(answer)
            self.answers.append(answer.body.decode())
            if answer.fields.get("Connection") == "close":
                self.last_answers += 1
                return
            self._stop.wait(pauses.uniform(0, self._pause_s))
