"""The other workers of the server, as far as one of them can tell from the scoreboard."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monoceros.scoreboard import Scoreboard


class Siblings:
    """All workers but the one with the records ``own``; ``ppid`` is the arbiter's process.

    Without an arbiter the scoreboard goes on telling of workers that may have gone long ago.
    """

    def __init__(self, scoreboard: Scoreboard, own: range, ppid: int) -> None:
        self._scoreboard = scoreboard
        self._own = own
        self._ppid = ppid

    def are_there(self) -> bool:
        """Whether there are workers that will be there when this one has gone."""
        return self._scoreboard.has_ready(self._own) and self._have_arbiter()

    def take(self) -> bool:
        """Whether these take connections that are given away."""
        return not self._scoreboard.keeps_connections and self.are_there()

    def count_idle(self) -> int:
        """Return how many threads elsewhere have nothing to do, and take what is given away."""
        if self._scoreboard.keeps_connections:
            return 0
        count = self._scoreboard.count_idle(self._own)
        return count if count and self._have_arbiter() else 0

    def _have_arbiter(self) -> bool:
        return os.getppid() == self._ppid
