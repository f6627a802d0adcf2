"""An ASGI application whose parts take their time to end, and say so.

In the environment are the seconds that the lifespan takes: ``START_S``, ``CLEAN_S`` where its start
is given up, and ``STOP_S``. ``HANDLES`` are signals that it has handlers for; ``BLOCKS`` has its
end stop the whole loop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from tests.e2e.apps.awaits import answer, begin, nap, say

if TYPE_CHECKING:
    from monoceros.asgi.types import Receive, Scope, Send

CLOSED = asyncio.Event()  # what the lifespan has opened is so no more
HEARD: list[str] = []


def seconds(name: str) -> float:
    """Return what the environment says, or nothing."""
    return float(os.environ.get(name, "0"))


async def take(what: str, needed_s: float) -> None:
    """Take some time to end something, and say whether that was given."""
    try:
        await asyncio.sleep(needed_s)
    except asyncio.CancelledError:
        say(f"{what}: cut")
        raise
    say(f"{what}: {'too late' if CLOSED.is_set() else 'well'}")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``/NAME/ARGUMENT`` by the function of that name."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    _, name, *rest = scope["path"].split("/", 2)
    await ROUTES[name](scope, receive, send, rest[0] if rest else "")


async def lifespan(receive: Receive, send: Send) -> None:
    """Start, and stop."""
    loop = asyncio.get_running_loop()
    if "HANDLES" in os.environ:
        for name in os.environ["HANDLES"].split(","):
            loop.add_signal_handler(signal.Signals[name], HEARD.append, name)
    await receive()
    await connect_to_database()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    say("lifespan ends")
    if "BLOCKS" in os.environ:
        say("blocks")
        time.sleep(60)
    await take("lifespan", seconds("STOP_S"))
    CLOSED.set()
    await send({"type": "lifespan.shutdown.complete"})


async def connect_to_database() -> None:
    """Wait, as a start may."""
    try:
        say("starts")
        await asyncio.sleep(seconds("START_S"))
    except asyncio.CancelledError:
        await take("start", seconds("CLEAN_S"))
        raise


async def pid(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Name the worker."""
    await answer(send, b"%d" % os.getpid())


async def heard(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Name the signals that have come to handlers of the application's."""
    await answer(send, ",".join(HEARD).encode())


async def forget(scope: Scope, receive: Receive, send: Send, name: str) -> None:
    """Take a handler away."""
    asyncio.get_running_loop().remove_signal_handler(signal.Signals[name])
    await answer(send, b"gone")


async def hold(scope: Scope, receive: Receive, send: Send, needed_s: str) -> None:
    """Hold something for ever, and take so long to release it."""
    try:
        say("holds")
        await asyncio.sleep(3600)
    finally:
        await take("release", float(needed_s))


async def compute(scope: Scope, receive: Receive, send: Send, needed_s: str) -> None:
    """Stop the whole loop, and take so long to release something."""
    try:
        say("computes")
        time.sleep(60)
    finally:
        await take("release", float(needed_s))


async def lose(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Take whatever is raised for something of its own."""
    try:
        say("computes")
        time.sleep(60)
    except BaseException:
        say("has caught it")
    await asyncio.sleep(3600)


async def events(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Send events until it is told to end."""
    await begin(send, 200, [(b"content-type", b"text/event-stream")])
    await send({"type": "http.response.body", "body": b"data: 0\n\n", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass
    await send({"type": "http.response.body", "body": b"data: bye\n\n"})


async def listens(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Be a WebSocket that says how it ends."""
    await receive()
    await send({"type": "websocket.accept"})
    say(f"websocket ended by {(await receive())['code']}")


async def deaf(scope: Scope, receive: Receive, send: Send, needed_s: str) -> None:
    """Be a WebSocket that hears of nothing, and takes so long to end."""
    await receive()
    await send({"type": "websocket.accept"})
    await hold(scope, receive, send, needed_s)


ROUTES: dict[str, Any] = {
    route.__name__: route
    for route in (pid, nap, heard, forget, hold, compute, lose, events, listens, deaf)
} | {"": pid}
