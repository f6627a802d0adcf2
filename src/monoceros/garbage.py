"""Importing without looking for garbage meanwhile."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator  # noqa: TC003 (typing is to be imported uncollected)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector off: what modules make while they are imported is there to stay.

    A collector that was off before stays off.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
