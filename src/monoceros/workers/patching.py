"""What was imported before a library of greenlets patched the standard library."""

from __future__ import annotations

import sys

from monoceros import unpatched

_NAMES = ("socket", "sleep", "poll", "start_new_thread")
_OWN = ("monoceros", "gevent", "eventlet", "greenlet", "zope")


def describe_late() -> str:
    """Say which modules have kept what lets nobody else run while it waits; nothing if none.

    The standard library's own modules are the patching's business.
    """
    waiting = {id(getattr(unpatched, name)): name for name in _NAMES}
    found = []
    for name, module in sorted(sys.modules.items()):
        root = name.partition(".")[0]
        if root in _OWN or root in sys.stdlib_module_names:
            continue
        kept = sorted({waiting[id(one)] for one in _values(module) if id(one) in waiting})
        if kept:
            found.append(f"{name} ({', '.join(kept)})")
    return ", ".join(found)


def _values(module: object) -> list[object]:
    return list(getattr(module, "__dict__", {}).values())


def format_warning(library: str, late: str) -> str:
    """Return what is to be logged about these modules."""
    return (
        f"{library} came too late for what was imported before, where one that waits holds up "
        f"all others: {late}. Import it later, or patch at the top of the configuration file"
    )
