"""Programs that start the command and steer it, and metrics of many processes: real servers."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import head, read_answer
from tests.process.conftest import skip_without

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

# -- as MLflow starts it

FACTORY = """\
import json, os, sys

def create_app():
    def app(environ, start_response):
        seen = {"pid": os.getpid(), "known": "gunicorn" in sys.modules}
        body = json.dumps(seen).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    return app
"""

TIMEOUT = """\
def when_ready(server):
    server.log.info("timeout %s, keepalive %s", server.cfg.timeout, server.cfg.keepalive)
"""


def test_a_start_as_of_mlflow(program: Callable[..., Server]) -> None:
    words = "-m gunicorn -b 127.0.0.1:0 -w 2 --timeout 60 mod:create_app()"
    env = {"GUNICORN_CMD_ARGS": "--timeout 5 --keep-alive=7 --log-level debug"}
    files = {"mod.py": FACTORY, "gunicorn.conf.py": TIMEOUT}
    srv = program(*words.split(), files=files, env=env)

    workers = srv.wait_workers(2)
    srv.wait_for("timeout 60, keepalive 7")
    answer = srv.get("/")
    seen = dict(re.findall(rb'"(\w+)": (\w+)', answer.body))
    assert int(seen[b"pid"]) in workers
    assert seen[b"known"] == b"true"
    assert answer.headers["Server"] == "gunicorn"

    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0


# -- as Airflow 2 does

READY = "[ready] "

WEBSERVER = """\
import setproctitle

def post_worker_init(worker):
    setproctitle.setproctitle("[ready] " + setproctitle.getproctitle())
"""

CACHED = """\
import os
print("loaded by", os.getpid(), flush=True)
cache = {}

def app(environ, start_response):
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

def cached_app(config=None, testing=False):
    return cache.setdefault("app", app)
"""


def read_titles(master: int) -> dict[int, str]:
    """Return what a process's children call themselves, by pid; empty for one that has gone."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    titles = {}
    for pid in children:
        try:
            titles[int(pid)] = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            titles[int(pid)] = ""
    return titles


def wait_ready(srv: Server, master: int, count: int) -> set[int]:
    """Return the children once there are so many, and all say that they are ready."""

    def find() -> set[int] | None:
        titles = read_titles(master)
        ready = all(title.startswith(READY) for title in titles.values())
        return set(titles) if ready and len(titles) == count else None

    return srv.wait_until(find, f"{count} children with {READY!r}")


@pytest.mark.skipif(sys.platform != "linux", reason="titles are read from /proc")
def test_a_monitor_as_of_airflow(program: Callable[..., Server], tmp_path: Path) -> None:
    words = (
        "-m gunicorn --workers 2 --worker-class sync --timeout 120 --bind 127.0.0.1:0"
        " --name airflow-webserver --pid webserver.pid --config python:www_config"
        " --access-logfile - --error-logfile - www:cached_app() --preload"
    )
    srv = program(*words.split(), files={"www.py": CACHED, "www_config.py": WEBSERVER})

    master = int((tmp_path / "webserver.pid").read_text())
    assert master == srv.pid
    first = wait_ready(srv, master, 2)
    assert set(read_titles(master).values()) == {"[ready] gunicorn: worker [airflow-webserver]"}
    assert int(srv.get("/health").body) in first

    os.kill(master, signal.SIGTTIN)
    more = wait_ready(srv, master, 3)
    assert more > first
    os.kill(master, signal.SIGTTOU)
    fewer = wait_ready(srv, master, 2)
    assert fewer < more
    assert more - fewer < first  # the oldest leaves

    os.kill(master, signal.SIGHUP)
    srv.wait_for("Hang up: Master")
    srv.wait_until(lambda: not fewer & read_titles(master).keys(), "new workers only")
    last = wait_ready(srv, master, 2)
    assert int(srv.get("/health").body) in last

    os.kill(master, signal.SIGTERM)
    assert srv.wait() == 0
    assert not (tmp_path / "webserver.pid").exists()
    assert srv.output.count(b"loaded by %d\n" % master) == srv.output.count(b"loaded by") == 1
    assert srv.output.count(b'"GET /health HTTP/1.1" 200') == 2
    assert not srv.count("ERROR|WARNING|Traceback")


# -- prometheus_client over many processes

METRICS = """\
import os
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, multiprocess

answers = Counter("answers", "Answers.")
up = Gauge("up", "Workers that live.", multiprocess_mode="liveall")
up.set(1)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = b"%d" % os.getpid()
    if path == "/metrics":
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        body = generate_latest(registry)
    else:
        answers.inc()
    if path == "/hold":
        with open("gate") as gate:
            gate.read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

MARKING = """\
from prometheus_client import multiprocess

def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
"""


def open_gate(srv: Server, path: Path) -> int:
    """Return the writing end of a pipe once somebody reads it."""

    def find() -> int | None:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None

    return srv.wait_until(find, "a reader of the pipe")


def read_metrics(srv: Server) -> tuple[float, set[int]]:
    """Return how many answers were counted, and which processes are said to live."""
    text = srv.get("/metrics").body.decode()
    (count,) = re.findall(r"^answers_total (\S+)$", text, re.MULTILINE)
    return float(count), {int(pid) for pid in re.findall(r'^up\{pid="(\d+)"\} 1.0$', text, re.M)}


def test_prometheus(program: Callable[..., Server], tmp_path: Path) -> None:
    skip_without("prometheus_client")
    (tmp_path / "metrics").mkdir()
    os.mkfifo(tmp_path / "gate")
    words = "-m gunicorn -w 2 -b 127.0.0.1:0 --log-level debug app:app"
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    files = {"app.py": METRICS, "gunicorn.conf.py": MARKING}
    srv = program(*words.split(), files=files, env=env)
    first = srv.wait_workers(2)

    with srv.connect() as client:
        client.sendall(head("GET", "/hold"))
        gate = open_gate(srv, tmp_path / "gate")  # one worker is busy, so the other one answers
        other = int(srv.get("/").body)
        os.close(gate)
        assert {other, int(read_answer(client).body)} == first
    assert read_metrics(srv) == (2, first)

    srv.signal(signal.SIGHUP)
    srv.wait_until(lambda: not first & srv.workers(), "new workers only")
    second = srv.wait_workers(2)
    srv.get("/")
    srv.wait_until(lambda: read_metrics(srv) == (3, second), "gauges of the living only")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert not srv.count("ERROR|Traceback")
