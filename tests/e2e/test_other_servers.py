"""Workers in which the HTTP server is another library's: tornado's, and gevent's pywsgi."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, head, read_answer
from tests.process.conftest import skip_without

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

TORNADO = """\
import asyncio, os, sys, time, tornado.web
class Handler(tornado.web.RequestHandler):
    async def get(self):
        await asyncio.sleep(float(self.get_argument("nap", "0")))
        if "block" in self.request.arguments:
            print("blocks", file=sys.stderr, flush=True)
            time.sleep(float(self.get_argument("block")))
        self.write(str(os.getpid()).ljust(int(self.get_argument("size", "0"))))
app = tornado.web.Application([(r"/", Handler)])
def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi"]
"""

PYWSGI = """\
import sys, time
from gevent.monkey import get_original
from gevent.pywsgi import WSGIHandler
from monoceros.workers.ggevent import GeventPyWSGIWorker
class Handler(WSGIHandler):
    def get_environ(self):
        return {**super().get_environ(), "mine": "yes"}
class Worker(GeventPyWSGIWorker):
    wsgi_handler = Handler
def app(environ, start_response):
    if environ["QUERY_STRING"] == "block":
        print("blocks", file=sys.stderr, flush=True)
        get_original("time", "sleep")(1.5)
    else:
        time.sleep(float(environ["QUERY_STRING"] or 0))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["mine"].encode()]
"""


def start_tornado(server: Callable[..., Server], *args: str, app: str = "app:app") -> Server:
    skip_without("tornado")
    srv = server("-k", "tornado", *args, app, files={"app.py": TORNADO})
    srv.wait_workers(1)
    return srv


def test_application_of_tornado(server: Callable[..., Server]) -> None:
    srv = start_tornado(server)
    with srv.connect() as client:
        assert ask(client).body == ask(client).body


def test_wsgi_application_under_tornado(server: Callable[..., Server]) -> None:
    assert start_tornado(server, app="app:wsgi").get("/").body == b"wsgi"


def test_tornado_finishes_what_it_has_begun(server: Callable[..., Server]) -> None:
    srv = start_tornado(server)
    with srv.connect() as slow, srv.connect() as idle:
        assert ask(idle).status == 200
        slow.sendall(head("GET", "/?nap=1.5"))
        assert ask(idle).status == 200
        srv.signal(signal.SIGTERM)
        assert read_answer(slow).status == 200
    assert srv.wait() == 0


def test_tornado_does_not_wait_longer_than_it_may(server: Callable[..., Server]) -> None:
    srv = start_tornado(server, "--graceful-timeout", "1")
    with srv.connect() as slow, srv.connect() as idle:
        slow.sendall(head("GET", "/?nap=60"))
        assert ask(idle).status == 200
        srv.signal(signal.SIGTERM)
        srv.wait_for("Cut off at the end of graceful_timeout: requests: 1")
        assert srv.wait() == 0


def start_pywsgi(server: Callable[..., Server], *args: str) -> Server:
    skip_without("gevent")
    srv = server("-k", "app.Worker", *args, "app:app", files={"app.py": PYWSGI})
    srv.wait_workers(1)
    return srv


def refuses(srv: Server) -> bool:
    try:
        srv.connect().close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("start", [start_tornado, start_pywsgi])
def test_a_first_request_is_answered_by_a_worker_that_leaves(
    server: Callable[..., Server], start: Callable[..., Server]
) -> None:
    srv = start(server)
    with srv.connect() as fresh, srv.connect() as other:
        # Whoever connected first has been accepted by now.
        assert ask(other).status == 200
        srv.signal(signal.SIGTERM)
        srv.wait_until(lambda: refuses(srv), "the listener is closed")
        fresh.sendall(head("GET", "/"))
        assert read_answer(fresh).status == 200
    assert srv.wait() == 0


@pytest.mark.parametrize(
    ("start", "target"), [(start_tornado, "/?block=1.5"), (start_pywsgi, "/?block")]
)
def test_whoever_waits_in_the_queue_is_answered(
    server: Callable[..., Server], start: Callable[..., Server], target: str
) -> None:
    srv = start(server)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(40)]
        clients[0].sendall(head("GET", target))
        srv.wait_for("blocks")
        late = [stack.enter_context(srv.connect()) for _ in range(40)]
        for client in (*clients[1:], *late):
            client.sendall(head("GET", "/"))
        srv.signal(signal.SIGTERM)
        assert {read_answer(client).status for client in (*clients, *late)} == {200}
    assert srv.wait() == 0


def test_tornado_sends_a_large_answer_to_its_end(server: Callable[..., Server]) -> None:
    srv = start_tornado(server)
    with srv.connect() as slow, srv.connect() as other:
        slow.sendall(head("GET", "/?size=8000000"))
        slow.recv(1, socket.MSG_PEEK)
        assert ask(other).status == 200
        srv.signal(signal.SIGTERM)
        srv.wait_until(lambda: refuses(srv), "the listener is closed")
        assert len(read_answer(slow).body) == 8_000_000
    assert srv.wait() == 0


def test_workers_of_tornado_are_recycled(server: Callable[..., Server]) -> None:
    srv = start_tornado(server, "--max-requests", "5")
    before = srv.workers()
    deadline = time.monotonic() + 20
    while srv.workers() & before and time.monotonic() < deadline:
        assert srv.get("/").status == 200
    srv.wait_for("Autorestarting worker after current request")


def test_a_loop_that_stands_still_is_replaced(server: Callable[..., Server]) -> None:
    srv = start_tornado(server, "--timeout", "2")
    with srv.connect() as slow:
        slow.sendall(head("GET", "/?block=60"))
        srv.wait_for(r"WORKER TIMEOUT \(pid:\d+\)")
        srv.wait_for(r'app\.py", line 7 in get')
    srv.wait_until(lambda: srv.get("/").status == 200, "its successor")


def test_workers_with_a_handler_for_pywsgi_are_recycled(server: Callable[..., Server]) -> None:
    skip_without("gevent")
    args = ("-k", "app.Worker", "--max-requests", "3", "app:app")
    srv = server(*args, files={"app.py": PYWSGI})
    before = srv.wait_workers(1)
    with srv.connect() as idle:
        assert ask(idle).body == b"yes"
        for _ in range(3):
            assert srv.get("/").body == b"yes"
        began = time.monotonic()
        srv.wait_until(lambda: not srv.workers() & before, "the successor")
    # An idle connection holds up nobody.
    assert time.monotonic() - began < 15


def test_handler_for_pywsgi(server: Callable[..., Server]) -> None:
    skip_without("gevent")
    srv = server("-k", "app.Worker", "--access-logfile", "-", "app:app", files={"app.py": PYWSGI})
    srv.wait_workers(1)
    with srv.connect() as slow:
        slow.sendall(head("GET", "/?1.5"))
        assert srv.get("/").body == b"yes"
        srv.signal(signal.SIGTERM)
        assert read_answer(slow).body == b"yes"
    assert srv.wait() == 0
    assert b"GET /?1.5" in srv.output
