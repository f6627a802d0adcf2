"""What the connections of an ASGI worker share: the application, its Core, and the bookkeeping."""

from __future__ import annotations

import asyncio
import contextvars
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from monoceros.asgi.loops import task_options
from monoceros.errors import StopWorker
from monoceros.http import Calls
from monoceros.http.errors import ClientDisconnected

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.asgi.connection import Connection
    from monoceros.asgi.types import AsgiApp, Scope
    from monoceros.http import Core
    from monoceros.http.types import Exchange
    from monoceros.log.logger import Logger
    from monoceros.net.trust import Trusted
    from monoceros.workers.asgi.observers import Observers


class Service(Calls):
    """``extras`` is what is added to every scope; ``records`` are free slots of the scoreboard."""

    def __init__(
        self,
        app: AsgiApp,
        core: Core,
        loop: asyncio.AbstractEventLoop,
        log: Logger,
        observers: Observers,
        *,
        trusted: Trusted,
        root_path: str,
        grace_s: float,
        records: list[Any],
        extras: Scope,
        has_room: Callable[[], None],
    ) -> None:
        super().__init__(app, core, records, asyncio.Task, task_options(loop))
        self.log = log
        self.trusted = trusted
        self.root_path = root_path
        self.extras = extras
        self.connections: set[Connection] = set()
        self.has_room = has_room
        # Both are the worker's to set.
        self.upgrade: Callable[[Connection, Exchange, bytes], bool] = _no_upgrade
        self.set_timeout: Callable[[asyncio.BaseTransport, float], None] = _no_timeout
        self.time = time.monotonic
        # A request that begins inside another one's call has nothing of its context.
        self.call_soon = partial(loop.call_soon, context=contextvars.copy_context())
        self.is_closing = False  # calls are cancelled because the worker ends
        self._loop = loop
        self._observers = observers
        self._grace_s = grace_s
        self.observes_begin = observers.wants_requests
        self.observes_end = observers.wants_ends

    # -- a call's life -----------------------------------------------------------------------

    def observe_begin(self, exchange: Exchange) -> bool:
        """Run ``pre_request``; False where it has failed, which ends the request."""
        try:
            self._observers.begin(exchange)
        except BaseException as error:  # border: a hook is the user's code
            self.fail(exchange, error)
            exchange.owner.forget(exchange)
            return False
        return True

    def observe_end(self, exchange: Exchange, elapsed_us: int) -> None:
        """Tell the access log and ``post_request``."""
        try:
            self._observers.end(exchange, elapsed_us)
        except Exception:  # border: the scope is the application's by now
            self.log.exception("Exception in the access log")

    def write_log_soon(self) -> None:
        """Have the lines written that the access log has now."""
        self._observers.wake()

    def fail(self, exchange: Exchange, error: BaseException | None) -> None:
        """End a request whose call raised, or returned without a complete response.

        Nothing that an application raises, SystemExit either, ends the calls of others.
        """
        if isinstance(error, StopWorker):
            raise error  # the worker's own end
        if self.is_closing and isinstance(error, asyncio.CancelledError | GeneratorExit):
            exchange.owner.abort()
            exchange.is_over = True
            error = None
        elif isinstance(error, asyncio.CancelledError):
            error = None
        exchange.owner.fail(exchange, error)

    # -- calls that are not wanted any more ----------------------------------------------------

    def cancel_later(self, exchange: Exchange) -> None:
        """Cancel a call whose client has gone, unless it ends soon by itself."""
        if exchange.task is not None and not exchange.task.done():
            # Nothing of a call that has ended is to be kept for so long.
            self._loop.call_later(self._grace_s, self._cancel_if_there, weakref.ref(exchange))

    def _cancel_if_there(self, found: weakref.ref[Exchange]) -> None:
        exchange = found()
        if exchange is not None:
            self.cancel(exchange)

    def cancel(self, exchange: Exchange) -> None:
        """Cancel a call that is still there."""
        # What goes on after a whole response is nothing to its client.
        if exchange in self.calls and (exchange.is_over or not exchange.complete):
            exchange.task.cancel()

    # -- reports -----------------------------------------------------------------------------

    def report(self, exchange: Exchange, error: BaseException | None) -> None:
        """Log what an application raised, unless it is about its client's absence."""
        line = exchange.line.decode("latin-1")
        if error is not None:
            if exchange.is_over and (isinstance(error, OSError) or comes_of_absence(error)):
                return
            self.core.errors += 1
            self.log.error("Error handling request %s", line, exc_info=error)
        elif not (exchange.is_over or exchange.is_told or exchange.complete):
            self.core.errors += 1
            self.log.error("Error handling request %s: the application ended too early", line)


def comes_of_absence(error: BaseException) -> bool:
    """Whether an application has made this of what ``send`` raises once the client has gone.

    All that a group has in it has to.
    """
    seen: set[int] = set()
    rest = [error]
    while rest:
        one: BaseException | None = rest.pop()
        while not isinstance(one, ClientDisconnected):
            if one is None or id(one) in seen:
                return False
            seen.add(id(one))
            members = getattr(one, "exceptions", ())
            if members and isinstance(members, tuple):
                rest += members
                break
            one = one.__cause__ or one.__context__
    return True


def _no_upgrade(connection: Connection, exchange: Exchange, rest: bytes) -> bool:
    return False


def _no_timeout(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Have requests take as long as they like."""
