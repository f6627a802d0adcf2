"""Requests for another protocol on the same connection: WebSockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monoceros.asgi.websocket_support import WebSocketSettings, preload

if TYPE_CHECKING:
    import asyncio

    from monoceros.asgi.connection import Connection
    from monoceros.asgi.service import Service
    from monoceros.asgi.websocket import WebSocket
    from monoceros.config import Config
    from monoceros.http.types import Exchange, Record, Scope


class Upgrades:
    """The WebSockets of one worker; one counts as a request for as long as its call lasts."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop, cfg: Config) -> None:
        self.calls: set[WebSocket] = set()
        self._service = service
        self._loop = loop
        self._make = self._load()
        self._settings = WebSocketSettings(
            ping_interval=cfg.websocket_ping_interval,
            ping_timeout=cfg.websocket_ping_timeout,
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
        if self._make is None or not _is_websocket(exchange.scope):
            return False
        service = self._service
        service.core.requests += 1
        record = service.take_record()
        record.begin(connection.peer, exchange.line)
        socket: WebSocket
        socket = connection.successor = self._make(
            service.app,
            exchange,
            connection.transport,
            self._settings,
            service.log,
            loop=self._loop,
            on_end=lambda: self._end(socket, exchange, record),
        )
        self.calls.add(socket)
        socket.begin(rest)
        return True

    def _end(self, socket: WebSocket, exchange: Exchange, record: Record) -> None:
        self.calls.discard(socket)
        self._service.core.responses += 1
        record.end(exchange.code if exchange.started else 0)
        self._service.give_back(record)


def _is_websocket(scope: Scope) -> bool:
    fields: list[Any] = scope["headers"]
    return any(
        name == b"upgrade" and b"websocket" in [one.strip() for one in value.lower().split(b",")]
        for name, value in fields
    )
