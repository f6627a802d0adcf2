"""The lifespan protocol (version 2.0): what applications do, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.asgi import lifespan
from monoceros.asgi.lifespan import Lifespan
from monoceros.errors import LifespanFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from monoceros.asgi.types import AsgiApp, Receive, Scope, Send

LOG: Any = logging.getLogger("test.lifespan")
LONG_S = 30.0


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOG.name)


async def go_along(receive: Receive, send: Send, *phases: str) -> None:
    """Answer what is asked."""
    for phase in phases or ("startup", "shutdown"):
        assert await receive() == {"type": f"lifespan.{phase}"}
        await send({"type": f"lifespan.{phase}.complete"})


async def well_behaved(scope: Scope, receive: Receive, send: Send) -> None:
    await go_along(receive, send)


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a test's coroutine; nothing may be left that nobody has looked at."""
    unseen = []

    async def watched() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: unseen.append(told))
        return await main()

    found = asyncio.run(watched())
    assert unseen == []
    return found


def start(app: AsgiApp, mode: str = "auto") -> Lifespan:
    """Start an application, and leave it there."""

    async def main() -> Lifespan:
        made = Lifespan(app, mode, LOG)
        await made.start()
        return made

    made: Lifespan = run(main)
    return made


def fail(app: AsgiApp, mode: str = "auto") -> str:
    """Return why an application is not served."""
    with pytest.raises(LifespanFailed) as caught:
        start(app, mode)
    return str(caught.value)


def live(app: AsgiApp, patience_s: float = LONG_S) -> Lifespan:
    """Start and stop an application."""

    async def main() -> Lifespan:
        made = Lifespan(app, "auto", LOG)
        await made.start()
        await made.stop(lambda: patience_s)
        return made

    made: Lifespan = run(main)
    return made


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records]


# -- the start


