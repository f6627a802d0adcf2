"""How an ASGI worker takes leave of those it serves: what they are told, and how calls end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from monoceros.asgi.events import tell
from monoceros.http.types import LINGERING

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.asgi.loops import Ending
    from monoceros.asgi.service import Service
    from monoceros.log.logger import Logger
    from monoceros.workers.asgi.upgrades import Upgrades

RESTART, STOP = 1012, 1001  # how WebSockets are closed (RFC 6455 7.4.1 and its registry)
_LEAST_S = 0.1  # what a call has for its clean-up in any case
_LOOK_S = 0.05  # how often is looked whether there is less time than before


class Farewell:
    """The calls of one worker, from the moment in which it is to leave."""

    def __init__(self, service: Service, upgrades: Upgrades, ending: Ending, log: Logger) -> None:
        self._service = service
        self._upgrades = upgrades
        self._ending = ending
        self._log = log

    @property
    def has_calls(self) -> bool:
        """Whether the application is still at something."""
        return bool(self._service.calls or self._upgrades.calls)

    @property
    def has_sockets(self) -> bool:
        """Whether there is a WebSocket, be it one whose call or whose connection has ended."""
        connections = self._service.connections
        return bool(self._upgrades.calls or any(one.successor is not None for one in connections))

    @property
    def has_streams(self) -> bool:
        """Whether there is a call that sends events."""
        return any(exchange.is_stream for exchange in self._service.calls)

    # -- telling -------------------------------------------------------------------------------

    def close_sockets(self, code: int, *, waits: bool) -> None:
        """Close WebSockets; ``waits`` leaves those alone that are not accepted yet."""
        for connection in tuple(self._service.connections):
            if connection.successor is not None:
                connection.successor.shut_down(code, waits=waits)

    def tell_streams(self) -> None:
        """Have streams of events hear ``http.disconnect``."""
        for exchange in tuple(self._service.calls):
            if exchange.is_stream and not exchange.is_told:
                exchange.is_told = True
                tell(exchange)

    def end_streams(self) -> None:
        """End streams of events as if they had said all."""
        for exchange in tuple(self._service.calls):
            if exchange.is_stream and exchange.owner.exchange is exchange:
                exchange.owner.end_stream(exchange)

    # -- ending --------------------------------------------------------------------------------

    async def cut_off(self, when: str, time_left: Callable[[], float]) -> None:
        """Cancel the calls, and let them clean up for half of the seconds that are left."""
        self._service.is_closing = True
        self._close_others()
        calls = tuple(self._service.calls)
        sockets = tuple(self._upgrades.calls)
        count = sum(one.owner.exchange is one for one in calls) + len(sockets)
        if count:
            self._log.warning("Cut off %s: calls in progress: %s", when, count)
        found = (*(one.task for one in calls), *(one.task for one in sockets))
        tasks = {task for task in found if task is not None}
        self._ending.cancel(*tasks)
        await self._wait(tasks, time_left)
        for connection in tuple(self._service.connections):
            connection.abort()

    def _close_others(self) -> None:
        """Close connections on which nothing goes on, so that no further call begins."""
        for connection in tuple(self._service.connections):
            is_free = connection.exchange is None and connection.successor is None
            if is_free and connection.state != LINGERING:
                connection.abort()

    async def _wait(self, tasks: set[asyncio.Task[Any]], time_left: Callable[[], float]) -> None:
        began = time.monotonic()
        while tasks := {task for task in tasks if not task.done()}:
            waited_s = time.monotonic() - began
            left_s = max(_LEAST_S, time_left()) - waited_s
            if left_s <= 0:
                what = "Calls that did not end within %.1f seconds after they were cancelled: %s"
                self._log.warning(what, waited_s, len(tasks))
                return
            await asyncio.wait(tasks, timeout=min(left_s, _LOOK_S))
