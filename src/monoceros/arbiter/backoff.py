"""How long the place of a crashed worker stays empty.

A worker that served for a while and then died is replaced at once. One that died while it
booted, or right after, is probably going to do it again: its place is held empty for a time
that doubles with every generation of crashes, while the other workers go on.
"""

from __future__ import annotations

SETTLED_S = 1.0  # a worker that served for so long did not crash at start
FIRST_S = 0.1
LONGEST_S = 10.0
QUIET_S = 30.0  # so long without a crash, and the next one counts as the first
JITTER = 0.5  # up to this part of the delay is taken off at random


class Backoff:
    """The places held empty; times are ``time.monotonic()`` seconds."""

    def __init__(self) -> None:
        self._level = 0
        self._raised_at = 0.0
        self._crashed_at = 0.0
        self._holds: list[float] = []

    def record_crash(self, born: float, now: float, *, was_ready: bool) -> float:
        """Hold the place of a child that was forked at ``born``; return for how many seconds.

        A first crash of a child that had become ready costs nothing. Children of one age that
        crash together count as one crash.
        """
        if now - self._crashed_at > QUIET_S:
            self._level = 0
        self._crashed_at = now
        if self._level == 0 or born >= self._raised_at:
            self._level += 1
            self._raised_at = now
        steps = self._level - 2 if was_ready else self._level - 1
        if steps < 0:
            return 0.0
        import random  # not needed by a server whose workers live

        longest = min(FIRST_S * 2.0 ** min(steps, 30), LONGEST_S)
        delay = longest * (1 - JITTER * random.random())
        self._holds.append(now + delay)
        return delay

    def hold(self, until: float) -> None:
        """Keep one place empty for another reason."""
        self._holds.append(until)

    def count_held(self, now: float) -> int:
        """Return how many places are to stay empty now."""
        self._holds = [until for until in self._holds if until > now]
        return len(self._holds)

    def next_due(self) -> float | None:
        """Return when the next place is free again, None where none is held."""
        return min(self._holds, default=None)

    def clear(self) -> None:
        """Forget everything: other code is about to be started."""
        self._level = 0
        self._holds.clear()
