"""How many connections wait for a worker to accept them."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# tcpi_unacked in struct tcp_info of linux/tcp.h: of a listening socket, its accept queue.
_UNACKED = struct.Struct("@24xI")


def count_waiting(listeners: Iterable[socket.socket]) -> int | None:
    """Return the length of all accept queues together; None where the system does not tell.

    Only Linux does, and only of TCP sockets.
    """
    if sys.platform != "linux":
        return None
    waiting = None
    for sock in listeners:
        if sock.family == socket.AF_UNIX:
            continue
        with contextlib.suppress(OSError):
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED.size)
            waiting = (waiting or 0) + int(_UNACKED.unpack(info)[0])
    return waiting
