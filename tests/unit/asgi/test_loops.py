"""The loop of a worker, from its choice to its end, and the tasks in it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import signal
import sys
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.asgi import loops
from monoceros.asgi.loops import Ending, make_loop, run, task_options
from monoceros.errors import ConfigError, StopWorker
from monoceros.net.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

HAS_UVLOOP = find_spec("uvloop") is not None
KINDS = ["asyncio", *(["uvloop"] if HAS_UVLOOP else [])]

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="unset")


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    """The descriptor of a worker, which has a handler too."""
    before = signal.getsignal(signal.SIGTERM)
    made = Wakeup()
    made.claim()
    yield made
    made.release()
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def module_of_loop(kind: str) -> str:
    """Return where the loop is from that runs."""
    found = []

    async def main() -> None:
        found.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])

    run(main, kind)
    return found[0]


def test_the_loop_is_the_one_asked_for(kind: str) -> None:
    assert module_of_loop(kind) == kind


def test_auto_is_uvloop_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module_of_loop("auto") == KINDS[-1]
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert module_of_loop("auto") == "asyncio"


def test_uvloop_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(ConfigError, match=r"asgi_loop is uvloop.*monoceros\[uvloop\]"):
        make_loop("uvloop")


def test_what_main_raises(kind: str) -> None:
    async def main() -> None:
        raise LookupError("reason")

    with pytest.raises(LookupError, match="reason"):
        run(main, kind)


def test_main_is_called_in_the_loop(kind: str) -> None:
    found = []

    def main() -> Coroutine[Any, Any, None]:
        found.append(asyncio.get_running_loop())
        return asyncio.sleep(0)

    run(main, kind)
    assert len(found) == 1


def test_no_loop_is_left(kind: str) -> None:
    kept = []

    async def main() -> None:
        kept.append(asyncio.get_running_loop())

    run(main, kind)
    assert kept[0].is_closed()
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_what_is_left_is_ended(kind: str) -> None:
    steps = []

    async def numbers() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            steps.append("generator")

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("task")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        kept.append(loop.create_task(background()))
        kept.append(numbers())
        await kept[1].__anext__()
        kept.append(await loop.run_in_executor(None, threading.current_thread))
        steps.append("main")

    kept: list[Any] = []
    run(main, kind)
    assert steps == ["main", "task", "generator"]
    assert kept[0].cancelled()
    assert not kept[2].is_alive()


def test_what_does_not_end_is_left_behind(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "PATIENCE_S", 0.01)
    kept = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                kept.append("cancelled")

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(stubborn())
        # It is destroyed while it is pending, which a loop would report.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    run(main, kind)
    assert kept == ["cancelled"]


# -- signals


def test_handlers_of_the_worker_run_in_the_loop(kind: str, wakeup: Wakeup) -> None:
    heard = []
    signal.signal(signal.SIGTERM, lambda *_: heard.append("handler"))

    async def main() -> None:
        woken = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(wakeup.fileno(), woken.set)
        wakeup.claim()
        os.kill(os.getpid(), signal.SIGTERM)
        await woken.wait()
        loop.remove_reader(wakeup.fileno())

    run(main, kind)
    assert heard == ["handler"]
    assert wakeup.claim()


def test_handlers_that_an_application_has_put_there_go_with_it(kind: str, wakeup: Wakeup) -> None:
    def handler(*_: object) -> None: ...

    signal.signal(signal.SIGTERM, handler)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGUSR2):
            loop.add_signal_handler(signum, lambda: None)

    before = signal.getsignal(signal.SIGUSR2)
    run(main, kind)
    assert signal.getsignal(signal.SIGTERM) is handler
    assert signal.getsignal(signal.SIGUSR2) == before
    assert wakeup.claim()


@pytest.mark.parametrize("is_busy", [False, True])
def test_an_exception_out_of_a_handler_ends_the_loop(
    kind: str, is_busy: bool, wakeup: Wakeup, caplog: pytest.LogCaptureFixture
) -> None:
    steps = []

    def leave(*_: object) -> None:
        raise StopWorker(0)

    signal.signal(signal.SIGTERM, leave)

    async def other() -> None:
        try:
            if is_busy:
                os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            steps.append("other")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(wakeup.fileno(), wakeup.drain)
        wakeup.claim()
        task = loop.create_task(other())
        if not is_busy:
            loop.call_later(0.01, os.kill, os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            # The others are still there where they did not take the exception themselves.
            assert task.done() is is_busy
            steps.append("main")
            loop.remove_reader(wakeup.fileno())

    with pytest.raises(StopWorker):
        run(main, kind)
    assert steps == (["other", "main"] if is_busy else ["main", "other"])
    gc.collect()
    assert caplog.records == []


def test_what_nobody_takes_is_reported(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def lost() -> None:
        raise LookupError("nobody looks")

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(lost())
        await asyncio.wait({task})
        del task
        gc.collect()

    run(main, kind)
    (record,) = caplog.records
    assert record.name == "asyncio"
    assert "nobody looks" in caplog.text


def test_an_exception_while_main_runs(kind: str) -> None:
    async def main() -> None:
        raise StopWorker(0)

    with pytest.raises(StopWorker):
        run(main, kind)


# -- tasks


def in_task(kind: str) -> dict[str, Any]:
    """Return what a task sees before it first waits, and after."""
    seen: dict[str, Any] = {}

    async def work() -> str:
        seen["first"] = asyncio.current_task()
        seen["value"] = VAR.get()
        VAR.set("inside")
        seen["is early"] = not seen.get("made")
        await asyncio.sleep(0)
        seen["second"] = asyncio.current_task()
        return VAR.get()

    async def main() -> None:
        VAR.set("caller")
        loop = asyncio.get_running_loop()

        # From a callback, which is no task.
        def make() -> None:
            seen["task"] = asyncio.Task(work(), **task_options(loop))
            seen["made"] = True
            seen["value outside"] = VAR.get()
            woken.set()

        woken = asyncio.Event()
        loop.call_soon(make)
        await woken.wait()
        seen["result"] = await seen["task"]

    run(main, kind)
    return seen


def test_a_task_knows_itself_from_the_first(kind: str) -> None:
    seen = in_task(kind)
    assert seen["first"] is seen["second"] is seen["task"]
    assert seen["is early"] is (sys.version_info >= (3, 12))


def test_a_task_has_a_context_of_its_own(kind: str) -> None:
    seen = in_task(kind)
    assert (seen["value"], seen["value outside"]) == ("caller", "caller")
    assert seen["result"] == "inside"


def test_a_task_that_is_made_in_another_one(kind: str) -> None:
    seen = []

    async def inner() -> None:
        seen.append(asyncio.current_task())

    async def main() -> None:
        outer = asyncio.current_task()
        task = asyncio.Task(inner(), **task_options(asyncio.get_running_loop()))
        assert asyncio.current_task() is outer
        await task
        assert seen == [task]

    run(main, kind)
    assert len(seen) == 1


# -- who ends what


def test_a_task_is_cancelled_once(kind: str) -> None:
    """Also where it is still cleaning up when the loop ends."""
    steps = []
    ending = Ending()

    async def holds() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            steps.append("released")

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(holds())
        await asyncio.sleep(0)
        ending.cancel(task)
        ending.cancel(task)
        await asyncio.sleep(0)

    run(main, kind, ending)
    assert steps == ["released"]


def test_who_hurries_leaves_less_to_all_that_follows(kind: str) -> None:
    ending = Ending()
    assert not ending.hurries
    assert ending.left() == loops.PATIENCE_S

    async def stubborn() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(stubborn())
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        ending.hurry(0.1)
        ending.hurry(60)

    run(main, kind, ending)
    assert ending.hurries
    assert -1 < ending.left() <= 0


def test_what_a_task_has_caught_does_not_cut_the_end(kind: str) -> None:
    """A call that was interrupted passes it on when the loop is ending already."""
    steps = []
    stop = StopWorker(0)

    async def passes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise stop

    async def cleans_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            steps.append("clean")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        kept.extend(map(loop.create_task, (passes_on(), cleans_up())))
        await asyncio.sleep(0)

    kept: list[asyncio.Task[None]] = []
    run(main, kind)
    assert kept[0].exception() is stop
    assert steps == ["clean"]
