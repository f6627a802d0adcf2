"""Looking whether a client is still there, without taking any of its input."""

from __future__ import annotations

import select
import socket

from monoceros.unpatched import poll
from monoceros.unpatched import socket as Socket

HALF_CLOSED = 1  # it will send nothing more, and may still read
GONE = 2  # it has reset the connection, or both sides have closed it

_PEER_CLOSED = getattr(select, "POLLRDHUP", 0)  # Linux alone tells it behind unread input


def look(fd: int) -> int:
    """Return 0 for a client that is there, else a sum of the above; waits for nothing."""
    poller = poll()
    poller.register(fd, _PEER_CLOSED)
    found = 0
    for _, events in poller.poll(0):
        if events & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
            found |= GONE
        if events & _PEER_CLOSED:
            found |= HALF_CLOSED
    if not _PEER_CLOSED and not found and _is_at_end(fd):
        found = HALF_CLOSED
    return found


def _is_at_end(fd: int) -> bool:
    """Tell whether the end of the input is the next thing to come."""
    with Socket(fileno=fd) as client:
        try:
            return not client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return False
        finally:
            client.detach()
