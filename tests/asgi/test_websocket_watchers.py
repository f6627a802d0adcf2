"""What is told of a WebSocket to those who count and log requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from monoceros.errors import StopWorker
from tests.asgi.websocket_peer import (
    OFFER,
    TEXT,
    FakeWatcher,
    Peer,
    close_frame,
    echo,
    frame,
    in_loop,
    request_scope,
    settle,
)

if TYPE_CHECKING:
    from monoceros.asgi.types import Event, Receive, Scope, Send

ALL = ["begun", "closed", "ended"]
DENY: Event = {"type": "websocket.http.response.start", "status": 403}


def sends(*events: Event) -> object:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    return app


@in_loop
async def test_each_stage_is_told_once() -> None:
    peer = await Peer(echo).accepted()
    assert peer.watcher.told == ["begun"]
    peer.socket.feed(close_frame(1000))
    assert peer.watcher.told == ["begun", "closed"]
    await peer.ended()
    peer.socket.eof()
    peer.socket.connection_lost(None)
    assert peer.watcher.told == ALL


@pytest.mark.parametrize("how", ["close", "eof", "lost", "silence", "shut_down", "fault"])
@in_loop
async def test_the_end_is_told_though_the_call_goes_on(how: str) -> None:
    go_on = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await go_on.wait()

    peer = await Peer(app).accepted()
    peer.leave(how)
    assert peer.watcher.told == ["begun", "closed"]
    go_on.set()
    await peer.ended()
    assert peer.watcher.told == ALL


@pytest.mark.parametrize(
    "events",
    [
        [],
        [{"type": "websocket.close"}],
        [DENY],
        [DENY, {"type": "websocket.http.response.body", "body": b"abc", "more_body": True}],
        [{"type": "websocket.accept"}],
        [{"type": "websocket.accept"}, {"type": "websocket.close"}],
        [{"type": "unheard of"}],
    ],
    ids=["nothing", "close", "denial", "half", "accept", "both", "wrong"],
)
@in_loop
async def test_however_an_application_ends_is_told(events: list[Event]) -> None:
    peer = Peer(sends(*events))  # type: ignore[arg-type]
    await peer.ended()
    assert peer.watcher.told == ALL


@in_loop
async def test_who_goes_before_there_is_an_answer_is_told_of() -> None:
    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "websocket.disconnect":
            pass

    peer = Peer(app)
    await settle()
    peer.socket.connection_lost(None)
    assert peer.watcher.told == ["begun", "closed"]
    assert not peer.exchange.started
    await peer.ended()


@in_loop
async def test_a_refused_handshake_is_told_of() -> None:
    peer = Peer(echo, scope=request_scope(upgrade=None))
    assert peer.watcher.told == ALL


@pytest.mark.parametrize(("text", "size"), [("a" * 125, 125), ("a" * 126, 126)])
@in_loop
async def test_octets_of_messages_are_counted(text: str, size: int) -> None:
    peer = await Peer(echo).accepted()
    peer.socket.feed(frame(TEXT, text.encode()) * 3 + close_frame())
    await settle()
    assert peer.watcher.sent == 0, "for it was closed before they were sent"
    peer = await Peer(echo).accepted()
    peer.socket.feed(frame(TEXT, text.encode()) * 3)
    await settle()
    peer.socket.feed(close_frame())
    assert peer.watcher.sent == 3 * size


@in_loop
async def test_octets_count_as_they_go_out() -> None:
    peer = await Peer(echo, scope=request_scope(sec_websocket_extensions=OFFER)).accepted()
    peer.socket.feed(frame(TEXT, b"a" * 1000))
    await settle()
    peer.socket.feed(close_frame())
    [(_, payload), _] = peer.take_frames()
    assert peer.watcher.sent == len(payload) < 100


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
@in_loop
async def test_a_hook_that_raises_ends_it(kind: type[BaseException]) -> None:
    fault = kind("hook")
    called: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        called.append(scope)

    peer = Peer(app, watcher=FakeWatcher(fault))
    assert peer.take() == b"HTTP/1.1 500\r\n\r\n"
    assert peer.transport.is_ended
    assert peer.watcher.told == ALL
    assert peer.log.errors == [("Error handling WebSocket GET /chat", fault)]
    assert not called


@in_loop
async def test_a_worker_that_is_stopped_inside_of_a_hook_stops() -> None:
    with pytest.raises(StopWorker):
        Peer(echo, watcher=FakeWatcher(StopWorker(0)))
