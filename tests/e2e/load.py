"""Clients that ask without a pause and keep book about every request."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from tests.e2e.clients import head, read_answer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.process.conftest import Server

_CLIENTS = 8
_DEADLINE_S = 20.0


class Loss(NamedTuple):
    """A request without an answer."""

    began: float  # time.monotonic()
    error: Exception
    worker: str  # who had answered on this connection before; empty on a fresh one


class Load:
    """Half of the clients keep their connections, the others make one for each request."""

    def __init__(self, connect: Callable[[], socket.socket], path: str, clients: int) -> None:
        self._connect = connect
        self._path = path
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask_on, args=(bool(number % 2),))
            for number in range(clients)
        ]
        self.answers: list[tuple[float, str]] = []  # when, and the body
        self.losses: list[Loss] = []

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more requests have been answered."""
        enough = len(self.answers) + count
        deadline = time.monotonic() + _DEADLINE_S
        while len(self.answers) < enough:
            assert time.monotonic() < deadline, f"no {count} more answers"
            time.sleep(0.005)

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self, keeps: bool) -> None:
        while not self._stop.is_set():
            try:
                client = self._connect()
            except OSError as error:
                self.losses.append(Loss(time.monotonic(), error, ""))
                continue
            with client:
                self._ask_on_connection(client, keeps)

    def _ask_on_connection(self, client: socket.socket, keeps: bool) -> None:
        worker = ""
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                client.sendall(head("GET", self._path, *([] if keeps else ["Connection: close"])))
                answer = read_answer(client)
                assert answer.status == 200, answer
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.losses.append(Loss(began, error, worker))
                return
            worker = answer.body.decode()
            self.answers.append((time.monotonic(), worker))
            if answer.fields.get("Connection") == "close":
                return


@contextlib.contextmanager
def load(
    srv: Server | Callable[[], socket.socket], path: str = "/pid", clients: int = _CLIENTS
) -> Iterator[Load]:
    """Have a load on a server, or on what a function connects to, while the block runs."""
    connect = srv if callable(srv) else srv.connect
    found = Load(connect, path, clients)
    found.start()
    try:
        yield found
    finally:
        found.stop()
