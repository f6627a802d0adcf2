"""``wsgi.file_wrapper`` (PEP 3333, "Optional Platform-Specific File Handling")."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class FileLike(Protocol):
    """What an application may wrap."""

    def read(self, size: int, /) -> bytes: ...


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

    __slots__ = ("count", "fd", "offset")

    def __init__(self, fd: int, offset: int, count: int) -> None:
        self.fd = os.dup(fd)
        self.offset = offset
        self.count = count

    def send(self, socket_fd: int) -> int:
        """Send what the socket takes (sendfile(2)) and return how much it was."""
        sent = os.sendfile(socket_fd, self.fd, self.offset, min(self.count, 1 << 30))
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
    try:
        fd: int = filelike.fileno()  # type: ignore[attr-defined]
        offset: int = filelike.tell()  # type: ignore[attr-defined]
        status = os.fstat(fd)
    except (AttributeError, OSError, ValueError, TypeError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileRange(fd, offset, max(0, status.st_size - offset))
