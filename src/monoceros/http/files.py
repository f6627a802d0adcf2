"""``wsgi.file_wrapper`` (PEP 3333, "Optional Platform-Specific File Handling")."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.http.protocols import FileLike


class FileWrapper:
    """An iterable over a file, which the server may send without reading it."""

    __slots__ = ("blksize", "close", "filelike")

    def __init__(self, filelike: FileLike, blksize: int = 8192) -> None:
        self.filelike = filelike
        self.blksize = blksize
        close = getattr(filelike, "close", None)
        if close is not None:
            self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.filelike.read(self.blksize), b"")


class FileRange:
    """Octets of a regular file, by a descriptor of its own: the caller's may be closed."""

    __slots__ = ("appended", "count", "fd", "offset")

    def __init__(self, fd: int, offset: int, count: int) -> None:
        self.fd = os.dup(fd)
        self.appended = 0  # octets of the file that are the range's own doing
        self.offset = offset
        self.count = count

    @property
    def end(self) -> int:
        """Where the range ends in the file."""
        return self.offset + self.count

    def append(self, data: bytes | memoryview) -> None:
        """Write behind the range and add it, all or nothing; raises ``OSError``."""
        view = memoryview(data)
        position = self.end
        while view:
            written = os.pwrite(self.fd, view, position)
            view = view[written:]
            position += written
        self.appended += position - self.end
        self.count = position - self.offset

    def send(self, socket_fd: int, limit: int) -> int:
        """Send what the socket takes, at most ``limit`` octets (sendfile(2)); returns how many."""
        sent = os.sendfile(socket_fd, self.fd, self.offset, min(self.count, limit))
        self.offset += sent
        self.count -= sent
        return sent

    def read(self) -> bytes:
        """Return all that is left, where the transport is not a socket."""
        data = os.pread(self.fd, self.count, self.offset)
        self.offset += len(data)
        self.count -= len(data)
        return data

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)


def open_range(wrapper: FileWrapper) -> FileRange | None:
    """Return the rest of a wrapped regular file, or None for any other."""
    filelike = wrapper.filelike
    if not _is_plain(filelike):
        return None
    try:
        fd: int = filelike.fileno()  # type: ignore[attr-defined]
        offset: int = filelike.tell()  # type: ignore[attr-defined]
        status = os.fstat(fd)
    except (AttributeError, OSError, ValueError, TypeError):
        return None
    # A file of /proc says that it is empty, whatever is read of it.
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return None
    return FileRange(fd, offset, max(0, status.st_size - offset))


def _is_plain(filelike: object) -> bool:
    """Tell whether what is read of a file is what its descriptor holds.

    The file objects of gzip and its like have the descriptor of the compressed file, and a
    text file has one of octets.
    """
    if isinstance(filelike, (io.BufferedReader, io.BufferedRandom)):
        return isinstance(filelike.raw, io.FileIO)
    return isinstance(filelike, io.FileIO) or not isinstance(filelike, io.IOBase)
