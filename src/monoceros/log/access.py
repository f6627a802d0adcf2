"""Where the lines of the access log go."""

from __future__ import annotations

from monoceros.log.file import STDOUT, LogFile


class AccessSink:
    """The access log's file, or the standard output where ``path`` is ``-``."""

    def __init__(self, path: str, file: LogFile | None = None) -> None:
        """Open ``path`` for appending unless its ``file`` is given; raises OSError."""
        self._file = file or LogFile(path, STDOUT)

    @property
    def path(self) -> str:
        """The path that this log was opened with."""
        return self._file.path

    def write(self, lines: bytes) -> None:
        """Write whole lines; what a full disk or a closed pipe does not take is dropped."""
        self._file.write_lines(lines)

    def reopen(self) -> bool:
        """Open the path anew, as after a rotation; False where that fails and the old one stays."""
        return self._file.reopen()

    def close(self) -> None:
        """Close the file, unless it is the standard output."""
        self._file.close()
