"""Serving with gevent's own ``pywsgi``, for handlers that are made for it.

gevent-websocket and its like bring a ``wsgi_handler`` of theirs. Nothing of our HTTP code takes
part then, nor do the settings about it: requests are read by gevent.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from monoceros.identity import server_software
from monoceros.workers.draining import PATIENCE
from monoceros.workers.news import News

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.http.types import Environ, StartResponse
    from monoceros.workers.ggevent import GeventPyWSGIWorker
    from monoceros.workers.lookout import Hub

_TICK_S = 1.0
_BUSY_S = 0.1  # how often is looked whether the last answer is out


def serve(worker: GeventPyWSGIWorker, hub: Hub) -> None:
    """Serve until the worker is to leave, then wait for the answers that are under way."""
    if worker.wakeup is None:
        raise RuntimeError("serve() needs signals; init_process() sets them up")
    pool = Pool(worker.cfg.worker_connections)
    calls = _Calls(worker)
    servers = [_make_server(worker, sock, pool, calls) for sock in worker.sockets]
    for server in servers:
        server.start()
    while worker.alive:
        worker.notify()
        calls.recycle()
        if worker.is_orphan():
            worker.log.info("Parent changed, shutting down: %s", worker)
            break
        hub.wait(worker.wakeup.fileno(), select.POLLIN, _TICK_S)
        worker.wakeup.drain()
    for server in servers:
        server.close()
    worker.tell(News.LEAVING)
    _drain(worker, pool, calls)


class _Calls:
    """The application, whose calls are counted: all there were, and those under way."""

    def __init__(self, worker: GeventPyWSGIWorker) -> None:
        self.pending = 0
        self._worker = worker
        self._has_asked = False

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        app = self._worker.wsgi
        assert app is not None
        self._worker.nr += 1
        self.pending += 1
        try:
            content = app(environ, start_response)
        except BaseException:
            self.pending -= 1
            raise
        return self._pass_on(content)

    def _pass_on(self, content: Any) -> Iterator[bytes]:
        try:
            yield from content
        finally:
            self.pending -= 1
            close = getattr(content, "close", None)
            if close is not None:
                close()

    def recycle(self) -> None:
        """Ask for a successor once there have been ``max_requests``."""
        if self._worker.nr >= self._worker.max_requests and not self._has_asked:
            self._has_asked = True
            self._worker.log.info("Autorestarting worker after current request.")
            self._worker.tell(News.WORN_OUT)


def _make_server(worker: GeventPyWSGIWorker, sock: Any, pool: Any, app: _Calls) -> Any:
    handler = worker.wsgi_handler or WSGIHandler
    listener = gevent.socket.socket(sock.family, sock.type, fileno=sock.detach())
    software = server_software(worker.cfg.compat)
    # It is Gunicorn's class that has the name ``gunicorn.sock`` for the listener.
    environ = {"SERVER_SOFTWARE": software, "gunicorn.sock": listener}
    server_class = worker.server_class or WSGIServer
    return server_class(
        listener,
        application=app,
        spawn=pool,
        log=_access_log(worker),
        error_log=worker.log.error_log,
        handler_class=handler,
        environ={**environ, "wsgi.multiprocess": worker.cfg.workers > 1},
    )


def _access_log(worker: GeventPyWSGIWorker) -> Any:
    return worker.log.access_log if worker.log.access_log_enabled else None


def _drain(worker: GeventPyWSGIWorker, pool: Any, calls: _Calls) -> None:
    until = time.monotonic() + PATIENCE * worker.cfg.graceful_timeout
    while calls.pending and time.monotonic() < until:
        worker.notify()
        pool.join(_BUSY_S)
    if calls.pending:
        worker.log.warning("Cut off at the end of graceful_timeout: calls: %s", calls.pending)
    # What is left of the last answers goes out, and idle connections end.
    pool.join(_BUSY_S)
    pool.kill(timeout=_TICK_S)
