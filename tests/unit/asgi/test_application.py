"""Applications of both versions of ASGI become one callable of three arguments."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.asgi.application import adapt
from monoceros.wsgi.broken import BrokenApplication

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monoceros.asgi.types import Event, Receive, Scope, Send


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    event = await receive()
    await send({"type": "answer", "scope": scope["type"], "event": event["type"]})


class Instance:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)


class Late:
    """An instance is what is awaited."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._made = answer(scope, receive, send)

    def __await__(self) -> Any:
        return self._made.__await__()


class Double:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(self, receive: Receive, send: Send) -> None:
        await answer(self._scope, receive, send)


class DoubleInstance:
    def __call__(self, scope: Scope) -> Double:
        return Double(scope)


def double(scope: Scope) -> Callable[[Receive, Send], Awaitable[None]]:
    return functools.partial(answer, scope)


def plain(one: Scope, two: Receive, three: Send) -> Awaitable[None]:
    return answer(one, two, three)


@functools.wraps(answer)
def decorated(*args: Any) -> Awaitable[None]:
    return answer(*args)


@functools.wraps(double)
def decorated_double(*args: Any) -> Any:
    return double(*args)


def catch_all(*args: Any) -> Awaitable[None]:
    return answer(*args)


APPS = {
    "function": answer,
    "instance": Instance(),
    "method": Instance().__call__,
    "awaitable": Late,
    "partial": functools.partial(answer),
    "plain function": plain,
    "decorated": decorated,
    "any arguments": catch_all,
    "class of ASGI 2": Double,
    "instance of ASGI 2": DoubleInstance(),
    "function of ASGI 2": double,
    "partial of ASGI 2": functools.partial(double),
    "decorated of ASGI 2": decorated_double,
}


def call(app: object, kind: str = "http") -> list[Event]:
    """Return what an application sends."""
    sent = []

    async def receive() -> Event:
        return {"type": "question"}

    async def send(event: Event) -> None:
        sent.append(event)

    async def main() -> None:
        await adapt(app)({"type": kind}, receive, send)

    asyncio.run(main())
    return sent


@pytest.mark.parametrize("name", APPS)
def test_every_kind_is_called_alike(name: str) -> None:
    assert call(APPS[name]) == [{"type": "answer", "scope": "http", "event": "question"}]


@pytest.mark.parametrize("app", [answer, catch_all, Late])
def test_what_needs_no_other_shape_stays_what_it_is(app: object) -> None:
    assert adapt(app) is app


def test_each_call_of_a_double_callable_is_one_of_its_own() -> None:
    made = []

    class Counted(Double):
        def __init__(self, scope: Scope) -> None:
            super().__init__(scope)
            made.append(self)

    app = adapt(Counted)
    call(app)
    call(app)
    assert len(made) == 2


def test_the_stand_in_for_what_cannot_be_loaded() -> None:
    answer = BrokenApplication("SyntaxError: <ä> \udcff").answer
    start, body = call(answer)
    assert start["type"] == "http.response.start"
    assert start["status"] == 500
    assert (b"Content-Type", b"text/plain; charset=utf-8") in start["headers"]
    assert (b"Content-Length", b"%d" % len(body["body"])) in start["headers"]
    assert b"SyntaxError: <\xc3\xa4> \\udcff\n" in body["body"]
    assert call(answer, "websocket") == [{"type": "websocket.close"}]
    assert call(answer, "lifespan") == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]
