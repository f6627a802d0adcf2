"""What was imported before a library of greenlets patched the standard library."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from monoceros import unpatched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.log.logger import Logger

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


@contextlib.contextmanager
def explaining(log: Logger, library: str) -> Iterator[None]:
    """Log what helps where the patching itself fails, and let the error pass.

    The libraries look at every object that there is, for its class. Lazy ones answer by loading
    what they stand for, as Django's settings do where nobody has named any.
    """
    try:
        yield
    except BaseException:
        log.error(
            "%s cannot patch the standard library because of an object that was there before: see "
            "the error. Import later what has made it, or patch at the top of the configuration "
            "file",
            library,
        )
        raise
