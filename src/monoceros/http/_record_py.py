"""A scoreboard record that requests are put on one after the other, in pure Python."""

from __future__ import annotations

import struct
import time
from bisect import bisect_left

from monoceros.scoreboard import (
    BUCKETS_NS,
    DURATION_OFFSET,
    HISTOGRAM_OFFSET,
    PEER_OFFSET,
    PEER_SIZE,
    REQUEST_SIZE,
    RESPONSES_OFFSET,
    SIZES_OFFSET,
    State,
)

_STATE = struct.Struct("=IqqQ")  # state, heartbeat, start of the request, requests started
_STATE_OFFSET = 12
_IDLE, _RUNNING = int(State.IDLE), int(State.RUNNING)
# Lengths, peer and request.
_SIZES = struct.Struct("=HH")
_TEXTS = struct.Struct(f"={PEER_SIZE}s{REQUEST_SIZE}s")
_DURATION = DURATION_OFFSET // 8
_RESPONSES = RESPONSES_OFFSET // 8 - 1
_HISTOGRAM = HISTOGRAM_OFFSET // 8


class Record:
    """What is written to one slot, or to none; only its owner may do so."""

    __slots__ = ("_slot", "_words", "requests", "started_ns")

    def __init__(self, slot: memoryview | None, /) -> None:
        self.requests = 0
        self.started_ns = 0
        self._slot = slot if slot is not None else memoryview(b"")
        self._words = None if slot is None else slot.cast("Q")

    @property
    def has_slot(self) -> bool:
        """Whether anybody else sees what is written."""
        return self._words is not None

    def begin(self, peer: bytes, request: bytes, /) -> None:
        """Put a request in flight there; without a slot only its time is taken."""
        self.started_ns = started = time.monotonic_ns()
        self.requests += 1
        words = self._words
        if words is None:
            return
        slot = self._slot
        words[0] = odd = words[0] | 1
        _STATE.pack_into(slot, _STATE_OFFSET, _RUNNING, started, started, self.requests)
        sizes = (min(len(request), REQUEST_SIZE), min(len(peer), PEER_SIZE))
        _SIZES.pack_into(slot, SIZES_OFFSET, *sizes)
        _TEXTS.pack_into(slot, PEER_OFFSET, peer, request)
        words[0] = odd + 1

    def end(self, code: int, /) -> None:
        """Take it off, and count it by the status that it was answered with; 0 for none."""
        words = self._words
        if words is None:
            return
        now = time.monotonic_ns()
        elapsed = now - self.started_ns
        words[0] = odd = words[0] | 1
        _STATE.pack_into(self._slot, _STATE_OFFSET, _IDLE, now, 0, self.requests)
        words[_DURATION] += elapsed
        words[_HISTOGRAM + bisect_left(BUCKETS_NS, elapsed)] += 1
        if code:
            words[_RESPONSES + status_class(code)] += 1
        words[0] = odd + 1

    def count(self, code: int) -> None:
        """Count a response that no application gave."""
        words = self._words
        if words is not None:
            words[0] = odd = words[0] | 1
            words[_RESPONSES + status_class(code)] += 1
            words[0] = odd + 1

    def abandon(self) -> None:
        """Write no more: the slot belongs to the process that this one was forked from."""
        self._words = None


def status_class(code: int) -> int:
    """Return the first digit of a status."""
    # RFC 9110 15: what is no valid status code is to be processed as one of 5xx.
    return code // 100 if code < 600 else 5
