"""What processes have open, as Linux tells it."""

from __future__ import annotations

from pathlib import Path


def descriptors(pid: int) -> dict[int, str]:
    """Return the open descriptors of a process and what they are."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except FileNotFoundError:
            continue  # closed meanwhile
    return found
