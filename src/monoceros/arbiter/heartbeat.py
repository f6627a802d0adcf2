"""Reading a worker's scoreboard records for signs of life: what ``timeout`` means.

Where a worker class says that ``timeout`` is per call, a running request counts from its start,
so that a call which lasts too long is found even where something else in the worker goes on
giving signs of life. With other classes only the silence of the whole process counts, which is
that of the main thread, whose record is the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from monoceros.arbiter.children import Child, Phase
from monoceros.scoreboard import Record, State

if TYPE_CHECKING:
    from collections.abc import Sequence

# Idle workers give a sign of life about once a second: some of them have to be missing.
SHORTEST_SILENCE_S = 3.0
TORN_READS = 20
TORN_S = 0.1  # between two looks at a record that could not be read
MOST_NAMED = 10  # requests in one line


class Verdict(NamedTuple):
    """Whether a worker is overdue, else when to look again (None: never)."""

    overdue: bool
    check_at: float | None


def judge(child: Child, records: Sequence[Record | None], timeout: float, now: float) -> Verdict:
    """Compare a worker's last sign of life with ``timeout`` seconds; 0 switches it off.

    Booting workers are never overdue here, and draining ones only by a running request: their
    exit handlers give no signs of life, and their end is bounded by ``graceful_timeout``.
    """
    if not timeout or child.ready_at is None or child.aborted:
        return Verdict(False, None)
    record = records[0]
    if record is None:
        # Its owner was interrupted while writing: for a moment, or for good.
        return Verdict(True, None) if child.torn >= TORN_READS else Verdict(False, now + TORN_S)
    if child.timeout_is_per_call:
        started = [one.started_ns for one in records if one and one.state is State.RUNNING]
        if started:
            return _compare(min(started) / 1e9, timeout, now)
    if child.phase is Phase.DRAINING:
        return Verdict(False, now + timeout)
    silence = max(timeout, SHORTEST_SILENCE_S)
    overdue, due = _compare(max(record.beat_ns / 1e9, child.ready_at), silence, now)
    # A request may begin at once, and be overdue before so long a silence would be.
    return Verdict(overdue, None if due is None else min(due, now + timeout))


def judge_boot(child: Child, boot_timeout: float, timeout: float, now: float) -> Verdict:
    """Compare the time that a worker takes to become ready with ``boot_timeout``; 0 is no limit.

    Looks before the end, one each ``timeout`` seconds, are for warnings.
    """
    looks = [now + timeout] if timeout else []
    if boot_timeout:
        end = child.born + boot_timeout
        if now >= end:
            return Verdict(True, None)
        looks.append(end)
    return Verdict(False, min(looks, default=None))


def _compare(since: float, timeout: float, now: float) -> Verdict:
    due = since + timeout
    return Verdict(True, None) if now >= due else Verdict(False, due)


def describe(records: Sequence[Record | None], now: float) -> str:
    """Say what a worker is doing: its requests in flight, or how long it has been silent."""
    in_hand = describe_in_hand(records, now)
    if in_hand:
        return in_hand
    main = records[0]
    if main is None:
        return "its scoreboard record cannot be read"
    age = _age(main.beat_ns, now)
    return f"no request, no sign of life for {age:.1f}s{_count_open(records)}"


def describe_in_hand(records: Sequence[Record | None], now: float) -> str:
    """Name the requests in flight with peer and age in seconds; empty where there is none.

    What one line does not hold is counted, see ``name_others``. Further connections are those that
    are lost with the worker.
    """
    running = _name_running(records, now)
    if not running:
        return ""
    more = len(running) - MOST_NAMED
    rest = f", and {more} more" if more > 0 else ""
    return ", ".join(running[:MOST_NAMED]) + rest + _count_open(records)


def name_others(records: Sequence[Record | None], now: float) -> list[str]:
    """Name the requests in flight that ``describe_in_hand`` only counts."""
    return _name_running(records, now)[MOST_NAMED:]


def _name_running(records: Sequence[Record | None], now: float) -> list[str]:
    return [_name(one, now) for one in records if one and one.state is State.RUNNING]


def _name(record: Record, now: float) -> str:
    age = _age(record.started_ns, now)
    peer = ascii(record.peer or "unix socket")[1:-1]
    return f"running {ascii(record.request)[1:-1]} from {peer} for {age:.1f}s"


def _count_open(records: Sequence[Record | None]) -> str:
    count = sum(record.connections for record in records if record)
    return f", with {count} connections open" if count > 1 else ""


def _age(since_ns: int, now: float) -> float:
    # The owner may have written after the loop looked at the clock.
    return max(0.0, now - since_ns / 1e9)
