"""The application's side of a WebSocket: ASGI 3, "WebSocket Connection Scope", version 2.5."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.asgi.errors import ClientDisconnected
from monoceros.asgi.websocket_support import WebSocketSettings, preload
from monoceros.errors import StopWorker
from tests.asgi.websocket_peer import (
    BINARY,
    CLOSE,
    FIN,
    OFFER,
    TEXT,
    FakeLog,
    Peer,
    Recorder,
    close_frame,
    echo,
    frame,
    in_loop,
    request_scope,
    settle,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monoceros.asgi.types import Event, Receive, Scope, Send

    Play = Callable[[Receive, Send], Awaitable[None]]

ACCEPT: Event = {"type": "websocket.accept"}


class Act:
    """An application that does what a test tells it, and keeps what came of it."""

    def __init__(self, play: Play, *, accepts: bool = True) -> None:
        self._play = play
        self._accepts = accepts
        self.scope: Scope = {}
        self.error: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        self.scope = scope
        if self._accepts:
            await receive()
            await send(ACCEPT)
        try:
            await self._play(receive, send)
        except BaseException as error:
            self.error = error
            raise


def sends(*events: Event) -> Play:
    """Return what sends these events."""

    async def play(_receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    return play


# -- scope ----------------------------------------------------------------------------------------


@in_loop
async def test_the_scope_is_that_of_a_websocket() -> None:
    app = Act(sends({"type": "websocket.close"}), accepts=False)
    scope = request_scope(sec_websocket_protocol=b"chat, v2")
    asked = scope.copy()
    await Peer(app, scope=scope).ended()
    assert app.scope is scope, "there is no second one"
    del asked["method"]
    assert app.scope == {
        **asked,
        "type": "websocket",
        "scheme": "ws",
        "subprotocols": ["chat", "v2"],
        "extensions": {"websocket.http.response": {}},
    }


@pytest.mark.parametrize(("http", "ws"), [("http", "ws"), ("https", "wss")])
@in_loop
async def test_the_scheme_is_that_of_a_websocket(http: str, ws: str) -> None:
    app = Act(sends({"type": "websocket.close"}), accepts=False)
    await Peer(app, scope={**request_scope(), "scheme": http}).ended()
    assert app.scope["scheme"] == ws


# -- the handshake --------------------------------------------------------------------------------


@in_loop
async def test_a_bad_handshake_is_refused_without_the_application() -> None:
    peer = Peer(echo, scope=request_scope(sec_websocket_version=b"8"))
    assert peer.ends == 1
    assert peer.socket.task is None
    assert peer.exchange.code == 426
    assert (b"sec-websocket-version", b"13") in peer.exchange.fields
    assert peer.take() == b"HTTP/1.1 426\r\n\r\nSec-WebSocket-Version is not 13\n"
    assert peer.transport.is_ended
    peer.socket.feed(b"whatever")
    peer.socket.eof()
    assert peer.transport.is_closed


@in_loop
async def test_connect_comes_first_and_accept_answers() -> None:
    app = Recorder()
    peer = await Peer(app).accepted()
    assert app.events == [{"type": "websocket.connect"}]
    assert peer.exchange.fields[0] == (b"upgrade", b"websocket")
    assert peer.transport.reads


@in_loop
async def test_accept_names_subprotocol_and_fields() -> None:
    event = {"type": "websocket.accept", "subprotocol": "v2", "headers": [(b"x-a", b"b")]}
    peer = Peer(Act(sends(event), accepts=False))
    await peer.ended()
    assert peer.exchange.fields[2:] == [(b"sec-websocket-protocol", b"v2"), (b"x-a", b"b")]


@pytest.mark.parametrize("empty", [{}, {"subprotocol": None, "headers": None}, {"headers": []}])
@in_loop
async def test_accept_needs_no_more(empty: Event) -> None:
    peer = Peer(Act(sends({"type": "websocket.accept", **empty}), accepts=False))
    await peer.ended()
    assert len(peer.exchange.fields) == 2


@pytest.mark.parametrize("is_offered", [True, False])
@pytest.mark.parametrize("is_on", [True, False])
@in_loop
async def test_compression_is_agreed_on_where_both_want_it(is_on: bool, is_offered: bool) -> None:
    scope = request_scope(sec_websocket_extensions=OFFER if is_offered else None)
    peer = Peer(echo, WebSocketSettings(per_message_deflate=is_on), scope)
    await peer.accepted()
    names = [name for name, _ in peer.exchange.fields]
    assert (b"sec-websocket-extensions" in names) == (is_on and is_offered)
    text = b"abc " * 100
    peer.socket.feed(frame(TEXT, text))
    await settle()
    [(first, payload)] = peer.take_frames()
    assert (first, len(payload) < 30) == ((0xC1, True) if is_on and is_offered else (0x81, False))


@in_loop
async def test_short_messages_are_not_compressed() -> None:
    peer = await Peer(echo, scope=request_scope(sec_websocket_extensions=OFFER)).accepted()
    peer.socket.feed(frame(TEXT, b"a" * 125) + frame(BINARY, b"a" * 125))
    await settle()
    assert peer.take_frames() == [(0x81, b"a" * 125), (0x82, b"a" * 125)]


@in_loop
async def test_frames_that_come_too_early_are_read_after_the_handshake() -> None:
    go_on = asyncio.Event()

    async def play(receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "websocket.connect"}
        await go_on.wait()
        await send(ACCEPT)
        assert (await receive())["text"] == "early"
        assert (await receive())["text"] == "later"
        await receive()

    app = Act(play, accepts=False)
    peer = Peer(app, rest=frame(TEXT, b"early")[:5])
    peer.socket.feed(frame(TEXT, b"early")[5:])
    await settle()
    assert not peer.transport.reads
    go_on.set()
    await settle()
    assert peer.transport.reads
    peer.socket.feed(frame(TEXT, b"later") + close_frame(1000))
    await peer.ended()
    assert app.error is None


# -- messages -------------------------------------------------------------------------------------


@in_loop
async def test_messages_are_received_and_sent() -> None:
    app = Recorder()
    peer = await Peer(app).accepted()
    peer.socket.feed(frame(TEXT, "µ".encode()))
    peer.socket.feed(frame(BINARY, b"\xff") + frame(TEXT) + frame(BINARY))
    await settle()
    assert app.events[1:] == [
        {"type": "websocket.receive", "text": "µ"},
        {"type": "websocket.receive", "bytes": b"\xff"},
        {"type": "websocket.receive", "text": ""},
        {"type": "websocket.receive", "bytes": b""},
    ]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"text": "µ"}, (0x81, b"\xc2\xb5")),
        ({"text": ""}, (0x81, b"")),
        ({"text": "a" * 125}, (0x81, b"a" * 125)),
        ({"text": "a" * 126}, (0x81, b"a" * 126)),
        ({"text": "a" * 70000}, (0x81, b"a" * 70000)),
        ({"bytes": b"\xff"}, (0x82, b"\xff")),
        ({"bytes": b""}, (0x82, b"")),
        ({"bytes": b"a" * 126}, (0x82, b"a" * 126)),
        ({"bytes": bytearray(b"a")}, (0x82, b"a")),
        ({"bytes": memoryview(b"a" * 126)}, (0x82, b"a" * 126)),
        ({"bytes": b"a", "text": None}, (0x82, b"a")),
        ({"bytes": None, "text": "a"}, (0x81, b"a")),
        ({"text": type("Text", (str,), {})("a")}, (0x81, b"a")),
    ],
    ids=lambda value: str(value)[:40],
)
@in_loop
async def test_a_message_is_one_frame(event: Event, expected: tuple[int, bytes]) -> None:
    peer = Peer(Act(sends({"type": "websocket.send", **event})))
    await peer.ended()
    head, _, rest = peer.take().partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 101"
    peer.transport.sent = rest
    peer._seen = 0
    assert peer.take_frames() == [expected, (FIN | CLOSE, b"\x03\xe8")]


# -- what an application gets wrong ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"type": "websocket.send", "text": "a"}, "'websocket.send' where websocket.accept"),
        ({"type": "http.response.start", "status": 200}, "'http.response.start' where"),
        ({"type": "websocket.http.response.body"}, "response.body' where websocket.accept"),
        ({**ACCEPT, "headers": [(b"sec-websocket-protocol", b"a")]}, "not for the application"),
        ({**ACCEPT, "headers": [("a", "b")]}, "headers are not pairs of bytes"),
        ({**ACCEPT, "headers": [b"abc"]}, "headers are not pairs of bytes"),
        ({**ACCEPT, "headers": [(b"a", b"b\n")]}, "a character that is not allowed"),
        ({**ACCEPT, "subprotocol": b"chat"}, "subprotocol is bytes, not str"),
        ({**ACCEPT, "subprotocol": "µ"}, "subprotocol is not a token"),
        ({"type": "websocket.http.response.start", "status": 101}, "101 is for websocket.accept"),
    ],
    ids=lambda value: str(value)[:60],
)
@in_loop
async def test_what_is_wrong_before_accept(event: Event, message: str) -> None:
    app = Act(sends(event), accepts=False)
    peer = Peer(app)
    await peer.ended()
    assert isinstance(app.error, RuntimeError)
    assert message in str(app.error)
    assert peer.take() == b"HTTP/1.1 500\r\n\r\n"
    assert peer.log.errors == [("Error handling WebSocket GET /chat", app.error)]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (ACCEPT, "'websocket.accept' where websocket.send or websocket.close"),
        ({"type": "websocket.http.response.start"}, "response.start' where websocket.send"),
        ({"type": "websocket.receive"}, "'websocket.receive' where websocket.send"),
        ({"type": "websocket.send"}, "one of text and bytes is needed"),
        ({"type": "websocket.send", "text": None, "bytes": None}, "one of text and bytes"),
        ({"type": "websocket.send", "text": b"a"}, "text is bytes, not str"),
        ({"type": "websocket.send", "text": 1}, "text is int, not str"),
        ({"type": "websocket.send", "bytes": "a"}, "bytes is str, not bytes"),
        ({"type": "websocket.send", "bytes": 5}, "bytes is int, not bytes"),
        ({"type": "websocket.close", "code": 1005}, "1005 is no code of a Close frame"),
        ({"type": "websocket.close", "code": 1006}, "1006 is no code of a Close frame"),
        ({"type": "websocket.close", "code": 999}, "999 is no code"),
        ({"type": "websocket.close", "code": 5000}, "5000 is no code"),
        ({"type": "websocket.close", "code": "1000"}, "'1000' is no code"),
        ({"type": "websocket.close", "reason": b"a"}, "reason is bytes, not str"),
    ],
    ids=lambda value: str(value)[:60],
)
@in_loop
async def test_what_is_wrong_after_accept(event: Event, message: str) -> None:
    app = Act(sends(event))
    peer = await Peer(app).accepted()
    await peer.ended()
    assert isinstance(app.error, RuntimeError)
    assert message in str(app.error)
    assert b"\x88\x02\x03\xf3" in peer.transport.sent, "1011"
    assert peer.log.errors == [("Error handling WebSocket GET /chat", app.error)]


@in_loop
async def test_an_application_may_go_on_after_what_it_got_wrong() -> None:
    async def play(_receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError):
            await send({"type": "websocket.send", "text": "too early"})
        await send(ACCEPT)
        with pytest.raises(RuntimeError):
            await send(ACCEPT)
        await send({"type": "websocket.send", "text": "in time"})

    peer = Peer(Act(play, accepts=False))
    await peer.ended()
    assert peer.transport.sent.endswith(b"\x81\x07in time\x88\x02\x03\xe8")


@pytest.mark.parametrize(
    "event",
    [ACCEPT, {"type": "websocket.send", "text": "a"}, {"type": "websocket.close"}],
    ids=["accept", "send", "close"],
)
@pytest.mark.parametrize("accepts", [True, False], ids=["after-accept", "before-accept"])
@in_loop
async def test_nothing_may_be_sent_after_close(event: Event, accepts: bool) -> None:
    app = Act(sends({"type": "websocket.close"}, event), accepts=accepts)
    peer = Peer(app)
    await peer.ended()
    assert isinstance(app.error, RuntimeError)
    assert not isinstance(app.error, OSError)
    assert "after it had closed the WebSocket" in str(app.error)
    assert peer.exchange.code == (101 if accepts else 403)


# -- how an application ends ----------------------------------------------------------------------


@in_loop
async def test_an_error_before_accept_is_a_500() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ValueError("x")

    peer = Peer(app)
    await peer.ended()
    assert peer.take() == b"HTTP/1.1 500\r\n\r\n"
    assert peer.transport.is_ended
    [(line, error)] = peer.log.errors
    assert line == "Error handling WebSocket GET /chat"
    assert isinstance(error, ValueError)


@in_loop
async def test_an_end_before_accept_is_a_500() -> None:
    peer = Peer(Act(sends(), accepts=False))
    await peer.ended()
    assert peer.take() == b"HTTP/1.1 500\r\n\r\n"
    assert peer.log.errors == [
        ("Error handling WebSocket GET /chat: the application ended too early", None)
    ]


@in_loop
async def test_an_error_after_accept_closes_with_1011() -> None:
    async def play(_receive: Receive, _send: Send) -> None:
        raise ValueError("secret")

    peer = Peer(Act(play))
    await peer.ended()
    assert peer.transport.sent.endswith(b"\r\n\r\n\x88\x02\x03\xf3"), "and says nothing more"
    assert len(peer.log.errors) == 1


@in_loop
async def test_an_end_after_accept_closes_with_1000() -> None:
    peer = Peer(Act(sends()))
    await peer.ended()
    assert peer.transport.sent.endswith(b"\r\n\r\n\x88\x02\x03\xe8")
    assert not peer.log.errors
    assert not peer.transport.is_closing(), "the client's Close frame is awaited"
    peer.socket.feed(close_frame(1000))
    assert peer.transport.is_closed


class Fault(BaseException):
    """Of a kind that nobody expects."""


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, Fault])
@pytest.mark.parametrize("accepts", [True, False])
@in_loop
async def test_a_wish_to_exit_ends_its_own_call_only(
    kind: type[BaseException], accepts: bool
) -> None:
    async def play(_receive: Receive, _send: Send) -> None:
        await asyncio.sleep(0)
        raise kind("x")

    peer = Peer(Act(play, accepts=accepts))
    await peer.ended()
    end = b"\x88\x02\x03\xf3" if accepts else b"HTTP/1.1 500\r\n\r\n"
    assert peer.transport.sent.endswith(end)
    [(line, error)] = peer.log.errors
    assert line == "Error handling WebSocket GET /chat"
    assert isinstance(error, kind)


def test_a_worker_that_is_stopped_inside_of_a_call_stops() -> None:
    logs: list[FakeLog] = []

    async def play(_receive: Receive, _send: Send) -> None:
        await asyncio.sleep(0)
        raise StopWorker(0)

    async def main() -> None:
        peer = Peer(Act(play))
        logs.append(peer.log)
        await peer.ended()

    with pytest.raises(StopWorker):
        asyncio.run(main())
    assert not logs[0].errors


@in_loop
async def test_a_call_that_is_thrown_away_concludes_nothing() -> None:
    peer = await Peer(echo).accepted()
    task = peer.socket.task
    assert task is not None
    task.get_coro().close()
    assert not peer.take()
    assert peer.ends == 0
    task.cancel()


@pytest.mark.parametrize("accepts", [True, False])
@in_loop
async def test_a_cancelled_application_is_closed_for(accepts: bool) -> None:
    async def play(receive: Receive, _send: Send) -> None:
        await receive()
        await receive()

    peer = Peer(Act(play, accepts=accepts))
    await settle()
    assert peer.socket.task is not None
    peer.socket.task.cancel()
    await peer.ended()
    end = b"\x88\x02\x03\xf3" if accepts else b"HTTP/1.1 500\r\n\r\n"
    assert peer.transport.sent.endswith(end)


@in_loop
async def test_a_call_that_has_ended_is_let_go() -> None:
    peer = Peer(Act(sends()))
    await peer.ended()
    await settle()
    assert peer.socket.task is None


@pytest.mark.parametrize("is_refused", [False, True])
@in_loop
async def test_nothing_is_left_for_the_garbage_collector(is_refused: bool) -> None:
    scope = request_scope(upgrade=None) if is_refused else None
    gc.collect()
    gc.disable()
    try:
        peer = Peer(echo, scope=scope)
        await settle()
        peer.socket.feed(frame(TEXT, b"a") + close_frame())
        await settle()
        peer.socket.connection_lost(None)
        assert peer.ends == 1
        watched = weakref.ref(peer.transport)
        del peer
        await settle()
        assert watched() is None
    finally:
        gc.enable()


# -- denial: websocket.http.response --------------------------------------------------------------


@in_loop
async def test_close_before_accept_is_a_403() -> None:
    events: list[Event] = []

    async def play(receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4000, "reason": "no"})
        events.append(await receive())

    peer = Peer(Act(play, accepts=False))
    await peer.ended()
    assert peer.take() == b"HTTP/1.1 403\r\n\r\n"
    assert events == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
    assert peer.transport.is_ended
    assert not peer.log.errors


@in_loop
async def test_a_response_may_deny() -> None:
    events: list[Event] = []

    async def play(receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "websocket.http.response.start",
                "status": 401,
                "headers": [(b"www-authenticate", b"Basic")],
            }
        )
        body = {"type": "websocket.http.response.body"}
        await send({**body, "body": b"go ", "more_body": True})
        await send({**body, "body": bytearray(b"away"), "more_body": True})
        await send(body)
        events.append(await receive())
        events.append(await receive())

    peer = Peer(Act(play, accepts=False))
    await peer.ended()
    assert peer.exchange.code == 401
    assert peer.exchange.fields == [(b"www-authenticate", b"Basic")]
    assert peer.take() == b"HTTP/1.1 401\r\n\r\ngo away"
    assert peer.transport.is_ended
    assert [event["type"] for event in events] == ["websocket.connect", "websocket.disconnect"]
    assert events[1]["code"] == 1006


@pytest.mark.parametrize(
    ("parts", "sent", "is_closed"),
    [
        ([], b"HTTP/1.1 500\r\n\r\n", False),
        ([b"half"], b"HTTP/1.1 401\r\n\r\nhalf", True),
    ],
    ids=["nothing", "half"],
)
@in_loop
async def test_an_unfinished_denial(parts: list[bytes], sent: bytes, is_closed: bool) -> None:
    events = [
        {"type": "websocket.http.response.body", "body": part, "more_body": True} for part in parts
    ]
    start = {"type": "websocket.http.response.start", "status": 401}
    peer = Peer(Act(sends(start, *events), accepts=False))
    await peer.ended()
    assert peer.take() == sent
    assert peer.transport.is_closed == is_closed
    assert peer.transport.is_ended != is_closed
    assert len(peer.log.errors) == 1


@pytest.mark.parametrize(
    "event",
    [ACCEPT, {"type": "websocket.close"}, {"type": "websocket.http.response.start", "status": 400}],
    ids=["accept", "close", "start"],
)
@in_loop
async def test_a_denial_is_not_taken_back(event: Event) -> None:
    app = Act(sends({"type": "websocket.http.response.start", "status": 401}, event), accepts=False)
    peer = Peer(app)
    await peer.ended()
    assert isinstance(app.error, RuntimeError)
    assert "where websocket.http.response.body was expected" in str(app.error)


@in_loop
async def test_a_client_may_end_its_side_while_it_is_denied() -> None:
    go_on = asyncio.Event()

    async def play(_receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 401})
        await go_on.wait()
        await send({"type": "websocket.http.response.body", "body": b"no"})

    peer = Peer(Act(play, accepts=False))
    await settle()
    peer.socket.eof()
    go_on.set()
    await peer.ended()
    assert peer.take() == b"HTTP/1.1 401\r\n\r\nno"


# -- receive --------------------------------------------------------------------------------------


@in_loop
async def test_receive_after_disconnect_raises() -> None:
    async def play(receive: Receive, _send: Send) -> None:
        assert (await receive())["type"] == "websocket.disconnect"
        await receive()

    app = Act(play)
    peer = await Peer(app).accepted()
    peer.socket.feed(close_frame())
    await peer.ended()
    assert isinstance(app.error, RuntimeError)
    assert "receive() after websocket.disconnect" in str(app.error)


@pytest.mark.parametrize("comes_before", [True, False])
@in_loop
async def test_a_cancelled_receive_loses_nothing(comes_before: bool) -> None:
    found: list[Any] = []

    async def play(receive: Receive, _send: Send) -> None:
        task = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        if comes_before:
            peer.socket.feed(frame(TEXT, b"one"))
        task.cancel()
        if not comes_before:
            peer.socket.feed(frame(TEXT, b"one"))
        await asyncio.wait([task])
        assert task.cancelled()
        peer.socket.feed(frame(TEXT, b"two") + close_frame())
        found.extend([await receive(), await receive(), await receive()])

    peer = Peer(Act(play))
    await peer.ended()
    assert [event.get("text") for event in found] == ["one", "two", None]
    assert found[2]["type"] == "websocket.disconnect"


@in_loop
async def test_a_cancelled_receive_does_not_lose_the_disconnect() -> None:
    found: list[Event] = []

    async def play(receive: Receive, _send: Send) -> None:
        task = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        peer.socket.feed(close_frame(4001))
        task.cancel()
        await asyncio.wait([task])
        found.append(await receive())

    peer = Peer(Act(play))
    await peer.ended()
    assert found == [{"type": "websocket.disconnect", "code": 4001, "reason": ""}]


@in_loop
async def test_several_may_wait_in_receive() -> None:
    found: list[Event] = []

    async def play(receive: Receive, _send: Send) -> None:
        tasks = [asyncio.ensure_future(receive()) for _ in range(3)]
        await settle()
        for number in range(3):
            peer.socket.feed(frame(TEXT, b"%d" % number))
        found.extend(await asyncio.gather(*tasks))

    peer = Peer(Act(play))
    await peer.ended()
    assert sorted(event["text"] for event in found) == ["0", "1", "2"]


# -- after the client has gone --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["websocket.send", "websocket.close"])
@in_loop
async def test_send_raises_once_the_client_has_gone(kind: str) -> None:
    gone = asyncio.Event()

    async def play(_receive: Receive, send: Send) -> None:
        await gone.wait()
        await send({"type": kind, "text": "a"})

    app = Act(play)
    peer = await Peer(app).accepted()
    peer.socket.connection_lost(None)
    gone.set()
    await peer.ended()
    assert isinstance(app.error, ClientDisconnected)
    assert isinstance(app.error, OSError)
    assert not peer.log.errors, "that is no fault of the application"


@in_loop
async def test_send_raises_before_the_loop_has_told_of_the_end() -> None:
    async def play(_receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        peer.transport.abort()  # as it does itself when a write fails
        while True:
            await send({"type": "websocket.send", "text": "a"})

    app = Act(play)
    peer = Peer(app)
    await peer.ended()
    assert isinstance(app.error, ClientDisconnected)


@in_loop
async def test_accept_raises_once_the_client_has_gone() -> None:
    gone = asyncio.Event()
    events: list[Event] = []

    async def play(receive: Receive, send: Send) -> None:
        await receive()
        await gone.wait()
        events.append(await receive())
        await send(ACCEPT)

    app = Act(play, accepts=False)
    peer = Peer(app)
    await settle()
    peer.socket.connection_lost(ConnectionResetError())
    gone.set()
    await peer.ended()
    assert events == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
    assert isinstance(app.error, ClientDisconnected)
    assert not peer.take()


@in_loop
async def test_an_error_of_the_application_is_logged_though_the_client_has_gone() -> None:
    async def play(receive: Receive, _send: Send) -> None:
        await receive()
        raise ValueError

    peer = await Peer(Act(play)).accepted()
    peer.socket.connection_lost(None)
    await peer.ended()
    assert len(peer.log.errors) == 1
    assert not peer.take()


# -- import ---------------------------------------------------------------------------------------


def test_preload_returns_the_class() -> None:
    assert preload().__name__ == "WebSocket"


def test_a_server_without_websockets_imports_nothing_for_them() -> None:
    code = (
        "import sys, monoceros.asgi.websocket_support as support; "
        "assert 'websockets' not in sys.modules; "
        "support.preload(); "
        "assert 'websockets' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
