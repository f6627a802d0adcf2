"""One WebSocket does not keep the loop to itself, though it never has to wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.asgi.websocket_peer import TEXT, Peer, frame, in_loop, settle

if TYPE_CHECKING:
    from monoceros.asgi.types import Event, Receive, Scope, Send

SEND = "websocket.send"
PART: Event = {"type": "websocket.http.response.body", "body": b"x", "more_body": True}


class Rival:
    """Counts how often somebody else had a turn of the loop."""

    def __init__(self) -> None:
        self.turns = 0
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)

    def stop(self) -> int:
        """End it, and return its turns."""
        self._task.cancel()
        return self.turns


def sender(count: int, event: Event, first: Event, turns: list[int]) -> Any:
    """Return an application that sends an event so often after another, and counts the turns."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(first)
        rival = Rival()
        for _ in range(count):
            await send(event)
        turns.append(rival.stop())

    return app


ACCEPT: Event = {"type": "websocket.accept"}
DENY: Event = {"type": "websocket.http.response.start", "status": 403}


@pytest.mark.parametrize(
    ("count", "event", "first", "expected"),
    [
        (10_000, {"type": SEND, "text": "x"}, ACCEPT, 100),
        (10_000, {"type": SEND, "bytes": b"x" * 200}, ACCEPT, 100),
        (50, {"type": SEND, "text": "x" * (1 << 16)}, ACCEPT, 49),
        (9, {"type": SEND, "bytes": b"x" * (1 << 20)}, ACCEPT, 8),
        (10_000, PART, DENY, 100),
    ],
    ids=["short", "medium", "long", "huge", "denial"],
)
@in_loop
async def test_who_sends_without_end_lets_others_go_on(
    count: int, event: Event, first: Event, expected: int
) -> None:
    turns: list[int] = []
    await Peer(sender(count, event, first, turns)).ended()
    assert expected <= turns[0] < count


@in_loop
async def test_who_sends_little_is_not_interrupted() -> None:
    turns: list[int] = []
    await Peer(sender(50, {"type": SEND, "text": "x" * 100}, ACCEPT, turns)).ended()
    assert turns == [0]


@in_loop
async def test_who_does_not_want_to_hear_of_the_end_lets_others_go_on() -> None:
    turns: list[int] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.close"})
        rival = Rival()
        for _ in range(1000):
            with pytest.raises(RuntimeError):
                await send({"type": SEND, "text": "x"})
        turns.append(rival.stop())

    await Peer(app).ended()
    assert turns[0] >= 10


@in_loop
async def test_who_finds_messages_without_end_lets_others_go_on() -> None:
    turns: list[int] = []
    texts: list[str] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await asyncio.sleep(0)
        rival = Rival()
        while (event := await receive())["text"] != "end":
            texts.append(event["text"])
        turns.append(rival.stop())

    peer = await Peer(app).accepted()
    peer.socket.feed(b"".join(frame(TEXT, b"%d" % number) for number in range(10_000)))
    peer.socket.feed(frame(TEXT, b"end"))
    await peer.ended()
    assert texts == [str(number) for number in range(10_000)]
    assert turns[0] >= 100


@in_loop
async def test_one_that_is_cancelled_at_the_end_of_its_turn_loses_nothing() -> None:
    texts: list[str] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await asyncio.sleep(0)
        while texts[-1:] != ["end"]:
            task = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                texts.append(task.result()["text"])

    peer = await Peer(app).accepted()
    peer.socket.feed(b"".join(frame(TEXT, b"%d" % number) for number in range(1000)))
    peer.socket.feed(frame(TEXT, b"end"))
    await peer.ended()
    assert texts == [*(str(number) for number in range(1000)), "end"]


@in_loop
async def test_whoever_waits_for_the_client_begins_a_new_turn_with_it() -> None:
    sent: list[int] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        for number in range(1000):
            await send({"type": SEND, "text": "x"})
            sent.append(number)
            if number == 200:
                peer.socket.pause_writing()

    peer = Peer(app)
    await settle()
    assert sent[-1] == 200
    peer.socket.resume_writing()
    await peer.ended()
    assert len(sent) == 1000
