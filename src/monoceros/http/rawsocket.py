"""``gunicorn.socket``: the client's socket, for applications that leave HTTP behind.

simple-websocket, flask-sock and python-engineio take it from the environ and speak their own
protocol inside the application call. Making a socket object for each request would be waste,
so the environ holds a light stand-in that becomes the socket at first use.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class ClientSocket:
    """Takes the connection out of the server's hands as soon as anything of it is used."""

    __slots__ = ("_socket", "_take")

    def __init__(self, take: Callable[[], socket.socket]) -> None:
        self._take = take
        self._socket: socket.socket | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._socket is None:
            self._socket = self._take()
        return getattr(self._socket, name)


def adopt(fd: int, unread: bytes) -> socket.socket:
    """Return a blocking socket for a descriptor, with what had been received and not used.

    Under gevent and eventlet it is one of theirs, which lets other greenlets run.
    """
    taken = _resume(fd, unread)
    taken.setblocking(True)
    return taken


def _resume(fd: int, unread: bytes) -> socket.socket:
    """Return a socket of which some octets may have been received already."""

    class Resumed(socket.socket):
        def __init__(self) -> None:
            super().__init__(fileno=fd)
            self._unread = unread
            self.is_copied = False

        def dup(self) -> Any:
            """Return a copy, which has what had come before, and ends the connection itself."""
            copy = _resume(os.dup(self.fileno()), self._unread)
            copy.settimeout(self.gettimeout())
            self.is_copied = True
            return copy

        def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
            """Receive, what had come before first."""
            if not self._unread:
                return super().recv(bufsize, flags)
            data = self._unread[:bufsize]
            if not flags & socket.MSG_PEEK:
                self._unread = self._unread[bufsize:]
            return data

        def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
            """Receive into a buffer, what had come before first."""
            if not self._unread:
                return super().recv_into(buffer, nbytes, flags)
            view = memoryview(buffer).cast("B")
            data = self.recv(nbytes or len(view), flags)
            view[: len(data)] = data
            return len(data)

    return Resumed()


def finish(taken: socket.socket) -> None:
    """Close a taken socket; shut down first, because a process of the application may share it.

    But not where there is a copy: a thread of simple-websocket's answers a farewell on it.
    """
    if not getattr(taken, "is_copied", False):
        with contextlib.suppress(OSError):  # the peer or the application was first
            taken.shutdown(socket.SHUT_RDWR)
    taken.close()
