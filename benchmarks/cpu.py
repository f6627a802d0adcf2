"""The kernel's accounting of processor time for a tree of processes (Linux)."""

from __future__ import annotations

import time
from pathlib import Path

SETTLE_SECONDS = 0.02

Task = tuple[int, int]


def _first_number(path: Path) -> int | None:
    try:
        return int(path.read_text().split()[0])
    except OSError:  # the thread ended meanwhile
        return None


def _parent(stat: Path) -> int | None:
    try:
        # The command in parentheses may hold blanks and parentheses of its own.
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def children(pid: int) -> list[int]:
    """Return the processes below ``pid``, at any depth."""
    below: dict[int | None, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        below.setdefault(_parent(stat), []).append(int(stat.parent.name))
    found = list(below.get(pid, []))
    for child in found:
        found.extend(below.get(child, []))
    return found


def task_times(pid: int) -> dict[Task, int]:
    """Return the nanoseconds on a processor of each thread of the tree under ``pid``.

    User and system time, the network softirqs that run in the thread's name included.
    """
    times: dict[Task, int] = {}
    for process in [pid, *children(pid)]:
        for path in Path(f"/proc/{process}/task").glob("*/schedstat"):
            if (spent_ns := _first_number(path)) is not None:
                times[process, int(path.parent.name)] = spent_ns
    return times


def spent(before: dict[Task, int], after: dict[Task, int]) -> int:
    """Return the nanoseconds between two ``task_times``; threads that ended meanwhile are lost."""
    return sum(ns - before.get(task, 0) for task, ns in after.items())


class Meter:
    """Counts what the tree under ``pid`` spends inside of a block, in nanoseconds."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before: dict[Task, int] = {}
        self.spent_ns = 0

    def __enter__(self) -> Meter:
        self._before = task_times(self._pid)
        return self

    def __exit__(self, *raised: object) -> None:
        # The server may still be closing connections; what it spends there belongs to the block.
        time.sleep(SETTLE_SECONDS)
        self.spent_ns = spent(self._before, task_times(self._pid))
