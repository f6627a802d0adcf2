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
from typing import TYPE_CHECKING, cast

from monoceros.asgi.content import HIGH_WATER, LOW_WATER, Content
from monoceros.asgi.events import receive, send_other, tell
from monoceros.http import Dialogue
from monoceros.http.answers import error_response
from monoceros.http.errors import BadRequest, ClientDisconnected
from monoceros.http.refusals import Refusal, refusal
from monoceros.http.scope import base_scope
from monoceros.http.types import HEAD, IDLE, LINGERING, MOST_UNFINISHED, TURN, WRITE

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from monoceros.asgi.service import Service
    from monoceros.asgi.types import ClientTransport, Event, Scope
    from monoceros.http.types import Exchange


class Connection(Dialogue, asyncio.Protocol):
    """What ``Dialogue`` leaves open: all that does not happen to most requests."""

    __slots__ = ("_is_choked", "_room")

    calls: Service
    transport: ClientTransport

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._room: asyncio.Event | None = None
        self._is_choked = False  # the client takes nothing more for now

    # -- what the loop calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        service = self.calls
        remote = transport.get_extra_info("peername")
        local = transport.get_extra_info("sockname")
        name = remote[0] if isinstance(remote, tuple) else ""
        trusted = name in service.trusted
        self.open(
            cast("asyncio.Transport", transport),
            name.encode("latin-1") if name else b"unix",
            trusted,
            not (trusted and service.core.policy.spares_trusted),
            self._template(base_scope("http", local, remote, service.root_path), transport),
        )
        service.connections.add(self)

    def _template(self, scope: Scope, transport: asyncio.BaseTransport) -> Scope:
        """Return what all requests' scopes begin with."""
        calls = self.calls

        # A function, which copies of a scope have as it is.
        def set_timeout(seconds: float) -> None:
            calls.set_timeout(transport, seconds)

        extensions = {**scope["extensions"], "monoceros.set_timeout": set_timeout}
        return {**scope, "extensions": extensions, **calls.extras}

    def take_aside(self, data: bytes) -> None:
        """Take octets that are no next request, or not yet."""
        exchange = self.exchange
        if exchange is None:
            if self.successor is not None:
                self.successor.feed(data)
            elif self.state != LINGERING:
                self.is_due = True
                self._keep(data)
        elif exchange.content is not None and not exchange.content.is_complete:
            self._take_content(exchange, exchange.content, data)
        else:
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        """Leave what has come until it is its turn."""
        if self.state != LINGERING:
            self.reader.keep(data)
            self._pause_reading_if(self.reader.pending > HIGH_WATER)

    def eof_received(self) -> bool:
        """Go on to answer a client that only says that it has asked for all it wants.

        The application hears of it all the same, as most clients that do this have gone.
        """
        self.has_ended = True
        if self.successor is not None:
            self.successor.eof()
            return True
        if self.exchange is None:
            return self.is_due  # what has come before is still to be answered
        self._end_input(self.exchange)
        return True

    def _end_input(self, exchange: Exchange) -> None:
        """Tell a request that its client sends nothing more."""
        if exchange.content is not None and not exchange.content.is_complete:
            self._refuse_content(exchange, refusal(Refusal.CONTENT_CUT_SHORT))
            return
        exchange.is_told = True
        tell(exchange)
        # Neither proxies nor who listens to events say this and go on to read.
        if self.trusted or exchange.is_stream:
            self.calls.cancel_later(exchange)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the application that the client has gone."""
        self.calls.connections.discard(self)
        self.calls.has_room()
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
        if self.successor is not None:
            self.successor.pause_writing()
        elif self.exchange is not None or self.state == IDLE:
            self.enter(WRITE)

    def resume_writing(self) -> None:
        """Let the application go on."""
        self._is_choked = self.is_paused = False
        if self.successor is not None:
            self.successor.resume_writing()
        else:
            if self.state == WRITE:
                self.enter(IDLE)
            if self.is_due and self.exchange is None:
                self.go_on()
        self._wake_writer()

    # -- requests ----------------------------------------------------------------------------

    def refuse(self, error: BadRequest) -> None:
        """Answer a request that is none, and have done with the connection."""
        self._report(error)
        self.reject(error.status)

    def switch(self, exchange: Exchange) -> bool:
        """Go over to another protocol where that is asked for; False where HTTP goes on."""
        rest = self.reader.take_rest()
        if self.calls.upgrade(self, exchange, rest):
            return True
        self.reader.keep(rest)
        return False

    def begin_content(self, exchange: Exchange) -> bool:
        """Make ready for content; False where the request was refused for it."""
        service = self.calls
        content = Content(exchange.content_length, service.core.limits, service.time())
        exchange.content = content
        try:
            content.feed(self.reader.take_rest())
        except BadRequest as error:
            # As nobody knows of it so far, it is refused as one whose head is.
            self.exchange = None
            exchange.record.end(error.status)
            service.give_back(exchange.record)
            self._report(error)
            self.reject(error.status, is_for_head=exchange.is_head)
            return False
        self._take_in(exchange, content)
        return True

    def _take_content(self, exchange: Exchange, content: Content, data: bytes) -> None:
        try:
            content.feed(data)
        except BadRequest as error:
            self._refuse_content(exchange, error)
        else:
            self._take_in(exchange, content)

    def _take_in(self, exchange: Exchange, content: Content) -> None:
        """Go on with content of which more has come."""
        content.moved = self.calls.time()
        if content.is_complete and content.rest:
            self.reader.keep(content.rest)
            content.rest = b""
        self._pause_reading_if(content.is_high)
        tell(exchange)

    def receive(self, exchange: Exchange) -> Awaitable[Event]:
        """Return the next piece of content once it is there, or that the client has gone."""
        return receive(self, exchange)

    def make_room(self, content: Content) -> None:
        """Read on once the application has taken enough."""
        if self.is_full and content.is_low:
            self._resume_reading()

    def _pause_reading_if(self, is_high: bool) -> None:
        if is_high and not self.is_full:
            self.is_full = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self.is_full:
            self.is_full = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    # -- responses ---------------------------------------------------------------------------

    def _begin_turn(self) -> None:
        self.turn = TURN
        self.is_turn_over = False
        self.is_paused = self._is_choked
        if not self._is_choked:
            self._wake_writer()

    def send_other(self, exchange: Exchange, event: Event) -> Awaitable[None]:
        """Take an event that is not of the usual ones, or not at its place."""
        return send_other(self, exchange, event)

    async def send_later(self, exchange: Exchange, event: Event) -> None:
        """Take an event that was sent on another thread, for the loop to do it."""
        await exchange.take(event)

    async def wait_for_room(self, exchange: Exchange) -> None:
        """Wait until the client has taken enough; raises ``ClientDisconnected``."""
        while self.is_paused:
            if self.is_turn_over:
                self._begin_turn()
                await asyncio.sleep(0)
            else:
                await self._wait_for_client()
        if exchange.is_over:
            raise ClientDisconnected("the client has gone")

    async def _wait_for_client(self) -> None:
        if self._room is None:
            self._room = asyncio.Event()
        self._room.clear()
        await self._room.wait()

    def _wake_writer(self) -> None:
        if self._room is not None:
            self._room.set()

    def end_otherwise(self, exchange: Exchange) -> None:
        """Go on after a complete response where not just the next request is waited for."""
        if self.is_turn_over:
            self._begin_turn()
        if self.transport.is_closing():
            return
        self.enter(WRITE if self.is_paused else IDLE)
        content = exchange.content
        is_read = content is None or content.is_complete
        if exchange.keep_alive and is_read:
            if self.reader.pending or self.is_full or self.has_ended:
                self.go_on()
        elif exchange.wants_close and is_read and not self.reader.pending:
            self.transport.close()
        else:
            self.take_leave()

    def go_on(self) -> None:
        """Begin with what has come already."""
        if self.reader.pending or self.is_full:
            self.is_due = True
            if self.unfinished <= MOST_UNFINISHED and not self._is_choked:
                # Not from inside of the application's call.
                self.calls.call_soon(self._continue)
        elif self.has_ended:
            self.transport.close()

    def _continue(self) -> None:
        self.is_due = False
        if self.exchange is None and self.state != LINGERING and not self.transport.is_closing():
            self.advance(b"")
            if self.exchange is None or self.reader.pending <= LOW_WATER:
                self._resume_reading()
            if self.has_ended:
                self._end_after_all()

    def _end_after_all(self) -> None:
        """Act on an end that came before what has begun only now."""
        if self.successor is not None:
            self.successor.eof()
        elif self.exchange is not None:
            self._end_input(self.exchange)
        elif not self.is_due:
            self.transport.close()

    # -- what goes wrong ---------------------------------------------------------------------

    def fail(self, exchange: Exchange, error: BaseException | None) -> None:
        """End a request whose call raised, or ended without a complete response."""
        self.calls.report(exchange, error)
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
            self.transport.close()
        else:
            self.transport.reset()

    def _give_up(self, exchange: Exchange) -> None:
        """Tell a call that nobody takes its response any more."""
        if self.exchange is exchange:
            self.exchange = None
            self.unfinished += 1
            self.calls.end(exchange)
        exchange.is_over = True
        tell(exchange)
        self.calls.cancel_later(exchange)

    def _report(self, error: BadRequest) -> None:
        core = self.calls.core
        core.errors += 1
        core.log.refused(self.peer.decode("latin-1"), error)

    def reject(self, status: int, *, is_for_head: bool = False) -> None:
        """Answer with an error, where no call is under way, and close."""
        core = self.calls.core
        core.refresh_date()
        with_body = not (is_for_head or self.reader.is_for_head())
        self.write(error_response(status, core.server_fields, with_body))
        core.count_refusal(status)
        self.take_leave()

    def _refuse_content(self, exchange: Exchange, error: BadRequest) -> None:
        """End a request whose content is not what it should be."""
        self._report(error)
        self.end_early(exchange, error.status)

    def end_stream(self, exchange: Exchange) -> None:
        """End a stream that its application does not end by itself, as if it was all."""
        if not exchange.started:
            exchange.keep_alive = False
        self.write(b"" if exchange.awaits_trailers else exchange.body(b"", False))
        if exchange.awaits_trailers:
            self.write(exchange.trailers((), False))
        if exchange.complete:
            exchange.is_over = True
            self.end(exchange)
            self.calls.cancel(exchange)
        else:
            self.cut(exchange)

    def end_early(self, exchange: Exchange, status: int) -> None:
        """Answer a call that goes on, or cut its response."""
        if exchange.started:
            self.cut(exchange)
        else:
            self.answer(exchange, status)
            self.calls.cancel_later(exchange)

    # -- the end of the connection -----------------------------------------------------------

    @property
    def pending(self) -> int:
        """Octets of a head that has not come whole."""
        return self.reader.pending

    @property
    def is_busy(self) -> bool:
        """Whether a request is answered, or waits for its turn."""
        return self.exchange is not None or self.is_due

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a request has come, and nothing of an answer has to go."""
        return (
            self.exchange is None
            and self.successor is None
            and not self.transport.is_closing()
            and self.state in (IDLE, HEAD)
            and not self.reader.pending
            and not self.unsent_octets()
        )

    def is_fresh(self, since: float) -> bool:
        """Whether it was made after that time, for a request that has not come yet."""
        return self.state == HEAD and self.since > since

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self.transport.get_extra_info("socket").fileno()  # type: ignore[no-any-return]

    def taken_octets(self) -> int:
        """Return how much the client has taken of what had to wait for it."""
        return self.transport.get_extra_info("taken", 0)  # type: ignore[no-any-return]

    def unsent_octets(self) -> int:
        """Return how much of what was sent the client has not taken."""
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def take_leave(self) -> None:
        """Send the end, and read on for a moment, so that a crossing request meets no reset."""
        self.enter(LINGERING)
        self._resume_reading()
        if self.has_ended or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()
