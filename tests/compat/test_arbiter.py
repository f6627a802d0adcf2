"""Subclasses of the arbiter, as Airflow has one: real servers."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from monoceros.arbiter.loop import Arbiter
from tests.process.conftest import skip_without

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

# Replaces all workers again and again, by the means that Airflow's has.
ROLLING = """\
import pathlib, signal
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"hi"]

class OwnLogger(Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.propagate = False

class RollingArbiter(Arbiter):
    def __init__(self, app):
        super().__init__(app)
        self.old = set()
        self.is_rolling = False
        self.log.info("to have %d workers of %s", self.num_workers, self.worker_class.__name__)

    def manage_workers(self):
        super().manage_workers()
        if pathlib.Path("roll").exists():
            pathlib.Path("roll").unlink()
            self.old = set(self.WORKERS)
            self.is_rolling = True
            self.log.info("rolling begins")
        elif self.is_rolling:
            self.roll()

    def roll(self):
        self.old &= set(self.WORKERS)
        if not self.old:
            self.is_rolling = False
            self.log.info("rolling is complete")
            return
        count = len(self.WORKERS)
        if count <= self.num_workers:
            self.log.info("spawned %d", self.spawn_worker())
        if count > self.num_workers:
            oldest = min(self.old, key=lambda pid: self.WORKERS[pid].age)
            self.kill_worker(oldest, signal.SIGTERM)
            self.old.discard(oldest)

class Application(BaseApplication):
    def load_config(self):
        self.cfg.set("bind", "127.0.0.1:{port}")
        self.cfg.set("workers", 2)
        self.cfg.set("loglevel", "debug")
        self.cfg.set("logger_class", "__main__.OwnLogger")

    def load(self):
        return app

    def run(self):
        RollingArbiter(self).run()

if __name__ == "__main__":
    Application().run()
"""


@pytest.mark.process
def test_a_subclass_replaces_workers_itself(program: Callable[..., Server]) -> None:
    srv = program("main.py", files={"main.py": ROLLING})
    srv.wait_for("to have 2 workers of SyncWorker")
    first = srv.wait_workers(2)

    (srv.cwd / "roll").touch()
    srv.wait_for("rolling is complete", timeout=30)
    assert srv.get("/").body == b"hi"
    second = srv.wait_workers(2)
    assert not first & second

    os.kill(min(second), signal.SIGKILL)
    srv.wait_until(lambda: len(srv.workers() - second) == 1)
    srv.signal(signal.SIGTTIN)
    srv.wait_workers(3)
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded")
    third = srv.wait_workers(2)
    assert not second & third
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert srv.count("Traceback|WORKER TIMEOUT|SIGKILL") == 1


def test_what_is_never_called_cannot_be_overridden() -> None:
    with pytest.raises(TypeError, match=r"Own overrides handle_chld, reap_workers, which"):

        class Own(Arbiter):
            def reap_workers(self) -> None: ...
            def handle_chld(self) -> None: ...


HALT = """\
from gunicorn.errors import HaltServer

def {hook}:
    raise HaltServer("enough", 7)
"""


@pytest.mark.process
@pytest.mark.parametrize("hook", ["when_ready(server)", "child_exit(server, worker)"])
def test_a_hook_halts_the_server(server: Callable[..., Server], hook: str) -> None:
    conf = HALT.replace("{hook}", hook)
    app = "def app(environ, start_response): ...\n"
    files = {"app.py": app, "gunicorn.conf.py": conf}
    srv = server("app:app", files=files)
    if "child" in hook:
        (worker,) = srv.wait_workers(1)
        os.kill(worker, signal.SIGKILL)
    srv.wait_for("enough")
    assert srv.wait() == 7


SURFACE = """\
def when_ready(server):
    server.log.info("codes %s %s", server.WORKER_BOOT_ERROR, server.APP_LOAD_ERROR)

def child_exit(server, worker):
    server.stop()

def post_worker_init(worker):
    worker.log.info("parent lives: %s %s", worker.is_parent_alive(), worker.reloader)
"""


@pytest.mark.process
def test_hooks_end_the_server(server: Callable[..., Server]) -> None:
    app = "def app(environ, start_response): ...\n"
    srv = server("app:app", files={"app.py": app, "gunicorn.conf.py": SURFACE})
    srv.wait_for("codes 3 4")
    srv.wait_for("parent lives: True None")
    (worker,) = srv.wait_workers(1)

    os.kill(worker, signal.SIGKILL)
    assert srv.wait() == 0


# The manner of Airflow's API server: everything by options, its own logging, uvicorn's worker.
SCHEDULER = """\
import logging, sys
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from uvicorn.workers import UvicornWorker

logging.basicConfig(level="DEBUG", stream=sys.stderr, format="own: %(name)s %(message)s")

class OwnLogger(Logger):
    def setup(self, cfg):
        self.error_log.propagate = True
        self.access_log.propagate = True

class OwnWorker(UvicornWorker):
    CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "log_config": None, "access_log": False}

class OwnArbiter(Arbiter):
    def manage_workers(self):
        super().manage_workers()

class Application(BaseApplication):
    def __init__(self, options):
        self.options = options
        self.application = None
        super().__init__()

    def load_config(self):
        for key, value in self.options.items():
            if key in self.cfg.settings and value is not None:
                self.cfg.set(key.lower(), value)
        found = self.cfg.parser().parse_args(self.cfg.get_cmd_args_from_env())
        for key, value in vars(found).items():
            if value is not None and key != "args":
                self.cfg.set(key.lower(), value)

    def load(self):
        if self.application is None:
            from api import app
            self.application = app
        return self.application

    def run(self):
        try:
            OwnArbiter(self).run()
        except RuntimeError as error:
            sys.exit(str(error))

def post_worker_init(worker):
    worker.log.info("initialised with %s", worker.cfg.keepalive)

if __name__ == "__main__":
    Application({
        "bind": "127.0.0.1:{port}",
        "workers": 2,
        "worker_class": "__main__.OwnWorker",
        "timeout": 120,
        "graceful_timeout": 120,
        "keepalive": 120,
        "loglevel": "debug",
        "logger_class": "__main__.OwnLogger",
        "preload_app": True,
        "post_worker_init": post_worker_init,
        "forwarded_allow_ips": "",
    }).run()
"""

API = """\
print("application imported", flush=True)
async def app(scope, receive, send):
    while scope["type"] == "lifespan":
        kind = (await receive())["type"]
        await send({"type": kind + ".complete"})
        if kind == "lifespan.shutdown":
            return
    body = scope["scheme"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.mark.process
def test_the_manner_of_airflow(program: Callable[..., Server]) -> None:
    skip_without("uvicorn")
    files = {"main.py": SCHEDULER, "api.py": API}
    srv = program("main.py", files=files, env={"GUNICORN_CMD_ARGS": "--keep-alive 7"})
    srv.wait_workers(2)
    srv.wait_for("own: gunicorn.error initialised with 7", count=2)

    assert srv.get("/", {"X-Forwarded-Proto": "https"}).body == b"http"
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded")
    assert srv.get("/").status == 200
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert srv.output == b"application imported\n"
