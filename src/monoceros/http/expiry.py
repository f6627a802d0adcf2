"""Ending a connection whose request another thread is still at work on.

Theory of operation. A request is claimed once, by the thread that works on it as soon as it sends
something of its response, or by the one that finds it to have taken too long. Whoever is late finds
the claim taken: a 504 is only sent where nothing else was and nothing else will be. The claim is
one word, changed atomically; in pure Python under the Core's ``guard``, which the working thread
holds as well while it sends what does not belong to its response.

The descriptor stays where it is, because the thread may use its number at any time: the kernel is
told to let nothing more through. What the application still writes fails as it does for a client
that has gone, and never finds its way to another connection.

Without the GIL the claim holds as well, but an answer to an earlier request of a pipeline that
has not been sent by then is lost with the connection. No such interpreter has run this yet.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys

from monoceros.unpatched import socket as Socket
from monoceros.unpatched import socketpair, write

# What became of a request's answer.
FREE = 0  # nothing yet: whoever comes first
OURS = 1  # its own thread answers
ANSWERED = 2  # it was too late, and the client was told
CUT = 3  # it was too late, and the client knows by the end of the connection
OVER = 4  # the call has ended, or the connection has left HTTP

TOO_LATE = "the request has timed out"
HAS_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()

_RESET = struct.pack("ii", 1, 0)


def check_limit(seconds: float) -> float:
    """Return what an application gives for a time limit as a float; raises ``ValueError``."""
    limit = float(seconds)
    if not 0 <= limit < float("inf"):
        raise ValueError("a time limit is a number of seconds from 0 on")
    return limit


def answer(fd: int, data: bytes) -> bool:
    """Send the last octets of a connection; False where not all were taken, and it was cut."""
    sent = 0
    with contextlib.suppress(OSError):
        sent = write(fd, data)
    is_whole = sent == len(data)
    # The rest of a request may be on its way, and would turn a full close into a reset.
    _shut(fd, socket.SHUT_WR if is_whole else socket.SHUT_RDWR)
    return is_whole


def cut(fd: int, reset: bool) -> None:
    """End a connection; by a ``reset`` where its client would take an end for the content's."""
    if reset:
        with contextlib.suppress(OSError):
            _reset(fd)
            return
    _shut(fd, socket.SHUT_RDWR)


def _shut(fd: int, how: int) -> None:
    client = Socket(fileno=fd) if fd >= 0 else None
    if client is not None:
        with contextlib.suppress(OSError):  # the client was first
            client.shutdown(how)
        client.detach()


def _reset(fd: int) -> None:
    """Put another socket, which is at its end, in the place of a connection; raises OSError."""
    dead, other = socketpair()
    client = Socket(fileno=fd)
    try:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # Whoever waits for it would keep it open. On the wire this is nothing.
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RD)
        os.dup2(dead.fileno(), fd, inheritable=False)
    finally:
        client.detach()
        dead.close()
        other.close()
