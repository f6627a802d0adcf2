"""The connection under a WebSocket: how far its life has come, its end, and its signs of life."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from monoceros.asgi import frames
from monoceros.asgi.frames import make_close

if TYPE_CHECKING:
    import asyncio

    from monoceros.asgi.websocket_support import WebSocketSettings

# What becomes of a WebSocket, in this order; any of it may be skipped.
CONNECTING = 0  # the application has not answered the handshake
DENYING = 1  # it answers with a response of HTTP
OPEN = 2
CLOSING = 3  # a Close frame was sent, and the client's is awaited
LEAVING = 4  # all has been said, and what still comes is of no interest
LOST = 5  # the client is not there any more

_CLOSE_S = 5.0  # how long a client may take for its part of the end
# A tick that comes later than this finds input that nobody has looked at, and room.
_LATE_S = 2.0
_PING = bytes((frames.FIN | frames.PING, 0))


class Link:
    """A transport and the state of the WebSocket on it.

    Nobody is told anything here; who calls tells the application.
    """

    __slots__ = (
        "_due",
        "_is_pinged",
        "_loop",
        "_settings",
        "_stuck",
        "_taken",
        "is_full",
        "is_heard",
        "state",
        "transport",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        settings: WebSocketSettings,
    ) -> None:
        self.transport = transport
        self._loop = loop
        self._settings = settings
        self.state = CONNECTING
        self.is_full = False  # nothing more is read
        self.is_heard = False  # something has come since the last ping
        self._is_pinged = False  # an answer to that is awaited
        self._due = math.inf  # when something is to be done, in the loop's time
        self._taken = -1  # octets that the client has, at the last tick; -1 where nothing waits
        self._stuck = math.inf  # when it has taken nothing for too long

    def open(self) -> None:
        """Begin to speak in frames."""
        self.state = OPEN
        if self._settings.ping_interval:
            self._due = self._loop.time() + self._settings.ping_interval

    # -- reading -------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Leave what comes to the client."""
        self.is_full = True
        if self.transport.is_reading() and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self.is_full = False
        if not (self.transport.is_reading() or self.transport.is_closing()):
            self.transport.resume_reading()

    # -- the end -------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake (RFC 6455 7.1.2)."""
        self.transport.write(make_close(code, reason))
        self.state = CLOSING
        self._due = self._loop.time() + _CLOSE_S

    def answer_close(self, code: int) -> None:
        """End with a client that has sent a Close frame (RFC 6455 5.5.1)."""
        if self.state == OPEN:
            self.transport.write(make_close(code, ""))
        self._leave()
        self.transport.close()

    def fail(self, code: int, reason: str) -> None:
        """Fail the connection (RFC 6455 7.1.7)."""
        if self.state == OPEN:
            self.transport.write(make_close(code, reason))
        if self.state != LOST:
            self.hang_up()

    def hang_up(self) -> None:
        """Say that nothing more is sent.

        What a client still sends is read until it has understood: it would meet a reset otherwise,
        and lose what was sent to it.
        """
        self._leave()
        transport = self.transport
        if transport.is_closing() or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()

    def cut(self, *, is_delimited: bool) -> None:
        """End a response that is not whole, so that the client can tell."""
        self._leave()
        if is_delimited:
            self.transport.close()
        else:
            self.transport.abort()

    def end_with_client(self) -> None:
        """Have done with a client that sends nothing more."""
        self.state = LOST
        self._due = min(self._due, self._loop.time() + _CLOSE_S)
        self.transport.close()

    def lose(self) -> None:
        """Know that the connection is gone."""
        self.state = LOST
        self._due = math.inf

    def _leave(self) -> None:
        """Be interested in nothing more but the end of the connection."""
        self.state = LEAVING
        self._due = self._loop.time() + _CLOSE_S
        self.resume_reading()

    # -- pings, and what the client takes ------------------------------------------------------

    def tick(self, now: float) -> str:
        """Do what is due by ``now``, in the loop's time.

        Returns why a client has been given up that was there until now, else nothing.
        """
        if self._is_stuck(now):
            self.lose()
            self.transport.abort()
            return "write timeout"
        if now < self._due:
            return ""
        if self.state != OPEN:
            self._due = math.inf
            self.transport.abort()
        elif self._is_pinged:
            return self._judge_silence(now)
        else:
            self._ping(now)
        return ""

    def _is_stuck(self, now: float) -> bool:
        """Whether the client has taken nothing for too long of what waits for it."""
        limit = self._settings.write_timeout
        transport = self.transport
        if not limit or not transport.get_write_buffer_size():
            self._taken = -1
            return False
        taken = transport.get_extra_info("taken", 0)
        if taken != self._taken:
            self._taken = taken
            self._stuck = now + limit
        elif now - self._stuck > _LATE_S:
            self._stuck = now + _LATE_S
        return now >= self._stuck

    def _ping(self, now: float) -> None:
        """Ask for a sign of life."""
        interval, timeout = self._settings.ping_interval, self._settings.ping_timeout
        self.transport.write(_PING)
        self.is_heard = False
        self._is_pinged = timeout > 0
        self._due = now + (timeout or interval)

    def _judge_silence(self, now: float) -> str:
        """Go on where anything has come since the last ping, be it no pong; else give up."""
        interval, timeout = self._settings.ping_interval, self._settings.ping_timeout
        if self.is_heard or self.is_full:
            self._is_pinged = False
            self._due = now + max(0.0, interval - timeout)
            return self.tick(now)
        if now - self._due > _LATE_S:
            self._due = now + _LATE_S
            return ""
        self.fail(frames.INTERNAL_ERROR, "ping timeout")
        return "ping timeout"
