"""Worker classes of others on our arbiter: real servers."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.process.conftest import skip_without

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

ASGI = """\
import os
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                {startup}
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = b"%d" % os.getpid()
    length = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})
"""

REFUSAL = 'return await send({"type": "lifespan.startup.failed", "message": "no database"})'

AIOHTTP = """\
import os
from aiohttp import web

async def answer(request):
    return web.Response(text=str(os.getpid()))

def make():
    app = web.Application()
    app.router.add_get("/", answer)
    return app

app = make()

async def factory():
    return make()

async def broken():
    raise LookupError("no application")
"""

# As blogs have it: a loop of its own, without any of the server's HTTP.
BLOG = """\
import os, select, socket
from gunicorn.workers.base import Worker

class BlogWorker(Worker):
    def run(self):
        self.log.info("timeout %s, %d wait_fds", self.timeout, len(self.wait_fds))
        for sock in self.sockets:
            sock.setblocking(False)
        while self.alive:
            self.notify()
            if self.ppid != os.getppid():
                self.log.info("Parent changed, shutting down: %s", self)
                return
            ready, _, _ = select.select(self.wait_fds, [], [], 1.0)
            if self.PIPE[0] in ready:
                os.read(self.PIPE[0], 1)
            for sock in [one for one in ready if one in self.sockets]:
                try:
                    client, address = sock.accept()
                except BlockingIOError:
                    continue
                self.nr += 1
                with client:
                    client.setblocking(True)
                    client.recv(65536)
                    self.answer(client)

    def answer(self, client):
        status = []
        body = b"".join(self.wsgi({}, lambda *args: status.append(args)))
        head = "HTTP/1.1 %s\\r\\nContent-Length: %d\\r\\n\\r\\n" % (status[0][0], len(body))
        client.sendall(head.encode() + body)
"""

WSGI = """\
def app(environ, start_response):
    import os
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

FOREIGN = [
    ("uvicorn", "uvicorn.workers.UvicornWorker", "app:app", {"app.py": ASGI}),
    ("uvicorn", "uvicorn.workers.UvicornH11Worker", "app:app", {"app.py": ASGI}),
    ("uvicorn_worker", "uvicorn_worker.UvicornWorker", "app:app", {"app.py": ASGI}),
    ("aiohttp", "aiohttp.GunicornWebWorker", "app:app", {"app.py": AIOHTTP}),
    ("aiohttp", "aiohttp.worker.GunicornWebWorker", "app:factory", {"app.py": AIOHTTP}),
    ("select", "blog.BlogWorker", "app:app", {"app.py": WSGI, "blog.py": BLOG}),
]


@pytest.mark.parametrize(
    ("needed", "worker_class", "app", "files"), FOREIGN, ids=[f"{k[1]}-{k[2]}" for k in FOREIGN]
)
def test_a_class_of_others_serves_reloads_and_stops(
    server: Callable[..., Server],
    needed: str,
    worker_class: str,
    app: str,
    files: Mapping[str, str],
) -> None:
    skip_without(needed)
    files = {name: text.replace("{startup}", "pass") for name, text in files.items()}
    srv = server("-k", worker_class, "--workers", "2", "--timeout", "3", app, files=files)
    first = srv.wait_workers(2)
    assert int(srv.get("/").body) in first

    srv.signal(signal.SIGHUP)
    srv.wait_for("is ready", count=4)
    second = srv.wait_workers(2)
    assert not first & second
    assert int(srv.get("/").body) in second

    os.kill(min(second), signal.SIGKILL)
    srv.wait_for("is ready", count=5)
    srv.wait_workers(2)
    assert srv.get("/").status == 200

    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert srv.count("Cut off|WORKER TIMEOUT|Traceback") == 0


@pytest.mark.parametrize("worker_class", ["uvicorn.workers.UvicornWorker"])
def test_requests_in_hand_are_answered_at_a_stop(
    server: Callable[..., Server], worker_class: str
) -> None:
    skip_without("uvicorn")
    app = ASGI.replace("{startup}", "pass").replace(
        "    body =", "    open('begun', 'w').close()\n    await asyncio.sleep(0.5)\n    body ="
    )
    srv = server("-k", worker_class, "app:app", files={"app.py": "import asyncio\n" + app})
    srv.wait_workers(1)
    with srv.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        srv.wait_until((srv.cwd / "begun").exists)
        srv.signal(signal.SIGTERM)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
    assert srv.wait() == 0


def test_a_lifespan_that_fails_ends_the_server(server: Callable[..., Server]) -> None:
    skip_without("uvicorn")
    app = ASGI.replace("{startup}", REFUSAL)
    srv = server("-k", "uvicorn.workers.UvicornWorker", "app:app", files={"app.py": app})

    srv.wait_for("no database")
    assert srv.wait() == 3


