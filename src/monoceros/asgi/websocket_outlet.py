"""The sending half of a WebSocket: an application's messages become frames, and wait for room.

An application that never waits for anything else would not let the loop see to others, or hear
that the client has gone; so ``send`` ends its turn now and then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monoceros.asgi import frames
from monoceros.asgi.frames import make_frame
from monoceros.asgi.websocket_events import read_message
from monoceros.asgi.websocket_link import OPEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.asgi.types import Event
    from monoceros.asgi.websocket_deflate import Deflater
    from monoceros.asgi.websocket_link import Link

_TURN = 1 << 16  # octets that may be sent before the loop goes on
_PIECE = 1 << 10  # octets that would take as long as the rest of a call of ``send``
_COMPRESS_FROM = 126  # octets: below that, packets become no fewer
_TEXT = frames.FIN | frames.TEXT
_BINARY = frames.FIN | frames.BINARY
_TEXT_HEADS = tuple(bytes((_TEXT, length)) for length in range(_COMPRESS_FROM))


class Outlet:
    """Takes what an application sends; ``take_other`` is called with all that is no message.

    That are the events of other types, and messages where none can be sent.
    """

    __slots__ = (
        "_is_choked",
        "_link",
        "_loop",
        "_pong",
        "_senders",
        "_turn",
        "deflater",
        "sent",
        "take_other",
    )

    def __init__(
        self,
        link: Link,
        loop: asyncio.AbstractEventLoop,
        take_other: Callable[[str, Event], None],
    ) -> None:
        self._link = link
        self._loop = loop
        self.take_other: Callable[[str, Event], None] = take_other
        self.deflater: Deflater | None = None  # set once compression is agreed on
        self.sent = 0  # octets of messages as they went out, without the frames around them
        self._turn = _TURN  # octets that are left of it
        self._is_choked = False  # the client does not take what was sent
        self._senders: list[asyncio.Future[None]] | None = None  # who wait until it does
        self._pong: bytes | None = None  # what goes out then

    async def send(self, event: Event) -> None:
        """Take an event of the application; waits while the client takes no more."""
        if self._is_choked or self._turn < 0:
            await self._wait_for_turn()
        kind = event["type"]
        transport = self._link.transport
        if kind != "websocket.send" or self._link.state != OPEN or transport.is_closing():
            self._turn -= _PIECE
            self.take_other(kind, event)
            return
        text = event.get("text")
        if type(text) is str:
            payload = text.encode()
            length = len(payload)
            if length < _COMPRESS_FROM:
                self.sent += length
                self._turn -= length + _PIECE
                transport.write(_TEXT_HEADS[length] + payload)
            else:
                self._send_message(_TEXT, payload)
        elif text is None and type(data := event.get("bytes")) is bytes:
            self._send_message(_BINARY, data)
        else:
            self._send_message(*read_message(event))

    def _send_message(self, first: int, payload: bytes) -> None:
        if self.deflater is not None and len(payload) >= _COMPRESS_FROM:
            payload = self.deflater.deflate(payload)
            first |= frames.RSV1
        length = len(payload)
        self.sent += length
        self._turn -= length + _PIECE
        self._link.transport.write(make_frame(first, payload))

    def answer_ping(self, payload: bytes) -> None:
        """Send a pong, once there is room for it (RFC 6455 5.5.3)."""
        pong = make_frame(frames.FIN | frames.PONG, payload)
        if self._is_choked:
            # Only the latest ping needs an answer, and no client may pile them up.
            self._pong = pong
        else:
            self._link.transport.write(pong)

    # -- waiting -------------------------------------------------------------------------------

    def pause(self) -> None:
        """Have the application wait."""
        self._is_choked = True

    def resume(self) -> None:
        """Let the application go on."""
        self._is_choked = False
        pong, self._pong = self._pong, None
        if pong is not None and self._link.state == OPEN:
            self._link.transport.write(pong)
        self.wake()

    def wake(self) -> None:
        """Have whoever waits look again."""
        senders, self._senders = self._senders, None
        for waiter in senders or ():
            if not waiter.done():
                waiter.set_result(None)

    async def _wait_for_turn(self) -> None:
        if self._turn < 0:
            self._turn = _TURN
            await asyncio.sleep(0)
        while self._is_choked and self._link.state <= OPEN:
            await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        # Not one future for all of them: a call that is cancelled cancels what it awaits.
        waiter = self._loop.create_future()
        if self._senders is None:
            self._senders = []
        self._senders.append(waiter)
        await waiter
