"""Whom a socket file belongs to, and whom a worker runs as."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from monoceros.config import Config

# Numbers of capabilities, from linux/capability.h.
_CAP_SETGID = 6
_CAP_SETUID = 7


def change_owner(path: str, uid: int, gid: int) -> None:
    """Give a file to its user where that is not the owner already. Raises OSError."""
    stat = Path(path).stat()
    if (stat.st_uid, stat.st_gid) != (uid, gid):
        os.chown(path, uid, gid)


def check(cfg: Config) -> None:
    """Raise ConfigError where a worker could not become the user and group of the settings."""
    if cfg.gid not in (os.getgid(), os.getegid()) and not _may(_CAP_SETGID):
        what = f"group {_group_name(cfg.gid)!r} can only be changed to by root"
        raise _refuse(cfg, "group", what)
    user = _user_name(cfg.uid)
    if cfg.uid not in (os.getuid(), os.geteuid()) and not _may(_CAP_SETUID):
        what = f"user {(user or str(cfg.uid))!r} can only be changed to by root"
        raise _refuse(cfg, "user", what)
    if cfg.initgroups and user is None:
        what = f"initgroups looks for the groups of user {cfg.uid}, who is not in the user database"
        raise _refuse(cfg, "initgroups", what)
    if cfg.initgroups and not _may(_CAP_SETGID):
        raise _refuse(cfg, "initgroups", "initgroups needs root")


def changes(cfg: Config) -> bool:
    """Whether workers run as another user or group than the arbiter."""
    return (cfg.uid, cfg.gid) != (os.geteuid(), os.getegid())


def become(uid: int, gid: int, *, initgroups: bool = False) -> None:
    """Give up the present user and group for good. Raises OSError."""
    name = _user_name(uid) if initgroups else None
    if name is not None:
        os.initgroups(name, gid)
    if gid != os.getegid():
        os.setgid(gid)
    if uid != os.geteuid():
        if name is None and _may(_CAP_SETGID):
            # The supplementary groups of root would stay with the worker.
            os.setgroups([gid])
        os.setuid(uid)


def _refuse(cfg: Config, setting: str, what: str) -> ConfigError:
    me = _user_name(os.geteuid()) or os.geteuid()
    return ConfigError(f"{what}; the server runs as {me}. Set in: {cfg.origin(setting)}.")


def _user_name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _may(capability: int) -> bool:
    """Whether this process has what root usually has; containers may take it away."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="latin-1").splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> capability & 1)
    return os.geteuid() == 0
