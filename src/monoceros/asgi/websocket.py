"""One WebSocket of an ASGI worker: RFC 6455 towards the client, ASGI 3 towards the application.

Theory of operation. The loop calls ``feed``; what is complete goes to the application that waits in
``receive``, or into its inbox. While that is full nothing more is looked at or read. Frames leave
at once; while the client takes less than the application sends, ``send`` waits. No connection has
timers of its own: the worker calls ``tick``.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from monoceros.asgi import frames
from monoceros.asgi.errors import ClientDisconnected
from monoceros.asgi.frames import Control, FrameError, FrameReader, make_close, make_frame
from monoceros.asgi.handshake import Handshake, HandshakeError, judge
from monoceros.asgi.loops import make_task
from monoceros.asgi.websocket_deflate import Deflater, Inflater
from monoceros.asgi.websocket_events import (
    derive_scope,
    read_close,
    read_fields,
    read_message,
    read_part,
    read_subprotocol,
    unexpected,
)
from monoceros.asgi.websocket_inbox import Inbox
from monoceros.http.errors import InvalidResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monoceros.asgi.types import AsgiApp, Event
    from monoceros.asgi.websocket_support import WebSocketSettings
    from monoceros.http.types import Exchange, OctetField

# What becomes of a WebSocket, in this order; any of it may be skipped.
_CONNECTING = 0  # the application has not answered the handshake
_DENYING = 1  # it answers with a response of HTTP
_OPEN = 2
_CLOSING = 3  # a Close frame was sent, and the client's is awaited
_LEAVING = 4  # all has been said, and what still comes is of no interest
_LOST = 5  # the client is not there any more

_CLOSE_S = 5.0  # how long a client may take for its part of the end
_LATE_S = 2.0  # a tick that comes later than this finds input that nobody has looked at
_COMPRESS_FROM = 126  # octets: below that, packets become no fewer
_UNLIMITED = 1 << 62
_TEXT = frames.FIN | frames.TEXT
_BINARY = frames.FIN | frames.BINARY
_TEXT_HEADS = tuple(bytes((_TEXT, length)) for length in range(_COMPRESS_FROM))
_PING = bytes((frames.FIN | frames.PING, 0))
_PLAIN = (b"content-type", b"text/plain; charset=utf-8")


def _do_nothing() -> None:
    pass


class WebSocket:
    """Calls the application for one WebSocket.

    ``task`` is that call while it lasts. ``on_end`` is called once, when it is over or when the
    handshake was refused; the connection may go on for a while then, and still wants ``tick``.
    """

    __slots__ = (
        "_app",
        "_deflater",
        "_due",
        "_exchange",
        "_handshake",
        "_has_closed",
        "_inbox",
        "_is_choked",
        "_is_full",
        "_is_heard",
        "_is_pinged",
        "_log",
        "_loop",
        "_on_end",
        "_pong",
        "_reader",
        "_senders",
        "_settings",
        "_state",
        "_transport",
        "task",
    )

    def __init__(
        self,
        app: AsgiApp,
        exchange: Exchange,
        transport: asyncio.Transport,
        settings: WebSocketSettings,
        log: Any,
        *,
        loop: asyncio.AbstractEventLoop,
        on_end: Callable[[], None],
    ) -> None:
        self._app = app
        self._exchange = exchange
        self._transport = transport
        self._settings = settings
        self._log = log
        self._loop = loop
        self._on_end: Callable[[], None] = on_end
        self.task: asyncio.Task[None] | None = None
        self._state = _CONNECTING
        self._due = math.inf  # when something is to be done, in the loop's time
        self._handshake: Handshake | None = None
        self._inbox = Inbox(loop, self._go_on)
        self._reader = FrameReader(settings.max_message_size or _UNLIMITED)
        self._deflater: Deflater | None = None
        self._has_closed = False  # the application has
        self._is_full = False  # nothing more is read
        self._is_choked = False  # the client does not take what was sent
        self._senders: list[asyncio.Future[None]] | None = None  # who wait until it does
        self._pong: bytes | None = None  # what goes out then
        self._is_heard = False  # something has come since the last ping
        self._is_pinged = False  # an answer to that is awaited

    # -- what the connection calls -------------------------------------------------------------

    def begin(self, rest: bytes) -> None:
        """Judge the handshake, and refuse it or call the application.

        ``rest`` is what has come behind the head of its request.
        """
        scope = self._exchange.scope
        try:
            handshake = judge(scope, compress=self._settings.per_message_deflate)
        except HandshakeError as error:
            self._refuse(error)
            self._let_go()
            return
        self._handshake = handshake
        if rest:
            self.feed(rest)
        task = make_task(self._loop, self._run())
        if not task.done():
            self.task = task

    def feed(self, data: bytes) -> None:
        """Take in what has come."""
        self._is_heard = True
        if self._is_full:
            self._reader.keep(data)
        elif self._state == _OPEN or self._state == _CLOSING:
            self._take_in(data)
        elif self._state == _CONNECTING:
            # A client has to wait for the answer (RFC 6455 4.1), but may have guessed it.
            self._reader.keep(data)
            self._pause_reading()

    def eof(self) -> None:
        """Hear that the client sends nothing more."""
        if self._state == _DENYING:
            return
        self._lose()
        self._due = min(self._due, self._loop.time() + _CLOSE_S)
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Hear that the connection is gone."""
        self._lose()
        self._due = math.inf

    def pause_writing(self) -> None:
        """Have the application wait."""
        self._is_choked = True

    def resume_writing(self) -> None:
        """Let the application go on."""
        self._is_choked = False
        pong, self._pong = self._pong, None
        if pong is not None and self._state == _OPEN:
            self._transport.write(pong)
        self._wake_senders()

    def shut_down(self, code: int) -> None:
        """Close at once, as the worker leaves; who is not accepted yet gets a 503."""
        if self._state == _OPEN:
            self._close(code, "")
        elif self._state == _CONNECTING:
            self._answer_error(503)
        else:
            return
        self._end(code, "")

    def tick(self, now: float) -> None:
        """Do what is due by ``now``, in the loop's time; to be called about once a second."""
        if now < self._due:
            return
        if self._state != _OPEN:
            self._due = math.inf
            self._transport.abort()
        elif self._is_pinged:
            self._judge_silence(now)
        else:
            self._ping(now)

    # -- what the client sends -----------------------------------------------------------------

    def _take_in(self, data: bytes = b"") -> None:
        """Deal with the frames that are complete, as long as there is room for them."""
        read = self._reader.read
        try:
            message = read(data)
            while message is not None:
                if isinstance(message, Control):
                    self._obey(message)
                    if self._state == _LEAVING:
                        return
                elif self._state != _CLOSING and self._inbox.put(message):
                    self._pause_reading()
                    return
                message = read()
        except FrameError as error:
            self._fail(error)

    def _obey(self, control: Control) -> None:
        """Deal with a control frame (RFC 6455 5.5)."""
        if control.opcode == frames.PING:
            if self._state == _OPEN:
                self._answer_ping(make_frame(frames.FIN | frames.PONG, control.payload))
        elif control.opcode == frames.CLOSE:
            code, reason = frames.parse_close(control.payload)
            if self._state == _LOST:
                self._inbox.correct_end(code, reason)
                return
            if self._state == _OPEN:
                self._transport.write(make_close(code, ""))
            self._leave()
            self._transport.close()
            self._end(code, reason)

    def _answer_ping(self, pong: bytes) -> None:
        if self._is_choked:
            # Only the latest one needs an answer (RFC 6455 5.5.3), and no client may pile them up.
            self._pong = pong
        else:
            self._transport.write(pong)

    def _fail(self, error: FrameError) -> None:
        """Fail the connection (RFC 6455 7.1.7)."""
        if self._state == _OPEN:
            self._transport.write(make_close(error.code, error.reason))
        if self._state != _LOST:
            self._leave()
            self._hang_up()
        self._end(error.code, error.reason)

    def _lose(self) -> None:
        """Have done with the client; what has come of it before is still read."""
        self._state = _LOST
        self._end(frames.ABNORMAL, "")

    def _end(self, code: int, reason: str) -> None:
        """Tell the application."""
        self._inbox.end(code, reason)
        self._wake_senders()

    def _pause_reading(self) -> None:
        self._is_full = True
        if self._transport.is_reading() and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        self._is_full = False
        if not (self._transport.is_reading() or self._transport.is_closing()):
            self._transport.resume_reading()

    def _go_on(self) -> None:
        """Read on, as the application has taken enough."""
        if self._is_full and self._handshake is None:
            self._is_full = False
            self._take_in()
            if not self._is_full:
                self._resume_reading()

    # -- what the application sends ------------------------------------------------------------

    async def send(self, event: Event) -> None:
        """Take an event of the application; waits while the client takes no more."""
        while self._is_choked and self._state <= _OPEN:
            await self._wait_for_room()
        kind = event["type"]
        if self._state != _OPEN or self._transport.is_closing():
            self._answer(kind, event)
        elif kind == "websocket.send":
            text = event.get("text")
            if type(text) is str:
                payload = text.encode()
                if len(payload) < _COMPRESS_FROM:
                    self._transport.write(_TEXT_HEADS[len(payload)] + payload)
                else:
                    self._send_message(_TEXT, payload)
            elif text is None and type(data := event.get("bytes")) is bytes:
                self._send_message(_BINARY, data)
            else:
                self._send_message(*read_message(event))
        elif kind == "websocket.close":
            code, reason = read_close(event)
            self._has_closed = True
            self._inbox.clear()
            self._close(code, reason)
            self._end(code, reason)
        else:
            raise unexpected(kind, "websocket.send or websocket.close")

    def _send_message(self, first: int, payload: bytes) -> None:
        if self._deflater is not None and len(payload) >= _COMPRESS_FROM:
            payload = self._deflater.deflate(payload)
            first |= frames.RSV1
        self._transport.write(make_frame(first, payload))

    async def _wait_for_room(self) -> None:
        # Not one future for all of them: a call that is cancelled cancels what it awaits.
        waiter = self._loop.create_future()
        if self._senders is None:
            self._senders = []
        self._senders.append(waiter)
        await waiter

    def _wake_senders(self) -> None:
        senders, self._senders = self._senders, None
        for waiter in senders or ():
            if not waiter.done():
                waiter.set_result(None)

    # -- the answer to the handshake -----------------------------------------------------------

    def _answer(self, kind: str, event: Event) -> None:
        """Take what is sent before messages can be, or once they cannot be any more."""
        if self._has_closed:
            raise RuntimeError(f"the application sent {kind!r} after it had closed the WebSocket")
        if self._state >= _OPEN or self._transport.is_closing():
            raise ClientDisconnected("the WebSocket is closed")
        if self._state == _DENYING:
            if kind != "websocket.http.response.body":
                raise unexpected(kind, "websocket.http.response.body")
            self._send_part(*read_part(event))
        elif kind == "websocket.accept":
            self._accept(event)
        elif kind == "websocket.close":
            self._has_closed = True
            self._answer_error(403)
            self._end(frames.ABNORMAL, "")
        elif kind == "websocket.http.response.start":
            self._deny(event)
        else:
            raise unexpected(kind, "websocket.accept or websocket.close")

    def _accept(self, event: Event) -> None:
        handshake = self._handshake
        if handshake is None:
            raise RuntimeError("there is no handshake to accept")
        fields = handshake.answer(read_subprotocol(event), read_fields(event))
        self._start(101, fields)
        self._transport.write(self._exchange.body(b"", False))
        if handshake.agreement is not None:
            self._reader.inflater = Inflater(handshake.agreement)
            self._deflater = Deflater(handshake.agreement)
        self._handshake = None
        self._state = _OPEN
        if self._settings.ping_interval:
            self._due = self._loop.time() + self._settings.ping_interval
        self._go_on()

    def _deny(self, event: Event) -> None:
        if event.get("status") == 101:
            raise RuntimeError("websocket.http.response.start: 101 is for websocket.accept")
        self._start(event["status"], read_fields(event))
        self._state = _DENYING

    def _send_part(self, data: bytes, more: bool) -> None:
        self._transport.write(self._exchange.body(data, more))
        if self._exchange.complete:
            self._has_closed = True
            self._leave()
            self._hang_up()
            self._end(frames.ABNORMAL, "")
        elif not more:
            self._cut()

    def _start(self, status: int, fields: Iterable[OctetField]) -> None:
        try:
            self._exchange.start(status, fields)
        except InvalidResponse as error:
            raise RuntimeError(str(error)) from error

    def _refuse(self, error: HandshakeError) -> None:
        self._exchange.start(error.status, [_PLAIN, *error.fields])
        self._transport.write(self._exchange.body(f"{error.reason}\n".encode(), False))
        self._leave()
        self._hang_up()

    def _answer_error(self, status: int) -> None:
        self._transport.write(self._exchange.error(status))
        self._leave()
        self._hang_up()

    # -- the end -------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Call the application; how it ends decides how the WebSocket does."""
        scope = self._exchange.scope
        subprotocols = [] if self._handshake is None else self._handshake.subprotocols
        try:
            await self._app(derive_scope(scope, subprotocols), self._inbox.receive, self.send)
        except Exception as error:  # border: an application
            self._conclude(frames.INTERNAL_ERROR, error)
        except asyncio.CancelledError:
            self._conclude(frames.INTERNAL_ERROR, None)
        else:
            self._conclude(frames.NORMAL, None)
        self._let_go()

    def _let_go(self) -> None:
        """Say that the call is over, and refer to nobody who refers to this."""
        on_end, self._on_end = self._on_end, _do_nothing
        self._inbox.has_room = _do_nothing
        self.task = None
        on_end()

    def _conclude(self, code: int, error: Exception | None) -> None:
        """Do what the application has left undone."""
        line = ascii(self._exchange.line.decode("latin-1"))[1:-1]
        if error is not None and not (
            self._state >= _OPEN and isinstance(error, ClientDisconnected)
        ):
            self._log.error("Error handling WebSocket %s", line, exc_info=error)
        elif self._state < _OPEN:
            self._log.error("Error handling WebSocket %s: the application ended too early", line)
        if self._state == _OPEN:
            self._close(code, "")
            self._end(code, "")
        elif self._state == _DENYING and self._exchange.started:
            self._cut()
        elif self._state < _OPEN:
            self._answer_error(500)

    def _close(self, code: int, reason: str) -> None:
        """Begin the closing handshake (RFC 6455 7.1.2)."""
        self._transport.write(make_close(code, reason))
        self._state = _CLOSING
        self._due = self._loop.time() + _CLOSE_S
        self._go_on()

    def _cut(self) -> None:
        """End a response that is not whole, so that the client can tell."""
        self._leave()
        if self._exchange.is_delimited:
            self._transport.close()
        else:
            self._transport.abort()
        self._end(frames.ABNORMAL, "")

    def _leave(self) -> None:
        """Be interested in nothing more but the end of the connection."""
        self._state = _LEAVING
        self._due = self._loop.time() + _CLOSE_S
        self._resume_reading()

    def _hang_up(self) -> None:
        """Say that nothing more is sent.

        What a client still sends is read until it has understood: it would meet a reset otherwise,
        and lose what was sent to it.
        """
        transport = self._transport
        if transport.is_closing() or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()

    # -- pings ---------------------------------------------------------------------------------

    def _ping(self, now: float) -> None:
        """Ask for a sign of life."""
        interval, timeout = self._settings.ping_interval, self._settings.ping_timeout
        self._transport.write(_PING)
        self._is_heard = False
        self._is_pinged = timeout > 0
        self._due = now + (timeout or interval)

    def _judge_silence(self, now: float) -> None:
        """Go on where anything has come since the last ping, be it no pong; else give up."""
        interval, timeout = self._settings.ping_interval, self._settings.ping_timeout
        if self._is_heard or self._is_full:
            self._is_pinged = False
            self._due = now + max(0.0, interval - timeout)
            self.tick(now)
        elif now - self._due > _LATE_S:
            self._due = now + _LATE_S
        else:
            self._transport.write(make_close(frames.INTERNAL_ERROR, "ping timeout"))
            self._leave()
            self._hang_up()
            self._end(frames.ABNORMAL, "ping timeout")
