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

if TYPE_CHECKING:
    from monoceros.workers.ggevent import GeventPyWSGIWorker
    from monoceros.workers.lookout import Hub

_TICK_S = 1.0
_BUSY_S = 0.1  # how often is looked whether the last answer is out


def serve(worker: GeventPyWSGIWorker, hub: Hub) -> None:
    """Serve until the worker is to leave, then wait for the answers that are under way."""
    if worker.wakeup is None:
        raise RuntimeError("serve() needs signals; init_process() sets them up")
    pool = Pool(worker.cfg.worker_connections)
    servers = [_make_server(worker, sock, pool) for sock in worker.sockets]
    for server in servers:
        server.start()
    while worker.alive:
        worker.notify()
        if worker.is_orphan():
            worker.log.info("Parent changed, shutting down: %s", worker)
            break
        hub.wait(worker.wakeup.fileno(), select.POLLIN, _TICK_S)
        worker.wakeup.drain()
    for server in servers:
        server.close()
    _drain(worker, pool)


def _make_server(worker: GeventPyWSGIWorker, sock: Any, pool: Any) -> Any:
    handler = worker.wsgi_handler or WSGIHandler
    listener = gevent.socket.socket(sock.family, sock.type, fileno=sock.detach())
    software = server_software(worker.cfg.compat)
    # It is Gunicorn's class that has the name ``gunicorn.sock`` for the listener.
    environ = {"SERVER_SOFTWARE": software, "gunicorn.sock": listener}
    server_class = worker.server_class or WSGIServer
    return server_class(
        listener,
        application=worker.wsgi,
        spawn=pool,
        log=_access_log(worker),
        error_log=worker.log.error_log,
        handler_class=handler,
        environ={**environ, "wsgi.multiprocess": worker.cfg.workers > 1},
    )


def _access_log(worker: GeventPyWSGIWorker) -> Any:
    return worker.log.access_log if worker.log.access_log_enabled else None


def _drain(worker: GeventPyWSGIWorker, pool: Any) -> None:
    until = time.monotonic() + PATIENCE * worker.cfg.graceful_timeout
    while len(pool) and time.monotonic() < until:
        worker.notify()
        pool.join(_BUSY_S)
    if len(pool):
        worker.log.warning("Cut off at the end of graceful_timeout: connections: %s", len(pool))
        pool.kill(block=False)
