"""Whom a socket file belongs to, and whom a worker runs as."""

from __future__ import annotations

import os
from pathlib import Path


def change_owner(path: str, uid: int, gid: int) -> None:
    """Give a file to its user where that is not the owner already. Raises OSError."""
    stat = Path(path).stat()
    if (stat.st_uid, stat.st_gid) != (uid, gid):
        os.chown(path, uid, gid)


def become(uid: int, gid: int) -> None:
    """Give up the present user and group for good. Raises OSError."""
    if gid != os.getegid():
        os.setgid(gid)
    if uid != os.geteuid():
        if os.geteuid() == 0:
            # The supplementary groups of root would stay with the worker.
            os.setgroups([gid])
        os.setuid(uid)
