"""An ASGI application without a framework: each path shows one behaviour."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.asgi.types import Event, Receive, Scope, Send

PIECE = 1 << 16

RELEASED = asyncio.Event()
SEEN: Counter[str] = Counter()  # how calls have heard that their clients have gone


def say(text: str) -> None:
    """Tell the test something by the server's standard error, in a line that nobody tears."""
    os.write(2, f"{text}\n".encode())


def now() -> str:
    """Return the process and the time, for whoever wants to know when he was told something."""
    return f"by {os.getpid()} at {time.monotonic():.6f}"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``/NAME/ARGUMENT`` by the function of that name."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["type"] == "websocket":
        await websocket(receive, send)
        return
    _, name, *rest = scope["path"].split("/", 2)
    await ROUTES[name](scope, receive, send, rest[0] if rest else "")


async def lifespan(receive: Receive, send: Send) -> None:
    """Say that the worker starts and ends."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    say("lifespan has ended")
    await send({"type": "lifespan.shutdown.complete"})


async def websocket(receive: Receive, send: Send) -> None:
    """Send back what comes, and say how it ended."""
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            SEEN[event["type"]] += 1
            say(f"websocket ended by {event['code']}, {now()}")
            return
        await send({**event, "type": "websocket.send"})


async def answer(send: Send, body: bytes, status: int = 200) -> None:
    """Send a whole response."""
    await begin(send, status, [(b"content-length", b"%d" % len(body))])
    await send({"type": "http.response.body", "body": body})


async def begin(send: Send, status: int = 200, headers: Any = ()) -> None:
    """Begin a response."""
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def content(receive: Receive) -> tuple[bytes, Event]:
    """Read all content; returns it with the last event."""
    parts = []
    while True:
        event = await receive()
        parts.append(event.get("body", b""))
        if not event.get("more_body"):
            return b"".join(parts), event


async def pid(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Name the worker."""
    await answer(send, b"%d" % os.getpid())


