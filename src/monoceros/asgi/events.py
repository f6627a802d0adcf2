"""``receive`` and ``send`` of HTTP as far as they wait, or are not what they usually are.

ASGI HTTP connection scope, version 2.5; what needs no waiting is in ``http.Exchange``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from monoceros.asgi.pathsend import send_path
from monoceros.http.answers import CONTINUE, early_hints
from monoceros.http.errors import ClientDisconnected

if TYPE_CHECKING:
    from monoceros.asgi.connection import Connection
    from monoceros.asgi.types import Event
    from monoceros.http.types import Exchange

_DISCONNECT = "http.disconnect"


async def receive(connection: Connection, exchange: Exchange) -> Event:
    """Return the next piece of content once it is there, or that the client has gone."""
    content = exchange.content
    if content is None:
        while not (exchange.is_over or exchange.is_told or exchange.complete):
            await _wait(exchange)
        return {"type": _DISCONNECT}
    while not content.has_news():
        if exchange.is_over or exchange.is_told or exchange.complete:
            return {"type": _DISCONNECT}
        _invite(connection, exchange)
        time = connection.calls.time
        content.await_more(time())
        try:
            await _wait(exchange)
        finally:
            content.leave_it(time())
    data = content.take()
    is_complete = content.is_complete
    if is_complete:
        exchange.content = None
        exchange.is_taken = True
    connection.make_room(content)
    return {"type": "http.request", "body": data, "more_body": not is_complete}


def _invite(connection: Connection, exchange: Exchange) -> None:
    """Send 100 Continue to a client that waits for it before it sends (RFC 9110 10.1.1)."""
    if exchange.expect_continue:
        exchange.expect_continue = False
        if not exchange.started:
            connection.write(CONTINUE)


async def _wait(exchange: Exchange) -> None:
    if exchange.news is None:
        exchange.news = asyncio.Event()
    exchange.news.clear()
    await exchange.news.wait()


def tell(exchange: Exchange) -> None:
    """Wake up whoever waits in ``receive``."""
    if exchange.news is not None:
        exchange.news.set()


async def send_other(connection: Connection, exchange: Exchange, event: Event) -> None:
    """Take an event that is none of the usual ones; raises ``RuntimeError`` for what is none."""
    kind = event["type"]
    if exchange.is_over:
        raise ClientDisconnected("the client has gone")
    if kind == "http.response.trailers" and exchange.complete and exchange.promises_trailers:
        # The client cannot be given them (RFC 9110 6.5.1), which the application may not know.
        exchange.promises_trailers = event.get("more_trailers", False)
        return
    if exchange.complete:
        raise RuntimeError(f"{kind!r} was sent after the response had ended")
    if kind == "http.response.body":
        await exchange.take({**event, "body": _octets(event.get("body", b""))})
    elif kind == "http.response.early_hint":
        if not exchange.code and exchange.minor:
            links = [("Link", _octets(link).decode("latin-1")) for link in event["links"]]
            connection.write(early_hints(links))
    elif kind == "http.response.trailers":
        more = event.get("more_trailers", False)
        connection.write(exchange.trailers(event.get("headers", ()), more))
        if exchange.complete:
            connection.end(exchange)
    elif kind == "http.response.pathsend":
        await send_path(connection, exchange, event["path"])
    else:
        raise RuntimeError(f"the application sent {kind!r}, which is no event of a response")


def _octets(data: Any) -> bytes:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"the application sent {type(data).__name__} where bytes are wanted")
    return bytes(data)
