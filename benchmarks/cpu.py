"""The kernel's accounting of processor time for a tree of processes (Linux)."""

from __future__ import annotations

from pathlib import Path

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
