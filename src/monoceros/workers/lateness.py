"""Telling clients that are slow from a server that was busy.

While the application has the thread nothing is received or sent. What a client did meanwhile
waits in the kernel, so that a connection is only late if that, too, has been looked at.
"""

from __future__ import annotations

import fcntl
import select
import sys
import termios
from typing import TYPE_CHECKING

from monoceros.http.types import BODY, LINGERING, WRITE
from monoceros.workers.poller import ready_now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monoceros.http.types import Conn
    from monoceros.workers.timeouts import Timeouts


class Lateness:
    """Finds connections that are late.

    Between two looks a client's progress shows in one figure. For a body it is the size; for a
    response it is what the kernel has to deliver, since a client may go on taking octets for
    long before there is room for more.
    """

    __slots__ = ("_figures", "_timeouts")

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._figures: dict[int, tuple[int, float]] = {}  # and since when it has been the same

    def find(self, conns: Mapping[int, Conn], now: float) -> list[tuple[int, Conn]]:
        """Return the descriptors and connections that are late, as far as it shows."""
        before, self._figures = self._figures, {}
        return [item for item in list(conns.items()) if self._is_late(*item, now, before)]

    def is_late(self, fd: int, conn: Conn, now: float) -> bool:
        """Tell whether a connection is late, at a second look."""
        return self._is_late(fd, conn, now, self._figures)

    def _is_late(
        self, fd: int, conn: Conn, now: float, before: Mapping[int, tuple[int, float]]
    ) -> bool:
        moved = now
        if conn.state == BODY or conn.state == WRITE:
            figure = conn.received if conn.state == BODY else undelivered(fd)
            last = before.get(fd)
            moved = last[1] if last is not None and last[0] == figure else now
            moved = max(conn.since, moved)
            self._figures[fd] = (figure, moved)
        return self._timeouts.is_over(conn, now, moved)


def ready_among(conns: Iterable[tuple[int, Conn]]) -> list[int]:
    """Return the descriptors whose client has done what its connection waits for."""
    return ready_now(
        (fd, select.POLLOUT if conn.state == WRITE else select.POLLIN)
        for fd, conn in conns
        if conn.state != LINGERING
    )


def undelivered(fd: int) -> int:
    """Return how many octets the peer of a socket has not taken; 0 where the system cannot say."""
    try:
        found = fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4))  # SIOCOUTQ, tcp(7)
    except OSError:
        return 0
    return int.from_bytes(found, sys.byteorder)
