"""The ASGI applications that every server under measurement runs: those of ``benchmarks.apps``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.apps import CHUNK, CHUNKS, HELLO, TEN_KB

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

_TEXT = (b"content-type", b"text/plain")


async def hello(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer 13 bytes."""
    await _answer(scope, send, HELLO)


async def ten_kb(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer 10 KiB in one piece."""
    await _answer(scope, send, TEN_KB)


async def post(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Read the whole body and answer its length in digits."""
    size = 0
    more = True
    while more:
        event = await receive()
        size += len(event.get("body", b""))
        more = event.get("more_body", False)
    await _answer(scope, send, b"%d" % size)


async def stream(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Send 16 pieces of 4 KiB without announcing their length."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [_TEXT]})
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body"})


async def echo(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Send every text message of a WebSocket back; to HTTP, answer 13 bytes."""
    if scope["type"] == "http":
        await hello(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


async def _answer(scope: dict[str, Any], send: Send, body: bytes) -> None:
    assert scope["type"] == "http"
    headers = [_TEXT, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
