"""What a coroutine awaits, link by link, up to what is no coroutine."""

from __future__ import annotations

import gc
from types import (
    AsyncGeneratorType,
    CoroutineType,
    FrameType,
    GetSetDescriptorType,
    MemberDescriptorType,
)
from typing import Any

_MOST_LINKS = 1000
_COMPUTED_IN_C = (GetSetDescriptorType, MemberDescriptorType)
_FRAMES = ("cr_frame", "gi_frame", "ag_frame")
_LINKS = ("cr_await", "gi_yieldfrom", "ag_await", "__wrapped__")
# The interpreter's own, which refer to what they await, and have no attribute that tells it.
_OPAQUE = {
    "anext_awaitable",
    "async_generator_asend",
    "async_generator_athrow",
    "coroutine_wrapper",
}


def list_chain(awaited: Any) -> list[FrameType]:
    """Return the frames of a coroutine and of all that it awaits, the outermost first.

    Nothing of the application's is run: objects of its own may have any attributes, without end.
    """
    frames = []
    for _ in range(_MOST_LINKS):
        if awaited is None:
            break
        frame = _read(awaited, _FRAMES)
        if type(frame) is FrameType:
            frames.append(frame)
        link = _read(awaited, _LINKS)
        awaited = _look_into(awaited) if link is None else link
    return frames


def _read(thing: Any, names: tuple[str, ...]) -> Any:
    """Return the first of these attributes that is there, and is computed in C."""
    for name in names:
        for kind in type(thing).__mro__:
            found: Any = kind.__dict__.get(name)
            if type(found) in _COMPUTED_IN_C:
                value = found.__get__(thing)
                if value is not None:
                    return value
    return None


def _look_into(awaited: Any) -> Any:
    """Return what one of the opaque ones awaits, None for others."""
    if _is_opaque(awaited):
        for one in gc.get_referents(awaited):
            if type(one) in (CoroutineType, AsyncGeneratorType) or _is_opaque(one):
                return one
    return None


def _is_opaque(awaited: Any) -> bool:
    kind = type(awaited)
    return kind.__module__ == "builtins" and kind.__name__ in _OPAQUE
