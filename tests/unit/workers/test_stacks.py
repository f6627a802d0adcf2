"""Where calls wait: what awaits what, and what becomes of objects that are odd."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.workers.asgi.stacks import describe_calls, describe_task
from monoceros.workers.asgi.waits import Waits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator


async def nap() -> None:
    await asyncio.sleep(60)


async def generated() -> AsyncIterator[int]:
    await nap()
    yield 1


@asynccontextmanager
async def managed() -> AsyncIterator[None]:
    await nap()
    yield


class Awaitable:
    """Awaits by a method of Python's own."""

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Any:
        return self._coroutine.__await__()


def functions(text: str) -> list[str]:
    """Return the functions of this file that are in a stack, each where it comes first."""
    found = re.findall(rf'{re.escape(__file__)}", line \d+ in (\w+)', text)
    return [*dict.fromkeys(found)]


async def describe(*coroutines: Coroutine[Any, Any, Any]) -> list[str]:
    """Return the stacks of tasks that wait."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    for _ in range(5):
        await asyncio.sleep(0)
    waits = Waits()
    found = [describe_task(task, waits) for task in tasks]
    assert found == [describe_task(task) for task in tasks]
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return found


def run(*coroutines: Coroutine[Any, Any, Any]) -> list[str]:
    return asyncio.run(describe(*coroutines))


# -- chains -----------------------------------------------------------------------------------


async def by_generator() -> None:
    async for _ in generated():
        pass


async def by_anext() -> None:
    await anext(generated(), None)


async def by_throw() -> None:
    numbers = generated()
    try:
        await numbers.athrow(ValueError)  # type: ignore[attr-defined]
    except ValueError:
        await by_generator()


async def by_manager() -> None:
    async with managed():
        pass


async def by_method() -> None:
    await Awaitable(nap())


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        (by_generator, ["nap", "generated", "by_generator"]),
        (by_anext, ["nap", "generated", "by_anext"]),
        (by_throw, ["nap", "generated", "by_generator", "by_throw"]),
        (by_manager, ["nap", "managed", "by_manager"]),
        (by_method, ["nap", "by_method"]),
    ],
)
def test_generators_are_followed(
    waiting: Callable[[], Coroutine[Any, Any, None]], expected: list[str]
) -> None:
    (text,) = run(waiting())
    assert functions(text) == expected
    assert text.startswith("Stack (most recent call first):\n")
    assert text.count("Stack") == 1


def test_proxies_are_followed() -> None:
    wrapt = pytest.importorskip("wrapt")

    class Proxy(wrapt.ObjectProxy):  # type: ignore[misc,name-defined]
        def __await__(self) -> Any:
            return self

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            return self.__wrapped__.send(None)

    async def wrapped() -> None:
        await Proxy(nap())

    assert functions(run(wrapped())[0]) == ["nap", "wrapped"]


class Odd:
    """Waits for ever, and is not to be asked for anything but its end."""

    def __getattribute__(self, name: str) -> Any:
        if name not in ("throw", "close"):
            raise AssertionError(name)
        return object.__getattribute__(self, name)

    def __bool__(self) -> bool:
        raise AssertionError("asked whether it is true")

    def __hash__(self) -> int:
        raise AssertionError("asked for its hash")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    def __repr__(self) -> str:
        raise AssertionError("shown")

    def __await__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return None

    def throw(self, error: BaseException) -> None:
        raise error

    def close(self) -> None:
        pass


class Endless:
    """Has all attributes, and they have them too."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __await__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return None

    def throw(self, error: BaseException) -> None:
        raise error


