"""The event loop of a worker: asyncio's own or uvloop's, and the tasks in it.

Signals are the worker's. A loop puts a descriptor of its own in the place of the worker's, and
applications may put handlers into a loop; both are put back when the loop has ended. Nothing here
uses policies, which decide for whole processes and are on their way out of asyncio.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any

from monoceros.errors import ConfigError, StopWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

PATIENCE_S = 5.0  # how long each step of the end may take, where nobody hurries
HURRY_S = 1.8  # how long all of them may, of the two seconds that the arbiter allows then
_LEAST_S = 0.05  # how long each may in any case


class Ending:
    """What those who end a loop, each in turn, know of each other."""

    def __init__(self) -> None:
        self._cancelled: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._until: float | None = None

    def cancel(self, *tasks: asyncio.Task[Any]) -> None:
        """Cancel tasks, each once: a second time would cut what it does about the first."""
        for task in tasks:
            if task not in self._cancelled:
                self._cancelled.add(task)
                task.cancel()

    def hurry(self, seconds: float = HURRY_S) -> None:
        """Have all be over in so many seconds; what was said first holds."""
        if self._until is None:
            self._until = time.monotonic() + seconds

    @property
    def hurries(self) -> bool:
        """Whether all steps share what time there is."""
        return self._until is not None

    def left(self) -> float:
        """Return how many seconds the next step may take; may be negative."""
        return PATIENCE_S if self._until is None else self._until - time.monotonic()


def run(
    main: Callable[[], Coroutine[Any, Any, None]], kind: str, ending: Ending | None = None
) -> None:
    """Call ``main`` in a loop of that kind (see ``asgi_loop``), and end it with its coroutine.

    What is left then is cancelled, with that coroutine first where a signal handler's exception has
    ended the loop; raises what it raises, or that exception. Give the Ending that it has.
    """

    async def call() -> None:
        await main()

    with _kept_signals():
        loop = make_loop(kind)
        try:
            asyncio.set_event_loop(loop)
            loop.set_exception_handler(report)
            task = loop.create_task(call())
            try:
                loop.run_until_complete(task)
            finally:
                _wind_up(loop, task, ending or Ending())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report an exception that nobody took, unless it is one that has ended the loop."""
    if not isinstance(context.get("exception"), StopWorker):
        loop.default_exception_handler(context)


def make_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Return a new loop; raises ConfigError where uvloop is asked for and not there."""
    if kind != "asyncio":
        try:
            import uvloop
        except ImportError as error:
            if kind == "uvloop":
                raise ConfigError(
                    f"asgi_loop is uvloop, which cannot be imported ({error}): "
                    "pip install 'monoceros[uvloop]', or uvloop"
                ) from error
        else:
            return uvloop.new_event_loop()
    # Not ``new_event_loop``, which a policy of the application's may have make another one.
    return asyncio.SelectorEventLoop()


def task_options(loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
    """Return with what ``asyncio.Task`` starts at once, where the interpreter can do that.

    It then runs up to where it first waits, in a copy of its maker's context.
    """
    return {"loop": loop, "eager_start": True} if sys.version_info >= (3, 12) else {"loop": loop}


# -- the end ----------------------------------------------------------------------------------


def _wind_up(loop: asyncio.AbstractEventLoop, main: asyncio.Task[None], ending: Ending) -> None:
    """Have all end that is still there, each in its turn and for a limited time.

    What threads of the default executor are at is waited for once more when the interpreter exits.
    """
    if not main.done():
        ending.hurry()
        # Before the others: it knows the order in which what it has made is to end.
        ending.cancel(main)
        _wait(loop, {main}, ending)
    tasks = asyncio.all_tasks(loop)
    ending.cancel(*tasks)
    _wait(loop, tasks, ending)
    if main.done() and not main.cancelled():
        main.exception()  # was raised, or gives way to what is being raised
    for closing in (loop.shutdown_asyncgens, loop.shutdown_default_executor):
        task = loop.create_task(closing())
        _wait(loop, {task}, ending)
        if not task.done():
            ending.cancel(task)
            _wait(loop, {task}, ending)


def _wait(loop: asyncio.AbstractEventLoop, tasks: set[asyncio.Task[Any]], ending: Ending) -> None:
    """Run the loop until tasks have ended; a StopWorker that one of them has kept ends no more."""
    if not tasks:
        return
    waits = loop.create_task(asyncio.wait(tasks, timeout=max(_LEAST_S, ending.left())))
    while not waits.done():
        try:
            loop.run_until_complete(waits)
        except StopWorker as stop:
            if not any(_has_ended_by(stop, task) for task in tasks):
                raise


def _has_ended_by(stop: StopWorker, task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is stop


# -- signals ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _kept_signals() -> Iterator[None]:
    """Put back, at the end, the handlers of signals and the descriptor that is written to."""
    handlers = {signum: signal.getsignal(signum) for signum in signal.valid_signals()}
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    try:
        yield
    finally:
        for signum, handler in handlers.items():
            # None is one that C code has put there.
            if handler is not None and signal.getsignal(signum) != handler:
                signal.signal(signum, handler)
        with contextlib.suppress(OSError, ValueError):  # closed meanwhile
            signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
