"""Tracebacks of the application's own code, without the frames that only led to it."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_LOADERS = ("monoceros", "importlib")


def format_application_error(error: BaseException) -> str:
    """Format a traceback without the frames that only led to the application."""
    frames = error.__traceback__
    while frames is not None and _is_loader(frames):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames)).rstrip()


def _is_loader(frames: TracebackType) -> bool:
    name = str(frames.tb_frame.f_globals.get("__name__", ""))
    return name.partition(".")[0] in _LOADERS
