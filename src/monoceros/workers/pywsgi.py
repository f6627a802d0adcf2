"""Serving with gevent's own ``pywsgi``, for handlers that are made for it.

gevent-websocket and its like bring a ``wsgi_handler`` of theirs. Nothing of our HTTP code takes
part then, nor do the settings about it: requests are read by gevent.
"""

from __future__ import annotations

import contextlib
import select
import time
from typing import TYPE_CHECKING, Any

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from monoceros.identity import server_software
from monoceros.net.closing import is_ending
from monoceros.workers.draining import IDLE_GRACE_S, PATIENCE, SETTLE_S
from monoceros.workers.news import News
from monoceros.workers.poller import ready_now

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
    _empty_queues([server for server in servers if is_ending(server.socket)])
    for server in servers:
        server.close()
    worker.tell(News.LEAVING)
    _drain(worker, pool, calls)


class _Calls:
    """The application, whose calls are counted: all there were, and those under way."""

    def __init__(self, worker: GeventPyWSGIWorker) -> None:
        self.pending: set[object] = set()  # the greenlets of calls
        self._worker = worker
        self._has_asked = False

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        app = self._worker.wsgi
        assert app is not None
        self._worker.nr += 1
        self.pending.add(gevent.getcurrent())
        try:
            content = app(environ, start_response)
        except BaseException:
            self.pending.discard(gevent.getcurrent())
            raise
        return self._pass_on(content)

    def _pass_on(self, content: Any) -> Iterator[bytes]:
        try:
            yield from content
        finally:
            self.pending.discard(gevent.getcurrent())
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


def _empty_queues(servers: list[Any]) -> None:
    """Take in all who wait at listeners that nobody serves after us."""
    if servers:
        _accept_all(servers)
        gevent.sleep(SETTLE_S)
        _accept_all(servers)


def _accept_all(servers: list[Any]) -> None:
    for server in servers:
        with contextlib.suppress(OSError):  # nobody waits any more
            while (accepted := server.do_read()) is not None:
                server.do_handle(*accepted)


def _drain(worker: GeventPyWSGIWorker, pool: Any, calls: _Calls) -> None:
    grace = min(IDLE_GRACE_S, worker.cfg.graceful_timeout / 2)
    began = time.monotonic()
    until = began + PATIENCE * worker.cfg.graceful_timeout
    while len(pool) and time.monotonic() < until:
        worker.notify()
        pool.join(_BUSY_S)
        if time.monotonic() >= began + grace:
            _end_idle(pool, calls)
    if calls.pending:
        cut = len(calls.pending)
        worker.log.warning("Cut off at the end of graceful_timeout: calls: %s", cut)
    pool.kill(timeout=_TICK_S)


def _end_idle(pool: Any, calls: _Calls) -> None:
    """End the connections that are in no call, and on which nothing has come."""
    # What a pool spawns is given a handler, what closes, the socket and its address.
    quiet = {one: one.args[2].fileno() for one in pool if one not in calls.pending}
    ready = set(ready_now([(fd, select.POLLIN) for fd in quiet.values() if fd >= 0]))
    for one, fd in quiet.items():
        if fd not in ready:
            pool.killone(one, block=False)
