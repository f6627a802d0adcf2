"""One connection's requests as long as all is usual, in pure Python.

``asgi.connection.Connection`` is what this becomes with all that is unusual. Nothing here waits.
"""

from __future__ import annotations

import time
from threading import get_ident
from typing import TYPE_CHECKING, Any

from monoceros.http._reader_py import HeadReader
from monoceros.http.errors import BadRequest
from monoceros.http.types import BODY, HEAD, IDLE, LINGERING, MOST_UNFINISHED, TURN

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from monoceros.http._calls_py import Calls
    from monoceros.http.types import Exchange, Scope

PIECE = 1 << 10  # octets that would take as long as the rest of a call of ``send``


class Dialogue:
    """``state`` and ``since`` are those of ``http.types.Conn``, for the sweep of timeouts.

    Subclasses have what is called here and not defined.
    """

    __slots__ = (
        "calls",
        "exchange",
        "expires",
        "has_ended",
        "is_due",
        "is_full",
        "is_paused",
        "is_turn_over",
        "peer",
        "put",
        "put_last",
        "reader",
        "since",
        "state",
        "successor",
        "taken",
        "thread",
        "transport",
        "trusted",
        "turn",
        "unfinished",
    )

    def __init__(self, calls: Calls, /) -> None:
        self.calls = calls
        self.exchange: Exchange | None = None  # whose response is not complete
        self.unfinished = 0  # calls that go on although theirs is
        self.has_ended = False  # the client sends nothing more
        self.is_full = False  # nothing more is read
        self.is_due = False  # a next request may have come, whose turn it is not yet
        self.is_turn_over = False
        self.is_paused = False  # for this reason, or because the client takes nothing more for now
        self.turn = TURN  # octets that are left of it
        self.successor: Any = None  # what speaks another protocol on it by now
        self.state = HEAD
        self.since = time.monotonic()
        self.thread = get_ident()  # which it belongs to
        self.taken = -1  # octets that had waited, at the last sweep; negative where none waits

    def open(
        self, transport: Any, peer: bytes, trusted: bool, expires: bool, template: Scope, /
    ) -> None:
        """Begin; requests have the ``template`` for their scope."""
        self.transport: asyncio.Transport = transport
        self.put: Callable[[bytes], None] = transport.write
        # Of those that want to know what is sent last, and those that do not.
        self.put_last = getattr(transport, "write_last", self.put)
        self.peer = peer
        self.trusted = trusted
        self.expires = expires
        self.reader = HeadReader(self.calls.core, template, trusted)

    # -- requests ----------------------------------------------------------------------------

    def data_received(self, data: bytes, /) -> None:
        """Take in what has come."""
        if (
            self.exchange is None
            and self.successor is None
            and not self.is_due
            and not self.is_paused
            and self.state != LINGERING
        ):
            self.advance(data)
        else:
            self.take_aside(data)

    def advance(self, data: bytes, /) -> None:
        """Begin the next request, if its head is there."""
        try:
            exchange = self.reader.feed(data)
        except BadRequest as error:
            self.refuse(error)
            return
        if exchange is None:
            if self.state != HEAD and self.reader.pending:
                self.enter(HEAD)
            return
        if exchange.upgrade and self.switch(exchange):
            return
        exchange.owner = self
        exchange.record = record = self.calls.take_record()
        record.begin(self.peer, exchange.line)
        self.exchange = exchange
        self.state = BODY
        if exchange.content_length:
            whole = self.reader.take_content(exchange.content_length)
            if whole is not None:
                exchange.whole = whole
            elif not self.begin_content(exchange):
                return
        self.calls.begin(exchange)

    # -- responses ---------------------------------------------------------------------------

    def write(self, data: bytes, /) -> None:
        """Send octets, or keep what the client does not take at once."""
        if data:
            self.put(data)

    def write_in_turn(self, data: bytes, is_last: bool, /) -> None:
        """Send octets of a response, and let others have a turn after so many."""
        if is_last:
            self.put_last(data)
        elif data:
            self.put(data)
        self.turn -= len(data) + PIECE
        if self.turn < 0:
            self.is_turn_over = self.is_paused = True

    def end(self, exchange: Exchange, /) -> None:
        """Go on after a complete response."""
        self.exchange = None
        self.unfinished += 1
        self.calls.end(exchange)
        if exchange.news is not None:
            exchange.news.set()
        content = exchange.content
        if (
            exchange.keep_alive
            and (content is None or content.is_complete)
            and not (self.is_paused or self.is_full or self.has_ended or self.reader.pending)
        ):
            self.enter(IDLE)
        else:
            self.end_otherwise(exchange)

    def forget(self, exchange: Exchange, /) -> None:
        """Hear that a call is over, with all that it did in the background."""
        self.unfinished -= 1
        if self.unfinished == MOST_UNFINISHED and self.exchange is None:
            self.go_on()

    def enter(self, state: int, /) -> None:
        """Go to another state."""
        self.state = state
        self.since = time.monotonic()

    # -- what subclasses do --------------------------------------------------------------------

    def take_aside(self, data: bytes, /) -> None:
        """Take octets that are no next request, or not yet."""
        raise NotImplementedError

    def refuse(self, error: BadRequest, /) -> None:
        """Answer a request that is none."""
        raise NotImplementedError

    def switch(self, exchange: Exchange, /) -> bool:
        """Go over to another protocol where that is asked for; False where HTTP goes on."""
        raise NotImplementedError

    def begin_content(self, exchange: Exchange, /) -> bool:
        """Make ready for content; False where the request was refused for it."""
        raise NotImplementedError

    def end_otherwise(self, exchange: Exchange, /) -> None:
        """Go on after a complete response where not just the next request is waited for."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Begin with what has come already."""
        raise NotImplementedError
