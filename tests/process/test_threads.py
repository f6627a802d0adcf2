"""What the arbiter makes of workers with several threads."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

APP = """\
import os, time
def app(environ, start_response):
    os.write(2, f"stuck in {environ['PATH_INFO']}\\n".encode())
    while not os.path.exists("gate"):
        time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@contextlib.contextmanager
def keep_busy(srv: Server, threads: int = 2) -> Iterator[None]:
    """Have each thread work on a request."""
    with contextlib.ExitStack() as clients:
        for number in range(threads):
            client = clients.enter_context(contextlib.closing(srv.connect()))
            client.sendall(b"GET /stuck%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            srv.wait_for(rf"^stuck in /stuck{number}$")
        yield


def in_hand(text: str) -> list[str]:
    """Return the paths that the log names as running."""
    return re.findall(r"running GET (/\S+) from 127\.0\.0\.1 for \d\.\ds", text)


@pytest.mark.parametrize("threads", [2, 12])
def test_all_requests_of_a_dead_worker_are_named(
    server: Callable[..., Server], threads: int
) -> None:
    args = ("--threads", str(threads), "--workers", "1", "app:app")
    srv = server(*args, files={"app.py": APP})
    (pid,) = srv.wait_workers(1)
    with keep_busy(srv, threads):
        os.kill(pid, signal.SIGKILL)
        srv.wait_for(rf"Worker \(pid:{pid}\) was sent SIGKILL!.*")
        srv.wait_for("Booting worker", count=2)

    assert sorted(in_hand(srv.log)) == sorted(f"/stuck{number}" for number in range(threads))


@pytest.mark.slow
def test_timeout_is_for_processes_that_are_silent(server: Callable[..., Server]) -> None:
    args = ("--threads", "12", "--workers", "1", "--timeout", "1", "app:app")
    srv = server(*args, files={"app.py": APP})
    (pid,) = srv.wait_workers(1)
    with keep_busy(srv, 12):
        with pytest.raises(AssertionError, match="no 'WORKER TIMEOUT'"):
            srv.wait_for("WORKER TIMEOUT", timeout=4)
        assert srv.workers() == {pid}
        os.kill(pid, signal.SIGSTOP)
        srv.wait_for(rf"WORKER TIMEOUT \(pid:{pid}\).*")
        srv.wait_for(rf"Worker \(pid:{pid}\) was sent SIGKILL!")

    assert sorted(in_hand(srv.log)) == sorted(f"/stuck{number}" for number in range(12))


BREAKING = """\
import os
from monoceros.workers.sweeping import Sweeper
def app(environ, start_response):
    if environ["PATH_INFO"] == "/break":
        def sweep(*args):
            raise RuntimeError("broken by a test")
        Sweeper.sweep = sweep
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_fault_of_the_loop_ends_the_worker(server: Callable[..., Server], threads: str) -> None:
    args = ("--threads", threads, "--workers", "1", "app:app")
    srv = server(*args, files={"app.py": BREAKING})
    (pid,) = srv.wait_workers(1)
    assert srv.get("/break").status == 200
    srv.wait_for("RuntimeError: broken by a test")
    srv.wait_for(rf"Worker \(pid:{pid}\) exited with code 255")
    srv.wait_for("Booting worker", count=2)
    assert srv.get("/").status == 200


NEVER = """\
import atexit, os, time
atexit.register(os.write, 2, b"exit handlers have run\\n")
def app(environ, start_response):
    os.write(2, f"stuck in {environ['PATH_INFO']}\\n".encode())
    time.sleep(600)
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGQUIT])
def test_calls_that_never_return_do_not_stop_the_end(
    server: Callable[..., Server], signum: int
) -> None:
    args = ("--threads", "2", "--workers", "1", "--graceful-timeout", "2", "app:app")
    srv = server(*args, files={"app.py": NEVER})
    (pid,) = srv.wait_workers(1)
    with keep_busy(srv):
        srv.signal(signum)
        assert srv.wait() == 0
    srv.wait_for("exit handlers have run")
    assert srv.count(rf"Worker \(pid:{pid}\) was sent|Traceback") == 0
