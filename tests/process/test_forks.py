"""Processes that an application forks off while it serves keep nothing of the worker's."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping

    from tests.process.conftest import Server

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]

APP = """\
import multiprocessing, os, sys, time

def rest():
    os.write(2, b"at rest\\n")
    time.sleep(600)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = b"hello"
    if path == "/fork":
        time.sleep(0.02)  # others tend the connections by now
        process = multiprocessing.get_context("fork").Process(target=rest, daemon=True)
        process.start()
        body = b"%d" % process.pid
    if path in ("/return", "/exit"):
        time.sleep(0.02)
        child = os.fork()
        if not child and path == "/exit":
            sys.exit(0)
        body = b"%d" % child
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
FILES = {"app.py": APP}
both = pytest.mark.parametrize("threads", ["1", "4"])


def start(
    server: Callable[..., Server], threads: str, *options: str, files: Mapping[str, str] = FILES
) -> tuple[Server, int]:
    kind = "sync" if threads == "1" else "gthread"
    args = ("--workers", "1", "--threads", threads, "-k", kind, "--keep-alive", "75")
    # Python itself warns of forks in processes with threads.
    env = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}
    srv = server(*args, *options, "app:app", files=files, env=env)
    (pid,) = srv.wait_workers(1)
    return srv, pid


@contextlib.contextmanager
def ending(pid: int) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def ask(client: socket.socket, path: bytes) -> bytes:
    client.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
    answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
    return answer.partition(b"\r\n\r\n")[2]


def sleeps(pid: int) -> int:
    """Return how often the threads of a process have gone to sleep."""
    tasks = Path(f"/proc/{pid}/task").glob("*/status")
    texts = [task.read_text() for task in tasks]
    return sum(int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0]) for text in texts)


@both
def test_a_child_keeps_no_connection(server: Callable[..., Server], threads: str) -> None:
    srv, pid = start(server, threads)
    with contextlib.ExitStack() as stack:
        idle, forking = (stack.enter_context(srv.connect()) for _ in range(2))
        ask(idle, b"/")
        child = int(ask(forking, b"/fork"))
        stack.enter_context(ending(child))
        srv.wait_for("^at rest")
        kept = [what for what in descriptors(child).values() if "socket" in what or "epoll" in what]
        own = {what for what in descriptors(pid).values() if "socket" in what}
        assert not own.intersection(kept)
        assert not [what for what in kept if "epoll" in what]
        # The parent goes on with all of them.
        for client in (idle, forking):
            assert ask(client, b"/") == b"hello"
        forking.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        ended = b"".join(iter(lambda: forking.recv(65536), b""))
        assert ended.endswith(b"hello")
        os.kill(child, 0)
        before = sleeps(pid)
        time.sleep(1.0)  # the span that is measured
        assert sleeps(pid) - before <= 10


@both
@pytest.mark.parametrize("path", [b"/return", b"/exit"])
def test_a_child_that_returns_ends(
    server: Callable[..., Server], threads: str, path: bytes
) -> None:
    srv, pid = start(server, threads)
    with srv.connect() as client:
        for _ in range(3):
            child = int(ask(client, path))
            assert child > 0
            srv.wait_for(rf"A process \(pid:{child}\) that the application forked has come back")
            wait_end(child)
        assert ask(client, b"/") == b"hello"
    assert srv.workers() == {pid}
    assert srv.count("in worker process|Worker exiting") == 0


HOOK = """\
import os
def post_request(worker, req, environ, resp):
    os.write(2, b"%d is done with %s\\n" % (os.getpid(), req.path.encode()))
"""


@both
def test_a_child_that_returns_tells_nobody(server: Callable[..., Server], threads: str) -> None:
    files = {**FILES, "gunicorn.conf.py": HOOK}
    srv, pid = start(server, threads, "--access-logfile", "-", files=files)
    with srv.connect() as client:
        for count in range(1, 4):
            wait_end(int(ask(client, b"/return")))
            srv.wait_for("has come back", count)
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert srv.count("is done with") == srv.count(f"^{pid} is done with /return$") == 3
    assert srv.output.count(b"GET /return ") == 3


def wait_end(pid: int) -> None:
    """Wait until a process is gone, or a zombie that nobody has looked for."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} is still there")


@both
def test_an_idle_worker_sleeps(server: Callable[..., Server], threads: str) -> None:
    srv, pid = start(server, threads)
    with srv.connect() as client:
        for _ in range(20):
            ask(client, b"/")
        time.sleep(0.2)  # the monitor looks for others for a moment
        before = sleeps(pid)
        time.sleep(2.0)  # the span that is measured
        # The sign of life and the timeouts, each once a second.
        assert sleeps(pid) - before <= 2 * 3 + 1
