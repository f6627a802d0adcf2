"""Whether the kernel killed a worker for want of memory: what our control group's counter says.

Theory of operation. The kernel counts a process that it kills for memory in the ``oom_kill`` of
the process's own group before it sends SIGKILL, whoever's limit it was, so that whoever reaps
the dead sees the new count. Each death takes one from the rise; what other processes of the
group left over counts for a moment only, as several workers may be killed in one go.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.config import cgroups
from monoceros.config.machine import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/")
SAME_MOMENT_S = 2.0

# The first one that is there counts. The local one leaves out groups below ours, where no
# worker is; version 1 knows no other.
_COUNTERS_V2 = ("memory.events.local", "memory.events")
_COUNTERS_V1 = ("memory.oom_control",)

NOT_BY_US = (
    " Not by this server, nor by the kernel for want of memory: its cgroup counted no such kill."
)
UNKNOWN = " Perhaps out of memory?"


class Oom:
    """The counter of our group, as it was at the start and at each look since."""

    def __init__(self, root: Path | None = None) -> None:
        self._root = root or ROOT
        self._counter = next(_find_counters(self._root), None)
        self._count = self._read()
        self._unclaimed = 0  # kills that were seen and that no worker's death explains
        self._seen_at = 0.0
        self._rise = ""

    def explain(self, now: float) -> str:
        """Say about a SIGKILL that was not ours, and was just noticed, what the counter tells."""
        before, count = self._count, self._read()
        if before is None or count is None:
            return UNKNOWN
        if count > before:
            fresh = self._unclaimed if now - self._seen_at <= SAME_MOMENT_S else 0
            self._unclaimed, self._seen_at = fresh + count - before, now
            self._rise = f"oom_kill of its cgroup rose from {before} to {count}"
        self._count = count
        if not self._unclaimed or now - self._seen_at > SAME_MOMENT_S:
            return NOT_BY_US
        self._unclaimed -= 1
        return f" Out of memory: the kernel killed it ({self._rise}; {self._describe_limit()})."

    def _describe_limit(self) -> str:
        limit = cgroups.read_memory(self._root)
        return "no limit is set here" if limit is None else f"the limit is {limit / MIB:.0f} MiB"

    def _read(self) -> int | None:
        return None if self._counter is None else _read_count(self._counter)


def _find_counters(root: Path) -> Iterator[Path]:
    for name, files in ((cgroups.UNIFIED, _COUNTERS_V2), ("memory", _COUNTERS_V1)):
        for directory in cgroups.own_directories(root, name):
            for path in (directory / file for file in files):
                if _read_count(path) is not None:
                    yield path


def _read_count(path: Path) -> int | None:
    for line in cgroups.read_text(path).splitlines():
        word, _, number = line.partition(" ")
        if word == "oom_kill" and number.isascii() and number.isdigit():
            return int(number)
    return None
