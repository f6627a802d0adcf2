"""Programs that host the server, and the command as a program: real servers."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

APP = """\
def app(environ, start_response):
    body = environ["SERVER_SOFTWARE"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

# The recipe of the documentation, with options that are read anew on each reload.
STANDALONE = """\
import json, pathlib
from gunicorn.app.base import BaseApplication
from app import app

def post_fork(server, worker):
    own = server.app is application and worker.app is application
    server.log.info("own application: %s, file says %s", own, worker.cfg.proc_name)

class StandaloneApplication(BaseApplication):
    def __init__(self, app, options=None):
        self.options = options or {}
        self.application = app
        super().__init__()

    def load_config(self):
        options = dict(self.options, **json.loads(pathlib.Path("options.json").read_text()))
        config = {k: v for k, v in options.items() if k in self.cfg.settings and v is not None}
        for key, value in config.items():
            self.cfg.set(key.lower(), value)

    def load(self):
        return self.application

if __name__ == "__main__":
    options = {"bind": "127.0.0.1:{port}", "post_fork": post_fork, "loglevel": "debug"}
    application = StandaloneApplication(app, options)
    application.run()
"""


def test_the_recipe_of_an_application(program: Callable[..., Server], tmp_path: Path) -> None:
    files = {"app.py": APP, "main.py": STANDALONE, "options.json": '{"proc_name": "one"}'}
    srv = program("main.py", files=files)

    answer = srv.get("/")
    assert (answer.status, answer.headers["Server"]) == (200, "gunicorn")
    assert answer.body == b"gunicorn/27.0.1"
    srv.wait_for("own application: True, file says one")

    (tmp_path / "options.json").write_text('{"proc_name": "two", "workers": 2, "unknown": 1}')
    srv.signal(signal.SIGHUP)
    srv.wait_for("own application: True, file says two", count=2)
    srv.wait_workers(2)
    assert srv.get("/").status == 200

    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0


def test_an_upgrade(program: Callable[..., Server]) -> None:
    files = {"app.py": APP, "main.py": STANDALONE, "options.json": "{}"}
    srv = program("main.py", files=files)
    srv.wait_workers(1)

    srv.signal(signal.SIGUSR2)
    new = int(srv.wait_for(r"Starting a new master \(pid:(\d+)\)")[1])
    srv.wait_for("is ready", count=2)
    srv.signal(signal.SIGTERM)
    srv.wait_for("promoted")
    assert srv.get("/").status == 200
    os.kill(new, signal.SIGTERM)
    srv.wait_for("Shutting down: Master", count=2)
    assert srv.wait() == 0


def test_a_reload_that_fails_changes_nothing(
    program: Callable[..., Server], tmp_path: Path
) -> None:
    files = {"app.py": APP, "main.py": STANDALONE, "options.json": '{"proc_name": "one"}'}
    srv = program("main.py", files=files)
    srv.wait_workers(1)

    (tmp_path / "options.json").write_text('{"workers": "many"}')
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reload failed, everything stays as it was")
    srv.wait_for("Invalid value for workers: 'many'")
    assert srv.get("/").status == 200

    (tmp_path / "options.json").write_text('{"proc_name": "two"}')
    srv.signal(signal.SIGHUP)
    srv.wait_for("file says two")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ('{"workers": -1}', r"Error: Invalid value for workers: -1"),
        ("{", r"Error: Expecting property name"),
    ],
)
def test_a_wrong_setting_ends_the_program(
    program: Callable[..., Server], options: str, reason: str
) -> None:
    files = {"app.py": APP, "main.py": STANDALONE, "options.json": options}
    srv = program("main.py", files=files, listening=False)

    srv.wait_for(reason)
    assert srv.wait() == 1


def test_what_load_raises_ends_the_server(program: Callable[..., Server]) -> None:
    main = STANDALONE.replace("return self.application", "raise LookupError('no application')")
    files = {"app.py": APP, "main.py": main, "options.json": "{}"}
    srv = program("main.py", files=files)

    srv.wait_for("LookupError: no application")
    assert srv.wait() == 3


ASGI = """\
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"asgi"})
"""


def test_an_asgi_application_without_a_worker_class(program: Callable[..., Server]) -> None:
    files = {"app.py": ASGI, "main.py": STANDALONE, "options.json": "{}"}
    srv = program("main.py", files=files)

    srv.wait_for("Using worker: asgi, because")
    srv.wait_until(lambda: srv.get("/").body == b"asgi" or None)


def test_an_asgi_application_on_a_wsgi_worker_is_refused(program: Callable[..., Server]) -> None:
    options = '{"worker_class": "sync"}'
    srv = program("main.py", files={"app.py": ASGI, "main.py": STANDALONE, "options.json": options})

    srv.wait_for("StandaloneApplication.load")
    assert srv.wait() == 4