def test_the_scope() -> None:
    scopes = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await go_along(receive, send)

    live(app)
    assert scopes == [
        {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    ]


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_state(mode: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["pool"] = 7
        await go_along(receive, send)

    made = start(app, mode)
    assert made.state == {"pool": 7}
    assert made.is_supported


def test_off_calls_nobody() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    made = start(app, "off")
    assert (made.state, made.is_supported) == ({}, False)


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    scope["state"]["half"] = 1


async def is_http_only(scope: Scope, receive: Receive, send: Send) -> None:
    scope["state"]["half"] = 1
    raise ValueError(f"cannot serve {scope['type']}")


async def takes_it_for_http(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def breaks_at_its_start(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise OSError("no database")


async def is_cancelled(scope: Scope, receive: Receive, send: Send) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("app", "level", "words"),
    [
        (returns, "DEBUG", "The application returned at lifespan.startup: goes without"),
        (is_http_only, "DEBUG", "ValueError: cannot serve lifespan"),
        (takes_it_for_http, "DEBUG", "'http.response.start' is no answer to 'lifespan.startup'"),
        (breaks_at_its_start, "WARNING", "OSError: no database"),
        (is_cancelled, "DEBUG", "CancelledError"),
    ],
)
def test_who_does_not_speak_it(
    app: AsgiApp, level: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = live(app)
    assert (made.state, made.is_supported) == ({}, False)
    assert levels(caplog) == [level]
    assert words in caplog.text


@pytest.mark.parametrize(
    ("app", "how", "words"),
    [
        (returns, "returned", ""),
        (is_http_only, "raised an exception", "ValueError: cannot serve lifespan"),
        (breaks_at_its_start, "raised an exception", "OSError: no database"),
    ],
)
def test_who_has_to_speak_it(app: AsgiApp, how: str, words: str) -> None:
    reason = fail(app, "on")
    assert reason.startswith(f"The application {how} instead of starting, while asgi_lifespan")
    assert words in reason
    assert "lifespan.py" not in reason.replace(__file__, "")  # none of our own frames


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_start_that_the_application_says_has_failed(mode: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no pool"})

    assert fail(app, mode) == "The application failed to start: no pool"


def test_a_failure_without_words() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed"})

    assert fail(app) == "The application failed to start"


def test_the_reason_that_is_raised_after_the_answer() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            raise OSError("no database")
        except OSError:
            await send({"type": "lifespan.startup.failed", "message": "sorry"})
            await asyncio.sleep(0)
            raise

    reason = fail(app)
    assert reason.startswith("The application failed to start: sorry\nTraceback")
    assert reason.endswith("OSError: no database")


def test_a_traceback_in_the_words_is_enough() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        message = "Traceback (most recent call last):\n  ...\nOSError: no database"
        await send({"type": "lifespan.startup.failed", "message": message})
        raise OSError("no database")

    assert fail(app).count("OSError: no database") == 1


def test_who_stays_after_a_failed_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifespan, "PARTING_S", 0.01)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no pool"})
        await receive()

    assert fail(app) == "The application failed to start: no pool"


# -- the end


def test_the_end(caplog: pytest.LogCaptureFixture) -> None:
    steps = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_along(receive, send)
        steps.append("closed")

    live(app)
    assert steps == ["closed"]
    assert levels(caplog) == []


def test_it_all_is_one_task() -> None:
    var: contextvars.ContextVar[int] = contextvars.ContextVar("var")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        token = var.set(1)
        before = asyncio.current_task()
        await go_along(receive, send)
        var.reset(token)
        assert asyncio.current_task() is before
        scope["state"]["done"] = True

    made = live(app)
    assert made.state == {"done": True}
    assert var.get(None) is None


@pytest.mark.parametrize("ending", ["returns", "raises"])
def test_who_has_ended_early(ending: str, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_along(receive, send, "startup")
        if ending == "raises":
            raise OSError("lost the pool")

    made = live(app)
    assert made.is_supported
    assert levels(caplog) == ([] if ending == "returns" else ["ERROR"])
    if ending == "raises":
        assert "Exception in the application's lifespan\nTraceback" in caplog.text
        assert "OSError: lost the pool" in caplog.text


@pytest.mark.parametrize("is_raised", [False, True])
def test_an_end_that_fails(is_raised: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_along(receive, send, "startup")
        await receive()
        if is_raised:
            raise OSError("cannot flush")
        await send({"type": "lifespan.shutdown.failed", "message": "cannot flush"})

    live(app)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("The application failed to stop")
    assert record.getMessage().endswith("cannot flush")


def test_an_end_that_takes_too_long(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifespan, "PARTING_S", 0.01)
    steps = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_along(receive, send, "startup")
        await receive()
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("cancelled")

    live(app, 0.0)
    assert steps == ["cancelled"]
    assert levels(caplog) == ["WARNING"]
    assert "did not stop within 0.0 seconds" in caplog.text


def test_without_time_there_is_still_a_moment(caplog: pytest.LogCaptureFixture) -> None:
    steps = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_along(receive, send, "startup")
        await receive()
        await asyncio.sleep(0)
        steps.append("closed")
        await send({"type": "lifespan.shutdown.complete"})

    live(app, 0.0)
    assert steps == ["closed"]
    assert levels(caplog) == []


def test_who_asks_for_more_after_the_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifespan, "PARTING_S", 0.01)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_along(receive, send)
        raise AssertionError(await receive())

    live(app)
    assert levels(caplog) == []


@pytest.mark.parametrize(
    "kind", ["lifespan.shutdown.complete", "lifespan.startup.complete", "http.response.start"]
)
def test_what_nobody_has_asked_for(kind: str) -> None:
    raised = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_along(receive, send, "startup")
        try:
            await send({"type": kind})
        except RuntimeError as error:
            raised.append(str(error))
        await go_along(receive, send, "shutdown")

    live(app)
    assert raised == [f"{kind!r} was sent, and nothing is to be answered"]


def test_a_stop_before_any_start() -> None:
    async def main() -> None:
        await Lifespan(well_behaved, "auto", LOG).stop(lambda: LONG_S)

    run(main)


def test_a_stop_in_the_midst_of_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """It is cancelled once, and may clean up."""
    steps = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "lifespan.startup"}
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1)
            steps.append("cleaned up")

    async def main() -> None:
        made = Lifespan(app, "auto", LOG)
        starting = asyncio.ensure_future(made.start())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        starting.cancel()
        await made.stop(lambda: LONG_S)
        assert made.task is not None
        assert made.task.cancelled()

    run(main)
    assert steps == ["cleaned up"]
    assert levels(caplog) == []


def test_time_that_becomes_less(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifespan, "PARTING_S", 0.01)
    left = [LONG_S]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_along(receive, send, "startup")
        await receive()
        left[0] = 0.0
        await asyncio.Event().wait()

    async def main() -> None:
        made = Lifespan(app, "auto", LOG)
        await made.start()
        await made.stop(lambda: left[0])

    run(main)
    assert "did not stop within 0." in caplog.text


def test_an_application_that_cancels_all_tasks_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    steps = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_along(receive, send, "startup")
        await receive()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.01)
        steps.append("closed")
        await send({"type": "lifespan.shutdown.complete"})

    live(app)
    assert steps == ["closed"]
    assert levels(caplog) == []
