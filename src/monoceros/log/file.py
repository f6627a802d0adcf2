"""A descriptor that a log goes to: it is written to and reopened, and never raises for it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import time
from typing import TYPE_CHECKING

from monoceros.unpatched import poll, sleep, write

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD = "-"

STDOUT = 1
STDERR = 2

# Opening these anew fails where they are sockets or belong to another user, as under systemd or
# in containers; the descriptor is there in any case.
_DEVICES = {"/dev/stdout": STDOUT, "/dev/stderr": STDERR}

# Several workers write to one pipe, and POSIX keeps only writes of up to PIPE_BUF bytes whole. A
# longer line needs a lock, which works between our processes; others keep to the rule of POSIX.
PIECE = 4096

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_MODE = 0o644

# Whoever shares the descriptor may have made it non-blocking. A log that takes nothing for this
# long loses the lines; blocking for ever would stop the server with it.
_PATIENCE_S = 1.0
_LOCK_PAUSE_S = 0.001  # no call waits for a lock and for a time


class LogFile:
    """An open log: a path, or a standard descriptor where the path is ``-``.

    A relative path is relative to the directory at the time of opening, also when reopened.
    """

    def __init__(self, path: str, standard: int) -> None:
        """Open ``path`` for appending, creating it; raises OSError."""
        device = standard if path == STANDARD else _DEVICES.get(path)
        self.is_standard = device is not None
        self.path = path if self.is_standard else os.path.abspath(path)  # noqa: PTH100 (imports)
        self.fd = _open(path) if device is None else device
        self._look()
        self.problem = ""  # why reopen() failed
        self._torn = False
        self._stalled = False
        self._is_held = False  # the lock, and was not let go of in time

    def write_lines(self, lines: bytes) -> None:
        """Write whole lines, which those of other processes do not split."""
        if not self._is_pipe:
            self.write(lines)
            return
        self._lock()
        try:
            for piece in split_lines(lines, PIECE):
                self.write(piece)
        finally:
            with contextlib.suppress(OSError):
                fcntl.lockf(self.fd, fcntl.LOCK_UN)

    def write(self, data: bytes | memoryview) -> bool:
        """Write ``data``, which ends with a line; False where some of it was dropped."""
        sent = 0
        if not self._stalled and not self._is_pipe:
            try:
                sent = write(self.fd, data)
            except OSError:
                sent = 0
            if sent == len(data):
                return True
        return self._write_rest(data, sent)

    def _write_rest(self, data: bytes | memoryview, sent: int) -> bool:
        if self._torn:
            # What was dropped may have ended in the middle of a line.
            data = b"\n" + data
        view = memoryview(data)
        deadline = time.monotonic() + (0.0 if self._stalled else _PATIENCE_S)
        while sent < len(view):
            if self._is_pipe and not _wait_for_room(self.fd, deadline):
                break  # a reader that stands still must not stop the server
            # A pipe with room has room for PIPE_BUF octets: such a write does not block.
            end = sent + PIECE if self._is_pipe else len(view)
            count = _write_some(self.fd, view[sent:end], deadline)
            if count is None:
                break
            sent += count
            if self._is_pipe:
                deadline = time.monotonic() + _PATIENCE_S  # slow is not stuck
        complete = sent == len(view)
        self._stalled = not complete
        self._torn = not complete and (sent > 0 or self._torn)
        return complete

    def reopen(self) -> bool:
        """Open the path anew, as after a rotation; False where that fails and the old one stays."""
        if self.is_standard:
            self._look()
            return True
        try:
            fresh = _open(self.path)
        except OSError as error:
            self.problem = error.strerror or str(error)
            return False
        # The number stays the same, so that no other thread writes to a closed descriptor.
        os.dup2(fresh, self.fd, inheritable=False)
        os.close(fresh)
        self._look()
        self._torn = False
        return True

    def is_terminal(self) -> bool:
        """Whether a person is looking."""
        return os.isatty(self.fd)

    def give_to(self, uid: int, gid: int) -> None:
        """Let another user reopen the file; needs root, and does nothing without."""
        if not self.is_standard and self.is_regular and os.geteuid() == 0:
            with contextlib.suppress(OSError):
                give_away(self.fd, self.path, uid, gid)

    def close(self) -> None:
        """Close the descriptor, unless it is a standard one."""
        if not self.is_standard:
            os.close(self.fd)

    def _look(self) -> None:
        try:
            mode = os.fstat(self.fd).st_mode
        except OSError:
            mode = 0
        self.is_regular = stat.S_ISREG(mode)
        # A device is left alone: anybody at all could hold a lock on /dev/null.
        self._is_pipe = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)

    def _lock(self) -> None:
        """Get the lock, or go on without it: its owner may be stopped, or meet a slow reader."""
        deadline = time.monotonic() + (0.0 if self._is_held else _PATIENCE_S)
        while True:
            try:
                fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                self._is_held = time.monotonic() >= deadline
            except OSError:
                return  # the system has no locks there
            else:
                self._is_held = False
                return
            if self._is_held:
                return
            sleep(_LOCK_PAUSE_S)


def give_away(fd: int, path: str, uid: int, gid: int) -> None:
    """Give an open file to a user, unless somebody else made ``path`` mean another one.

    Whoever may write to the directory could have put a link to any file there. Raises OSError.
    """
    file, entry = os.fstat(fd), os.lstat(path)
    is_link = stat.S_ISLNK(entry.st_mode)
    is_trusted = entry.st_uid == 0 if is_link else os.path.samestat(file, entry)
    if is_trusted and file.st_nlink == 1:
        os.fchown(fd, uid, gid)


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


def check_reader(path: str) -> None:
    """Raise OSError where ``path`` is a pipe without a reader, whose opening would wait for one."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116 (imports)
            os.close(_open(path))


def _open(path: str) -> int:
    try:
        # A pipe without a reader would be waited for.
        fd = os.open(path, _FLAGS | os.O_NONBLOCK, _MODE)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116
            error.strerror = f"{error.strerror}: nobody reads this pipe"
        raise
    os.set_blocking(fd, True)
    if fd > STDERR:
        return fd
    # Whoever started the server closed a standard descriptor: the log must not become that.
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, STDERR + 1)
    finally:
        os.close(fd)


def _write_some(fd: int, data: memoryview, deadline: float) -> int | None:
    try:
        return write(fd, data)
    except BlockingIOError:
        return 0 if _wait_for_room(fd, deadline) else None
    except OSError:
        return None


def _wait_for_room(fd: int, deadline: float) -> bool:
    poller = poll()
    poller.register(fd, select.POLLOUT)
    left_ms = max(0.0, deadline - time.monotonic()) * 1000
    return bool(poller.poll(left_ms))
