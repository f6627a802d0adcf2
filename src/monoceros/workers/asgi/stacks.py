"""Where a task is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monoceros.workers.frames import describe_frames

if TYPE_CHECKING:
    import asyncio
    from types import FrameType


def describe_task(task: asyncio.Task[Any] | None) -> str:
    """Return the stack of a task that waits, from the innermost call outwards."""
    frames: list[FrameType] = []
    awaited: Any = None if task is None else task.get_coro()
    while awaited is not None:
        frame = _attribute(awaited, "frame")
        if frame is not None:
            frames.append(frame)
        awaited = _attribute(awaited, "await") or _attribute(awaited, "yieldfrom")
    return describe_frames(reversed(frames))


def _attribute(awaited: Any, name: str) -> Any:
    """Return what a coroutine, generator or asynchronous generator says of itself."""
    for kind in ("cr_", "gi_", "ag_"):
        found = getattr(awaited, kind + name, None)
        if found is not None:
            return found
    return None
