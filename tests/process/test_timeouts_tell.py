"""Timeouts name what hung: the requests, their age and the line of code, before anything ends."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from monoceros.arbiter import timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

TIMEOUT_S = 1
SLACK_S = 2.0  # of a machine that does other things

APP = """\
import collections, itertools, os, re, signal, socket, sys, time
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path != "/":
        os.write(2, f"at {path} in {os.getpid()}\\n".encode())
    if path == "/stream":
        start_response("200 OK", [])
        return stream()
    if path != "/":
        globals()[path[1:]]()
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
def sleep():
    time.sleep(600)
def match():
    re.match(r"(a+)+$", "a" * 64 + "b")
def receive():
    ours, theirs = socket.socketpair(); ours.recv(1)
def spin():
    collections.deque(itertools.repeat(0), maxlen=0)
def stop():
    os.kill(os.getpid(), signal.SIGSTOP)
def stream():
    yield b"some"
    time.sleep(600)
"""
CONFIG = """\
def worker_abort(worker):
    worker.log.info("hook worker_abort %s", worker.pid)
"""

# What hangs, and what its client gets: 500 where the main thread can still run Python.
HANGS = {
    "sleep": "500",
    "match": "500",
    "receive": "500",
    "spin": "nothing",
    "stop": "nothing",
    "stream": "cut",
}


class Hung(NamedTuple):
    """A request that is not going to be answered."""

    name: str
    pid: int
    began: float
    client: http.client.HTTPConnection

    def outcome(self) -> str:
        """Return what the client gets."""
        try:
            answer = self.client.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError):
            return "nothing"
        try:
            body = answer.read()
        except (http.client.IncompleteRead, ConnectionResetError):
            return "cut"
        assert answer.headers["Connection"] == "close"
        assert body == b"500 Internal Server Error\n"
        return str(answer.status)


@contextlib.contextmanager
def hanging(srv: Server, name: str) -> Iterator[Hung]:
    """Have a worker hang."""
    client = http.client.HTTPConnection(*srv.address, timeout=20)
    with contextlib.closing(client):
        began = time.monotonic()
        client.request("GET", f"/{name}?why=no")
        pid = int(srv.wait_for(rf"^at /{name} in (\d+)")[1])
        yield Hung(name, pid, began, client)


def stacks_of(srv: Server, pid: int) -> str:
    """Return what one event of the log says about a worker's stacks."""
    srv.wait_for(rf"\[ERROR\] Stacks of worker \(pid:{pid}\)$")
    srv.wait_for(rf"Worker \(pid:{pid}\) (exited|was sent)")  # which comes after all of it
    lines = srv.log.splitlines()
    start = next(n for n, line in enumerate(lines) if f"Stacks of worker (pid:{pid})" in line) + 1
    end = next(n for n, line in enumerate(lines[start:], start) if line.startswith("["))
    return "\n".join(lines[start:end])


def line_of(name: str) -> int:
    """Return the line of the application that hangs."""
    return APP.splitlines().index(f"def {name}():") + (3 if name == "stream" else 2)


def test_each_hang_is_told_and_the_others_serve(server: Callable[..., Server]) -> None:
    files = {"app.py": APP, "gunicorn.conf.py": CONFIG}
    workers = len(HANGS) + 1
    args = ("--workers", str(workers), "--timeout", str(TIMEOUT_S), "app:app")
    srv = server(*args, files=files)
    srv.wait_workers(workers)
    with contextlib.ExitStack() as stack:
        hung = [stack.enter_context(hanging(srv, name)) for name in HANGS]
        gone = threading.Event()
        slowest: list[float] = []

        def use_the_others() -> None:
            while not gone.wait(0.02):
                began = time.monotonic()
                assert srv.get().status == 200
                slowest[:] = [max([time.monotonic() - began, *slowest])]

        user = threading.Thread(target=use_the_others)
        user.start()
        srv.wait_for("is ready", count=workers + len(HANGS))
        replaced = time.monotonic()
        outcomes = {one.name: one.outcome() for one in hung}
        ended = time.monotonic()
        gone.set()
        user.join()
    assert outcomes == HANGS
    assert replaced - hung[-1].began < TIMEOUT_S + 2 + SLACK_S
    assert ended - hung[-1].began < TIMEOUT_S + 2 + SLACK_S
    assert slowest[0] < SLACK_S

    srv.wait_until(lambda: not any(srv.owns(one.pid) for one in hung), "their deaths")
    for one in hung:
        head = rf"\[CRITICAL\] WORKER TIMEOUT \(pid:{one.pid}\) running "
        match = srv.wait_for(head + rf"GET /{one.name}\?why=no from 127\.0\.0\.1 for (\S+)s$")
        assert TIMEOUT_S <= float(match[1]) < TIMEOUT_S + SLACK_S
        text = stacks_of(srv, one.pid)
        if HANGS[one.name] == "nothing":
            srv.wait_for(rf"Worker \(pid:{one.pid}\) was sent SIGKILL! It had not left in time\.")
        if one.name == "stop":
            assert text == "no stack: the process is stopped"
        else:
            place = rf'File ".*/app\.py", line {line_of(one.name)} in {one.name}$'
            assert re.search(place, text, re.MULTILINE)
            assert "monoceros" not in text
        aborts = srv.count(f"hook worker_abort {one.pid}")
        assert aborts == (one.name not in ("spin", "stop"))
    assert srv.count("WORKER TIMEOUT") == srv.count("Stacks of worker") == len(hung)


