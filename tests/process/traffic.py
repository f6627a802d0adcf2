"""Clients that know what they have sent, for tests in which no request may be lost.

    with Traffic(lambda: socket.create_connection(srv.address, 10)) as traffic:
        ...
    assert traffic.failures == []

Half of the clients open a connection for each request; the others keep theirs until the server
says that it closes, or has closed it before they send.
"""

from __future__ import annotations

import contextlib
import select
import threading
from http.client import HTTPConnection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class Traffic:
    """Requests for ``/`` from the beginning of a block to its end."""

    def __init__(self, connect: Callable[[], socket.socket], clients: int = 4) -> None:
        self._connect = connect
        self._stop = threading.Event()
        self.failures: list[object] = []
        self.answers: list[bytes] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number % 2 == 0,)) for number in range(clients)
        ]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, is_kept: bool) -> None:
        connection = None
        while not self._stop.is_set():
            try:
                if connection is None or connection.sock is None or _is_readable(connection.sock):
                    connection = HTTPConnection("localhost")
                    connection.sock = self._connect()
                connection.request("GET", "/", headers={} if is_kept else {"Connection": "close"})
                answer = connection.getresponse()
                body = answer.read()
                (self.answers if answer.status == 200 else self.failures).append(body)
                if answer.will_close:
                    connection.close()
            except Exception as error:  # border: whatever it is, it is counted
                self.failures.append(error)
                connection = None
        with contextlib.suppress(AttributeError):
            connection.close()  # type: ignore[union-attr]


def _is_readable(sock: socket.socket) -> bool:
    """Whether the server has closed: it has nothing else to say between two requests."""
    return bool(select.select([sock], [], [], 0)[0])
