"""What becomes of a WebSocket's call once its client has gone, or takes nothing any more."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.asgi.errors import ClientDisconnected
from monoceros.asgi.websocket_support import WebSocketSettings
from tests.asgi.websocket_peer import (
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
    from collections.abc import Callable

    from monoceros.asgi.types import Event, Receive, Scope, Send

ACCEPT: Event = {"type": "websocket.accept"}
AT_ONCE = WebSocketSettings(disconnect_grace=0.0)
SLOW = WebSocketSettings(write_timeout=3.0)
SOON = WebSocketSettings(disconnect_grace=0.01)


class Deaf:
    """An application that waits for something else than its client, and keeps how that ended."""

    def __init__(self, *events: Event) -> None:
        self._events = events
        self.goes_on = asyncio.Event()
        self.ended: BaseException | None = None

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        for event in self._events:
            await send(event)
        try:
            await self.goes_on.wait()
        except asyncio.CancelledError as error:
            self.ended = error
            raise


# -- the call is cancelled -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "eof", "lost", "fault", "silence", "shut_down"])
@in_loop
async def test_a_call_that_does_not_listen_is_cancelled(how: str) -> None:
    app = Deaf(ACCEPT)
    peer = await Peer(app, SOON).accepted()
    peer.leave(how)
    await peer.ended()
    assert isinstance(app.ended, asyncio.CancelledError)
    assert not peer.log.errors


@in_loop
async def test_a_call_has_time_to_end_by_itself() -> None:
    app = Deaf(ACCEPT)
    peer = await Peer(app, WebSocketSettings(disconnect_grace=3600.0)).accepted()
    peer.socket.connection_lost(None)
    await pass_by(3)
    app.goes_on.set()
    await peer.ended()
    assert app.ended is None


@pytest.mark.parametrize(
    "events",
    [[], [{"type": "websocket.http.response.start", "status": 403}]],
    ids=["connecting", "denying"],
)
@in_loop
async def test_who_goes_before_there_is_an_answer_is_not_waited_for(events: list[Event]) -> None:
    app = Deaf(*events)
    peer = Peer(app, SOON)
    await settle()
    peer.socket.connection_lost(None)
    await peer.ended()
    assert app.ended is not None
    assert not peer.log.errors


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "websocket.close"}],
        [ACCEPT, {"type": "websocket.close"}],
        [
            {"type": "websocket.http.response.start", "status": 403},
            {"type": "websocket.http.response.body"},
        ],
    ],
    ids=["refused", "closed", "denied"],
)
@in_loop
async def test_what_goes_on_after_a_close_of_its_own_is_nothing_to_the_client(
    events: list[Event],
) -> None:
    app = Deaf(*events)
    peer = Peer(app, AT_ONCE)
    await settle()
    peer.socket.feed(close_frame(1000))
    peer.socket.connection_lost(None)
    await pass_by(3)
    assert app.ended is None
    app.goes_on.set()
    await peer.ended()


@in_loop
async def test_a_call_that_takes_what_has_come_is_not_cancelled() -> None:
    """It has not been told of the end as long as there are messages before that."""
    taken: list[str] = []
    goes_on = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await goes_on.wait()
        while (event := await receive())["type"] == "websocket.receive":
            taken.append(event["text"])
            await asyncio.sleep(0)  # a turn of the loop, as the timer takes

    peer = await Peer(app, AT_ONCE).accepted()
    peer.socket.feed(b"".join(frame(TEXT, b"%d" % number) for number in range(20)))
    goes_on.set()
    peer.socket.feed(close_frame(1000))
    await peer.ended()
    assert taken == [str(number) for number in range(20)]


@in_loop
async def test_a_call_that_leaves_what_has_come_is_cancelled() -> None:
    app = Deaf(ACCEPT)
    peer = await Peer(app, SOON).accepted()
    peer.socket.feed(frame(TEXT, b"a") * 3 + close_frame(1000))
    await peer.ended()
    assert app.ended is not None


@in_loop
async def test_who_ends_the_worker_cancels_calls_himself() -> None:
    """A second time would cut what a call does about the first."""
    app = Deaf(ACCEPT)
    peer = await Peer(app, AT_ONCE).accepted()
    peer.socket.shut_down(1001)
    peer.watcher.leaving = 1001
    await pass_by(3)
    assert app.ended is None
    app.goes_on.set()
    await peer.ended()


@in_loop
async def test_nothing_of_a_call_that_has_ended_is_kept_for_so_long() -> None:
    gc.collect()
    gc.disable()
    try:
        peer = await Peer(echo, WebSocketSettings(disconnect_grace=3600.0)).accepted()
        peer.socket.feed(close_frame(1000))
        await peer.ended()
        peer.socket.connection_lost(None)
        watched: list[weakref.ref[Any]] = [
            weakref.ref(peer.socket),
            weakref.ref(peer.transport),
        ]
        del peer
        await settle()
        assert [ref() for ref in watched] == [None, None]
    finally:
        gc.enable()


# -- the client takes nothing ----------------------------------------------------------------------

DENY: Event = {"type": "websocket.http.response.start", "status": 403}
HALF: Event = {"type": "websocket.http.response.body", "body": b"half", "more_body": True}


class Clock:
    """Ticks of a worker, each a second after the last one."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._now = asyncio.get_running_loop().time()

    def tick(self, seconds: int = 1) -> int:
        """Tick so often, or until the client is given up; returns how often."""
        for count in range(seconds):
            if self._peer.transport.is_aborted:
                return count
            self._now += 1
            self._peer.socket.feed(frame(PONG))  # it gives signs of life
            self._peer.socket.tick(self._now)
        return seconds

    def stand_still(self, seconds: float) -> None:
        """Have no ticks for so long."""
        self._now += seconds


