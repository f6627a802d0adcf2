"""How much memory a process has to itself."""

from __future__ import annotations

import os
from pathlib import Path

_PRIVATE = ("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:")


def measure_private(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Return the octets that a process shares with nobody; None where the system does not tell.

    Where only the resident size is known that is returned, which counts shared pages too.
    """
    try:
        lines = proc.joinpath(str(pid), "smaps_rollup").read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(_PRIVATE)) * 1024
    except (OSError, ValueError, IndexError):
        return measure_resident(pid, proc)


def measure_resident(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Return the octets of a process that are in memory, shared ones too; None if unknown."""
    try:
        fields = proc.joinpath(str(pid), "statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
