"""Where calls of the application are."""

from __future__ import annotations

import asyncio
from itertools import dropwhile
from typing import TYPE_CHECKING, Any

from monoceros.workers.asgi.chains import list_chain
from monoceros.workers.asgi.waits import Waits
from monoceros.workers.frames import cut, is_ours, list_frames

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from monoceros.asgi.websocket import WebSocket
    from monoceros.http.types import Exchange


_MOST_CALLS = 20
_MOST_STACKS = 20  # of one call
_MOST_TEXT = 32768  # characters for one call
_MOST_NAME = 120


def describe_calls(calls: Iterable[Exchange | WebSocket], now_ns: int) -> str:
    """Return what calls wait for, the oldest first."""
    found = [(_exchange_of(call), call.task) for call in calls]
    oldest = sorted(found, key=lambda one: _began(one[0]))
    waits = Waits()
    parts = [
        f"{describe_request(exchange, now_ns)}\n{describe_task(task, waits)}"
        for exchange, task in oldest[:_MOST_CALLS]
    ]
    if len(oldest) > _MOST_CALLS:
        parts.append(f"and {len(oldest) - _MOST_CALLS} more")
    return "\n".join(parts)


def _exchange_of(call: Any) -> Exchange:
    """Return the request; that of a WebSocket is the one that it began with."""
    exchange: Exchange = getattr(call, "exchange", call)
    return exchange


def describe_request(exchange: Exchange, now_ns: int) -> str:
    """Return a request's line with its client and its age."""
    line = ascii(exchange.line.decode("latin-1"))[1:-1]
    peer = ascii(_peer_of(exchange))[1:-1]
    return f"{line} from {peer} for {(now_ns - _began(exchange)) / 1e9:.1f}s"


def _began(exchange: Exchange) -> int:
    """Return when a request began; another one may be on its record by now."""
    return exchange.started_ns or exchange.record.started_ns


def _peer_of(exchange: Exchange) -> str:
    owner = getattr(exchange, "owner", None)
    if owner is not None:
        peer: bytes = owner.peer
        return peer.decode("latin-1")
    # That of a WebSocket has none. Its scope is the application's by now.
    client = exchange.scope.get("client")
    host = client[0] if type(client) is tuple and client else ""
    return host if type(host) is str else ""


def describe_task(task: asyncio.Task[Any] | None, waits: Waits | None = None) -> str:
    """Return the stack of a task that waits, from the innermost call outwards.

    Those of the tasks and threads that it waits for stand before it. ``waits`` is what is known of
    them, for who describes several tasks in one turn of the loop.
    """
    if task is None:
        return list_frames(())
    try:
        stacks = _list_stacks(task, Waits() if waits is None else waits)
    except Exception as error:  # border: what libraries make of tasks is up to them
        return f"The stack cannot be read: {type(error).__name__}"
    return cut("\n".join(stacks), _MOST_TEXT)


def _list_stacks(task: asyncio.Task[Any], waits: Waits) -> list[str]:
    """Return the stacks of a task and of all that it waits for, which come first."""
    waits.look(task.get_loop())
    stacks: list[str] = []
    found = [task]
    seen = {id(task)}
    while found and len(stacks) < _MOST_STACKS:
        one = found.pop()
        frames = list_chain(asyncio.Task.get_coro(one))
        shown = _of_application(frames)
        if one is task:
            stacks.append(list_frames(shown))
        elif shown:
            stacks.append(list_frames(shown, _title("task", asyncio.Task.get_name(one))))
        for thread, inside in waits.jobs_of(one, frames):
            stacks.append(list_frames(inside, _title("thread", thread)))
        for other in waits.tasks_of(one):
            if id(other) not in seen:
                seen.add(id(other))
                found.append(other)
    stacks.reverse()
    return stacks + ([f"[{len(found)} more tasks are left out]"] if found else [])


def _of_application(frames: list[FrameType]) -> list[FrameType]:
    # What stands between the application's frames is the server's too: ``receive`` and ``send``.
    return [*dropwhile(is_ours, frames)][::-1]


def _title(kind: str, name: str) -> str:
    return f"In {kind} {ascii(name)[1:-1][:_MOST_NAME]}"
