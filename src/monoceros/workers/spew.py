"""The setting ``spew``: every executed line of Python, on the standard error."""

from __future__ import annotations

import contextlib
import linecache
import sys
import threading
from typing import TYPE_CHECKING

from monoceros.unpatched import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Trace = Callable[[FrameType, str, object], "Trace | None"]

STDERR = 2


def start() -> None:
    """Trace this thread from its next call on, and all threads that are started later."""
    threading.settrace(_trace)
    sys.settrace(_trace)


def _trace(frame: FrameType, event: str, arg: object) -> Trace | None:
    """Write ``module:line: source``; the server's own lines are left out."""
    module = str(frame.f_globals.get("__name__", "[unknown]"))
    if module.partition(".")[0] == "monoceros":
        return None
    if event == "line":
        number = frame.f_lineno
        source = linecache.getline(frame.f_code.co_filename, number, frame.f_globals).rstrip()
        # Not by sys.stderr, which the application may have replaced by code of its own.
        with contextlib.suppress(OSError):
            write(STDERR, f"{module}:{number}: {source}\n".encode(errors="backslashreplace"))
    return _trace
