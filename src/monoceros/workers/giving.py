"""Giving work away to siblings that are idle.

Theory of operation. Whoever has complete requests and no thread for them puts their connections
into the overflow queue, once the scoreboard shows a thread elsewhere that has nothing to do. Free
threads of all workers take from that queue, this one's included. A connection moves between
requests and with everything that has come on it, so that nothing is reordered or read twice. One
that has moved is kept for longer each time before it moves again: two processes that are busy by
turns would else play ping-pong.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from monoceros.http import Conn, parse_head
from monoceros.http.errors import BadRequest
from monoceros.net.overflow import Moved
from monoceros.scoreboard import count_moves
from monoceros.workers.waiting import TICK_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.http import Core
    from monoceros.http.types import Head
    from monoceros.net.overflow import Overflow
    from monoceros.workers.reactor import Reactor
    from monoceros.workers.siblings import Siblings

_LONGEST_KEPT = 9  # doublings


class Giver:
    """Gives connections of one worker away to ``siblings``."""

    def __init__(self, reactor: Reactor, overflow: Overflow, siblings: Siblings) -> None:
        self.siblings = siblings
        self._reactor = reactor
        self._overflow = overflow

    def give_waiting(self, core: Core) -> None:
        """Give away an even share of the requests that wait, the oldest first, if anybody is free.

        The next look is soon: to give all of them away would make them wait there.
        """
        waiting = [
            (fd, one)
            for fd, one in self._reactor.waiting.items()
            if one.may_move and one.keep_until <= core.now
        ]
        idle = self.siblings.count_idle() if waiting else 0
        for fd, one in waiting[: -(-len(waiting) * idle // (idle + 1))]:
            if not self._give(core, fd, one.since, one.hops + 1):
                return

    def shed(self, core: Core, rest: Iterator[tuple[int, int]]) -> None:
        """Give away an even share of what else a poll has reported."""
        conns, is_between = self._reactor.conns, self._reactor.is_between_requests
        events = [fd for fd, _ in rest if fd in conns and is_between(fd, conns[fd])]
        idle = self.siblings.count_idle()
        for fd in events[: len(events) * idle // (idle + 1)]:
            if has_come(conns[fd], core) and not self._give(core, fd, core.now, 1):
                return

    def give_idle(self, core: Core) -> None:
        """Give away the connections on which nothing has been received, where somebody stays."""
        if self.siblings.take():
            for fd, conn in self._reactor.sweeper.idle():
                if conn.peek(core) is not None and not self._give(core, fd, core.now, 0):
                    return

    def _give(self, core: Core, fd: int, since: float, hops: int) -> bool:
        """Move one connection; False where the queue has no room, and nothing has changed."""
        conn = self._reactor.remove(fd)
        _, data = conn.detach()
        moved = Moved(
            fd=fd,
            data=data,
            hops=hops,
            since=since,
            remote=conn.remote,
            local=conn.local,
            scheme=conn.scheme,
            trusted=conn.trusted,
        )
        if not self._overflow.give(moved):
            self._reactor.admit_moved(core, moved._replace(hops=0))
            return False
        # No shutdown: that would end it for its next owner as well.
        os.close(fd)
        if core.scoreboard_record is not None:
            count_moves(core.scoreboard_record, given=1, taken=0)
        return True


def keep_until(now: float, hops: int) -> float:
    """Return until when a connection that has moved so often stays where it is."""
    return now + (TICK_S * (1 << min(hops, _LONGEST_KEPT)) if hops else 0.0)


def has_come(conn: Conn, core: Core) -> bool:
    """Whether a request has come whole, and nothing of it was used."""
    return whole_head(conn, core) is not None


def whole_head(conn: Conn, core: Core) -> Head | None:
    """Return the head of a request that has come whole, and of which nothing was used."""
    data = None if conn.has_request else conn.peek(core)
    if not data:
        return None
    try:
        head = parse_head(data, core.limits, core.rules)
    except BadRequest:
        return None
    if head is None or head.content_length is None:
        return None
    return head if len(data) >= head.length + head.content_length else None
