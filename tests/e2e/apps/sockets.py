"""An ASGI application of WebSockets: each path shows one behaviour."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from tests.e2e.apps.awaits import answer, lifespan, say

if TYPE_CHECKING:
    from monoceros.asgi.types import Event, Receive, Scope, Send

ACCEPT: Event = {"type": "websocket.accept", "headers": [(b"x-kind", b"socket")]}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve ``/NAME/ARGUMENT`` by the function of that name, and other requests with the pid."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "http":
        await answer(send, b"%d" % os.getpid())
    else:
        assert (await receive())["type"] == "websocket.connect"
        _, name, *rest = scope["path"].split("/", 2)
        await ROUTES[name](scope, receive, send, rest[0] if rest else "")


async def echo(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Send back what comes, and say how it ended."""
    await send(ACCEPT)
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})
    say(f"websocket ended by {event['code']}")


async def flood(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Send for as long as anybody takes it, and never wait for anything else."""
    await send(ACCEPT)
    while True:
        await send({"type": "websocket.send", "text": "x"})


async def nap(scope: Scope, receive: Receive, send: Send, seconds: str) -> None:
    """Close after a while."""
    await send(ACCEPT)
    await asyncio.sleep(float(seconds))
    await send({"type": "websocket.close"})


async def late(scope: Scope, receive: Receive, send: Send, seconds: str) -> None:
    """Accept after a while."""
    say("is asked")
    await asyncio.sleep(float(seconds))
    await send(ACCEPT)
    say(f"websocket ended by {(await receive())['code']}")


async def deaf(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Do not hear of the end."""
    await send(ACCEPT)
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        say("was cancelled")
        raise


async def push(scope: Scope, receive: Receive, send: Send, size: str) -> None:
    """Send on and on, and make of the client's absence what Starlette does."""
    await send(ACCEPT)
    text = "x" * int(size or 1)
    try:
        while True:
            await send({"type": "websocket.send", "text": text})
            await asyncio.sleep(0.01)
    except OSError:
        say("could not send")
        raise RuntimeError("disconnect")  # noqa: B904


async def field(scope: Scope, receive: Receive, send: Send, name: str) -> None:
    """Send the value of a field of the request, and close."""
    await send(ACCEPT)
    value = dict(scope["headers"])[name.encode()]
    await send({"type": "websocket.send", "text": value.decode()})


async def deny(scope: Scope, receive: Receive, send: Send, status: str) -> None:
    """Deny, with a response of its own where a status is given."""
    if not status:
        await send({"type": "websocket.close"})
        return
    kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": int(status), "headers": [(b"x-kind", b"no")]})
    await send({"type": f"{kind}.body", "body": b"denied"})


async def hang(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Wait for the end without an answer."""
    say("waits")
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def half(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Begin to deny, and never end."""
    kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": 403, "headers": [(b"content-length", b"9")]})
    await send({"type": f"{kind}.body", "body": b"half", "more_body": True})
    await asyncio.sleep(3600)


async def leave(scope: Scope, receive: Receive, send: Send, name: str) -> None:
    """Try to end the process."""
    await send(ACCEPT)
    await receive()
    raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}[name]("wants to go")


async def block(scope: Scope, receive: Receive, send: Send, seconds: str) -> None:
    """Stop the whole loop."""
    await send(ACCEPT)
    await receive()
    say("blocks")
    time.sleep(float(seconds))


async def early(scope: Scope, receive: Receive, send: Send, _: str) -> None:
    """Answer nothing."""


ROUTES: dict[str, Any] = {
    route.__name__: route
    for route in (echo, flood, nap, late, deaf, push, field, deny, hang, half, leave, block, early)
} | {"": echo}
