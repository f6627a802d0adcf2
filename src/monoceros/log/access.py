"""Where the lines of the access log go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.log.file import LogFile

if TYPE_CHECKING:
    from collections.abc import Iterator

STDOUT = 1

# Several workers write to one pipe, and POSIX keeps only writes of up to PIPE_BUF bytes whole.
PIECE = 4096


class AccessSink:
    """The access log's file, or the standard output where ``path`` is ``-``."""

    def __init__(self, path: str) -> None:
        """Open ``path`` for appending, creating it; raises OSError."""
        self._file = LogFile(path, STDOUT)

    @property
    def path(self) -> str:
        """The path that this log was opened with."""
        return self._file.path

    def write(self, lines: bytes) -> None:
        """Write whole lines; what a full disk or a closed pipe does not take is dropped."""
        if self._file.is_regular:
            self._file.write(lines)
            return
        for piece in split_lines(lines, PIECE):
            self._file.write(piece)

    def reopen(self) -> bool:
        """Open the path anew, as after a rotation; False where that fails and the old one stays."""
        return self._file.reopen()

    def close(self) -> None:
        """Close the file, unless it is the standard output."""
        self._file.close()


def split_lines(lines: bytes, limit: int) -> Iterator[memoryview]:
    """Cut whole lines into pieces of whole lines; only a longer line exceeds ``limit`` bytes."""
    view = memoryview(lines)
    start = 0
    while len(lines) - start > limit:
        cut = lines.rfind(b"\n", start, start + limit) + 1
        if not cut:
            cut = lines.find(b"\n", start + limit) + 1 or len(lines)
        yield view[start:cut]
        start = cut
    if start < len(lines):
        yield view[start:]
