"""Calls of an application that awaits: their coroutines, used in ways that no loop does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.http.scope import base_scope
from tests.http.support import GET, LISTENER, PEER, make_core

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http.types import Twin

REUSED = "cannot reuse already awaited coroutine"


class Transport:
    """Takes all."""

    def write(self, data: bytes) -> None:
        """Do nothing."""

    write_last = write


def begin(twin: Any, app: Callable[..., Any], error: Exception | None = None) -> Any:
    """Begin a call of the application; returns its task. ``fail`` raises the error."""

    class Calls(twin.Calls):  # type: ignore[misc]
        def fail(self, exchange: Any, raised: BaseException | None) -> None:
            if error is not None:
                raise error

    class Dialogue(twin.Dialogue):  # type: ignore[misc]
        def end_otherwise(self, exchange: Any) -> None:
            """Have nothing to do."""

    core = make_core(twin, app)
    loop = asyncio.get_running_loop()
    calls = Calls(app, core, [twin.Record(None)], asyncio.Task, {"loop": loop})
    dialogue = Dialogue(calls)
    dialogue.open(Transport(), b"peer", False, True, base_scope("http", LISTENER, PEER, ""))
    dialogue.data_received(GET)
    return dialogue.exchange.task


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


def test_the_result_is_not_the_application_s(twin: Twin) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> object:
        await answer(scope, receive, send)
        return object()

    async def case() -> None:
        assert await begin(twin, app) is None

    asyncio.run(case())


def test_a_report_that_fails(twin: Twin) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> object:
        return object()  # and no response

    async def case() -> None:
        with pytest.raises(ValueError, match="a report"):
            await begin(twin, app, ValueError("a report"))

    asyncio.run(case())


def test_a_call_is_used_once(twin: Twin) -> None:
    async def case() -> None:
        task = begin(twin, answer)
        coroutine = task.get_coro()
        await task
        with pytest.raises(RuntimeError, match=REUSED):
            coroutine.send(None)
        with pytest.raises(RuntimeError, match=REUSED):
            coroutine.throw(ValueError())
        coroutine.close()

    asyncio.run(case())


def test_a_call_is_not_used_from_inside(twin: Twin) -> None:
    errors: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        task: Any = asyncio.current_task()
        try:
            task.get_coro().send(None)
        except (RuntimeError, ValueError) as error:
            errors.append(str(error))
        await asyncio.sleep(0)
        await answer(scope, receive, send)

    async def case() -> None:
        await begin(twin, app)

    asyncio.run(case())
    assert errors == ["coroutine already executing"]


def test_tasks_can_be_shown(twin: Twin) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        await answer(scope, receive, send)

    async def case() -> None:
        task = begin(twin, app)
        assert "coro=<" in repr(task)
        await asyncio.sleep(0)
        assert "app()" in repr(task) or "_call()" in repr(task)
        assert task.get_stack()
        await task
        assert "finished" in repr(task)

    asyncio.run(case())
