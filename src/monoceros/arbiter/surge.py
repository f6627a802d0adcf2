"""How many workers more than usual there may be while old ones are replaced: ``reload_surge``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.arbiter.sizing import find_largest
from monoceros.config import cgroups
from monoceros.config.machine import MIB

if TYPE_CHECKING:
    from monoceros.arbiter.loop import Arbiter

_ROOT = Path("/")


def decide(server: Arbiter, root: Path = _ROOT) -> int:
    """Return the surge for a replacement that begins now, and log where memory bounds it.

    Only a container's limit counts: beyond it the kernel kills, while a machine has swap.
    """
    asked, wanted = server.cfg.reload_surge, server.num_workers
    if isinstance(asked, int):
        return asked
    free = cgroups.read_free_memory(root)
    if free is None:
        return wanted
    size = find_largest(server.children)
    room = free // size if size else wanted
    if room >= wanted:
        return wanted
    how = f"{room} at a time" if room else "each leaves before its successor starts"
    server.log.info(
        "Workers are replaced in steps, %s: %d MiB of the memory limit are free, and a worker "
        "takes %d MiB (reload_surge)",
        how,
        free // MIB,
        (size or 0) // MIB,
    )
    return room
