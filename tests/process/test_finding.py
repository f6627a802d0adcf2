"""Applications that nobody named, or that PasteDeploy makes: served by real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import monoceros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.conftest import Server

DEADLINE_S = 60.0

FACTORY = """\
def make(global_conf, greeting):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(greeting)))])
        return [greeting.encode()]
    return app
"""
INI = """\
[app:main]
paste.app_factory = greeter:make
greeting = %(word)s

[app:other]
paste.app_factory = greeter:make
greeting = other

[server:main]
paste.server_runner = monoceros.paste:serve
host = 127.0.0.1
port = 0
config = extra.py
loglevel = debug
workers = 1
"""
FILES = {"greeter.py": FACTORY, "site.ini": INI, "extra.py": "proc_name = 'hosted'\n"}

# What pserve and its like do.
HOST = """\
import os
from paste.deploy import loadapp, loadserver
where = f"config:{os.getcwd()}/site.ini"
conf = {"word": "hello"}
loadserver(where, global_conf=conf)(loadapp(where, global_conf=conf))
"""


def test_an_application_that_nobody_named(server: Callable[..., Server]) -> None:
    source = (
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Length', '2')])\n    return [b'ok']\n"
    )
    srv = server(files={"wsgi.py": source, "main.py": "app = 7\n"})
    srv.wait_for(r"\[INFO\] Application: wsgi:application \(found in wsgi\.py\)$")
    assert srv.get("/").body == b"ok"


@pytest.mark.parametrize(("file", "body"), [("site.ini", b"hi"), ("site.ini#other", b"other")])
def test_paste(server: Callable[..., Server], file: str, body: bytes) -> None:
    pytest.importorskip("paste.deploy")
    srv = server("--paste", file, "--paste-global", "word=hi", files=FILES)
    assert srv.get("/").body == body
    srv.signal(signal.SIGHUP)
    srv.wait_for("is ready", count=2)
    assert srv.get("/").body == body


class Host:
    """A program that starts the server out of a PasteDeploy file, and its log."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOST, "--no-such-option"],
            cwd=directory,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{Path(monoceros.__file__).parents[1]}:{directory}",
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        self.deadline = threading.Timer(DEADLINE_S, self.process.kill)
        self.deadline.start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read the log up to a line."""
        assert self.process.stderr is not None
        text = ""
        for line in self.process.stderr:
            if match := re.search(pattern, line):
                return match
            text += line
        raise AssertionError(f"no {pattern!r} in the log:\n{text}")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Start one, and end it."""
    pytest.importorskip("paste.deploy")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    running = Host(tmp_path)
    yield running
    running.process.terminate()
    running.process.communicate()
    running.deadline.cancel()
    assert running.process.returncode == 0


def test_a_server_started_by_paste(host: Host) -> None:
    port = int(host.wait_for(r"Listening at: http://127\.0\.0\.1:(\d+)")[1])

    def get() -> bytes:
        with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request("GET", "/", headers={"Connection": "close"})
            return connection.getresponse().read()

    host.wait_for("is ready")
    assert get() == b"hello"
    host.process.send_signal(signal.SIGHUP)
    host.wait_for("is ready")
    assert get() == b"hello"
