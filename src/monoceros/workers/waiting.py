"""Complete requests that no thread is free for."""

from __future__ import annotations

import math
from typing import NamedTuple

TICK_S = 0.002  # what a complete request may wait before it is others' business


class Waiting(NamedTuple):
    """A complete request that no thread is free for.

    ``since`` is when it was found. Another process may have it, but not before ``keep_until``,
    where it ``may_move``; ``hops`` is how often it has moved. While it ``is_aside`` its connection
    is out of the poller.
    """

    since: float
    may_move: bool
    hops: int
    keep_until: float
    is_aside: bool = True


# Input that has just come, as far as anybody knows.
AT_HAND = Waiting(math.inf, may_move=False, hops=0, keep_until=0.0, is_aside=False)
