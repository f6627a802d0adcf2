"""Workers in which the HTTP server is another library's: tornado's, and gevent's pywsgi."""

from __future__ import annotations

import signal
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
import asyncio, os, time, tornado.web
class Handler(tornado.web.RequestHandler):
    async def get(self):
        await asyncio.sleep(float(self.get_argument("nap", "0")))
        time.sleep(float(self.get_argument("block", "0")))
        self.write(str(os.getpid()))
app = tornado.web.Application([(r"/", Handler)])
def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi"]
"""

PYWSGI = """\
import time
from gevent.pywsgi import WSGIHandler
from monoceros.workers.ggevent import GeventPyWSGIWorker
class Handler(WSGIHandler):
    def get_environ(self):
        return {**super().get_environ(), "mine": "yes"}
class Worker(GeventPyWSGIWorker):
    wsgi_handler = Handler
def app(environ, start_response):
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
        srv.wait_for(r'app\.py", line 5 in get')
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
