"""A descriptor that a log goes to: it is written to and reopened, and never raises for it."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import time

STANDARD = "-"

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_MODE = 0o644

# Whoever shares the descriptor may have made it non-blocking. A log that takes nothing for this
# long loses the lines; blocking for ever would stop the server with it.
_PATIENCE_S = 1.0


class LogFile:
    """An open log: a path, or a standard descriptor where the path is ``-``."""

    def __init__(self, path: str, standard: int) -> None:
        """Open ``path`` for appending, creating it; raises OSError."""
        self.path = path
        self.fd = standard if path == STANDARD else os.open(path, _FLAGS, _MODE)
        self.is_regular = _is_regular(self.fd)
        self._torn = False
        self._stalled = False

    def write(self, data: bytes | memoryview) -> bool:
        """Write ``data``, which ends with a line; False where some of it was dropped."""
        if self._torn:
            # What was dropped may have ended in the middle of a line.
            data = b"\n" + data
        view = memoryview(data)
        deadline = time.monotonic() + (0.0 if self._stalled else _PATIENCE_S)
        sent = 0
        while sent < len(view):
            count = _write_some(self.fd, view[sent:], deadline)
            if count is None:
                break
            sent += count
        complete = sent == len(view)
        self._stalled = not complete
        self._torn = not complete and (sent > 0 or self._torn)
        return complete

    def reopen(self) -> bool:
        """Open the path anew, as after a rotation; False where that fails and the old one stays."""
        if self.path == STANDARD:
            return True
        try:
            fresh = os.open(self.path, _FLAGS, _MODE)
        except OSError:
            return False
        # The number stays the same, so that no other thread writes to a closed descriptor.
        os.dup2(fresh, self.fd, inheritable=False)
        os.close(fresh)
        self.is_regular = _is_regular(self.fd)
        self._torn = False
        return True

    def give_to(self, uid: int, gid: int) -> None:
        """Let another user reopen the file; needs root, and does nothing without."""
        if self.path != STANDARD and self.is_regular and os.geteuid() == 0:
            with contextlib.suppress(OSError):
                os.fchown(self.fd, uid, gid)

    def close(self) -> None:
        """Close the descriptor, unless it is a standard one."""
        if self.path != STANDARD:
            os.close(self.fd)


def _write_some(fd: int, data: memoryview, deadline: float) -> int | None:
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0 if _wait_for_room(fd, deadline) else None
    except OSError:
        return None


def _wait_for_room(fd: int, deadline: float) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    left_ms = max(0.0, deadline - time.monotonic()) * 1000
    return bool(left_ms and poller.poll(left_ms))


def _is_regular(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False
