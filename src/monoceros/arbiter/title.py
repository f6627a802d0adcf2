"""Process titles, where the package setproctitle is installed."""

from __future__ import annotations

import contextlib

PROGRAM = "monoceros"


def set_title(role: str, name: str) -> None:
    """Show as ``monoceros: role [name]`` in process lists."""
    with contextlib.suppress(ModuleNotFoundError):
        # Imported late: it is optional, and it must not be in the way of anything else.
        from setproctitle import setproctitle

        setproctitle(f"{PROGRAM}: {role} [{name}]")