def test_application_that_has_its_own_faulthandler_and_standard_error(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    source = """\
import faulthandler, os, signal, threading, time
faulthandler.enable()
faulthandler.register(signal.SIGUSR2)
os.dup2(os.open("mine", os.O_WRONLY | os.O_CREAT), 2)
def app(environ, start_response):
    threading.Thread(target=work, daemon=True).start()
    time.sleep(600)
def work():
    time.sleep(600)
"""
    srv = server("--timeout", "1", "app:app", files={"app.py": source, "gunicorn.conf.py": CONFIG})
    (victim,) = srv.wait_workers(1)
    with srv.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 500 ")
    text = stacks_of(srv, victim)

    assert re.match(r'Current thread .*\n  File ".*/app.py", line 7 in app\n', text)
    assert re.search(r'\nThread .*\n  File ".*/app.py", line 9 in work\n', text)
    assert "hook worker_abort" in (tmp_path / "mine").read_text()
    srv.wait_workers(1)


PATIENT = """\
import threading, time
from monoceros.scoreboard import beat
from monoceros.workers.sync import SyncWorker
class Patient(SyncWorker):
    timeout_is_per_call = False
    def run(self):
        threading.Thread(target=self.monitor, daemon=True).start()
        super().run()
    def monitor(self):
        while True:
            beat(self.slot, time.monotonic_ns())
            time.sleep(0.2)
"""


@pytest.mark.slow
def test_worker_whose_process_lives_may_take_its_time(server: Callable[..., Server]) -> None:
    source = "import time\ndef app(environ, start_response):\n    time.sleep(2.2)\n" + "".join(
        APP.splitlines(keepends=True)[10:12]
    )
    args = ("--timeout", "1", "--worker-class", "patient.Patient", "app:app")
    srv = server(*args, files={"app.py": source, "patient.py": PATIENT})
    (pid,) = srv.wait_workers(1)
    assert srv.get().status == 200
    assert srv.workers() == {pid}
    assert srv.count("WORKER TIMEOUT") == 0

    os.kill(pid, signal.SIGSTOP)
    srv.wait_for(rf"WORKER TIMEOUT \(pid:{pid}\) no request, no sign of life for 3\.\d")
    srv.wait_for(rf"Worker \(pid:{pid}\) was sent SIGKILL")
    srv.wait_workers(1)


SLOW_IMPORT = """\
import time
def connect_to_the_database():
    time.sleep({seconds})
connect_to_the_database()
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
HERE = r'File ".*/app.py", line 3 in connect_to_the_database$'


@pytest.mark.parametrize(
    ("seconds", "timeout"), [(3, 1), pytest.param(8, 2, marks=pytest.mark.slow)]
)
def test_slow_import_is_told_and_left_alone(
    server: Callable[..., Server], seconds: float, timeout: int
) -> None:
    source = SLOW_IMPORT.format(seconds=seconds)
    srv = server("--timeout", str(timeout), "app:app", files={"app.py": source})
    (pid,) = srv.wait_workers(1)

    assert srv.get().status == 200
    assert srv.count("WORKER TIMEOUT") == 0
    warnings = [line for line in srv.log.splitlines() if "still booting" in line]
    most = int(seconds / timeout)
    assert most - 1 <= len(warnings) <= most
    assert f"[WARNING] Worker (pid:{pid}) is still booting after {timeout}s" in warnings[0]
    assert srv.count(HERE) == len(warnings)


def test_import_that_hangs_is_ended(server: Callable[..., Server], tmp_path: Path) -> None:
    source = SLOW_IMPORT.format(seconds=600)
    srv = server("--boot-timeout", "2", "--workers", "2", "app:app", files={"app.py": source})
    srv.wait_for("Booting worker")
    began = time.monotonic()
    pid = int(srv.wait_for(r"WORKER TIMEOUT \(pid:(\d+)\) not ready after 2\.\ds")[1])
    assert 1.5 < time.monotonic() - began < 2 + SLACK_S
    srv.wait_for(r"WORKER TIMEOUT \(pid:\d+\) not ready", count=2)
    srv.wait_for(rf"Worker \(pid:{pid}\) exited with code 1")
    assert re.search(HERE, stacks_of(srv, pid), re.MULTILINE)
    assert srv.count("is still booting") == 0  # its times are ``timeout``'s
    srv.wait_for("The next worker is started in")

    (tmp_path / "app.py").write_text(SLOW_IMPORT.format(seconds=0))
    srv.wait_workers(2)  # not given up, not even at the first start
    assert srv.get().status == 200


def test_import_that_hangs_before_there_are_handlers(server: Callable[..., Server]) -> None:
    config = "import time\ndef post_fork(server, worker):\n    time.sleep(600)\n"
    files = {"app.py": APP, "gunicorn.conf.py": config}
    srv = server("--boot-timeout", "1", "app:app", files=files)
    pid = int(srv.wait_for(r"WORKER TIMEOUT \(pid:(\d+)\) not ready after 1\.\ds")[1])

    assert re.search(r'gunicorn\.conf\.py", line 3 in post_fork$', stacks_of(srv, pid), re.M)
    srv.wait_for(rf"Worker \(pid:{pid}\) was sent SIGABRT")
    srv.wait_for("Booting worker", count=2)


def test_reload_to_an_import_that_hangs(server: Callable[..., Server], tmp_path: Path) -> None:
    files = {"app.py": SLOW_IMPORT.format(seconds=0)}
    srv = server("--boot-timeout", "1", "--workers", "2", "app:app", files=files)
    old = srv.wait_workers(2)
    (tmp_path / "app.py").write_text(SLOW_IMPORT.format(seconds=600))
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reload given up, the old workers keep serving: a new worker did not boot")
    srv.wait_for(HERE)

    srv.wait_for(r"exited with code|Worker exiting", count=2)
    assert srv.workers() == old
    assert srv.get().status == 200


def test_reload_that_is_given_up_tells_where_it_hangs(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    config = "from monoceros.arbiter import reload\nreload.SHORTEST_PATIENCE_S = 1\ntimeout = 0\n"
    files = {"app.py": SLOW_IMPORT.format(seconds=0), "gunicorn.conf.py": config}
    srv = server("app:app", files=files)
    srv.wait_workers(1)
    (tmp_path / "app.py").write_text(SLOW_IMPORT.format(seconds=600))
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reload given up, .*: the new workers do not become ready")
    srv.wait_for(r"\[WARNING\] Worker \(pid:\d+\) is still booting after 1s$")
    srv.wait_for(HERE)
    srv.wait_for("Worker exiting")


def test_workers_leave_when_the_arbiter_is_killed(server: Callable[..., Server]) -> None:
    srv = server("--workers", "2", "app:app", files={"app.py": APP})
    pids, address = srv.wait_workers(2), srv.address
    with srv.connect() as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(4096).startswith(b"HTTP/1.1 200 ")
        os.kill(srv.pid, signal.SIGKILL)
        srv.process.wait()
        began = time.monotonic()
        srv.wait_until(lambda: not any(srv.owns(pid) for pid in pids), "their end")
    assert time.monotonic() - began < 2 + SLACK_S
    for pid in pids:
        srv.wait_for(f"Parent changed, shutting down: <Worker {pid}>")
    assert is_free(*address)


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens there."""
    with contextlib.suppress(OSError), socket.create_server((host, port)):
        return True
    return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_idle_workers_take_next_to_nothing(server: Callable[..., Server]) -> None:
    srv = server("--workers", "4", "app:app", files={"app.py": APP})
    pids = [srv.pid, *srv.wait_workers(4)]
    time.sleep(2)
    began, before = time.monotonic(), [usage(pid) for pid in pids]
    time.sleep(6)  # the span that is measured
    span, after = time.monotonic() - began, [usage(pid) for pid in pids]
    for (ran, woke), (had_run, had_woken) in zip(after, before, strict=True):
        assert (woke - had_woken) / span < 3
        assert (ran - had_run) / span < 0.001


def usage(pid: int) -> tuple[float, int]:
    """Return the seconds that a process has run and how often it has slept."""
    ran = Path(f"/proc/{pid}/schedstat").read_text().split()[0]
    status = Path(f"/proc/{pid}/status").read_text()
    slept = status.partition("\nvoluntary_ctxt_switches:")[2].split()[0]
    return int(ran) / 1e9, int(slept)


WAITING = """\
import os, pathlib, time
def app(environ, start_response):
    os.write(2, b"called\\n")
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""


def test_time_in_which_the_whole_server_was_stopped_does_not_count(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("--timeout", str(TIMEOUT_S), "app:app", files={"app.py": WAITING})
    srv.wait_workers(1)
    client = http.client.HTTPConnection(*srv.address, timeout=20)
    with contextlib.closing(client):
        client.request("GET", "/")
        srv.wait_for("^called")
        os.killpg(srv.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        late = TIMEOUT_S + timeouts.LATE_S + 0.2
        srv.wait_until(lambda: time.monotonic() - stopped > late, "all looks to be late")
        os.killpg(srv.pid, signal.SIGCONT)
        # It looks at timeouts in the same turn.
        srv.signal(signal.SIGUSR1)
        srv.wait_for("Handling signal: usr1")
        tmp_path.joinpath("go").touch()
        assert client.getresponse().status == 200

    assert srv.count("WORKER TIMEOUT") == 0