async def echo(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Send the content back."""
    body, _event = await content(receive)
    await answer(send, body)


async def upload(scope: Scope, receive: Receive, send: Send, pause: str) -> None:
    """Answer the size and the hash of the content, which is read after ``release`` was asked."""
    if pause == "held":
        await RELEASED.wait()
    found = hashlib.sha256()
    size = 0
    while True:
        event = await receive()
        found.update(event["body"])
        size += len(event["body"])
        if not event["more_body"]:
            break
    await answer(send, b"%d %s" % (size, found.hexdigest().encode()))


async def release(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Have held uploads go on."""
    RELEASED.set()
    await answer(send, b"released")


async def nap(scope: Scope, receive: Receive, send: Send, seconds: str) -> None:
    """Answer late."""
    await asyncio.sleep(float(seconds))
    await answer(send, b"slept")


async def limited(scope: Scope, receive: Receive, send: Send, how: str) -> None:
    """Choose a time limit, on a thread too, and answer late: ``LIMIT/SECONDS``."""
    limit, _, seconds = how.partition("/")
    set_timeout = scope["extensions"]["monoceros.set_timeout"]
    for wrong in (-1, float("inf"), "x"):
        try:
            set_timeout(wrong)
        except ValueError:
            continue
        raise AssertionError(wrong)
    set_timeout(0)
    await asyncio.get_running_loop().run_in_executor(None, set_timeout, float(limit))
    await nap(scope, receive, send, seconds)


async def block(scope: Scope, receive: Receive, send: Send, seconds: str) -> None:
    """Stop the whole loop."""
    say("blocks")
    time.sleep(float(seconds))
    await answer(send, b"blocked")


async def wait(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Say when the client has gone, and answer nothing."""
    say("waits")
    while (await receive())["type"] != "http.disconnect":
        pass
    say("is alone")


async def deaf(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Do not listen to anything, and say when that is ended."""
    say("waits")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        say("was cancelled")
        raise


async def begun(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Begin a response of which nothing can be sent yet, and do not listen to anything."""
    await begin(send, 200, [(b"content-length", b"9")])
    await deaf(scope, receive, send, "")


async def whole(scope: Scope, receive: Receive, send: Send, size: str) -> None:
    """Send so many octets in one piece."""
    await answer(send, b"x" * int(size))


async def early(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Answer before the content has come, and read on until that ends."""
    await answer(send, b"too large", 413)
    while (await receive()).get("more_body"):
        pass
    say("has read on")


async def impatient(scope: Scope, receive: Receive, send: Send, seconds: str) -> None:
    """Wait for content for a moment, and do something else then."""
    try:
        await asyncio.wait_for(receive(), 0.1)
    except asyncio.TimeoutError:
        await asyncio.sleep(float(seconds))
    await answer(send, b"impatient")


async def background(scope: Scope, receive: Receive, send: Send, seconds: str) -> None:
    """Go on with something after the response."""
    await asyncio.sleep(0.2)
    await answer(send, b"done")
    await asyncio.sleep(float(seconds))
    say("background is over")


async def behind(scope: Scope, receive: Receive, send: Send, seconds: str) -> None:
    """Go on with something as soon as the response is sent."""
    await answer(send, b"done")
    await asyncio.sleep(float(seconds))


async def limited_late(scope: Scope, receive: Receive, send: Send, seconds: str) -> None:
    """Set a limit after the response, when the next request is there."""
    await answer(send, b"done")
    await asyncio.sleep(0.3)
    scope["extensions"]["monoceros.set_timeout"](float(seconds))
    say("has set its limit")


async def tasks(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Send from several tasks at a time."""
    await begin(send)
    piece = {"type": "http.response.body", "body": b"x" * PIECE, "more_body": True}
    senders = []
    for _turn in range(10):
        senders.append(asyncio.ensure_future(send({**piece})))
        await asyncio.sleep(0)
    await asyncio.gather(*senders)
    await send({"type": "http.response.body", "body": b"end"})


async def events(scope: Scope, receive: Receive, send: Send, how: str) -> None:
    """Send events for ever; ``listens`` ends when it is told, ``deaf`` does not."""
    await begin(send, 200, [(b"content-type", b"text/event-stream")])
    await send({"type": "http.response.body", "body": b"data: 0\n\n", "more_body": True})
    if how == "listens":
        while (await receive())["type"] != "http.disconnect":
            pass
        say(f"told, {now()}")
        await send({"type": "http.response.body", "body": b"data: bye\n\n"})
        return
    try:
        await asyncio.sleep(3600)
    finally:
        say("ended")


async def stream(scope: Scope, receive: Receive, send: Send, size: str) -> None:
    """Send so many octets piece by piece."""
    await begin(send)
    left = int(size)
    while left > 0:
        piece = b"x" * min(PIECE, left)
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def path(scope: Scope, receive: Receive, send: Send, name: str) -> None:
    """Have the server send a file."""
    size = Path("/" + name).stat().st_size
    await begin(send, 200, [(b"content-length", b"%d" % size)])
    await send({"type": "http.response.pathsend", "path": "/" + name})


async def mirror(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Send back what comes as it comes."""
    await begin(send)
    while True:
        event = await receive()
        more = event["more_body"]
        await send({"type": "http.response.body", "body": event["body"], "more_body": more})
        if not more:
            return


def varied(seed: str) -> Iterator[bytes]:
    """Return pieces of all sizes that follow from a number, half a megabyte of them."""
    random = Random(int(seed))
    sizes = [*(1 << random.randrange(17) for _ in range(40)), 200_000]
    random.shuffle(sizes)
    return (random.randbytes(size) for size in sizes)


async def various(scope: Scope, receive: Receive, send: Send, seed: str) -> None:
    """Send ``varied`` pieces, now and then in different turns of the loop."""
    await begin(send)
    for number, piece in enumerate(varied(seed)):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        if number % 4 == 0:
            await asyncio.sleep(0)
    await send({"type": "http.response.body"})


async def flood(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Send as much as is taken, until nobody takes it any more."""
    await begin(send)
    try:
        while True:
            await send({"type": "http.response.body", "body": b"x" * PIECE, "more_body": True})
    except OSError:
        SEEN["send"] += 1


async def fork(scope: Scope, receive: Receive, send: Send, seconds: str) -> None:
    """Have a child that has all descriptors, and outlasts the request."""
    if not os.fork():
        time.sleep(float(seconds))
        os._exit(0)
    await answer(send, b"forked")


async def drip(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Send some octets now and then, until nobody takes them any more."""
    await begin(send)
    try:
        while True:
            await send({"type": "http.response.body", "body": b"x" * 100, "more_body": True})
            await asyncio.sleep(0.01)
    except OSError:
        SEEN["send"] += 1


async def linger(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Take what comes, and answer nothing."""
    while (await receive())["type"] != "http.disconnect":
        pass
    SEEN["http.disconnect"] += 1


async def addresses(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Tell both addresses of the connection."""
    told = {name: scope[name] for name in ("server", "client")}
    await answer(send, json.dumps(told).encode())


async def census(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Tell how many tasks there are, and how many calls have heard what."""
    told = {"tasks": len(asyncio.all_tasks()), **SEEN}
    await answer(send, json.dumps(told).encode())


async def trailers(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Send a trailer field."""
    await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
    await send({"type": "http.response.body", "body": b"abc"})
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})


async def hints(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Send an early hint."""
    await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
    await answer(send, b"hinted")


async def wrong(scope: Scope, receive: Receive, send: Send, how: str) -> None:
    """Break the protocol."""
    if how == "raises":
        raise ValueError("a fault of the application's")
    if how == "returns":
        return
    if how == "unknown":
        await send({"type": "http.response.unheard"})
    if how == "order":
        await send({"type": "http.response.body", "body": b""})
    if how == "field":
        await begin(send, 200, [(b"a b", b"")])
    if how == "text":
        await begin(send)
        await send({"type": "http.response.body", "body": "text"})
    if how == "short":
        await begin(send, 200, [(b"content-length", b"9")])
        await send({"type": "http.response.body", "body": b"abc"})
    if how == "late":
        await begin(send)
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        raise ValueError("too late for another answer")


ROUTES: dict[str, Any] = {
    route.__name__: route
    for route in (
        *(
            pid,
            echo,
            upload,
            release,
            nap,
            limited,
            block,
            wait,
            deaf,
            begun,
            background,
            events,
            stream,
            path,
        ),
        *(trailers, hints, wrong, whole, early, impatient, drip, linger, census, addresses),
        *(behind, limited_late, tasks, mirror, various, flood, fork),
    )
} | {"": pid}