@pytest.mark.parametrize("kind", [Odd, Endless])
def test_nothing_of_the_application_is_run(kind: Any) -> None:
    async def waiting() -> None:
        await kind()

    async def main() -> str:
        task = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        text = describe_task(task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return text

    assert functions(asyncio.run(main())) == ["waiting"]


# -- tasks ------------------------------------------------------------------------------------


async def gathering() -> None:
    await asyncio.gather(nap(), by_generator())


async def shielding() -> None:
    await asyncio.shield(asyncio.ensure_future(nap()))


async def waiting() -> None:
    await asyncio.wait([asyncio.ensure_future(nap())])


async def limiting() -> None:
    await asyncio.wait_for(nap(), 60)


async def nesting() -> None:
    await asyncio.gather(asyncio.shield(asyncio.ensure_future(shielding())))


def test_each_call_has_the_tasks_that_it_waits_for() -> None:
    async def alone() -> None:
        kept = asyncio.create_task(by_generator())
        await asyncio.Event().wait()
        await kept

    names = [gathering, shielding, waiting, limiting, nesting, alone]
    assert [functions(text) for text in run(*(name() for name in names))] == [
        ["nap", "generated", "by_generator", "gathering"],
        ["nap", "shielding"],
        ["nap", "waiting"],
        ["nap", "limiting"],
        ["nap", "shielding", "nesting"],
        ["alone"],
    ]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no groups")
def test_groups_of_asyncio() -> None:
    async def inner() -> None:
        async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined]
            group.create_task(nap())

    async def grouping() -> None:
        async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined]
            group.create_task(inner())
            await asyncio.Event().wait()

    assert [functions(text) for text in run(grouping(), inner())] == [
        ["nap", "inner", "grouping"],
        ["nap", "inner"],
    ]


def test_groups_of_anyio() -> None:
    anyio = pytest.importorskip("anyio")

    async def grouping() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(nap)
            await asyncio.Event().wait()

    async def starting() -> None:
        async with anyio.create_task_group() as group:
            await group.start(never_started)

    async def never_started(task_status: Any) -> None:
        await nap()

    assert [functions(text) for text in run(grouping(), starting(), nap())] == [
        ["nap", "grouping"],
        ["nap", "never_started", "starting"],
        ["nap"],
    ]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks do not start at once")
def test_tasks_that_have_started_at_once() -> None:
    async def main() -> list[str]:
        asyncio.get_running_loop().set_task_factory(
            asyncio.eager_task_factory  # type: ignore[attr-defined]
        )
        return await describe(gathering())

    assert functions(asyncio.run(main())[0]) == ["nap", "generated", "by_generator", "gathering"]


def test_tasks_that_wait_for_one_another() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def one() -> None:
        await asyncio.sleep(0)
        await asyncio.wait([tasks[1]])

    async def other() -> None:
        await asyncio.sleep(0)
        await asyncio.wait([tasks[0]])

    async def main() -> list[str]:
        tasks.extend(asyncio.create_task(call()) for call in (one, other))
        for _ in range(3):
            await asyncio.sleep(0)
        found = [describe_task(task) for task in tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return found

    assert [functions(text) for text in asyncio.run(main())] == [["other", "one"], ["one", "other"]]


def test_many_tasks_are_shortened() -> None:
    async def many() -> None:
        await asyncio.gather(*(nap() for _ in range(100)))

    (text,) = run(many())
    assert text.count(" in nap") == 19
    assert text.splitlines()[-3].startswith("Stack ")
    assert text.splitlines()[-1] == "[81 more tasks are left out]"


def test_order_and_names() -> None:
    async def named() -> None:
        tasks = [asyncio.create_task(nap(), name=f"part\n{number}") for number in range(12)]
        await asyncio.wait(tasks)

    (text,) = run(named())
    titles = [line for line in text.splitlines() if not line.startswith("  ")]
    assert titles == [
        *(rf"In task part\n{number} (most recent call first):" for number in range(12)),
        "Stack (most recent call first):",
    ]


def test_nothing_is_kept() -> None:
    async def main() -> Any:
        task = asyncio.create_task(gathering())
        await asyncio.sleep(0)
        waits = Waits()
        describe_task(task, waits)
        task.cancel()
        return weakref.ref(waits)

    gc.disable()
    try:
        assert asyncio.run(main())() is None
    finally:
        gc.enable()


def test_the_call_that_runs() -> None:
    async def inner() -> str:
        return describe_task(asyncio.current_task())

    async def main() -> str:
        return await inner()

    assert "main" in functions(asyncio.run(main()))


def test_futures_that_are_odd() -> None:
    class OddTask(asyncio.Task[Any]):
        @property
        def _callbacks(self) -> Any:
            raise RuntimeError("asked for its callbacks")

        def get_name(self) -> str:
            raise RuntimeError("asked for its name")

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coro, **_: OddTask(coro, loop=loop))
        return await describe(gathering())

    assert functions(asyncio.run(main())[0]) == ["gathering"]


