"""Process titles, where the package setproctitle is installed."""

from __future__ import annotations

import contextlib


def set_title(program: str, role: str, name: str) -> None:
    """Show as ``program: role [name]`` in process lists."""
    with contextlib.suppress(ModuleNotFoundError):
        # Imported late: it is optional, and it must not be in the way of anything else.
        from setproctitle import setproctitle

        setproctitle(f"{program}: {role} [{name}]")
