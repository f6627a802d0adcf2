"""Files for what is too long to wait in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import FileIO

_RESERVE = 256 << 20  # octets of the file system that spooled content leaves alone


def open_spool(directory: str | None) -> FileIO:
    """Open an unlinked temporary file; None leaves the directory to the system.

    Nothing stays behind however the worker ends; unbuffered, so that closing cannot fail. Raises
    OSError.
    """
    # Imported late: it takes long, and most workers never see so much at once.
    from tempfile import TemporaryFile

    return TemporaryFile(buffering=0, dir=directory)


def is_disk_short(fd: int) -> bool:
    """Tell whether a file's disk has too little left for more; raises OSError."""
    status = os.fstatvfs(fd)
    return status.f_bavail * status.f_frsize < _RESERVE