# -- threads ----------------------------------------------------------------------------------


@contextmanager
def held() -> Iterator[Callable[[], None]]:
    """Return what waits on a thread until the end."""
    is_over = threading.Event()

    def hold() -> None:
        is_over.wait(20)

    try:
        yield hold
    finally:
        is_over.set()


def describe_on_thread(call: Callable[[Callable[[], None]], Coroutine[Any, Any, Any]]) -> str:
    """Return the stack of what waits for a function that runs on a thread."""

    async def main() -> str:
        has_begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        with held() as hold:

            def begin() -> None:
                loop.call_soon_threadsafe(has_begun.set)
                hold()

            # The threads of another call are not to be confused with those of this one.
            other = asyncio.create_task(asyncio.to_thread(hold))
            task = asyncio.create_task(call(begin))
            await asyncio.wait_for(has_begun.wait(), 20)
            text = describe_task(task)
        await asyncio.gather(task, other)
        return text

    return asyncio.run(main())


def test_threads_of_executors() -> None:
    async def executing(function: Callable[[], None]) -> None:
        with ThreadPoolExecutor(1, "mine") as executor:
            job = asyncio.get_running_loop().run_in_executor(executor, function)
            await asyncio.gather(asyncio.shield(job))

    text = describe_on_thread(executing)
    assert functions(text)[-2:] == ["begin", "executing"]
    assert text.startswith("In thread mine_0 (most recent call first):\n")
    assert "concurrent/futures" not in text
    assert text.count("In thread") == 1


def test_threads_of_anyio() -> None:
    anyio = pytest.importorskip("anyio")

    async def executing(function: Callable[[], None]) -> None:
        await anyio.to_thread.run_sync(function)

    text = describe_on_thread(executing)
    assert functions(text)[-2:] == ["begin", "executing"]
    assert text.startswith("In thread AnyIO worker thread (most recent call first):\n")
    assert "in run\n" not in text


def test_threads_of_asgiref() -> None:
    sync = pytest.importorskip("asgiref.sync")

    async def executing(function: Callable[[], None]) -> None:
        await sync.sync_to_async(function)()

    assert functions(describe_on_thread(executing))[-2:] == ["begin", "executing"]


# -- calls ------------------------------------------------------------------------------------


def exchange(path: str, task: Any, started_s: float) -> Any:
    """Return a request of which a description is asked."""
    return SimpleNamespace(
        line=f"GET {path}".encode(),
        owner=SimpleNamespace(peer=b"192.0.2.1"),
        record=SimpleNamespace(started_ns=int(started_s * 1e9)),
        started_ns=0,
        scope={},
        task=task,
    )


@pytest.mark.parametrize(
    ("client", "peer"),
    [(("192.0.2.2", 80), "192.0.2.2"), (None, ""), ((), ""), ((4, 5), ""), ("odd", "")],
)
def test_calls_are_requests_and_websockets(client: Any, peer: str) -> None:
    async def main() -> str:
        tasks = [asyncio.create_task(one) for one in (nap(), gathering())]
        await asyncio.sleep(0)
        began = exchange("/socket", None, 2)
        began.owner = None
        began.scope["client"] = client
        socket: Any = SimpleNamespace(exchange=began, task=tasks[1])
        text = describe_calls([exchange("/new", tasks[0], 3), socket], 5 * 10**9)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return text

    text = asyncio.run(main())
    older, newer = text.split("GET /new from 192.0.2.1 for 2.0s\n")
    assert older.startswith(f"GET /socket from {peer} for 3.0s\nIn task ")
    assert functions(older)[-1] == "gathering"
    assert functions(newer) == ["nap"]


def test_many_calls_are_shortened() -> None:
    calls = [exchange(f"/{number}", None, number) for number in range(25)]
    text = describe_calls(calls, 25 * 10**9)
    assert text.startswith("GET /0 from 192.0.2.1 for 25.0s\nStack (most recent call first):\n")
    assert text.endswith("\nand 5 more")
    assert describe_calls([], 0) == ""


def test_the_age_of_a_call_is_that_of_its_own_request() -> None:
    """Once a response is complete another request may be on the record."""
    one = exchange("/", None, 5.0)
    one.started_ns = 1_000_000_000
    assert "for 7.0s" in describe_calls([one], 8_000_000_000)
