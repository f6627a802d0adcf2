"""Where calls of the application are."""

from __future__ import annotations

from itertools import dropwhile
from typing import TYPE_CHECKING, Any

from monoceros.workers.frames import is_ours, list_frames

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable
    from types import FrameType

    from monoceros.http.types import Exchange


_MOST_CALLS = 20


def describe_calls(exchanges: Iterable[Exchange], now_ns: int) -> str:
    """Return what calls wait for, the oldest first."""
    oldest = sorted(exchanges, key=lambda exchange: exchange.record.started_ns)
    parts = [
        f"{describe_request(one, now_ns)}\n{describe_task(one.task)}"
        for one in oldest[:_MOST_CALLS]
    ]
    if len(oldest) > _MOST_CALLS:
        parts.append(f"and {len(oldest) - _MOST_CALLS} more")
    return "\n".join(parts)


def describe_request(exchange: Exchange, now_ns: int) -> str:
    """Return a request's line with its client and its age."""
    line = ascii(exchange.line.decode("latin-1"))[1:-1]
    peer = ascii(exchange.owner.peer.decode("latin-1"))[1:-1]
    return f"{line} from {peer} for {(now_ns - exchange.record.started_ns) / 1e9:.1f}s"


def describe_task(task: asyncio.Task[Any] | None) -> str:
    """Return the stack of a task that waits, from the innermost call outwards."""
    frames: list[FrameType] = []
    awaited: Any = None if task is None else task.get_coro()
    while awaited is not None:
        frame = _attribute(awaited, "frame")
        if frame is not None:
            frames.append(frame)
        awaited = _attribute(awaited, "await") or _attribute(awaited, "yieldfrom")
    # What stands between the application's frames is the server's too: ``receive`` and ``send``.
    return list_frames(reversed(list(dropwhile(is_ours, frames))))


def _attribute(awaited: Any, name: str) -> Any:
    """Return what a coroutine, generator or asynchronous generator says of itself."""
    for kind in ("cr_", "gi_", "ag_"):
        found = getattr(awaited, kind + name, None)
        if found is not None:
            return found
    return None
