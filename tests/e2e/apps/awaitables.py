"""An ASGI application whose calls are awaitables of several kinds, and end in several ways."""

from __future__ import annotations

import asyncio
import types
from typing import TYPE_CHECKING, Any

from tests.e2e.apps.awaits import answer, say

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from monoceros.asgi.types import Receive, Scope, Send


class Call:
    """Awaitable without being a coroutine."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def __await__(self) -> Generator[Any, None, None]:
        """Answer after a turn of the loop."""
        yield from asyncio.sleep(0).__await__()
        yield from answer(self._send, b"awaited").__await__()


async def leave(kind: type[BaseException]) -> None:
    """Raise what ends a process elsewhere."""
    raise kind("an application's own")


async def broken(send: Send) -> None:
    """Fail in the midst of a response."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"abc", "more_body": True})
    raise ValueError("too late for another answer")


async def wait(send: Send) -> None:
    """Answer once another request has come."""
    say("waits")
    await asyncio.wait_for(go_on.wait(), 30)
    await answer(send, b"went on")


async def free(send: Send) -> None:
    """Let those go on who wait."""
    go_on.set()
    await answer(send, b"freed")


async def trailers(send: Send, status: int) -> None:
    """Send trailers, twice, whatever the request and the status are."""
    await send({"type": "http.response.start", "status": status, "trailers": True})
    await send({"type": "http.response.body", "body": b"" if status == 204 else b"abc"})
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}
    await send({**trailers, "more_trailers": True})
    await send(trailers)
    try:
        await send(trailers)
    except RuntimeError as error:
        say(f"then {error}")


@types.coroutine
def by_generator(send: Send) -> Generator[Any, None, None]:
    """Answer from a coroutine of the old kind."""
    yield from answer(send, b"generated").__await__()


go_on = asyncio.Event()


def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    """Return what is to be awaited."""
    if scope["type"] != "http":
        raise TypeError("no such scope")
    calls: dict[str, Any] = {
        "/object": lambda: Call(send),
        "/generator": lambda: by_generator(send),
        "/nothing": lambda: None,
        "/exit": lambda: leave(SystemExit),
        "/interrupt": lambda: leave(KeyboardInterrupt),
        "/cancel": lambda: leave(asyncio.CancelledError),
        "/broken": lambda: broken(send),
        "/wait": lambda: wait(send),
        "/free": lambda: free(send),
        "/trailers": lambda: trailers(send, 200),
        "/trailers/204": lambda: trailers(send, 204),
    }
    return calls[scope["path"]]()  # type: ignore[no-any-return]
