"""Clients that connect for each request, without a pause, until they are refused."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from tests.e2e.clients import TIMEOUT_S, head

if TYPE_CHECKING:
    from collections.abc import Callable

_CLIENTS = 24
REFUSED = (ConnectionRefusedError, FileNotFoundError)  # by TCP, or where a unix socket was


class Storm:
    """Begins with the block; ``wait_to_end`` is over when the last client was refused.

    A request is sent as soon as its connection is there, and lost where no answer comes.
    """

    def __init__(self, connect: Callable[[socket.socket], None], family: int) -> None:
        self._connect = connect
        self._family = family
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(_CLIENTS)]
        self.served = 0
        self.lost: list[object] = []
        self.refused = 0
        self._counting = threading.Lock()

    def __enter__(self) -> Storm:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_to_end(self) -> None:
        """Wait until all clients have been refused."""
        for thread in self._threads:
            thread.join(2 * TIMEOUT_S)
            assert not thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            with socket.socket(self._family) as client:
                client.settimeout(TIMEOUT_S)
                try:
                    self._connect(client)
                except (*REFUSED, BlockingIOError):
                    with self._counting:
                        self.refused += 1
                    return
                except OSError as error:
                    self.lost.append(error)
                    continue
                self._ask(client)

    def _ask(self, client: socket.socket) -> None:
        try:
            client.sendall(head("GET", "/", "Connection: close"))
            answer = client.recv(1 << 16)
        except OSError as error:
            self.lost.append(error)
            return
        if answer.startswith(b"HTTP/1.1 200 "):
            with self._counting:
                self.served += 1
        else:
            self.lost.append(answer)
