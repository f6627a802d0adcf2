"""Turning requests away that cannot be served in time: ``queue_timeout`` and ``max_queue``.

Theory of operation. Requests that have to wait for a thread are found by the monitor: at once while
a call lasts, and a few times within the limit while a batch of short calls does. It takes them out
of the poller and into one order, accepts what waits in the listeners' queues, and answers 503 to
whoever has waited for as long as the limit, or is too much for the queue. Whoever leads looks at
the age of a request before it calls the application.

A queue in which the oldest has waited for half of the limit does not go away by itself. Then
the newest is served first: those that are served wait for next to nothing instead of next to the
limit, and once the load falls, new requests have nothing in front of them.
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING

from monoceros.http.access import Entry
from monoceros.http.types import BODY, HANDOFF, IDLE
from monoceros.workers.arrivals import unread_for, waited_before

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http import Conn, Core
    from monoceros.http.types import Environ, Head
    from monoceros.workers.reactor import Reactor

_LOOK_S = 0.005  # how often a late batch is looked behind in an overload
_LONGEST_LOOK_S = 0.25
_QUEUE_LOOK_S = 0.01  # the same where ``max_queue`` may be exceeded at any moment
_PARTS = 8  # looks within the limit while nobody waits for long
_TELL_S = 5.0


class Overload:
    """The limits of one worker; 0 means none for ``limit_s`` seconds and for ``most`` requests."""

    def __init__(
        self,
        reactor: Reactor,
        limit_s: float,
        most: int,
        warn: Callable[[str], None],
        patience_s: float = 0.0,
    ) -> None:
        """``patience_s`` is how long a surplus may wait for others to take it."""
        self._reactor = reactor
        self._limit_s = limit_s or math.inf
        self._most = most or sys.maxsize
        self._warn = warn
        self._patience_s = patience_s
        self._calm_look_s = min(self._limit_s / _PARTS, _QUEUE_LOOK_S if most else _LONGEST_LOOK_S)
        self._look_s = self._calm_look_s
        self._next_look = 0.0
        self._due = math.inf  # when the next one will have waited for too long, or earlier
        self._late = self._surplus = 0
        self._told = -math.inf

    # -- age ---------------------------------------------------------------------------------

    def arrival(self, fd: int, conn: Conn, now: float) -> float:
        """Return when that came which waits on a connection, as far as the kernel knows."""
        came = now - unread_for(fd) if isinstance(conn.local, tuple) else now
        if conn.state == IDLE or conn.pending:
            # Behind another request, it has waited for its client's own sake until now.
            return max(came, min(conn.since, now))
        return came

    def announced(self, conn: Conn, head: Head | None, now: float) -> float:
        """Return when a proxy says that it took a complete request on; ``now`` where none does."""
        if not conn.trusted or self._limit_s == math.inf:
            return now
        if head is not None:
            values = [value for name, value in head.fields if name.lower() == "x-request-start"]
            text = values[-1] if values else ""
        else:
            request = conn.request
            text = "" if request is None else request.environ.get("HTTP_X_REQUEST_START", "")
        return now - waited_before(text, time.time()) if text else now

    def is_over(self, since: float, now: float) -> bool:
        """Whether a request that came then has waited for too long."""
        return now - since >= self._limit_s

    # -- the leading thread ------------------------------------------------------------------

    def ready(self, fd: int, conn: Conn, core: Core) -> int:
        """Do what ``Conn.ready`` does, but answer 503 to a request that has waited too long."""
        if conn.state == BODY:
            return conn.ready(core)
        now = core.now
        since = self.arrival(fd, conn, now)
        if conn.trusted or self.is_over(since, now):
            code = conn.collect(core)
            if code != HANDOFF:
                return code
            if self.is_over(min(since, self.announced(conn, None, now)), now):
                return self.refuse(conn, core, since)
        return conn.ready(core)

    def refuse(self, conn: Conn, core: Core, since: float) -> int:
        """Answer a complete request that has waited for too long."""
        self._late += 1
        return _refuse(conn, core, since)

    def pick(self, now: float) -> int:
        """Return whose turn it is among the connections with input at hand."""
        more = self._reactor.more
        order = tuple(more)  # a thread may come back meanwhile
        if now - more[order[0]].since > self._limit_s / 2:
            for fd in reversed(order):
                if more[fd].is_aside:
                    return fd
        return order[0]

    # -- the monitor -------------------------------------------------------------------------

    def wants_look(self, now: float) -> bool:
        """Whether to look, while a batch is late, who waits behind it."""
        if now < self._next_look:
            return False
        self._next_look = now + self._look_s
        return True

    def expect(self, since: float) -> None:
        """Take note of one more request that waits."""
        self._due = min(self._due, since + self._limit_s)

    def turn_away(self, core: Core, has_takers: Callable[[], bool]) -> float:
        """Answer 503 to what cannot wait any longer; returns for how many seconds all others can.

        While the monitor leads. What others are about to take is no surplus.
        """
        waiting, now = self._reactor.waiting, core.now
        if now >= self._due:
            for fd, one in list(waiting.items()):
                if self.is_over(one.since, now):
                    self._late += self._answer(fd, core, one.since)
        if len(waiting) > self._most and not has_takers():
            for fd, one in list(waiting.items())[self._most :]:
                if now - one.since >= self._patience_s:
                    self._surplus += self._answer(fd, core, one.since)
        if now >= self._due:
            oldest = min([one.since for one in waiting.values()], default=math.inf)
            self._due = oldest + self._limit_s
        is_tight = self._due - now < self._limit_s / 2 and bool(waiting)
        self._look_s = min(_LOOK_S, self._calm_look_s) if is_tight else self._calm_look_s
        return max(0.0, self._due - now)

    def _answer(self, fd: int, core: Core, since: float) -> bool:
        reactor = self._reactor
        conn = reactor.bring_back(fd)
        code = reactor.collect(core, fd, conn)
        is_whole = code == HANDOFF
        reactor.follow(fd, _refuse(conn, core, since) if is_whole else code)
        reactor.write_log(core)
        return is_whole

    # -- the log -----------------------------------------------------------------------------

    def tell(self, now: float) -> None:
        """Say how many were turned away, every few seconds."""
        late, surplus = self._late, self._surplus
        if not late + surplus or now < self._told + _TELL_S:
            return
        self._told = now
        self._late -= late
        self._surplus -= surplus
        reasons = []
        if late:
            reasons.append(f"{late} had waited for queue_timeout ({self._limit_s:g} s)")
        if surplus:
            reasons.append(f"{surplus} found max_queue ({self._most}) others waiting")
        self._warn(
            f"Answered 503 to {late + surplus} requests that no thread was free for: "
            f"{', '.join(reasons)}; more workers or threads would serve more of them"
        )


def _refuse(conn: Conn, core: Core, since: float) -> int:
    """Answer 503, and tell those who hear of requests that are over; it has taken its waiting."""
    request = conn.request
    code = conn.reject(503, core)
    if request is not None and (core.log.access or core.log.finished):
        _tell_end(core, request.environ, core.now - since)
    return code


def _tell_end(core: Core, environ: Environ, elapsed_s: float) -> None:
    access, finished = core.log.access, core.log.finished
    line = f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}"
    when = "" if access is None else access.format_time(int(time.time()))
    entry = Entry(environ, "503", [], 0, max(0, round(elapsed_s * 1e6)), when, line)
    if access is not None and not access.skips(environ, entry.status):
        core.add_line(access.line(entry))
    if finished is not None:
        finished(entry)
