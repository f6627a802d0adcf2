"""Requests for another protocol on the same connection: WebSockets.

To those who want to know of requests, a WebSocket is one that lasts until nothing more is sent.
"""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING

from monoceros.asgi.websocket_support import WebSocketSettings, preload
from monoceros.http.scope import asks_for_websocket
from monoceros.workers.asgi.late import report_late

if TYPE_CHECKING:
    import asyncio

    from monoceros.asgi.connection import Connection
    from monoceros.asgi.service import Service
    from monoceros.asgi.websocket import WebSocket
    from monoceros.config import Config
    from monoceros.http.types import Exchange
    from monoceros.workers.asgi.observers import Observers

_GOING_AWAY = 1001  # RFC 6455 7.4.1


class Upgrades:
    """The WebSockets of one worker, and their ``Watcher``.

    One is on a record of the scoreboard for as long as its call lasts.
    """

    def __init__(
        self,
        service: Service,
        loop: asyncio.AbstractEventLoop,
        observers: Observers,
        cfg: Config,
    ) -> None:
        self.calls: set[WebSocket] = set()
        self._service = service
        self._loop = loop
        self._observers = observers
        self._limit_s = cfg.request_timeout
        self._make = self._load()
        self._settings = WebSocketSettings(
            ping_interval=cfg.websocket_ping_interval,
            ping_timeout=cfg.websocket_ping_timeout,
            disconnect_grace=cfg.asgi_disconnect_grace_period,
            write_timeout=cfg.write_timeout,
            max_message_size=cfg.websocket_max_message_size,
            per_message_deflate=cfg.websocket_per_message_deflate,
        )

    def _load(self) -> type[WebSocket] | None:
        try:
            return preload()
        except ModuleNotFoundError as error:
            self._service.log.warning(
                "WebSockets are not served, because %s: pip install websockets", error
            )
            return None

    def begin(self, connection: Connection, exchange: Exchange, rest: bytes) -> bool:
        """Go on as a WebSocket where that is asked for; else the request is one of HTTP."""
        if self._make is None or not asks_for_websocket(exchange.scope["headers"]):
            return False
        service = self._service
        service.core.requests += 1
        exchange.record = record = service.take_record()
        record.begin(connection.peer, exchange.line)
        socket = connection.successor = self._make(
            service.app,
            exchange,
            connection.transport,
            self._settings,
            service.log,
            loop=self._loop,
            watcher=self,
        )
        self.calls.add(socket)
        socket.begin(rest)
        if self._limit_s and socket.is_unanswered:
            # Of all WebSockets few are unanswered, so that nobody looks through them for those.
            self._loop.call_later(self._limit_s, self._end_if_unanswered, weakref.ref(socket))
        return True

    def _end_if_unanswered(self, found: weakref.ref[WebSocket]) -> None:
        """Answer a handshake in the place of an application that takes longer than it may."""
        socket = found()
        if socket is None or not socket.is_unanswered:
            return
        report_late(self._service.log, socket.exchange, socket.task)
        socket.end_early(504)
        if socket.task is not None:
            socket.task.cancel()

    @property
    def leaving(self) -> int:
        """The code to close with where calls are cancelled because the worker ends; else 0.

        Where others come after it, WebSockets have been closed before that.
        """
        return _GOING_AWAY if self._service.is_closing else 0

    def begun(self, socket: WebSocket) -> None:
        """Run ``pre_request``; raises what it raises."""
        if self._observers.wants_requests:
            self._observers.begin(socket.exchange)

    def closed(self, socket: WebSocket) -> None:
        """Tell the access log and ``post_request``."""
        if not self._observers.wants_ends:
            return
        exchange = socket.exchange
        elapsed_us = (time.monotonic_ns() - exchange.record.started_ns) // 1000
        self._service.core.refresh_date()
        try:
            self._observers.end(exchange, elapsed_us, socket.sent)
        except Exception:  # border: the scope is the application's by now
            self._service.log.exception("Exception in the access log")

    def ended(self, socket: WebSocket) -> None:
        """Count it, and take it off the scoreboard."""
        self.calls.discard(socket)
        exchange = socket.exchange
        self._service.core.responses += 1
        exchange.record.end(exchange.code if exchange.started else 0)
        self._service.give_back(exchange.record)
