"""The end of a WebSocket, and what keeps one alive: RFC 6455 sections 5.5 and 7."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from monoceros.asgi.errors import ClientDisconnected
from monoceros.asgi.websocket_support import WebSocketSettings
from tests.asgi.websocket_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    Recorder,
    close_frame,
    echo,
    frame,
    in_loop,
    settle,
)

if TYPE_CHECKING:
    from monoceros.asgi.types import Event, Receive, Scope, Send

DISCONNECT = "websocket.disconnect"
HIGH = 1 << 16


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


# -- 7.1.2 and 7.4: the client closes -------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "answer", "code", "reason"),
    [
        (close_frame(), b"", 1005, ""),
        (close_frame(1000), b"\x03\xe8", 1000, ""),
        (close_frame(1000, b"done"), b"\x03\xe8", 1000, "done"),
        (close_frame(1001, "µ".encode()), b"\x03\xe9", 1001, "µ"),
        (close_frame(1011), b"\x03\xf3", 1011, ""),
        (close_frame(3000), b"\x0b\xb8", 3000, ""),
        (close_frame(4999, b"r" * 123), b"\x13\x87", 4999, "r" * 123),
    ],
    ids=["5.5.1-empty", "1000", "1000-reason", "1001-reason", "1011", "3000", "4999-long"],
)
@in_loop
async def test_a_close_is_answered(sent: bytes, answer: bytes, code: int, reason: str) -> None:
    app = Recorder()
    peer = await Peer(app).accepted()
    peer.socket.feed(frame(TEXT, b"last") + sent + frame(TEXT, b"too late"))
    assert peer.take_frames() == [(0x88, answer)]
    assert peer.transport.is_closed, "7.1.1: the server closes the connection first"
    await peer.ended()
    assert app.messages == ["last"]
    assert app.events[-1] == {"type": DISCONNECT, "code": code, "reason": reason}
    peer.socket.connection_lost(None)
    await settle()
    assert not peer.log.errors


@in_loop
async def test_a_close_between_fragments_is_answered() -> None:
    app = Recorder()
    peer = await Peer(app).accepted()
    peer.socket.feed(frame(TEXT, b"half", fin=False) + close_frame(1000))
    assert peer.take_frames() == [(0x88, b"\x03\xe8")]
    await peer.ended()
    assert not app.messages


@in_loop
async def test_send_raises_after_the_clients_close() -> None:
    errors: list[Exception] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        try:
            await send({"type": "websocket.send", "text": "a"})
        except OSError as error:
            errors.append(error)

    peer = await Peer(app).accepted()
    peer.socket.feed(close_frame(1000))
    await peer.ended()
    assert [type(error) for error in errors] == [ClientDisconnected]
    assert peer.take_frames() == [(0x88, b"\x03\xe8")]


# -- 7.1.7: what fails the connection -------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"a", key=None), 1002),
        (frame(3), 1002),
        (frame(TEXT, b"a", reserved=0x40), 1002),
        (frame(CONTINUATION, b"a"), 1002),
        (frame(PING, bytes(126)), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (close_frame(1005), 1002),
        (close_frame(1006), 1002),
        (close_frame(0), 1002),
        (close_frame(1000, b"\xff"), 1007),
        (frame(TEXT, b"\xff"), 1007),
        (frame(BINARY, bytes(1001)), 1009),
    ],
    ids=[
        "5.1-no-mask",
        "5.2-opcode",
        "5.2-rsv1",
        "5.4-order",
        "5.5-length",
        "5.5.1-one-octet",
        "7.4-1005",
        "7.4-1006",
        "7.4-0",
        "8.1-reason",
        "8.1-text",
        "10.4-size",
    ],
)
@pytest.mark.parametrize("half_closes", [True, False], ids=["tcp", "tls"])
@in_loop
async def test_what_fails_the_connection(data: bytes, code: int, half_closes: bool) -> None:
    app = Recorder()
    settings = WebSocketSettings(max_message_size=1000)
    peer = await Peer(app, settings, half_closes=half_closes).accepted()
    peer.socket.feed(frame(TEXT, b"good") + data + frame(TEXT, b"not looked at"))
    [(first, payload)] = peer.take_frames()
    assert (first, int.from_bytes(payload[:2], "big")) == (0x88, code)
    assert peer.transport.is_ended == half_closes
    assert peer.transport.is_closed != half_closes
    peer.socket.feed(frame(TEXT, b"nor this") + close_frame(code))
    await peer.ended()
    assert app.messages == ["good"]
    assert (app.events[-1]["type"], app.events[-1]["code"]) == (DISCONNECT, code)
    assert app.events[-1]["reason"] == payload[2:].decode()
    assert not peer.take()
    peer.socket.eof()
    assert peer.transport.is_closed


@in_loop
async def test_a_failed_connection_is_not_waited_for_any_longer_than_that() -> None:
    peer = await Peer(echo).accepted()
    peer.socket.feed(frame(3))
    peer.socket.tick(now() + 4)
    assert not peer.transport.is_aborted
    peer.socket.tick(now() + 6)
    assert peer.transport.is_aborted


@pytest.mark.parametrize("limit", [0, 5], ids=["no-limit", "5-octets"])
@in_loop
async def test_the_limit_of_a_message_is_the_settings(limit: int) -> None:
    app = Recorder()
    peer = await Peer(app, WebSocketSettings(max_message_size=limit)).accepted()
    peer.socket.feed(frame(TEXT, b"12345"))
    peer.socket.feed(frame(BINARY, bytes(20 << 20))[:14] if limit else frame(TEXT, b"123456"))
    await settle()
    assert app.messages[0] == "12345"
    assert bool(peer.take()) == bool(limit)


# -- 7.1.5: there is no Close frame ---------------------------------------------------------------


@pytest.mark.parametrize("end", ["eof", "lost", "reset"])
@in_loop
async def test_a_connection_that_just_ends(end: str) -> None:
    app = Recorder()
    peer = await Peer(app).accepted()
    peer.socket.feed(frame(TEXT, b"last"))
    if end == "eof":
        peer.socket.eof()
        assert peer.transport.is_closed
    peer.socket.connection_lost(ConnectionResetError() if end == "reset" else None)
    await peer.ended()
    assert app.messages == ["last"]
    assert app.events[-1] == {"type": DISCONNECT, "code": 1006, "reason": ""}
    assert not peer.take()
    assert peer.ends == 1


@in_loop
async def test_a_client_that_ends_its_side_and_takes_nothing_is_cut_off() -> None:
    peer = await Peer(echo).accepted()
    peer.socket.eof()
    peer.socket.tick(now() + 6)
    assert peer.transport.is_aborted


# -- 7.1.2: the application closes ----------------------------------------------------------------


def closing(*events: Event, after: asyncio.Event | None = None) -> Recorder:
    """Return an application that sends these when told, and reads on then."""

    class App(Recorder):
        async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            if after is not None:
                await after.wait()
            for event in events:
                await send(event)
            self.events.append(await receive())

    return App()


@pytest.mark.parametrize(
    ("event", "payload", "code", "reason"),
    [
        ({}, b"\x03\xe8", 1000, ""),
        ({"code": None, "reason": None}, b"\x03\xe8", 1000, ""),
        ({"code": 1001}, b"\x03\xe9", 1001, ""),
        ({"code": 3333, "reason": "bye µ"}, b"\x0d\x05bye \xc2\xb5", 3333, "bye µ"),
        ({"code": 4000, "reason": "r" * 200}, b"\x0f\xa0" + b"r" * 123, 4000, "r" * 200),
    ],
    ids=["default", "none", "1001", "reason", "long-reason"],
)
@in_loop
async def test_the_application_closes(event: Event, payload: bytes, code: int, reason: str) -> None:
    app = closing({"type": "websocket.close", **event})
    peer = Peer(app)
    await peer.ended()
    assert peer.transport.sent.endswith(b"\r\n\r\n\x88" + bytes((len(payload),)) + payload)
    assert app.events == [{"type": DISCONNECT, "code": code, "reason": reason}]
    assert not peer.transport.is_closing()
    peer.socket.feed(frame(TEXT, b"crossing") + frame(PING, b"crossing") + close_frame(code))
    assert peer.transport.is_closed
    assert peer.transport.sent.endswith(payload), "5.5.1: nothing follows a Close frame"


@in_loop
async def test_what_waits_does_not_hinder_the_close() -> None:
    go_on = asyncio.Event()
    app = closing({"type": "websocket.close"}, after=go_on)
    peer = await Peer(app).accepted()
    peer.socket.feed(frame(TEXT, b"unread") * 100 + close_frame(1000))
    assert not peer.transport.reads
    go_on.set()
    await peer.ended()
    assert peer.transport.reads
    assert peer.transport.is_closed, "the client's Close frame was found behind all that"
    assert [event["type"] for event in app.events] == [DISCONNECT]


@in_loop
async def test_a_client_that_answers_no_close_is_cut_off() -> None:
    peer = Peer(closing({"type": "websocket.close"}))
    await peer.ended()
    peer.socket.tick(now() + 4)
    peer.socket.feed(frame(TEXT, b"still there"))
    assert not peer.transport.is_closing()
    peer.socket.tick(now() + 6)
    assert peer.transport.is_aborted
    peer.socket.connection_lost(None)
    peer.socket.tick(now() + 100)


@in_loop
async def test_a_client_that_ends_its_side_needs_no_close() -> None:
    peer = Peer(closing({"type": "websocket.close"}))
    await peer.ended()
    peer.socket.eof()
    assert peer.transport.is_closed


@in_loop
async def test_what_fails_while_closing_ends_the_connection() -> None:
    peer = Peer(closing({"type": "websocket.close"}))
    await peer.ended()
    peer.take()
    peer.socket.feed(frame(TEXT, b"a", key=None))
    assert not peer.take()
    assert peer.transport.is_ended


# -- the worker leaves ----------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "payload"), [(1001, b"\x03\xe9"), (1012, b"\x03\xf4")])
@in_loop
async def test_an_open_socket_is_told_at_once(code: int, payload: bytes) -> None:
    app = Recorder()
    peer = await Peer(app).accepted()
    app.goes_on.clear()
    peer.socket.feed(frame(TEXT, b"first") + frame(TEXT, b"second"))
    await settle()
    peer.socket.shut_down(code)
    peer.socket.shut_down(code)
    assert peer.take_frames() == [(0x88, payload)]
    app.goes_on.set()
    await peer.ended()
    assert app.messages == ["first", "second"]
    assert app.events[-1] == {"type": DISCONNECT, "code": code, "reason": ""}
    peer.socket.feed(close_frame(code))
    assert peer.transport.is_closed
    assert not peer.log.errors


@in_loop
async def test_send_raises_once_the_worker_leaves() -> None:
    errors: list[type] = []
    go_on = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await go_on.wait()
        try:
            await send({"type": "websocket.send", "text": "a"})
        except Exception as error:
            errors.append(type(error))

    peer = await Peer(app).accepted()
    peer.socket.shut_down(1001)
    go_on.set()
    await peer.ended()
    assert errors == [ClientDisconnected]


@in_loop
async def test_who_is_not_accepted_yet_gets_a_503() -> None:
    events: list[Event] = []
    go_on = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await go_on.wait()
        events.append(await receive())
        await send({"type": "websocket.accept"})

    peer = Peer(app)
    await settle()
    peer.socket.shut_down(1012)
    assert peer.take() == b"HTTP/1.1 503\r\n\r\n"
    go_on.set()
    await peer.ended()
    assert events == [{"type": DISCONNECT, "code": 1012, "reason": ""}]
    assert not peer.take()
    assert not peer.log.errors


@in_loop
async def test_a_denial_that_is_under_way_is_finished() -> None:
    go_on = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 401})
        await go_on.wait()
        await send({"type": "websocket.http.response.body", "body": b"no"})

    peer = Peer(app)
    await settle()
    peer.socket.shut_down(1001)
    go_on.set()
    await peer.ended()
    assert peer.take() == b"HTTP/1.1 401\r\n\r\nno"


@in_loop
async def test_who_has_closed_already_is_not_told_again() -> None:
    peer = await Peer(echo).accepted()
    peer.socket.feed(close_frame(1000))
    peer.take()
    peer.socket.shut_down(1001)
    assert not peer.take()


@pytest.mark.parametrize("raises", [True, False])
@in_loop
async def test_whose_call_is_cancelled_then_is_told_why(raises: bool) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            await receive()
        except asyncio.CancelledError:
            if raises:
                raise

    peer = await Peer(app).accepted()
    await be_cancelled(peer, 1001)
    assert peer.take_frames() == [(0x88, b"\x03\xe9")]
    assert not peer.log.errors


@in_loop
async def test_a_fault_in_a_call_that_is_cancelled_then_is_one() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            await receive()
        finally:
            raise ValueError

    peer = await Peer(app).accepted()
    await be_cancelled(peer, 1001)
    assert peer.take_frames() == [(0x88, b"\x03\xf3")]
    assert len(peer.log.errors) == 1


@pytest.mark.parametrize(
    ("parts", "sent"),
    [([], b"HTTP/1.1 503\r\n\r\n"), ([b"half"], b"HTTP/1.1 401\r\n\r\nhalf")],
    ids=["nothing", "half"],
)
@in_loop
async def test_a_handshake_whose_call_is_cancelled_then(parts: list[bytes], sent: bytes) -> None:
    kind = "websocket.http.response"

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        for part in parts:
            await send({"type": f"{kind}.start", "status": 401})
            await send({"type": f"{kind}.body", "body": part, "more_body": True})
        await receive()
        await receive()

    peer = Peer(app)
    await settle()
    await be_cancelled(peer, 1001)
    assert peer.take() == sent
    assert peer.transport.is_closed == bool(parts)
    assert peer.transport.is_ended != bool(parts)
    assert not peer.log.errors


async def be_cancelled(peer: Peer, leaving: int) -> None:
    """Have its call cancelled because the worker ends."""
    peer.watcher.leaving = leaving
    assert peer.socket.task is not None
    peer.socket.task.cancel()
    await peer.ended()


# -- 5.5.2 and 5.5.3: ping and pong ---------------------------------------------------------------


@pytest.mark.parametrize(
    "payload", [b"", b"Hello", bytes(range(125))], ids=["empty", "text", "long"]
)
@in_loop
async def test_a_ping_is_answered(payload: bytes) -> None:
    peer = await Peer(echo).accepted()
    peer.socket.feed(frame(PING, payload))
    assert peer.take_frames() == [(0x8A, payload)]


@in_loop
async def test_a_ping_between_fragments_is_answered_at_once() -> None:
    peer = await Peer(echo).accepted()
    peer.socket.feed(frame(TEXT, b"a", fin=False) + frame(PING, b"p"))
    assert peer.take_frames() == [(0x8A, b"p")]
    peer.socket.feed(frame(CONTINUATION, b"b"))
    await settle()
    assert peer.take_frames() == [(0x81, b"ab")]


@in_loop
async def test_a_pong_that_nobody_asked_for_is_no_matter() -> None:
    peer = await Peer(echo).accepted()
    peer.socket.feed(frame(PONG, b"heartbeat"))
    await settle()
    assert not peer.take()


@in_loop
async def test_only_the_latest_ping_is_answered_of_those_that_pile_up() -> None:
    # 5.5.3: "MAY elect to send a Pong frame for only the most recently processed Ping"
    peer = await Peer(echo).accepted()
    peer.socket.pause_writing()
    for number in range(1000):
        peer.socket.feed(frame(PING, b"%d" % number))
    assert not peer.take()
    peer.socket.resume_writing()
    assert peer.take_frames() == [(0x8A, b"999")]
    peer.socket.pause_writing()
    peer.socket.resume_writing()
    assert not peer.take()


# -- pings of the server --------------------------------------------------------------------------


@in_loop
async def test_pings_go_out_at_intervals_while_they_are_answered() -> None:
    peer = await Peer(echo, WebSocketSettings(ping_interval=20, ping_timeout=10)).accepted()
    began = now()
    sent = []
    for second in range(100):
        peer.socket.tick(began + second)
        if peer.take_frames() == [(0x89, b"")]:
            sent.append(second)
            peer.socket.feed(frame(PONG))
    assert sent == pytest.approx([20, 41, 62, 83], abs=4)
    assert not peer.transport.is_closing()


@in_loop
async def test_a_client_that_gives_no_sign_of_life_is_given_up() -> None:
    app = Recorder()
    peer = await Peer(app, WebSocketSettings(ping_interval=20, ping_timeout=10)).accepted()
    began = now()
    for second in range(32):
        assert peer.socket.task is not None
        peer.socket.tick(began + second)
    assert peer.take_frames() == [(0x89, b""), (0x88, b"\x03\xf3ping timeout")]
    await peer.ended()
    assert app.events[-1] == {"type": DISCONNECT, "code": 1006, "reason": "ping timeout"}
    peer.socket.tick(began + 40)
    assert peer.transport.is_aborted


@pytest.mark.parametrize(
    "data", [frame(PONG), frame(TEXT, b"a"), frame(BINARY, bytes(9000))[:50]], ids=len
)
@in_loop
async def test_whatever_comes_is_a_sign_of_life(data: bytes) -> None:
    peer = await Peer(echo, WebSocketSettings(ping_interval=5, ping_timeout=5)).accepted()
    began = now()
    peer.socket.tick(began + 6)
    peer.socket.feed(data)
    peer.socket.tick(began + 12)
    await settle()
    assert peer.take_frames()[-1] != (0x88, b"\x03\xf3ping timeout")
    assert not peer.transport.is_ended


@in_loop
async def test_a_late_look_waits_for_what_may_have_come_meanwhile() -> None:
    peer = await Peer(echo, WebSocketSettings(ping_interval=5, ping_timeout=5)).accepted()
    began = now()
    peer.socket.tick(began + 6)
    peer.take()
    peer.socket.tick(began + 60)  # the application has blocked the loop
    assert not peer.take()
    peer.socket.feed(frame(PONG))
    peer.socket.tick(began + 63)
    assert peer.take_frames() == [(0x89, b"")]
    peer.socket.tick(began + 120)
    peer.socket.tick(began + 123)
    assert peer.transport.is_ended


@in_loop
async def test_a_client_is_not_given_up_for_what_the_application_does_not_read() -> None:
    app = Recorder()
    peer = await Peer(app, WebSocketSettings(ping_interval=5, ping_timeout=5)).accepted()
    app.goes_on.clear()
    peer.socket.feed(frame(TEXT, b"a") * 200)
    began = now()
    for second in range(60):
        peer.socket.tick(began + second)
    assert set(peer.take_frames()) == {(0x89, b"")}
    assert not peer.transport.is_ended


@pytest.mark.parametrize(
    ("interval", "timeout", "pings"),
    [(0, 20, 0), (0, 0, 0), (10, 0, 5)],
    ids=["no-pings", "neither", "no-timeout"],
)
@in_loop
async def test_pings_and_their_timeout_can_be_off(
    interval: float, timeout: float, pings: int
) -> None:
    settings = WebSocketSettings(ping_interval=interval, ping_timeout=timeout)
    peer = await Peer(echo, settings).accepted()
    began = now()
    for second in range(60):
        peer.socket.tick(began + second)
    assert peer.take_frames() == [(0x89, b"")] * pings
    assert not peer.transport.is_ended


# -- back-pressure --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "most"), [(1, 32), (1000, 32), (10_000, 7), (100_000, 1)], ids="{}-octets".format
)
@in_loop
async def test_an_application_that_does_not_read_is_sent_no_more(size: int, most: int) -> None:
    app = Recorder()
    peer = await Peer(app).accepted()
    app.goes_on.clear()
    peer.socket.feed(frame(TEXT, b"read"))
    await settle()
    count = 0
    while peer.transport.reads:
        peer.socket.feed(frame(BINARY, bytes(size)))
        count += 1
    assert count == most
    app.goes_on.set()
    await settle()
    assert peer.transport.reads
    assert len(app.messages) == count + 1


@in_loop
async def test_what_comes_at_once_is_looked_at_bit_by_bit() -> None:
    app = Recorder()
    peer = await Peer(app).accepted()
    app.goes_on.clear()
    texts = [str(number) for number in range(1000)]
    data = b"".join(frame(TEXT, text.encode()) for text in texts)
    peer.socket.feed(data[:5000])
    assert not peer.transport.reads
    peer.socket.feed(data[5000:])  # of a transport that had it already
    peer.socket.feed(frame(PING, b"behind it"))
    assert not peer.take()
    app.goes_on.set()
    while len(app.messages) < 1000:
        await asyncio.sleep(0)
    assert app.messages == texts
    assert peer.transport.reads
    assert peer.take_frames() == [(0x8A, b"behind it")]


@pytest.mark.parametrize("is_closed", [True, False], ids=["close", "no-close"])
@in_loop
async def test_what_came_before_the_end_is_still_received(is_closed: bool) -> None:
    app = Recorder()
    peer = await Peer(app).accepted()
    app.goes_on.clear()
    peer.socket.feed(frame(TEXT, b"a") * 200 + (close_frame(4000, b"bye") if is_closed else b""))
    peer.socket.eof()
    peer.socket.connection_lost(None)
    app.goes_on.set()
    await peer.ended()
    assert app.messages == ["a"] * 200
    end = (4000, "bye") if is_closed else (1006, "")
    assert (app.events[-1]["code"], app.events[-1]["reason"]) == end
    assert not peer.take()


@in_loop
async def test_a_client_that_does_not_take_what_is_sent_has_send_wait() -> None:
    sent: list[int] = []
    go_on = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await go_on.wait()
        for number in range(3):
            await send({"type": "websocket.send", "text": str(number)})
            sent.append(number)

    peer = await Peer(app).accepted()
    peer.socket.pause_writing()
    go_on.set()
    await settle()
    assert not sent
    peer.socket.resume_writing()
    await peer.ended()
    assert sent == [0, 1, 2]


def sending_together(count: int, go_on: asyncio.Event, sent: list[object]) -> Recorder:
    """Return an application of which several tasks send at a time."""

    class App(Recorder):
        async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await go_on.wait()
            self.tasks = [
                asyncio.ensure_future(send({"type": "websocket.send", "text": str(number)}))
                for number in range(count)
            ]
            sent.extend(await asyncio.gather(*self.tasks, return_exceptions=True))

    return App()


@in_loop
async def test_one_that_is_cancelled_in_send_leaves_the_others_waiting() -> None:
    go_on, sent = asyncio.Event(), list[object]()
    app = sending_together(3, go_on, sent)
    peer = await Peer(app).accepted()
    peer.socket.pause_writing()
    go_on.set()
    await settle()
    app.tasks[1].cancel()  # type: ignore[attr-defined]
    await settle()
    assert not sent
    peer.socket.resume_writing()
    await peer.ended()
    assert peer.take_frames() == [(0x81, b"0"), (0x81, b"2"), (0x88, b"\x03\xe8")]


@in_loop
async def test_those_that_wait_in_send_go_one_by_one_where_the_client_takes_little() -> None:
    go_on, sent = asyncio.Event(), list[object]()
    peer = await Peer(sending_together(3, go_on, sent)).accepted()
    write = peer.transport.write

    def write_and_choke(data: bytes) -> None:
        write(data)
        peer.socket.pause_writing()

    peer.transport.write = write_and_choke  # type: ignore[assignment,method-assign]
    peer.socket.pause_writing()
    go_on.set()
    await settle()
    for number in range(3):
        peer.socket.resume_writing()
        await settle()
        assert peer.take_frames()[0] == (0x81, b"%d" % number)


@pytest.mark.parametrize("how", ["lost", "close", "fail", "shut-down"])
@in_loop
async def test_those_that_wait_in_send_hear_of_the_end(how: str) -> None:
    go_on, sent = asyncio.Event(), list[object]()
    peer = await Peer(sending_together(3, go_on, sent)).accepted()
    peer.socket.pause_writing()
    go_on.set()
    await settle()
    if how == "lost":
        peer.socket.connection_lost(None)
    elif how == "shut-down":
        peer.socket.shut_down(1001)
    else:
        peer.socket.feed(close_frame() if how == "close" else frame(3))
    await peer.ended()
    assert [type(error) for error in sent] == [ClientDisconnected] * 3
