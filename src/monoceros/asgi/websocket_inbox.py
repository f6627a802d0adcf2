"""What waits for an application to call ``receive`` on a WebSocket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.asgi.types import Event

_HIGH_WATER = 1 << 16  # octets
_MOST_WAITING = 32  # messages
_TURN = 64  # messages that are found there before the loop goes on


class Inbox:
    """A queue of events that ends with one farewell.

    ``has_room`` is called once what had made it full is less than half of that. An application that
    never finds it empty has its turn ended now and then.
    """

    __slots__ = (
        "_events",
        "_farewell",
        "_is_full",
        "_is_told",
        "_loop",
        "_octets",
        "_turn",
        "_waiter",
        "has_room",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, has_room: Callable[[], None]) -> None:
        self._loop = loop
        self.has_room: Callable[[], None] = has_room
        self._events: list[Event] = [{"type": "websocket.connect"}]
        self._octets = 0
        self._is_full = False
        self._turn = _TURN  # messages that are left of it
        self._waiter: asyncio.Future[Event] | None = None
        self._farewell: Event | None = None
        self._is_told = False  # of the farewell

    def put(self, message: str | bytes) -> bool:
        """Add a message, and tell whether it is the last that there is room for."""
        kind = "text" if type(message) is str else "bytes"
        event: Event = {"type": "websocket.receive", kind: message}
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(event)
            return False
        self._events.append(event)
        self._octets += len(message)
        self._is_full = self._octets >= _HIGH_WATER or len(self._events) >= _MOST_WAITING
        return self._is_full

    def end(self, code: int, reason: str) -> None:
        """Have the application hear of the end, after what waits; the first end counts."""
        if self._farewell is None:
            self._farewell = {"type": "websocket.disconnect", "code": code, "reason": reason}
            if self._waiter is not None and not self._waiter.done():
                self._is_told = True
                self._waiter.set_result(self._farewell)

    def correct_end(self, code: int, reason: str) -> None:
        """Give another end where the application has not heard of the first one."""
        if not self._is_told:
            self._farewell = None
        self.end(code, reason)

    def clear(self) -> None:
        """Forget what waits."""
        self._events.clear()
        self._octets = 0
        self._is_full = False

    @property
    def waiting(self) -> int:
        """How many events the application has not taken, without the farewell."""
        return len(self._events)

    async def receive(self) -> Event:
        """Return the next event; raises ``RuntimeError`` after the farewell."""
        while True:
            if self._events:
                if self._turn:
                    return self._take()
                self._turn = _TURN
                await asyncio.sleep(0)
                continue
            if self._farewell is not None:
                return self._take_leave(self._farewell)
            waiter = self._waiter
            if waiter is None or waiter.done():
                break
            await asyncio.wait([waiter])
        self._turn = _TURN
        waiter = self._waiter = self._loop.create_future()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._put_back(waiter.result())
            raise

    def _take(self) -> Event:
        self._turn -= 1
        event = self._events.pop(0)
        self._octets -= _size(event)
        if self._is_full and self._has_room_again():
            self._is_full = False
            self.has_room()
        return event

    def _has_room_again(self) -> bool:
        return self._octets <= _HIGH_WATER // 2 and len(self._events) <= _MOST_WAITING // 2

    def _take_leave(self, farewell: Event) -> Event:
        if self._is_told:
            # Not the same once more: an application that does not look would never let go.
            raise RuntimeError("the application called receive() after websocket.disconnect")
        self._is_told = True
        return farewell

    def _put_back(self, event: Event) -> None:
        """Keep an event that a cancelled call was to return."""
        if event is self._farewell:
            self._is_told = False
        else:
            self._events.insert(0, event)
            self._octets += _size(event)


def _size(event: Event) -> int:
    message: Any = event.get("text") or event.get("bytes") or ""
    return len(message)
