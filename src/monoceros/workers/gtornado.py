"""The ``tornado`` worker: tornado's own HTTP server, for applications made of its handlers.

Requests are read by tornado, and nothing of our HTTP code takes part, nor do the settings about it.
A WSGI application is served too, by tornado's container, one request at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import sys
import time
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate
from tornado.iostream import IOStream
from tornado.web import Application
from tornado.wsgi import WSGIContainer

from monoceros.net.closing import is_ending
from monoceros.workers.base import Worker
from monoceros.workers.draining import IDLE_GRACE_S, PATIENCE, SETTLE_S
from monoceros.workers.news import News
from monoceros.workers.poller import ready_now

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from tornado.httputil import HTTPConnection, RequestStartLine, ResponseStartLine

_TICK_S = 1.0
_BUSY_S = 0.05  # how often is looked whether the last answer is out


class TornadoWorker(Worker):
    """Serves a tornado application in a loop of its own."""

    def run(self) -> None:
        """Serve until asked to leave, then finish what has been received."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        if self.wakeup is None:
            raise RuntimeError("run() needs signals; init_process() sets them up")
        news = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.wakeup.fileno(), self._wake, news)
        server = _Server(self._make_application(), no_keep_alive=self.cfg.keepalive <= 0)
        server.add_sockets(self.sockets)
        while self.alive:
            self._tick(server)
            await _wait(news)
        server.conn_params.no_keep_alive = True
        await _empty_queues(server, [sock for sock in self.sockets if is_ending(sock)])
        server.stop()
        await asyncio.sleep(0)  # whoever was accepted just now has no turn until then
        await self._drain(server)
        loop.remove_reader(self.wakeup.fileno())

    def _make_application(self) -> Any:
        if isinstance(self.wsgi, Application):
            return self.wsgi
        return WSGIContainer(self.wsgi)  # type: ignore[arg-type]

    def _wake(self, news: asyncio.Event) -> None:
        if self.wakeup is not None:
            self.wakeup.drain()
        news.set()

    def _tick(self, server: _Server) -> None:
        """Do what is due about once a second."""
        self.notify()
        if self.wakeup is not None:
            # The loop of asyncio puts a descriptor of its own there for its signal handlers.
            self.wakeup.claim()
        self.nr = server.requests
        if self.nr >= self.max_requests:
            self.log.info("Autorestarting worker after current request.")
            self.max_requests = sys.maxsize
            self.tell(News.WORN_OUT)
        if self.is_orphan():
            self.log.info("Parent changed, shutting down: %s", self)
            self.alive = False

    async def _drain(self, server: _Server) -> None:
        self.tell(News.LEAVING)
        grace = min(IDLE_GRACE_S, self.cfg.graceful_timeout / 2)
        began = time.monotonic()
        until = began + PATIENCE * self.cfg.graceful_timeout
        while server.turns and time.monotonic() < until:
            self.notify()
            if time.monotonic() >= began + grace:
                server.close_idle()
            await asyncio.sleep(_BUSY_S)
        cut = sum(turn.is_pending for turn in server.turns.values())
        if cut:
            self.log.warning("Cut off at the end of graceful_timeout: requests: %s", cut)
        await server.close_all_connections()


async def _empty_queues(server: _Server, listeners: list[socket.socket]) -> None:
    """Take in all who wait at listeners that nobody serves after us."""
    if listeners:
        _accept_all(server, listeners)
        await asyncio.sleep(SETTLE_S)
        _accept_all(server, listeners)


def _accept_all(server: _Server, listeners: list[socket.socket]) -> None:
    for listener in listeners:
        with contextlib.suppress(OSError):  # nobody waits any more
            while True:
                sock, address = listener.accept()
                sock.setblocking(False)
                server.handle_stream(IOStream(sock), address)


async def _wait(news: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(news.wait(), _TICK_S)
    except asyncio.TimeoutError:
        return
    news.clear()


class _Server(HTTPServer):
    """tornado's server, which counts requests, and knows what each connection is about."""

    requests = 0

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Construct it; tornado's name for that."""
        super().initialize(*args, **kwargs)
        self.turns: dict[object, _Turn] = {}

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Return who takes in the next request of a connection."""
        inner = super().start_request(server_conn, request_conn)
        turn = self.turns[server_conn] = _Turn(self, inner, request_conn)
        return turn

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        self.turns.pop(server_conn, None)
        super().on_close(server_conn)

    def close_idle(self) -> None:
        """Close the connections on which nothing of a request has come, and nothing has to go."""
        for connection, turn in list(self.turns.items()):
            stream: Any = connection.stream  # type: ignore[attr-defined]
            if not (turn.is_pending or stream.writing() or _has_input(stream)):
                stream.close()


def _has_input(stream: Any) -> bool:
    """Whether something has come that tornado has not dealt with: of a head, for one."""
    return bool(stream._read_buffer_size or ready_now([(stream.fileno(), select.POLLIN)]))


class _Turn(HTTPMessageDelegate):
    """One request of a connection, from before its head to the end of its answer."""

    def __init__(
        self, server: _Server, inner: HTTPMessageDelegate, connection: HTTPConnection
    ) -> None:
        self.is_pending = False
        self._server = server
        self._inner = inner
        self._finish: Callable[[], None] = connection.finish
        connection.finish = self._end_answer  # type: ignore[method-assign]

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: Any
    ) -> Awaitable[None] | None:
        """Take in the head."""
        self.is_pending = True
        self._server.requests += 1
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Take in some of the content."""
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        """Take in the end of the content."""
        self._inner.finish()

    def on_connection_close(self) -> None:
        """Hear that the client has gone."""
        self.is_pending = False
        self._inner.on_connection_close()

    def _end_answer(self) -> None:
        self._finish()
        self.is_pending = False
