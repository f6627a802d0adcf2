"""The answer to the handshake of a WebSocket: it is accepted, denied, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.asgi.handshake import Handshake, HandshakeError, judge
from monoceros.asgi.websocket_events import read_fields, read_part, read_subprotocol, unexpected
from monoceros.asgi.websocket_link import CONNECTING, DENYING
from monoceros.http.errors import InvalidResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.asgi.types import Event
    from monoceros.asgi.websocket_deflate import Agreement
    from monoceros.asgi.websocket_link import Link
    from monoceros.http.types import Exchange, OctetField

_PLAIN = (b"content-type", b"text/plain; charset=utf-8")


class Opening:
    """The response of the request that asks for a WebSocket; of no use once that is open."""

    __slots__ = ("_exchange", "_handshake", "_link")

    def __init__(self, exchange: Exchange, link: Link) -> None:
        self._exchange = exchange
        self._link = link
        self._handshake: Handshake | None = None

    def judge(self, *, compress: bool) -> list[str] | None:
        """Return the subprotocols that are offered; None where the handshake had to be refused."""
        try:
            self._handshake = judge(self._exchange.scope, compress=compress)
        except HandshakeError as error:
            self._refuse(error)
            return None
        return self._handshake.subprotocols

    def accept(self, event: Event) -> Agreement | None:
        """Go over to frames; returns what was agreed on about compression."""
        handshake = self._handshake
        if handshake is None:
            raise RuntimeError("there is no handshake to accept")
        self._start(101, handshake.answer(read_subprotocol(event), read_fields(event)))
        self._link.transport.write(self._exchange.body(b"", False))
        self._link.open()
        return handshake.agreement

    def deny(self, kind: str, event: Event) -> None:
        """Take an event of a response that denies."""
        if self._link.state == DENYING:
            if kind != "websocket.http.response.body":
                raise unexpected(kind, "websocket.http.response.body")
            self._send_part(*read_part(event))
        elif kind == "websocket.http.response.start":
            if event.get("status") == 101:
                raise RuntimeError("websocket.http.response.start: 101 is for websocket.accept")
            self._start(event["status"], read_fields(event))
            self._link.state = DENYING
        else:
            raise unexpected(kind, "websocket.accept or websocket.close")

    def answer(self, status: int) -> None:
        """Answer with an error in the application's place."""
        self._link.transport.write(self._exchange.error(status))
        self._link.hang_up()

    def give_up(self, status: int = 500) -> None:
        """End what the application has left unfinished; with this answer, where it has none."""
        if self._exchange.started:
            self._link.cut(is_delimited=self._exchange.is_delimited)
        else:
            self.answer(status)

    @property
    def is_awaited(self) -> bool:
        """Whether the application has not begun to answer."""
        return self._link.state == CONNECTING

    @property
    def is_complete(self) -> bool:
        """Whether the response has come to its end."""
        return self._exchange.complete

    def _send_part(self, data: bytes, more: bool) -> None:
        self._link.transport.write(self._exchange.body(data, more))
        if self._exchange.complete:
            self._link.hang_up()
        elif not more:
            self.give_up()

    def _start(self, status: int, fields: Iterable[OctetField]) -> None:
        try:
            self._exchange.start(status, fields)
        except InvalidResponse as error:
            raise RuntimeError(str(error)) from error

    def _refuse(self, error: HandshakeError) -> None:
        self._exchange.start(error.status, [_PLAIN, *error.fields])
        self._link.transport.write(self._exchange.body(f"{error.reason}\n".encode(), False))
        self._link.hang_up()
