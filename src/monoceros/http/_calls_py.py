"""The calls of an application that awaits, in pure Python.

``asgi.service.Service`` is what this becomes with all that is unusual.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from monoceros.http._record_py import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http._core_py import Core
    from monoceros.http.types import Exchange


class Calls:
    """The calls of the application in one worker.

    ``records`` are those that no request is on, ``task`` makes tasks of coroutines, with these
    ``options``. ``observes_begin`` and ``observes_end`` tell whether somebody wants to know of each
    request.
    """

    observes_begin: bool
    observes_end: bool

    def __init__(
        self,
        app: Callable[..., Any],
        core: Core,
        records: list[Any],
        task: Callable[..., Any],
        options: dict[str, Any],
        /,
    ) -> None:
        self.app = app
        self.core = core
        self.records = records
        self.calls: set[Exchange] = set()
        self.observes_begin = self.observes_end = False
        self._task = task
        self._options = options

    def take_record(self) -> Any:
        """Return a record that no request is on; one without a slot where all are taken."""
        return self.records.pop() if self.records else Record(None)

    def begin(self, exchange: Exchange, /) -> None:
        """Call the application."""
        self.core.requests += 1
        if self.observes_begin and not self.observe_begin(exchange):
            return
        self.calls.add(exchange)
        exchange.task = self._task(self._call(exchange), **self._options)
        if exchange.is_over:
            self.cancel_later(exchange)  # it was begun at once, and given up before this

    async def _call(self, exchange: Exchange) -> None:
        """Call the application; whatever it raises ends its request."""
        try:
            try:
                await self.app(exchange.scope, exchange.receive, exchange.send)
            except BaseException as error:
                self.fail(exchange, error)
            else:
                if not exchange.complete:
                    self.fail(exchange, None)
        finally:
            self.calls.discard(exchange)
            exchange.owner.forget(exchange)

    def end(self, exchange: Exchange, /) -> None:
        """Count a request whose response is complete, or given up."""
        record = exchange.record
        self.core.responses += 1
        record.end(exchange.code if exchange.started else 0)
        exchange.started_ns = record.started_ns
        elapsed_us = (time.monotonic_ns() - record.started_ns) // 1000
        self.give_back(record)
        if self.observes_end:
            self.observe_end(exchange, elapsed_us)

    def give_back(self, record: Any, /) -> None:
        """Have a record for another request."""
        if record.has_slot or not self.records:
            self.records.append(record)

    def observe_begin(self, exchange: Exchange, /) -> bool:
        """Tell who wants to know; False where there is to be no call."""
        raise NotImplementedError

    def observe_end(self, exchange: Exchange, elapsed_us: int, /) -> None:
        """Tell who wants to know."""
        raise NotImplementedError

    def cancel_later(self, exchange: Exchange, /) -> None:
        """Cancel a call whose client has gone, unless it ends soon by itself."""
        raise NotImplementedError

    def fail(self, exchange: Exchange, error: BaseException | None, /) -> None:
        """End a request whose call raised, or returned without a complete response."""
        raise NotImplementedError
