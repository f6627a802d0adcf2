"""Connections and requests whose time is up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monoceros.http.expiry import check_limit
from monoceros.http.types import HEAD, IDLE, LINGERING
from monoceros.workers.asgi.late import report_late
from monoceros.workers.asgi.waits import Waits
from monoceros.workers.lateness import undelivered
from monoceros.workers.timeouts import GRACE_S, LINGER_S

if TYPE_CHECKING:
    from monoceros.asgi.connection import Connection
    from monoceros.asgi.content import Content
    from monoceros.asgi.service import Service
    from monoceros.http.types import Exchange
    from monoceros.workers.timeouts import Timeouts

SWEEP_S = 1.0  # how often connections are looked at
LOOK_S = 0.1  # how often requests are, where their time is limited


class Sweep:
    """Looks after the connections of one worker in time; times are the loop's."""

    def __init__(self, service: Service, timeouts: Timeouts, request_timeout: float) -> None:
        self._service = service
        self._timeouts = timeouts
        self._limit_s = request_timeout
        self._own_limits: dict[Exchange, float] = {}  # of requests that have chosen another one

    def look(self, now: float) -> None:
        """Deal with connections that have been in their state for too long; about once a second."""
        for connection in tuple(self._service.connections):
            if connection.successor is not None:
                connection.successor.tick(now)
            elif connection.unsent_octets():
                self._judge_output(connection, now)
            else:
                connection.taken = -1
                self._judge_input(connection, now)

    def _judge_input(self, connection: Connection, now: float) -> None:
        if connection.exchange is None:
            self._judge_silence(connection, now)
        else:
            content = connection.exchange.content
            if content is not None and content.is_awaited:
                self._judge_content(connection, connection.exchange, content, now)

    def close_idle(self, since: float) -> None:
        """Take leave of connections that no request has come on since then.

        Who still receives an answer has not had the time to ask for something else.
        """
        for connection in tuple(self._service.connections):
            if connection.is_idle and connection.since <= since:
                if undelivered(connection.fileno()):
                    connection.since = self._service.time()
                else:
                    connection.take_leave()

    def _judge_output(self, connection: Connection, now: float) -> None:
        taken = connection.taken_octets()
        if taken != connection.taken:
            connection.taken = taken
            connection.since = now
        elif 0 < self._timeouts.write < now - connection.since:
            connection.abort()

    def _judge_content(
        self, connection: Connection, exchange: Exchange, content: Content, now: float
    ) -> None:
        """See whether the application waits in vain.

        Only time in which it does counts.
        """
        limit, min_rate = self._timeouts.body, self._timeouts.min_rate
        content.waited_s += SWEEP_S
        behind = content.waited_s - content.received / min_rate if min_rate else 0.0
        if 0 < limit < max(now - content.moved, behind):
            connection.end_early(exchange, 408)

    def _judge_silence(self, connection: Connection, now: float) -> None:
        if connection.is_due:
            return  # it is not the client who is silent
        timeouts = self._timeouts
        waited = now - connection.since
        state = connection.state
        if state == LINGERING:
            if waited > LINGER_S:
                connection.abort()
        elif state == HEAD and connection.pending:
            if 0 < timeouts.header < waited:
                connection.reject(408)
        elif state == HEAD:
            if connection.expires and 0 < timeouts.header < waited:
                connection.take_leave()
        elif state == IDLE and connection.expires and waited > timeouts.keepalive + GRACE_S:
            connection.take_leave()

    # -- request_timeout -----------------------------------------------------------------------

    @property
    def limits_requests(self) -> bool:
        """Whether ``end_late`` is to be called, each ``LOOK_S`` seconds."""
        return bool(self._limit_s or self._own_limits)

    def set_timeout(self, connection: Connection | None, seconds: float) -> None:
        """Let the request in flight take so many seconds from its start; 0 means no limit.

        Raises ``ValueError``. The application may call this on any thread, also when the response
        is complete or the connection has gone: then it is too late for anything to happen.
        """
        limit_s = check_limit(seconds)
        exchange = None if connection is None else connection.exchange
        if exchange is not None and not self._is_another(exchange):
            self._own_limits[exchange] = limit_s

    def _is_another(self, exchange: Exchange) -> bool:
        """Whether it is the call for an earlier request of the connection that runs."""
        try:
            task = asyncio.current_task()
        except RuntimeError:  # on another thread
            return False
        earlier = (one for one in self._service.calls if one.owner is exchange.owner)
        return any(one.task is task for one in earlier if one is not exchange)

    def end_late(self, now_ns: int) -> None:
        """Answer for calls that take longer than they may."""
        calls = self._service.calls
        own = self._own_limits
        waits = Waits()  # one look at what tasks wait for will do
        for exchange in tuple(calls):
            limit_s = own.get(exchange, self._limit_s) if own else self._limit_s
            age_s = (now_ns - exchange.record.started_ns) / 1e9
            if exchange.owner.exchange is exchange and 0 < limit_s < age_s:
                self._expire(exchange, waits)
        for exchange in tuple(own):
            if exchange not in calls:
                del own[exchange]

    def _expire(self, exchange: Exchange, waits: Waits) -> None:
        report_late(self._service.log, exchange, exchange.task, waits)
        exchange.owner.end_early(exchange, 504)
        if exchange.task is not None:
            exchange.task.cancel()
