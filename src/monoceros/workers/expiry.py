"""Requests that take longer than ``request_timeout``, or than they have allowed themselves.

Theory of operation. A call that outlasts a tick has been lifted out of the reactor by the monitor,
so whatever could be late is ``away``, and is looked at a few times a second by the thread that
watches over the others; an application that answers at once pays nothing. What is late is answered
or cut (``http.expiry``), and its thread is lost until the call returns: nothing can be done about
that but to tell where it is, and to let another one work in its place.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monoceros.scoreboard import read_record
from monoceros.workers.frames import describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from monoceros.http import Conn, Core
    from monoceros.log.logger import Logger
    from monoceros.workers.reactor import Reactor

LOOK_S = 0.1  # how often is looked while a call is under way


class Expiry:
    """Looks for late requests; ``core`` is that of the thread that does.

    ``find_frame`` returns where the thread is that has a Core, and ``lose`` is told, with the
    reactor's lock, that it is lost.
    """

    def __init__(
        self,
        reactor: Reactor,
        core: Core,
        log: Logger,
        find_frame: Callable[[Core], FrameType | None],
        lose: Callable[[Core], object],
    ) -> None:
        self._reactor = reactor
        self._core = core
        self._log = log
        self._find_frame = find_frame
        self._lose = lose

    def look(self) -> bool:
        """End what is late; True where that was anything."""
        reactor = self._reactor
        if not reactor.away:
            return False
        now = time.monotonic()
        with reactor.lock:
            late = [core for core, conn in reactor.away.items() if is_late(conn, now)]
        ended = [self._end(core) for core in late]
        return any(ended)

    def until_look(self, longest_s: float) -> float:
        """Return in how many seconds to look again, ``longest_s`` where no call is under way."""
        return min(longest_s, LOOK_S) if self._reactor.away else longest_s

    def _end(self, late: Core) -> bool:
        reactor = self._reactor
        with reactor.lock:
            conn = reactor.away.get(late)
            if conn is None or not is_late(conn, time.monotonic()):
                return False
            doing = _describe(late)
            stack = describe(self._find_frame(late))
            self._core.tick(time.monotonic())
            told = reactor.expire(self._core, late)
            if told is None:
                return False
            self._lose(late)
        self._log.error("REQUEST TIMEOUT %s, %s\n%s", doing, "504" if told else "cut off", stack)
        return True


def is_late(conn: Conn, now: float) -> bool:
    """Whether the time of a request in flight is up."""
    deadline = conn.deadline
    return deadline is not None and now >= deadline


def _describe(core: Core) -> str:
    """Name the request in flight with peer and age in seconds."""
    record = None if core.scoreboard_record is None else read_record(core.scoreboard_record)
    if record is None:
        return "of a request that cannot be read"
    age = time.monotonic() - record.started_ns / 1e9
    peer = ascii(record.peer or "unix socket")[1:-1]
    return f"running {ascii(record.request)[1:-1]} from {peer} for {age:.1f}s"