EMBEDDED = """\
import sys
from gunicorn.app.wsgiapp import {what}

def when_ready(server):
    server.log.info("hook of the program")

sys.argv = ["gunicorn", "--bin", "127.0.0.1:{port}", "--log-level=debug", "app:app"]
"""


def test_the_command_is_run_by_a_program(program: Callable[..., Server]) -> None:
    main = EMBEDDED.replace("{what}", "run") + "run()\n"
    conf = "workers = 2\nproc_name = 'from the file'\nbind = '127.0.0.1:1'\n"
    files = {"app.py": APP, "main.py": main, "gunicorn.conf.py": conf}
    srv = program("main.py", files=files)

    srv.wait_workers(2)
    assert srv.get("/").body == b"gunicorn/27.0.1"
    srv.signal(signal.SIGHUP)
    srv.wait_for("is ready", count=4)
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0


def test_a_program_changes_the_command(program: Callable[..., Server]) -> None:
    ending = "app = WSGIApplication('usage')\napp.cfg.set('when_ready', when_ready)\napp.run()\n"
    main = EMBEDDED.replace("{what}", "WSGIApplication") + ending
    srv = program("main.py", files={"app.py": APP, "main.py": main})

    srv.wait_for("hook of the program")
    assert srv.get("/").status == 200


def test_a_subclass_of_the_command(program: Callable[..., Server]) -> None:
    main = """\
import sys
from gunicorn.app.base import Application
from gunicorn.config import Config

class Site(Application):
    def init(self, parser, opts, args):
        self.word = args[0]
        return {"bind": "127.0.0.1:{port}", "workers": 2, "loglevel": "debug"}
    def load(self):
        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", str(len(self.word)))])
            return [self.word.encode()]
        return app

assert Config("usage", prog="site").prog == "site"
Site("%(prog)s WORD").run()
"""
    srv = program("main.py", "hello", "--workers", "1", files={"main.py": main})

    assert srv.get("/").body == b"hello"
    srv.wait_workers(1)


def test_no_application(program: Callable[..., Server]) -> None:
    srv = program("-m", "gunicorn", files={}, listening=False)

    srv.wait_for("Error: No application")
    assert srv.wait() == 1


def test_check_config(program: Callable[..., Server]) -> None:
    check = ("-m", "gunicorn", "--check-config")
    srv = program(*check, "app:app", files={"app.py": APP}, listening=False)
    assert srv.wait() == 0
    srv = program(*check, "app:no", files={}, listening=False)
    srv.wait_for("Failed to find attribute 'no'")
    assert srv.wait() == 1


def test_a_program_asks_for_its_configuration(program: Callable[..., Server]) -> None:
    options = '{"print_config": true, "workers": 3}'
    files = {"app.py": APP, "main.py": STANDALONE, "options.json": options}
    srv = program("main.py", files=files, listening=False)

    assert srv.wait() == 0
    assert b"= 3  # the program that hosts the server" in srv.output


def test_version(program: Callable[..., Server]) -> None:
    srv = program("-m", "gunicorn.app.wsgiapp", "--version", files={}, listening=False)

    assert srv.wait() == 0
    assert srv.output.startswith(b"gunicorn (version 27.0.1)\n")


# What New Relic's agent does, before anything of the server is imported.
AGENT = """\
import importlib.abc, importlib.util, sys

class Loader(importlib.abc.Loader):
    def __init__(self, loader): self.loader = loader
    def create_module(self, spec): return self.loader.create_module(spec)
    def exec_module(self, module):
        self.loader.exec_module(module)
        original = module.Application.wsgi
        def wsgi(self, *args, **kwargs):
            app = original(self, *args, **kwargs)
            def wrapped(environ, start_response):
                return app(dict(environ, SERVER_SOFTWARE="seen"), start_response)
            return wrapped
        module.Application.wsgi = wsgi

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "gunicorn.app.base":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        spec.loader = Loader(spec.loader)
        return spec

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("module", ["monoceros", "gunicorn"])
def test_an_agent_wraps_what_loads_the_application(
    program: Callable[..., Server], module: str
) -> None:
    run = f"import runpy, agent\nrunpy.run_module({module!r}, run_name='__main__')\n"
    files = {"app.py": APP, "agent.py": AGENT, "main.py": run}
    options = ("--bind", "127.0.0.1:0", "--log-level", "debug")
    srv = program("main.py", *options, "app:app", files=files)

    assert srv.get("/").body == b"seen"
    srv.wait_workers(1)
    srv.signal(signal.SIGHUP)
    srv.wait_for("is ready", count=2)
    assert srv.get("/").body == b"seen"