def test_a_lifespan_that_fails_at_a_reload_changes_nothing(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    skip_without("uvicorn")
    files = {"app.py": ASGI.replace("{startup}", "pass")}
    srv = server("-k", "uvicorn.workers.UvicornWorker", "app:app", files=files)
    (worker,) = srv.wait_workers(1)

    (tmp_path / "app.py").write_text(ASGI.replace("{startup}", REFUSAL))
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reload given up, the old workers keep serving")
    assert int(srv.get("/").body) == worker


def test_a_start_that_fails_ends_the_server(server: Callable[..., Server]) -> None:
    skip_without("aiohttp")
    srv = server("-k", "aiohttp.GunicornWebWorker", "app:broken", files={"app.py": AIOHTTP})

    srv.wait_for("LookupError: no application")
    assert srv.wait() == 3


def test_access_lines_of_uvicorn(server: Callable[..., Server]) -> None:
    skip_without("uvicorn")
    options = ("-k", "uvicorn.workers.UvicornWorker", "--access-logfile", "-")
    srv = server(*options, "app:app", files={"app.py": ASGI.replace("{startup}", "pass")})
    srv.wait_workers(1)

    srv.get("/a?b=c")
    srv.wait_until(lambda: b'"GET /a?b=c HTTP/1.1" 200' in srv.output)


def test_a_silent_class_is_taken_for_ready(server: Callable[..., Server]) -> None:
    blog = BLOG.replace("            self.notify()\n", "")
    files = {"app.py": WSGI, "blog.py": blog}
    srv = server("-k", "blog.BlogWorker", "--timeout", "0", "app:app", files=files)

    srv.wait_workers(1)
    assert srv.get("/").status == 200


def test_a_class_that_hangs_is_replaced(server: Callable[..., Server]) -> None:
    blog = BLOG.replace("self.answer(client)", "select.select([], [], [], 60)")
    files = {"app.py": WSGI, "blog.py": blog}
    srv = server("-k", "blog.BlogWorker", "--timeout", "3", "app:app", files=files)
    srv.wait_workers(1)
    with srv.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        srv.wait_for("WORKER TIMEOUT")
    srv.wait_for("is ready", count=2)


def test_signs_of_life_by_a_descriptor(server: Callable[..., Server]) -> None:
    blog = BLOG.replace(
        "            self.notify()\n",
        "            os.utime(self.tmp.fileno())\n",
    ).replace("while self.alive:", "self.notify()\n        while self.alive:")
    blog = blog.replace("[], 1.0)", "[], 0.5)\n            self.log.info('turn')")
    files = {"app.py": WSGI, "blog.py": blog}
    srv = server("-k", "blog.BlogWorker", "--timeout", "3", "app:app", files=files)

    srv.wait_for("turn", count=12)
    assert srv.count("WORKER TIMEOUT") == 0


def test_an_entry_point(server: Callable[..., Server], tmp_path: Path) -> None:
    info = tmp_path / "blogs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: blogs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gunicorn.workers]\nblog = blog:BlogWorker\n")
    files = {"app.py": WSGI, "blog.py": BLOG}
    srv = server("-k", "egg:blogs#blog", "app:app", files=files)

    srv.wait_for("Using worker: egg:blogs#blog")
    srv.wait_workers(1)
    assert srv.get("/").status == 200


OURS = """\
from gunicorn.workers.{module} import {name}

class Own({name}):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.log.info("made, %s", self.pid)
    def init_process(self):
        self.log.info("own init_process")
        super().init_process()
    def load_wsgi(self):
        super().load_wsgi()
        self.log.info("own load_wsgi")
    def notify(self):
        super().notify()
        self.log.debug("own notify")
    def handle_quit(self, sig, frame):
        self.log.info("own handle_quit")
        super().handle_quit(sig, frame)
"""


@pytest.mark.parametrize(("module", "name"), [("sync", "SyncWorker"), ("gthread", "ThreadWorker")])
def test_subclasses_of_ours(server: Callable[..., Server], module: str, name: str) -> None:
    own = OURS.replace("{module}", module).replace("{name}", name)
    srv = server("-k", "own.Own", "app:app", files={"app.py": WSGI, "own.py": own})
    srv.wait_workers(1)

    assert srv.get("/").status == 200
    for line in ("made, \\[booting\\]", "own init_process", "own load_wsgi", "own notify"):
        srv.wait_for(line)
    srv.signal(signal.SIGQUIT)
    assert srv.wait() == 0
    assert srv.count("own handle_quit") == 1


def test_what_is_never_called_cannot_be_overridden(server: Callable[..., Server]) -> None:
    own = "from gunicorn.workers.sync import SyncWorker\nclass Own(SyncWorker):\n"
    own += "    def handle_request(self, listener, req, client, addr): ...\n"
    files = {"app.py": WSGI, "own.py": own}
    srv = server("-k", "own.Own", "app:app", files=files, listening=False)

    srv.wait_for("Own overrides handle_request, which")
    assert srv.wait() == 1


def test_an_asgi_application_on_our_own_class_is_refused(server: Callable[..., Server]) -> None:
    files = {"app.py": ASGI.replace("{startup}", "pass")}
    srv = server("-k", "gunicorn.workers.sync.SyncWorker", "app:app", files=files, listening=False)

    srv.wait_for("ASGI")
    assert srv.wait() == 4


def test_uvicorn_that_is_not_installed(server: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("import sys\nsys.modules['uvicorn'] = None\n")
    options = ("-k", "uvicorn.workers.UvicornWorker", "app:app")
    srv = server(*options, files={"app.py": ASGI.replace("{startup}", "pass")})
    (pid,) = srv.wait_workers(1)

    assert srv.get("/").body == b"%d" % pid
    assert srv.count(r"uvicorn\.workers\.UvicornWorker is not installed; its place is taken") == 1
