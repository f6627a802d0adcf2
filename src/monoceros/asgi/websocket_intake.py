"""The receiving half of a WebSocket: what a client sends becomes messages, while there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.asgi import frames
from monoceros.asgi.frames import Control, FrameError, FrameReader
from monoceros.asgi.websocket_inbox import Inbox
from monoceros.asgi.websocket_link import CLOSING, CONNECTING, LEAVING, LOST, OPEN

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from monoceros.asgi.websocket_deflate import Inflater
    from monoceros.asgi.websocket_link import Link
    from monoceros.asgi.websocket_outlet import Outlet

_UNLIMITED = 1 << 62


class Intake:
    """Puts messages into ``inbox``; while that is full nothing more is looked at or read.

    ``end`` is called with code and reason where the client closes, or sends what is no WebSocket.
    """

    __slots__ = ("_is_open", "_link", "_outlet", "_reader", "end", "inbox")

    def __init__(
        self,
        link: Link,
        loop: asyncio.AbstractEventLoop,
        max_size: int,
        outlet: Outlet,
        end: Callable[[int, str], None],
    ) -> None:
        self._link = link
        self._outlet = outlet
        self._reader = FrameReader(max_size or _UNLIMITED)
        self._is_open = False
        self.inbox = Inbox(loop, self.go_on)
        self.end: Callable[[int, str], None] = end

    def open(self, inflater: Inflater | None) -> None:
        """Begin to make messages, of what has come too early first."""
        self._reader.inflater = inflater
        self._is_open = True
        self.go_on()

    def feed(self, data: bytes) -> None:
        """Take in what has come."""
        link = self._link
        link.is_heard = True
        if link.is_full:
            self._reader.keep(data)
        elif link.state == OPEN or link.state == CLOSING:
            self._take_in(data)
        elif link.state == CONNECTING:
            # A client has to wait for the answer (RFC 6455 4.1), but may have guessed it.
            self._reader.keep(data)
            link.pause_reading()

    def go_on(self) -> None:
        """Read on where there is room again."""
        if self._link.is_full and self._is_open:
            self._link.is_full = False
            self._take_in()
            if not self._link.is_full:
                self._link.resume_reading()

    def _take_in(self, data: bytes = b"") -> None:
        """Deal with the frames that are complete, as long as there is room for them."""
        link = self._link
        reader = self._reader
        try:
            message = reader.read(data)
            while message is not None:
                if isinstance(message, Control):
                    self._obey(message)
                    if link.state == LEAVING:
                        return
                elif link.state != CLOSING and self.inbox.put(message):
                    link.pause_reading()
                    return
                message = reader.read() if reader.buffer else None
        except FrameError as error:
            link.fail(error.code, error.reason)
            self.end(error.code, error.reason)

    def _obey(self, control: Control) -> None:
        """Deal with a control frame (RFC 6455 5.5)."""
        link = self._link
        if control.opcode == frames.PING:
            if link.state == OPEN:
                self._outlet.answer_ping(control.payload)
        elif control.opcode == frames.CLOSE:
            code, reason = frames.parse_close(control.payload)
            if link.state == LOST:
                self.inbox.correct_end(code, reason)
                return
            link.answer_close(code)
            self.end(code, reason)
