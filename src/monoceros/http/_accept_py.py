"""Taking connections off a listener, in pure Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket


def accept(listener: socket.socket, /) -> tuple[int, Any] | None:
    """Accept one connection as a non-blocking descriptor and its peer's address."""
    try:
        connection, address = listener.accept()
    except (BlockingIOError, InterruptedError, ConnectionAbortedError):
        return None
    connection.setblocking(False)
    return connection.detach(), address
