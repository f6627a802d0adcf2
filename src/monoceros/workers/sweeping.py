"""Connections whose time is up, and the leave that is taken of idle ones.

Theory of operation. What a client has done while its worker was busy waits in the kernel, so that
whatever seems late is first brought as far as it gets. An idle connection is shut down for
sending, unless something has come on it by then, and read on for a moment, so that a request which
crosses with our end meets no reset.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from monoceros.http.types import BODY, CLOSE, HANDOFF, HEAD
from monoceros.workers.descriptors import shut_sending
from monoceros.workers.lateness import ready_among
from monoceros.workers.waiting import AT_HAND

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http import Conn, Core
    from monoceros.workers.lateness import Lateness
    from monoceros.workers.reactor import Reactor

SWEEP_S = 1.0  # how often timeouts are looked at
_PARTING_S = 0.5  # how long an idle connection that was shut down is read


class Sweeper:
    """Looks after the connections of one worker in time; for the thread that leads."""

    def __init__(self, reactor: Reactor, lateness: Lateness) -> None:
        self._reactor = reactor
        self._lateness = lateness
        self.due = 0.0  # time.monotonic() of the next sweep
        self.parting: dict[int, float] = {}  # idle connections, and when they were shut down

    def sweep(self, core: Core, now: float, turn: Callable[[int], None] | None = None) -> None:
        """Deal with connections that have been in their state for too long, once a second.

        What their clients have done meanwhile counts: ``turn`` is to take it in.
        """
        if now < self.due:
            return
        self.due = now + SWEEP_S
        self._end_parting(now)
        reactor = self._reactor
        if reactor.overload is not None:
            reactor.overload.tell(now)
        found = self._lateness.find(reactor.conns, now)
        late = [one for one in found if not self._waits(one[0])]
        if late:
            for fd in ready_among(late):
                (turn or partial(self._catch_up, core))(fd)
        for fd, seen in found:
            conn = reactor.conns.get(fd)
            if conn is None or conn is not seen or self._waits(fd) or conn.has_request:
                continue
            if self._lateness.is_late(fd, conn, now):
                self._expire(core, fd, conn)

    def close_idle(self, since: float) -> None:
        """Take leave of connections that no request has come on since then."""
        self._end_parting(time.monotonic())
        for fd, conn in self.idle():
            if conn.since <= since:
                self._take_leave(fd, conn)

    def idle(self) -> list[tuple[int, Conn]]:
        """Return the connections on which nothing of a request has been received."""
        reactor = self._reactor
        return [
            (fd, conn)
            for fd, conn in list(reactor.conns.items())
            if reactor.is_between_requests(fd, conn) and not conn.pending and not conn.has_request
        ]

    def _waits(self, fd: int) -> bool:
        """Whether it is for us to do something, not for the client."""
        return fd in self._reactor.waiting or fd in self._reactor.more

    def _catch_up(self, core: Core, fd: int) -> None:
        reactor = self._reactor
        conn = reactor.conns.get(fd)
        code = CLOSE if conn is None else reactor.collect(core, fd, conn)
        if code == HANDOFF:
            reactor.more[fd] = AT_HAND
        else:
            reactor.follow(fd, code)

    def _expire(self, core: Core, fd: int, conn: Conn) -> None:
        reactor = self._reactor
        if conn.state == BODY or (conn.state == HEAD and conn.pending > 0):
            reactor.follow(fd, conn.reject(408, core))
        elif reactor.is_between_requests(fd, conn):
            self._take_leave(fd, conn)
        elif fd not in self.parting:
            reactor.close_one(fd, conn)

    def _take_leave(self, fd: int, conn: Conn) -> None:
        """Shut down an idle connection, unless something has come by now."""
        if not conn.pending and not ready_among([(fd, conn)]):
            shut_sending(fd)
            self._reactor.handlers[fd] = conn.discard
            self.parting[fd] = time.monotonic()

    def _end_parting(self, now: float) -> None:
        for fd, parted in list(self.parting.items()):
            conn = self._reactor.conns.get(fd)
            if conn is not None and now - parted >= _PARTING_S:
                self._reactor.close_one(fd, conn)
