"""Processes that the application forked and that come back from its call, as their parent does."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn


def end_stray(warn: Callable[[str], None]) -> NoReturn:
    """End this process, which has no business here: nobody supervises it."""
    warn(f"A process (pid:{os.getpid()}) that the application forked has come back, and ends")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    # The exit handlers of this process are its parent's.
    os._exit(0)
