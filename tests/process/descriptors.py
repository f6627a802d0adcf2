"""What processes have open, as Linux tells it."""

from __future__ import annotations

import contextlib
import re
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


def watched(pid: int) -> set[int]:
    """Return the inodes of what a process watches by epoll(7), Linux only."""
    found: set[int] = set()
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            inodes = re.findall(r"^tfd:.* ino:(\w+)", entry.read_text(), re.MULTILINE)
            found.update(int(inode, 16) for inode in inodes)
    return found
