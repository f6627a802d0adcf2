"""The lifespan protocol: the application is told of its worker's start and end (version 2.0).

Theory of operation. The application is called once, in a task of its own that lasts from the start
to the end: what it opens there is closed by the same task, as cancel scopes and context variables
want it. ``start`` and ``stop`` each wait for its answer or for its end, whichever comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from typing import TYPE_CHECKING, Any

from monoceros.asgi.loops import Ending
from monoceros.errors import LifespanFailed, StopWorker

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.asgi.types import AsgiApp, Event
    from monoceros.log.logger import Logger

PARTING_S = 0.4  # the least time to end, and what there is for the task once all has been said
_LOOK_S = 0.05  # how often is looked whether there is less time than before
_TRACEBACK = "Traceback (most recent call last)"


class Lifespan:
    """The lifespan of one application; ``mode`` is a value of ``asgi_lifespan``.

    ``state`` is what the application has put there by its start, to go into every scope.
    ``is_supported`` tells whether it has said that it has started, and ``task`` is its call.
    """

    def __init__(self, app: AsgiApp, mode: str, log: Logger, ending: Ending | None = None) -> None:
        self.state: dict[str, Any] = {}
        self.is_supported = False
        self._app = app
        self._mode = mode
        self._log = log
        self._ending = ending or Ending()
        self.task: asyncio.Task[None] | None = None
        self._asked = "startup"  # what it is to answer
        self._told = 0  # how many events it has received
        self._is_foreign = False  # it has sent what is no answer
        self._failure: str | None = None  # in the application's words, which may be none
        self._news = asyncio.Event()  # an answer, or its end
        self._order = asyncio.Event()  # it is to stop

    # -- what the worker calls ---------------------------------------------------------------

    async def start(self) -> None:
        """Have the application start; raises LifespanFailed where it is not to be served."""
        if self._mode == "off":
            return
        self.task = task = asyncio.get_running_loop().create_task(self._call())
        task.add_done_callback(self._see_end)
        await self._news.wait()
        if self._failure is not None:
            # It may be about to raise the reason.
            await asyncio.wait({task}, timeout=PARTING_S)
            raise LifespanFailed(
                _explain("The application failed to start", self._failure, _error(task))
            )
        if not self.is_supported:
            self._go_without(_error(task))

    async def stop(self, time_left: Callable[[], float]) -> None:
        """Have the application end in time; what goes wrong is logged.

        ``time_left`` returns seconds, which may become less than they were. A start that is still
        under way is cancelled.
        """
        task = self.task
        if task is None or task.done():
            return
        has_started = self.is_supported
        self._news.clear()
        if has_started:
            self._asked = "shutdown"
            self._order.set()
        else:
            self._ending.cancel(task)
        await self._hear(time_left)
        if self._news.is_set():
            await asyncio.wait({task}, timeout=PARTING_S)
        if not task.done():
            self._ending.cancel(task)
            await asyncio.wait({task}, timeout=PARTING_S)
        elif has_started and (self._failure is not None or _error(task) is not None):
            what = "The application failed to stop"
            self._log.error("%s", _explain(what, self._failure or "", _error(task)))

    async def _hear(self, time_left: Callable[[], float]) -> None:
        """Wait for an answer, or for the end of the task."""
        began = time.monotonic()
        while True:
            waited_s = time.monotonic() - began
            left_s = max(PARTING_S - waited_s, time_left())
            if left_s <= 0:
                break
            # Applications cancel all tasks that there are, as the end of their own loop did.
            with contextlib.suppress(asyncio.TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._news.wait(), min(left_s, _LOOK_S))
                return
        self._log.warning("The application did not stop within %.1f seconds", waited_s)

    def _go_without(self, error: BaseException | None) -> None:
        """Take an application that has ended early for one that does not speak the protocol."""
        how = "returned" if error is None else "raised an exception"
        if self._mode == "on":
            what = f"The application {how} instead of starting, while asgi_lifespan is on"
            raise LifespanFailed(_explain(what, "", error))
        self.state = {}
        log = self._log.debug
        if error is not None and self._told and not self._is_foreign:
            # It has asked what it is to do: this was its start.
            log = self._log.warning
        log("%s", _explain(f"The application {how} at lifespan.startup: goes without", "", error))

    def _see_end(self, task: asyncio.Task[None]) -> None:
        self._news.set()
        error = _error(task)
        if error is not None and self.is_supported and self._asked != "shutdown":
            self._log.error("%s", _explain("Exception in the application's lifespan", "", error))

    # -- what the application calls ----------------------------------------------------------

    async def _call(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Event:
        if self._told:
            await self._order.wait()
        if self._told > 1:
            await asyncio.Event().wait()  # nothing comes after the end
        self._told += 1
        return {"type": f"lifespan.{self._asked}"}

    async def _send(self, event: Event) -> None:
        kind = event["type"]
        if self._failure is not None or self._news.is_set():
            raise RuntimeError(f"{kind!r} was sent, and nothing is to be answered")
        if kind == f"lifespan.{self._asked}.failed":
            self._failure = str(event.get("message", ""))
        elif kind == "lifespan.startup.complete" and self._asked == "startup":
            self.is_supported = True
        elif kind != f"lifespan.{self._asked}.complete":
            self._is_foreign = True
            raise RuntimeError(f"{kind!r} is no answer to 'lifespan.{self._asked}'")
        self._news.set()


def _error(task: asyncio.Task[None]) -> BaseException | None:
    """Return what has ended a task, None where nothing has, or the worker's own end."""
    if not task.done():
        return None
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    return None if isinstance(error, StopWorker) else error


def _explain(what: str, words: str, error: BaseException | None) -> str:
    """Return one text; the traceback once, since applications may put it into their words."""
    parts = [f"{what}: {words}" if words else what]
    if error is not None and _TRACEBACK not in words:
        frames = error.__traceback__ and error.__traceback__.tb_next  # without our own
        parts.append("".join(traceback.format_exception(type(error), error, frames)))
    return "\n".join(parts).rstrip()
