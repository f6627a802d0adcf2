"""One HTTP/1.1 connection of an ASGI worker: heads in, responses out, one request at a time.

Theory of operation. The loop calls ``data_received``; a head that is complete begins a call of the
application, which is a task of its own. What comes behind its content waits until its response is
complete, and begins the next call then, whether or not the last one still does something in the
background. While the client takes less than the application sends, ``send`` waits; while the
application takes less than the client sends, nothing more is read. An application that never waits
for anything else would not let the loop see to others, or hear that the client has gone; so
``send`` ends its turn now and then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from monoceros.asgi.content import HIGH_WATER, Content
from monoceros.asgi.events import receive, send_other, tell
from monoceros.http import HeadReader
from monoceros.http.answers import error_response
from monoceros.http.errors import BadRequest, ClientDisconnected
from monoceros.http.refusals import Refusal, refusal
from monoceros.http.scope import base_scope
from monoceros.http.types import BODY, HEAD, IDLE, LINGERING, WRITE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monoceros.asgi.service import Service
    from monoceros.asgi.types import Event
    from monoceros.http.types import Exchange

_MOST_UNFINISHED = 16  # calls with a complete response that go on in the background
_TURN = 1 << 16  # octets that may be sent before the loop goes on
_PIECE = 1 << 10  # octets that would take as long as the rest of a call of ``send``


class Connection(asyncio.Protocol):
    """``state`` and ``since`` are those of ``http.types.Conn``, for the sweep of timeouts."""

    __slots__ = (
        "_has_ended",
        "_is_choked",
        "_is_due",
        "_is_full",
        "_is_turn_over",
        "_reader",
        "_room",
        "_service",
        "_transport",
        "_turn",
        "_unfinished",
        "_write",
        "exchange",
        "expires",
        "is_paused",
        "peer",
        "since",
        "state",
        "successor",
        "trusted",
        "unsent",
    )

    def __init__(self, service: Service) -> None:
        self._service = service
        self.exchange: Exchange | None = None  # whose response is not complete
        self._unfinished = 0
        self._room: asyncio.Event | None = None
        self._has_ended = False  # the client sends nothing more
        self._is_full = False  # nothing more is read
        self._is_due = False  # a next request may have come, whose turn it is not yet
        self._is_choked = False  # the client takes nothing more for now
        self._is_turn_over = False
        self._turn = _TURN  # octets that are left of it
        self.is_paused = False  # for one of these two
        self.successor: Any = None  # what speaks another protocol on it by now
        self.state = HEAD
        self.unsent = 0  # octets, at the last sweep

    # -- what the loop calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        service = self._service
        self._transport = cast("asyncio.Transport", transport)
        self._write: Callable[[bytes], None] = self._transport.write
        self.since = service.time()
        remote = transport.get_extra_info("peername")
        local = transport.get_extra_info("sockname")
        name = remote[0] if isinstance(remote, tuple) else ""
        self.peer = name.encode("latin-1") if name else b"unix"
        self.trusted = name in service.trusted
        self.expires = not (self.trusted and service.core.policy.spares_trusted)
        template = {**base_scope("http", local, remote, service.root_path), **service.extras}
        self._reader = HeadReader(service.core, template, self.trusted)
        service.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take in what has come."""
        exchange = self.exchange
        if exchange is None:
            if self.successor is not None:
                self.successor.feed(data)
            elif self._is_due or self._is_choked or self._unfinished > _MOST_UNFINISHED:
                self._is_due = True
                self._keep(data)
            elif self.state != LINGERING:
                self._advance(data)
        elif exchange.content is not None and not exchange.content.is_complete:
            self._take_content(exchange, exchange.content, data)
        else:
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        """Leave what has come until it is its turn."""
        if self.state != LINGERING:
            self._reader.keep(data)
            self._pause_reading_if(self._reader.pending > HIGH_WATER)

    def eof_received(self) -> bool:
        """Go on to answer a client that only says that it has asked for all it wants.

        The application hears of it all the same, as most clients that do this have gone.
        """
        self._has_ended = True
        if self.successor is not None:
            self.successor.eof()
            return True
        exchange = self.exchange
        if exchange is None:
            return self._is_due  # what has come before is still to be answered
        if exchange.content is not None and not exchange.content.is_complete:
            self._refuse_content(exchange, refusal(Refusal.CONTENT_CUT_SHORT))
            return True
        exchange.is_told = True
        tell(exchange)
        # Neither proxies nor who listens to events say this and go on to read.
        if self.trusted or exchange.is_stream:
            self._service.cancel_later(exchange)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the application that the client has gone."""
        self._service.connections.discard(self)
        self._service.has_room()
        if self.successor is not None:
            self.successor.connection_lost(error)
        self._is_choked = self.is_paused = False
        self._wake_writer()
        exchange = self.exchange
        if exchange is not None:
            self._give_up(exchange)

    def pause_writing(self) -> None:
        """Have the application wait."""
        self._is_choked = self.is_paused = True
        self.unsent = -1
        if self.successor is not None:
            self.successor.pause_writing()
        elif self.exchange is not None or self.state == IDLE:
            self._enter(WRITE)

    def resume_writing(self) -> None:
        """Let the application go on."""
        self._is_choked = self.is_paused = False
        if self.successor is not None:
            self.successor.resume_writing()
        else:
            if self.state == WRITE:
                self._enter(IDLE)
            if self._is_due and self.exchange is None:
                self._go_on()
        self._wake_writer()

    # -- requests ----------------------------------------------------------------------------

    def _advance(self, data: bytes) -> None:
        """Begin the next request, if its head is there."""
        try:
            exchange = self._reader.feed(data)
        except BadRequest as error:
            self._refuse(error)
            return
        if exchange is None:
            if self.state != HEAD and self._reader.pending:
                self._enter(HEAD)
            return
        service = self._service
        if exchange.upgrade:
            rest = self._reader.take_rest()
            if service.upgrade(self, exchange, rest):
                return
            self._reader.keep(rest)
        exchange.owner = self
        exchange.write = self._write_in_turn
        exchange.record = record = service.take_record()
        record.begin(self.peer, exchange.line)
        self.exchange = exchange
        self.state = BODY
        if exchange.content_length:
            self._begin_content(exchange)
        if exchange.is_over:
            self._unfinished -= 1  # its content was refused
            service.core.requests += 1
        else:
            service.begin(exchange)

    def _begin_content(self, exchange: Exchange) -> None:
        service = self._service
        exchange.content = content = Content(exchange.content_length, service.core.limits)
        content.moved = service.time()
        rest = self._reader.take_rest()
        if rest:
            self._take_content(exchange, content, rest)

    def _take_content(self, exchange: Exchange, content: Content, data: bytes) -> None:
        try:
            content.feed(data)
        except BadRequest as error:
            self._refuse_content(exchange, error)
            return
        content.moved = self._service.time()
        if content.is_complete and content.rest:
            self._reader.keep(content.rest)
            content.rest = b""
        self._pause_reading_if(content.is_high)
        tell(exchange)

    def receive(self, exchange: Exchange) -> Awaitable[Event]:
        """Return the next piece of content once it is there, or that the client has gone."""
        return receive(self, exchange)

    def make_room(self, content: Content) -> None:
        """Read on once the application has taken enough."""
        if self._is_full and content.is_low:
            self._resume_reading()

    def _pause_reading_if(self, is_high: bool) -> None:
        if is_high and not self._is_full:
            self._is_full = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_full:
            self._is_full = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    # -- responses ---------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send octets, or keep what the client does not take at once."""
        if data:
            self._write(data)

    def _write_in_turn(self, data: bytes) -> None:
        self._write(data)
        self._turn -= len(data) + _PIECE
        if self._turn < 0:
            self._is_turn_over = self.is_paused = True

    def _begin_turn(self) -> None:
        self._turn = _TURN
        self._is_turn_over = False
        self.is_paused = self._is_choked

    def send_other(self, exchange: Exchange, event: Event) -> Awaitable[None]:
        """Take an event that is not of the usual ones, or not at its place."""
        return send_other(self, exchange, event)

    async def wait_for_room(self, exchange: Exchange) -> None:
        """Wait until the client has taken enough; raises ``ClientDisconnected``."""
        if self._is_turn_over:
            self._begin_turn()
            await asyncio.sleep(0)
        while self.is_paused:
            if self._room is None:
                self._room = asyncio.Event()
            self._room.clear()
            await self._room.wait()
        if exchange.is_over:
            raise ClientDisconnected("the client has gone")

    def _wake_writer(self) -> None:
        if self._room is not None:
            self._room.set()

    def end(self, exchange: Exchange) -> None:
        """Go on after a complete response."""
        service = self._service
        self.exchange = None
        self._unfinished += 1
        service.end(exchange)
        if exchange.news is not None:
            exchange.news.set()
        content = exchange.content
        if self._is_turn_over:
            self._begin_turn()
        if self._transport.is_closing():
            return
        if not self.is_paused:
            self.state = IDLE
            self.since = service.time()
        else:
            self._enter(WRITE)
        is_read = content is None or content.is_complete
        if exchange.keep_alive and is_read:
            if self._reader.pending or self._is_full or self._has_ended:
                self._go_on()
        elif exchange.wants_close and is_read and not self._reader.pending:
            self._transport.close()
        else:
            self._linger()

    def _go_on(self) -> None:
        if self._reader.pending or self._is_full:
            self._is_due = True
            if self._unfinished <= _MOST_UNFINISHED and not self._is_choked:
                # Not from inside of the application's call.
                self._service.call_soon(self._continue)
        elif self._has_ended:
            self._transport.close()

    def _continue(self) -> None:
        self._is_due = False
        if self.exchange is None and self.state != LINGERING and not self._transport.is_closing():
            self._resume_reading()
            self._advance(b"")
            if self._has_ended and not (self._is_busy() or self._is_due):
                self._transport.close()

    def _is_busy(self) -> bool:
        return self.exchange is not None

    def forget(self, exchange: Exchange) -> None:
        """Hear that a call is over, with all that it did in the background."""
        self._unfinished -= 1
        if self._unfinished == _MOST_UNFINISHED and self.exchange is None:
            self._go_on()

    # -- what goes wrong ---------------------------------------------------------------------

    def fail(self, exchange: Exchange, error: Exception | None) -> None:
        """End a request whose call raised, or ended without a complete response."""
        self._service.report(exchange, error)
        if exchange.is_over or exchange.complete:
            return
        if exchange.is_told and error is None:
            self._end_told(exchange)
        elif exchange.started:
            self.cut(exchange)
        else:
            self.answer(exchange, 500)

    def _end_told(self, exchange: Exchange) -> None:
        """End a request whose call has left its response as it was when it heard of the end."""
        if exchange.is_stream:
            self.end_stream(exchange)
        else:
            self.cut(exchange)

    def answer(self, exchange: Exchange, status: int) -> None:
        """Answer in the place of the application, which has sent nothing so far."""
        data = exchange.error(status)
        self.write(data)
        exchange.is_over = True
        self.end(exchange)

    def cut(self, exchange: Exchange) -> None:
        """End a response that is not whole, so that the client can tell."""
        self._give_up(exchange)
        if exchange.is_delimited:
            self._transport.close()
        else:
            self._transport.abort()

    def _give_up(self, exchange: Exchange) -> None:
        """Tell a call that nobody takes its response any more."""
        if self.exchange is exchange:
            self.exchange = None
            self._unfinished += 1
            self._service.end(exchange)
        exchange.is_over = True
        tell(exchange)
        self._service.cancel_later(exchange)

    def _refuse(self, error: BadRequest) -> None:
        """Answer a request that is none, and have done with the connection."""
        core = self._service.core
        core.errors += 1
        core.log.refused(self.peer.decode("latin-1"), error)
        self.reject(error.status)

    def reject(self, status: int) -> None:
        """Answer with an error, where no call is under way, and close."""
        core = self._service.core
        core.refresh_date()
        with_body = not self._reader.is_for_head()
        self.write(error_response(status, core.server_fields, with_body))
        core.count_refusal(status)
        self._linger()

    def _refuse_content(self, exchange: Exchange, error: BadRequest) -> None:
        """End a request whose content is not what it should be."""
        core = self._service.core
        core.errors += 1
        core.log.refused(self.peer.decode("latin-1"), error)
        self.end_early(exchange, error.status)

    def end_stream(self, exchange: Exchange) -> None:
        """End a stream that its application does not end by itself, as if it was all."""
        if exchange.is_chunked:
            self.write(exchange.body(b"", False))
            exchange.is_over = True
            self.end(exchange)
            self._service.cancel(exchange)
        else:
            self.cut(exchange)

    def end_early(self, exchange: Exchange, status: int) -> None:
        """Answer a call that goes on, or cut its response."""
        if exchange.started:
            self.cut(exchange)
        else:
            self.answer(exchange, status)
            self._service.cancel_later(exchange)

    # -- the end of the connection -----------------------------------------------------------

    @property
    def transport(self) -> asyncio.Transport:
        """The loop's half of the connection."""
        return self._transport

    @property
    def pending(self) -> int:
        """Octets of a head that has not come whole."""
        return self._reader.pending

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a request has come, and nothing of an answer has to go."""
        return (
            self.exchange is None
            and self.successor is None
            and not self._transport.is_closing()
            and self.state in (IDLE, HEAD)
            and not self._reader.pending
        )

    def unsent_octets(self) -> int:
        """Return how much of what was sent the client has not taken."""
        return self._transport.get_write_buffer_size()

    def take_leave(self) -> None:
        """Send the end, and read on for a moment, so that a crossing request meets no reset."""
        self._linger()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _linger(self) -> None:
        """Let the client read its answer before what it still sends turns that into a reset."""
        self._enter(LINGERING)
        self._resume_reading()
        if self._has_ended or not self._transport.can_write_eof():
            self._transport.close()
        else:
            self._transport.write_eof()

    def _enter(self, state: int) -> None:
        self.state = state
        self.since = self._service.time()
