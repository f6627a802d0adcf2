"""The ``tornado`` worker: tornado's own HTTP server, for applications made of its handlers.

Requests are read by tornado, and nothing of our HTTP code takes part, nor do the settings about it.
A WSGI application is served too, by tornado's container, one request at a time.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate
from tornado.web import Application
from tornado.wsgi import WSGIContainer

from monoceros.workers.base import Worker
from monoceros.workers.draining import PATIENCE
from monoceros.workers.news import News

if TYPE_CHECKING:
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
        server.stop()
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
        until = asyncio.get_running_loop().time() + PATIENCE * self.cfg.graceful_timeout
        while server.pending and asyncio.get_running_loop().time() < until:
            self.notify()
            await asyncio.sleep(_BUSY_S)
        if server.pending:
            cut = server.pending
            self.log.warning("Cut off at the end of graceful_timeout: requests: %s", cut)
        await server.close_all_connections()


async def _wait(news: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(news.wait(), _TICK_S)
    except asyncio.TimeoutError:
        return
    news.clear()


class _Server(HTTPServer):
    """tornado's server, which counts requests: all there were, and those under way."""

    requests = 0
    pending = 0

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Return who takes in the next request of a connection."""
        return _Counted(self, super().start_request(server_conn, request_conn), request_conn)


class _Counted(HTTPMessageDelegate):
    """One request, from its head to the end of its answer or of its connection."""

    def __init__(
        self, server: _Server, inner: HTTPMessageDelegate, connection: HTTPConnection
    ) -> None:
        self._server = server
        self._inner = inner
        self._is_pending = False
        self._finish: Callable[[], None] = connection.finish
        connection.finish = self._end_answer  # type: ignore[method-assign]

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: Any
    ) -> Awaitable[None] | None:
        """Take in the head."""
        self._is_pending = True
        self._server.requests += 1
        self._server.pending += 1
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Take in some of the content."""
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        """Take in the end of the content."""
        self._inner.finish()

    def on_connection_close(self) -> None:
        """Hear that the client has gone."""
        self._end()
        self._inner.on_connection_close()

    def _end_answer(self) -> None:
        self._finish()
        self._end()

    def _end(self) -> None:
        if self._is_pending:
            self._is_pending = False
            self._server.pending -= 1
