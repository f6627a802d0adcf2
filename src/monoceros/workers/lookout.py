"""The poller of a worker whose threads are greenlets: it waits in their hub.

Theory of operation. Another loop, the hub, has the process while nobody has anything to do. It
watches over the poller's own descriptor all the time. When that becomes readable, or when a
deadline is over, the greenlet that waits here goes on; if that is inside a call of the application,
which waits for something else, somebody is to take its place (``relieve``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from monoceros.errors import StopWorker
from monoceros.workers.expiry import LOOK_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenlet import greenlet

    from monoceros.workers.poller import Poller

_TURN_S = 0.001  # how long the hub is left alone while there is enough to do here
_SHARE_S = 0.005  # how long one call may go on without waiting


class Timer(Protocol):
    """A call to come."""

    def cancel(self) -> None:
        """Have it not come."""


class Hub(Protocol):
    """What a library of greenlets has for a worker; its callbacks run in the hub's greenlet.

    One that ``begins_anew`` in a forked process has descriptors of its own there.
    """

    begins_anew: bool

    def spawn(self, run: Callable[[], object]) -> greenlet:
        """Have a new greenlet begin soon."""

    def current(self) -> greenlet:
        """Return the greenlet that calls."""

    def is_current(self) -> bool:
        """Whether it is the hub's own greenlet that calls, in which nothing may wait."""

    def rest(self) -> None:
        """Let all others run once that are ready."""

    def pause(self) -> None:
        """Let others run until this greenlet is switched to from the hub."""

    def watch(self, fd: int, call: Callable[[], object]) -> Timer:
        """Call whenever a descriptor is readable, until that is cancelled."""

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call once."""

    def wait(self, fd: int, events: int, timeout_s: float) -> bool:
        """Do what ``Policy.wait`` does, while other greenlets run."""


class Lookout:
    """A ``Poller`` for one greenlet at a time."""

    def __init__(
        self,
        inner: Poller,
        hub: Hub,
        relieve: Callable[[], bool],
        report: Callable[[str, BaseException], object],
    ) -> None:
        """``relieve`` has somebody else poll, and is False where whoever did is about to."""
        self.add = inner.add
        self.add_output = inner.add_output
        self.add_shared = inner.add_shared
        self.watch_input = inner.watch_input
        self.watch_output = inner.watch_output
        self.remove = inner.remove
        self._inner = inner
        self._hub = hub
        self._relieve = relieve
        self._report = report
        self._waiting: greenlet | None = None
        self._watch: Timer | None = None
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._deadline = 0.0
        self._is_abandoned = False
        self._rested = 0.0

    def fileno(self) -> int:
        """Return the descriptor that is readable while something is ready."""
        return self._inner.fileno()

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """Return what is ready, waiting for at most ``timeout_s`` seconds."""
        if self._watch is None:
            self._watch = self._hub.watch(self._inner.fileno(), self._attend)
        now = time.monotonic()
        if now - self._rested < _TURN_S:
            events = self._inner.poll(0)
            if events or not timeout_s:
                self._arm(now + LOOK_S)
                return events
        self._wait(now + timeout_s)
        events = self._inner.poll(0)
        self._rested = time.monotonic()
        # Somebody is to look after a call that waits in what comes now.
        self._arm(self._rested + LOOK_S)
        return events

    def turn(self) -> None:
        """Do what ``Policy.turn`` does."""
        if time.monotonic() - self._rested > _SHARE_S:
            self._hub.rest()

    def close(self) -> None:
        """Let go of the descriptors, and of the hub."""
        self.leave()
        self._inner.close()

    def leave(self) -> None:
        """Be called by the hub no more."""
        for one in (self._watch, self._timer):
            if one is not None:
                one.cancel()
        self._watch = self._timer = None

    def abandon(self) -> None:
        """In a forked process, leave the hub's descriptors to the process that it comes from."""
        self._is_abandoned = True
        if self._hub.begins_anew:
            self.leave()
        self._watch = self._timer = None

    def _wait(self, deadline: float) -> None:
        self._deadline = deadline
        self._arm(deadline)
        self._waiting = self._hub.current()
        try:
            self._hub.pause()
        except StopWorker:
            raise
        except BaseException as error:
            # The border to what an application has left behind, such as a timeout that it did not
            # cancel: it was meant for a call that is over.
            self._report("An exception for a call that is over was raised too late: %r", error)
        finally:
            self._waiting = None

    def _arm(self, at: float) -> None:
        """Be called at that time, or earlier."""
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._hub.call_later(max(0.0, at - time.monotonic()), self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting is not None and time.monotonic() < self._deadline:
            self._arm(self._deadline)
        else:
            self._attend()

    def _attend(self) -> None:
        """Have somebody poll now; called in the hub."""
        if self._is_abandoned:
            return
        if self._waiting is not None:
            self._waiting.switch()
        elif not self._relieve():
            # It would be readable all the time until whoever polls is back, or in a call.
            if self._watch is not None:
                self._watch.cancel()
                self._watch = None
            self._arm(time.monotonic() + LOOK_S)