@pytest.mark.parametrize("events", [[ACCEPT], [DENY, HALF], [ACCEPT, {"type": "websocket.close"}]])
@in_loop
async def test_a_client_that_takes_nothing_is_cut(events: list[Event]) -> None:
    app = Deaf(*events)
    peer = Peer(app, SLOW)
    await settle()
    peer.transport.waiting = 1
    assert Clock(peer).tick(60) == 4, "the first tick sees it"
    peer.socket.connection_lost(None)
    app.goes_on.set()
    await peer.ended()
    assert not peer.log.errors


@in_loop
async def test_the_application_hears_that_nothing_is_taken() -> None:
    app = Recorder()
    peer = await Peer(app, SLOW).accepted()
    peer.transport.waiting = 1
    Clock(peer).tick(60)
    await peer.ended()
    assert app.events[-1] == {
        "type": "websocket.disconnect",
        "code": 1006,
        "reason": "write timeout",
    }
    assert peer.watcher.told == ["begun", "closed", "ended"]


@in_loop
async def test_an_application_that_waits_for_room_goes_on() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        while True:
            await send({"type": "websocket.send", "text": "a"})
            await asyncio.sleep(0)

    peer = await Peer(app, SLOW).accepted()
    peer.transport.waiting = 1
    peer.socket.pause_writing()
    Clock(peer).tick(60)
    await peer.ended()
    assert not peer.log.errors


@in_loop
async def test_a_client_that_takes_a_little_is_not_cut() -> None:
    peer = await Peer(Deaf(ACCEPT), SLOW).accepted()
    clock = Clock(peer)
    peer.transport.waiting = 1000
    for _ in range(10):
        assert clock.tick(3) == 3
        peer.transport.taken += 1
    assert clock.tick(60) == 4


@in_loop
async def test_only_time_in_which_something_waits_counts() -> None:
    peer = await Peer(Deaf(ACCEPT), SLOW).accepted()
    clock = Clock(peer)
    for _ in range(10):
        peer.transport.waiting = 1
        assert clock.tick(3) == 3
        peer.transport.waiting = 0
        assert clock.tick() == 1
    peer.transport.waiting = 1
    assert clock.tick(60) == 4


@in_loop
async def test_a_loop_that_stands_still_is_not_the_clients_fault() -> None:
    peer = await Peer(Deaf(ACCEPT), SLOW).accepted()
    clock = Clock(peer)
    peer.transport.waiting = 1
    assert clock.tick() == 1
    clock.stand_still(60)
    assert clock.tick() == 1
    peer.transport.taken += 1  # which is seen only now
    assert clock.tick(60) == 4


@in_loop
async def test_a_client_may_take_for_ever() -> None:
    peer = await Peer(Deaf(ACCEPT), WebSocketSettings(write_timeout=0.0)).accepted()
    peer.transport.waiting = 1
    assert Clock(peer).tick(1000) == 1000


# -- what it raises --------------------------------------------------------------------------------


class Unlike(Exception):
    """What a framework makes of errors that are not its own."""

    exceptions: tuple[BaseException, ...] = ()  # as a group of them has


def pass_on(error: OSError) -> None:
    raise error


def chain(error: OSError) -> None:
    raise Unlike from error


def replace(_error: OSError) -> None:
    raise Unlike


def group(error: OSError) -> None:
    both = Unlike()
    both.exceptions = (error, error)
    raise both


@pytest.mark.parametrize("how", ["close", "lost", "shut_down"])
@pytest.mark.parametrize("turn", [pass_on, chain, replace, group])
@in_loop
async def test_what_comes_of_absence_is_not_logged(
    turn: Callable[[OSError], None], how: str
) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        try:
            while True:
                await send({"type": "websocket.send", "text": "a"})
                await asyncio.sleep(0)
        except OSError as error:
            turn(error)  # a context for what it raises, as ``except`` is here

    peer = await Peer(app).accepted()
    peer.leave(how)
    await peer.ended()
    assert not peer.log.errors


@in_loop
async def test_what_the_application_gets_wrong_meanwhile_is_logged() -> None:
    fault = ValueError("a")

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        with contextlib.suppress(OSError):
            while True:
                await send({"type": "websocket.send", "text": "a"})
                await asyncio.sleep(0)
        raise fault

    peer = await Peer(app).accepted()
    peer.socket.connection_lost(None)
    await peer.ended()
    assert peer.log.errors == [("Error handling WebSocket GET /chat", fault)]


@in_loop
async def test_an_absence_that_is_none_is_logged() -> None:
    """The error of another connection, which a proxy may pass on."""
    fault = ClientDisconnected("another one has gone")

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        raise fault

    peer = Peer(app)
    await peer.ended()
    assert peer.log.errors == [("Error handling WebSocket GET /chat", fault)]


async def pass_by(timers: int) -> None:
    """Wait until the loop has called so many timers that were due at once, one after another."""
    loop = asyncio.get_running_loop()
    for _ in range(timers):
        called = asyncio.Event()
        loop.call_later(0, called.set)
        await called.wait()
        await settle()
