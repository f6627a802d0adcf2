"""The files that the watcher looks at, and what it remembers of them.

Whatever wakes the watcher, a change is always found here, by comparing what stat(2) says now
with what it said before. So it does not matter how an editor saves (in place, by a rename, by
deleting and creating), nor whether the file system tells of changes at all.
"""

from __future__ import annotations

import glob
import os
from fnmatch import fnmatch
from typing import TYPE_CHECKING, NamedTuple

from monoceros.workers.modules import is_installed

if TYPE_CHECKING:
    from collections.abc import Iterable

ROUND = 10  # in how many looks all files of installed packages are seen
# File systems stamp files by a clock that is a little late.
LATE_NS = 20_000_000


class Signature(NamedTuple):
    """What tells one state of a file from another."""

    mtime_ns: int
    size: int
    inode: int
    ctime_ns: int


class Watchlist:
    """Files with their last signatures, and patterns that may find more; never shrinks."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Take literal paths and glob patterns, all of them absolute."""
        entries = list(entries)
        self._patterns = [entry for entry in entries if glob.has_magic(entry)]
        self._own: dict[str, Signature | None] = {}
        self._installed: dict[str, Signature | None] = {}
        self._turn: list[str] = []  # installed files that are still to come in this round
        self.folders: set[str] = set()
        self.names: set[str] = set()
        for entry in entries:
            if not glob.has_magic(entry):
                self.add(entry)
        for path in self.expand():
            self.add(path)

    def __len__(self) -> int:
        return len(self._own) + len(self._installed)

    def __contains__(self, path: str) -> bool:
        return path in self._own or path in self._installed

    def empty_patterns(self) -> list[str]:
        """Return the patterns that no file matches now."""
        return [pattern for pattern in self._patterns if not _expand(pattern)]

    def expand(self) -> list[str]:
        """Return the files that match a pattern now."""
        return [path for pattern in self._patterns for path in _expand(pattern)]

    def add(self, path: str, since_ns: int | None = None) -> bool:
        """Watch a file; True where it is new here and has changed after ``since_ns``.

        The change time is asked rather than the modification time, which a copy may keep.
        """
        if path in self:
            return False
        signature = sign(path)
        group = self._installed if is_installed(path) else self._own
        group[path] = signature
        folder, name = os.path.split(path)
        self.folders.add(folder)
        self.names.add(name)
        return (
            since_ns is not None
            and signature is not None
            and signature.ctime_ns > since_ns - LATE_NS
        )

    def check_since(self, since_ns: int) -> list[str]:
        """Return the files that have changed after a moment when others may have looked."""
        return [
            path
            for group in (self._own, self._installed)
            for path, signature in group.items()
            if signature is not None and signature.ctime_ns > since_ns - LATE_NS
        ]

    def scan(self, *, whole: bool = False) -> list[str]:
        """Return what has changed, appeared or gone since the last look.

        Of the files of installed packages only a part is looked at each time, unless ``whole``.
        """
        changed = _compare(self._own, list(self._own))
        changed += _compare(self._installed, self._next_installed(whole))
        for path in self.expand():
            if path not in self:
                self.add(path)
                changed.append(path)
        return changed

    def is_watched(self, path: str) -> bool:
        """Whether a change to a path might be one that ``scan`` finds, judged by its name."""
        name = os.path.basename(path)  # noqa: PTH119
        return name in self.names or any(
            fnmatch(name, os.path.basename(pattern))  # noqa: PTH119
            for pattern in self._patterns
        )

    def _next_installed(self, whole: bool) -> list[str]:
        if whole:
            return list(self._installed)
        if not self._turn:
            self._turn = list(self._installed)
        size = len(self._installed) // ROUND + 1
        part, self._turn = self._turn[:size], self._turn[size:]
        return part


def sign(path: str) -> Signature | None:
    """Return a file's signature, None where it is not there or cannot be seen."""
    try:
        stat = os.stat(path)  # noqa: PTH116 - a Path costs as much again as the call
    except (OSError, ValueError):
        return None
    return Signature(stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_ctime_ns)


def _compare(group: dict[str, Signature | None], paths: list[str]) -> list[str]:
    changed = []
    for path in paths:
        before, now = group[path], sign(path)
        if now != before:
            group[path] = now
            if before is None or now is None or differ(before, now):
                changed.append(path)
    return changed


def differ(before: Signature, now: Signature) -> bool:
    """Whether two signatures stand for two contents.

    A new change time alone is a matter of rights, and a new inode number alone of file systems
    that make their numbers up.
    """
    if before.mtime_ns != now.mtime_ns or before.size != now.size:
        return True
    return before.inode != now.inode and before.ctime_ns != now.ctime_ns


def _expand(pattern: str) -> list[str]:
    return [
        path
        for path in glob.glob(pattern, recursive=True)  # noqa: PTH207 - the shell's rules
        if not path.endswith(".pyc")
    ]
