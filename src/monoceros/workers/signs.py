"""Signs of life as worker classes of others give them: ``worker.tmp`` in Gunicorn's shape."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monoceros.workers.base import Worker


class WorkerTmp:
    """A file without a name, whose every change is a sign of life; the arbiter has it open too.

    Workers need it only where C code touches the descriptor: ``notify`` is in shared memory.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._last = time.monotonic()
        self._fd = _open()
        os.fchown(self._fd, worker.cfg.uid, worker.cfg.gid)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def notify(self) -> None:
        """Give a sign of life."""
        self._last = time.monotonic()
        self._worker.notify()

    def last_update(self) -> float:
        """Return when the last sign of life by this object was, as ``time.monotonic()`` has it."""
        return max(self._last, time.monotonic() - self.age())

    def age(self) -> float:
        """Return how many seconds ago the file was changed, in whichever process."""
        # Not st_mtime, which is for anybody to set, and which fchmod(2) leaves alone.
        return max(0.0, time.time() - os.fstat(self._fd).st_ctime)

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("worker")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
