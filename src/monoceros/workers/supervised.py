"""A worker between its arbiter's orders: when it is to leave, and when it asks for a successor."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from monoceros.scoreboard import SlotPhase
from monoceros.workers.base import Worker
from monoceros.workers.insistence import end_after
from monoceros.workers.news import News

if TYPE_CHECKING:
    from types import FrameType

_HESITATION_S = 1.0  # how long a TERM waits for the arbiter to second it


class SupervisedWorker(Worker):
    """Leaves when the arbiter says so, or where there is none any more."""

    asked_to_leave: float | None = None  # time.monotonic(); by whomever
    told_to_leave: float | None = None  # by the arbiter, or there is none to wait for
    is_abandoned = False  # by the arbiter
    _has_asked = False  # for a successor, because threads are lost

    def handle_exit(self, signum: int, frame: FrameType | None) -> None:
        """TERM: finish what has been received, then leave."""
        super().handle_exit(signum, frame)
        if self.asked_to_leave is None:
            self.asked_to_leave = time.monotonic()
        self.may_leave()

    def may_leave(self) -> bool:
        """Whether a worker that is not ``alive`` is to go; its time for that runs from then on.

        Else it serves on, as a lame duck does.
        """
        if self.told_to_leave is None:
            if self._hesitates():
                return False
            self.told_to_leave = time.monotonic()
            self.is_told_to_leave()
        return True

    def is_told_to_leave(self) -> None:
        """Hear that it is time to leave."""

    def _hesitates(self) -> bool:
        """Whether TERM came from somebody else and the arbiter may be about to send its own.

        A service manager may tell all processes at once. Before the arbiter has heard it nobody
        knows whether the queue is left to siblings or has to be emptied.
        """
        if self.is_abandoned or self.asked_to_leave is None:
            return False
        if self.scoreboard.phase(self.slot_index) is SlotPhase.DRAINING:
            return False
        return self.scoreboard.lame_duck or time.monotonic() < self.asked_to_leave + _HESITATION_S

    def look_for_arbiter(self) -> None:
        """Leave where there is none any more, and be ended in its place if that takes too long."""
        if self.is_abandoned or not self.is_orphan():
            return
        self.is_abandoned = True
        self.log.info("Parent changed, shutting down: %s", self)
        self.alive = False
        self.is_left_alone()
        end_after(self.cfg.graceful_timeout, self._say_cut)

    def is_left_alone(self) -> None:
        """Hear that there is no arbiter any more."""
        self.may_leave()

    def _say_cut(self) -> None:
        self.log.warning(
            "Cut off at the end of graceful_timeout: worker (pid:%s), without an arbiter",
            self.pid,
        )

    # -- successors --------------------------------------------------------------------------

    def count_requests(self, requests: int) -> None:
        """Ask for a successor after ``max_requests``; the arbiter says when to leave."""
        self.nr = requests
        if requests >= self.max_requests:
            self.log.info("Autorestarting worker after current request.")
            self.max_requests = sys.maxsize
            self.tell(News.WORN_OUT)

    def ask_for_successor(self) -> None:
        """Tell the arbiter that threads are lost; serves on until that says to leave."""
        if not self._has_asked:
            self._has_asked = True
            self.tell(News.LOST)
