"""What goes on in a worker while the application has its thread.

Theory of operation. A monitor looks at the leading thread once a tick, in the compiled twin
without the GIL, so that an application that answers at once pays nothing for it; when nothing has
happened for some ticks it sleeps until the next batch. Where a call outlasts the tick, another
thread takes the lead if one is parked; else the monitor itself does, without ever calling the
application: it sends what is left of responses, receives heads and contents, closes what is late,
accepts what was announced to this process, and gives complete requests to idle siblings. What it
cannot give away waits, out of the poller, until a thread is free.

Nothing is locked in a call's way. The monitor first takes the lead and then looks whether the call
it has seen is still the same; the thread that returns from a call has first ended it and then looks
who leads. So at least one of them sees the other.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from monoceros.http import Watch
from monoceros.http.types import HANDOFF, LATE_BATCH, LATE_CALL, QUIET
from monoceros.unpatched import poll
from monoceros.workers.giving import keep_until, whole_head
from monoceros.workers.waiting import TICK_S, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http import Conn, Core
    from monoceros.net.wakeup import Wakeup
    from monoceros.workers.giving import Giver
    from monoceros.workers.reactor import Reactor
    from monoceros.workers.siblings import Siblings

_PATIENCE = 5  # ticks without any batch, after which the monitor sleeps
_LOOKS = 1024  # after which the tick is reconsidered
_LOOK_S = 0.005  # how often it looks for an idle sibling while requests wait
# Threads that block in short calls overlap as far as they are relieved early.
_SHORT_TICK_S = 0.00025
_FAULT_PAUSE_S = 0.5  # so that a fault which stays does not fill the log
_LONG_TICK_S = 0.005
_REST_S = 0.02  # the longest that it waits for events: the lead may be gone meanwhile


class Monitor:
    """Watches over the thread that leads; ``core`` is its own, and ``bell`` ends its sleep.

    ``promote`` returns the Core of a thread that can lead, and has been told so, or None.
    ``breathe`` is called now and then while the monitor leads.
    """

    def __init__(
        self,
        reactor: Reactor,
        core: Core,
        bell: Wakeup,
        siblings: Siblings,
        giver: Giver | None,
        promote: Callable[[], Core | None] | None = None,
        breathe: Callable[[], object] | None = None,
    ) -> None:
        self._reactor = reactor
        self._core = core
        self._watch = Watch(bell.fileno())
        self._bell = bell
        self._siblings = siblings
        self._giver = giver
        self._promote = promote
        self._breathe = breathe
        self._tick_s = TICK_S
        self._next_intake = 0.0
        self._poller = poll()
        self._poller.register(bell.fileno(), select.POLLIN)
        reactor.adopt(core)
        reactor.stand_in = core
        reactor.watch = self._watch
        if giver is not None:
            reactor.shed = giver.shed
        reactor.lead(reactor.led_by)

    # -- watching ----------------------------------------------------------------------------

    def look(self, longest_s: float | None) -> None:
        """Watch, and do what is due, until the bell rings or nothing has happened for a while.

        Watches, and sleeps then, for at most ``longest_s`` seconds each, or for ever.
        """
        try:
            self._look(longest_s)
        except Exception:  # border: nobody would look after calls that last
            self._reactor.report("Unexpected error in the monitor, which goes on")
            self._poller.poll(_FAULT_PAUSE_S * 1000)

    def _look(self, longest_s: float | None) -> None:
        if self._reactor.rouse is not None:
            self._rest(longest_s)  # no batch has begun since
            return
        looks = _LOOKS if longest_s is None else min(_LOOKS, int(longest_s / self._tick_s) + 1)
        found = self._watch.wait(self._tick_s, _PATIENCE, looks)
        if found == LATE_CALL or (found == LATE_BATCH and self._wants_look()):
            self._relieve(found)
            return
        self._tick_s = TICK_S
        if found == LATE_BATCH:
            self._have_shed()
        elif found == QUIET and not self._sleep(longest_s):
            # Busy, and never late in all this time: it may go on like that.
            self._tick_s = _LONG_TICK_S

    def _sleep(self, longest_s: float | None) -> bool:
        """Sleep until the next batch; False where it has begun already."""
        reactor = self._reactor
        reactor.rouse = self._rouse
        # A batch may have begun before the leader could know that it has to wake anybody.
        if not self._watch.is_unchanged():
            reactor.rouse = None
            return False
        self._rest(longest_s)
        return True

    def _rest(self, longest_s: float | None) -> None:
        self._poller.poll(None if longest_s is None else max(0.0, longest_s) * 1000)

    def _rouse(self) -> None:
        self._reactor.rouse = None
        self._bell.wake()

    def _wants_look(self) -> bool:
        overload = self._reactor.overload
        return overload is not None and overload.wants_look(time.monotonic())

    def _relieve(self, reason: int) -> None:
        """Have another thread lead, this one if need be, while a call lasts."""
        reactor = self._reactor
        with reactor.lock:
            before, reactor.leader = reactor.leader, self._core
            found = self._watch.judge(self._tick_s)
            if found not in {reason, LATE_CALL}:
                reactor.leader = before
                return
            late = reactor.led_by
            reactor.lift()
            if found == LATE_CALL:
                reactor.write_log(late)
                if self._let_lead():
                    return
            self._step_in(late)
        self._tend()

    def _let_lead(self) -> bool:
        """Have a thread lead that is parked; False where none is."""
        successor = None if self._promote is None else self._promote()
        if successor is None:
            return False
        self._tick_s = _SHORT_TICK_S
        self._reactor.lead(successor)
        return True

    def _have_shed(self) -> None:
        """Have the leader give away some of its batch when its present call is over."""
        if self._has_takers():
            with self._reactor.lock:
                self._reactor.leader = None

    # -- tending -----------------------------------------------------------------------------

    def _step_in(self, late: Core) -> None:
        self._core.tick(late.now)
        self._core.closing = late.closing
        self._reactor.wait_on()
        if not self._reactor.is_leaving and self._siblings.are_there():
            self._reactor.intake.step_aside(self._core)

    def _tend(self) -> None:
        """Tend the connections until a thread that runs the application leads again."""
        reactor, core = self._reactor, self._core
        pause = 0.0
        while reactor.leader is core:
            events = reactor.poller.poll(pause)
            with reactor.lock:
                if reactor.leader is not core or self._yields():
                    return
                pause = self._turn([fd for fd, _ in events])
            if self._breathe is not None:
                self._breathe()

    def _yields(self) -> bool:
        """Whether a parked thread leads from now on.

        It was left parked where a batch was late, and its last call young.
        """
        if self._promote is None or self._watch.judge(self._tick_s) != LATE_CALL:
            return False
        return self._let_lead()

    def _turn(self, fds: list[int]) -> float:
        """Deal with events; returns how long to wait for others at most."""
        reactor, core = self._reactor, self._core
        now = time.monotonic()
        core.tick(now)
        if reactor.is_alone:
            reactor.intake.take_all_and_leave(core)
        elif reactor.is_leaving:
            reactor.intake.stop()
        elif reactor.intake.is_held_up:
            reactor.intake.resume(now)
        for fd in [*reactor.more, *fds]:
            self._step(fd)
        reactor.sweeper.sweep(core, now, self._step)
        pause = 0.0 if reactor.more else self._share(now)
        if reactor.overload is not None:
            pause = min(pause, reactor.overload.turn_away(core, self._has_takers))
        return pause

    def _share(self, now: float) -> float:
        """Give to siblings, or take in what they cannot; returns how long to rest."""
        reactor, giver = self._reactor, self._giver
        if giver is None:
            return _REST_S
        if reactor.overload is not None and now >= self._next_intake and not reactor.is_leaving:
            self._next_intake = now + _LOOK_S
            if not self._has_takers():
                reactor.intake.take_in(self._core)
        if not reactor.waiting:
            return _REST_S
        giver.give_waiting(self._core)
        return _LOOK_S

    def _has_takers(self) -> bool:
        """Whether a thread elsewhere has nothing to do, and takes what is given away."""
        return self._giver is not None and self._giver.siblings.count_idle() > 0

    def _step(self, fd: int) -> None:
        """Bring a connection as far as it gets without the application."""
        try:
            self._bring_on(fd)
        except Exception:  # border: a fault of ours costs a connection
            self._reactor.follow(fd, self._reactor.give_up(self._core))

    def _bring_on(self, fd: int) -> None:
        reactor, core = self._reactor, self._core
        conn = reactor.conns.get(fd)
        if conn is None:
            handler = reactor.handlers.get(fd)
            if handler is not None:
                handler(core)
        elif fd not in reactor.waiting:
            self._judge(fd, conn)

    def _judge(self, fd: int, conn: Conn) -> None:
        """Set a connection aside if a request has come whole, else take in what has come."""
        reactor, core, overload = self._reactor, self._core, self._reactor.overload
        before = reactor.more.pop(fd, None)
        since = core.now if overload is None else overload.arrival(fd, conn, core.now)
        is_between = reactor.is_between_requests(fd, conn)
        head = whole_head(conn, core) if is_between else None
        code = HANDOFF if head is not None else reactor.collect(core, fd, conn)
        if code != HANDOFF:
            reactor.follow(fd, code)
            return
        hops = 0
        if before is not None:
            since, hops = min(since, before.since), before.hops
        if overload is not None:
            if is_between:
                since = min(since, overload.announced(conn, head, core.now))
            overload.expect(since)
        until = keep_until(core.now, hops)
        reactor.set_aside(fd, Waiting(since, head is not None, hops, until))
