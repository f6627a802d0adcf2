"""The last part of a worker's life: from being told to leave to its last answer.

Theory of operation. A listener that its siblings go on with is left at once: whatever waits in its
queue is theirs. Where the whole server ends nobody comes after us, and every connection in the
queue has been established for its client, who may have sent a request. So the workers take turns at
the queue while they serve, each as fast as it gets along, and close the listener when nothing is
left; the last one to close it ends it. Handshakes that were under way get ``SETTLE_S``.

Siblings that stay are given the idle connections, and whatever else they have been given. Where
nobody stays, a draining worker takes back what is still on its way between workers.

Idle connections that nobody else takes are kept for a moment, because their clients may be about to
send one more request, which is answered and ends the connection. Those that stay idle are then shut
down for sending and read for another moment, so that a request which crosses with our end meets no
reset.

Without an arbiter nobody turns newcomers away, and the next server may be waiting for the address:
the queue is emptied for ``ORPHANS_S`` at most, and idle connections are kept no longer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monoceros.http import Core
    from monoceros.workers.giving import Giver
    from monoceros.workers.reactor import Reactor

SETTLE_S = 0.02  # from the last newcomer's SYN to its place in the queue
IDLE_GRACE_S = 2.0  # how long idle connections are kept for one more request
PATIENCE = 0.9  # the part of graceful_timeout that clients get; the rest is for exit handlers
SHARE = 0.5  # the part of graceful_timeout in which a queue is shared with busy siblings
ORPHANS_S = 0.3  # what workers without an arbiter have for newcomers
TICK_S = 0.1
_ALL = 1 << 31


class Drain:
    """One worker's way out; times are ``time.monotonic()`` seconds."""

    def __init__(
        self,
        reactor: Reactor,
        told: float,
        graceful_timeout: float,
        *,
        giver: Giver | None = None,
        abandoned: bool = False,
        idle_grace_s: float = IDLE_GRACE_S,
    ) -> None:
        """Leave the listeners that others use; ``abandoned`` by the arbiter, there is nobody else.

        ``told`` is when the worker was told to leave, which may be long before a call ended.
        """
        self._reactor = reactor
        self._giver = giver
        self._began = self._look_at = time.monotonic()
        longest = ORPHANS_S if abandoned else graceful_timeout / 2
        self._idle_grace_s = min(idle_grace_s, longest)
        self._settled_at = told + SETTLE_S
        self._share_until = self._began if abandoned else told + SHARE * graceful_timeout
        self.end = told + PATIENCE * graceful_timeout
        self._leave_by = self._began + ORPHANS_S if abandoned else self.end
        reactor.intake.drain(abandoned=abandoned)

    def is_over(self, core: Core) -> bool:
        """Whether nothing is left to do, or no time."""
        if time.monotonic() >= self.end:
            return True
        is_done = not (len(self._reactor) or self._reactor.intake.listens)
        return is_done and not self._reactor.intake.take_last(core)

    def turn(self, core: Core) -> None:
        """Take from the queues, answer what has come, and close what stays idle."""
        now = time.monotonic()
        listens = self._reactor.intake.listens
        pause = self._empty_queues(core, now) if listens else TICK_S
        if now >= self._look_at:
            self._look_at = now + TICK_S
            self._move(core)
            if now - self._began >= self._idle_grace_s:
                self._reactor.sweeper.close_idle(now - self._idle_grace_s)
        self._reactor.run_once(core, pause)

    def _move(self, core: Core) -> None:
        """Leave connections to siblings that stay; without any, take what is on its way."""
        if self._giver is not None:
            are_taken = self._giver.siblings.take()
            self._reactor.intake.take_moved(wanted=not are_taken)
            if are_taken:
                self._giver.give_idle(core)

    def _empty_queues(self, core: Core, now: float) -> float:
        """Return how long to wait for events before the next turn."""
        intake = self._reactor.intake
        if now < self._leave_by:
            if intake.take_from_queues(core, 1 if now < self._share_until else _ALL):
                return 0.0
            if intake.is_held_up:
                return TICK_S
            if now < self._settled_at:
                return self._settled_at - now
        intake.leave_listeners()
        return 0.0
