"""From start to stop: listening, workers, exit codes, the pid file."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from monoceros.identity import start_line
from tests.process.conftest import COMPAT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

BROKEN = "import os\nraise RuntimeError('the database is not there')\n"


def test_log_lines_of_a_whole_life(server: Callable[..., Server]) -> None:
    srv = server("--workers", "2", "app:app")
    pids = srv.wait_workers(2)
    srv.signal(signal.SIGTERM)

    assert srv.wait() == 0
    start = start_line(COMPAT, "http ").removesuffix(")")
    srv.wait_for(rf"\[INFO\] Starting {re.escape(start)}")
    srv.wait_for(rf"Listening at: http://127\.0\.0\.1:{srv.port} \({srv.pid}\)$")
    srv.wait_for(r"Using worker: sync$")
    srv.wait_for("Handling signal: term$")
    srv.wait_for("Shutting down: Master$")
    for pid in pids:
        srv.wait_for(rf"\[{pid}\] \[INFO\] Booting worker with pid: {pid}$")
        srv.wait_for(rf"\[{pid}\] \[INFO\] Worker exiting \(pid: {pid}\)$")
        assert not srv.owns(pid)
    assert srv.count(r"\[(ERROR|CRITICAL|WARNING)\]") == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_every_stop_exits_with_0(server: Callable[..., Server], signum: int) -> None:
    srv = server("app:app")
    srv.wait_workers(1)
    srv.signal(signum)

    assert srv.wait() == 0


def test_stop_before_any_worker_is_ready(server: Callable[..., Server]) -> None:
    srv = server("app:app", files={"app.py": "import time; time.sleep(600)"})
    srv.wait_for("Booting worker")
    srv.signal(signal.SIGTERM)

    assert srv.wait() == 0


def test_quick_stop_does_not_wait_for_a_request(server: Callable[..., Server]) -> None:
    srv = server("app:app")
    srv.wait_workers(1)
    with srv.connect() as client:
        client.sendall(b"GET /sleep/600 HTTP/1.1\r\nHost: x\r\n\r\n")
        srv.signal(signal.SIGTERM)
        srv.wait_for("Handling signal: term")
        srv.signal(signal.SIGINT)
        assert srv.wait(10) == 0


def test_graceful_timeout_ends_what_does_not_finish(server: Callable[..., Server]) -> None:
    srv = server("--graceful-timeout", "1", "app:app", files={"app.py": DEAF})
    srv.wait_workers(1)
    with srv.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        srv.wait_for("deaf now")
        srv.signal(signal.SIGTERM)
        assert srv.wait(10) == 0
    srv.wait_for(r"was sent SIGKILL! It had not left in time\.")


DEAF = """\
import os, signal, time
def app(environ, start_response):
    for signum in (signal.SIGTERM, signal.SIGQUIT, signal.SIGABRT):
        signal.signal(signum, signal.SIG_IGN)
    os.write(2, b"deaf now\\n")
    time.sleep(600)
"""


def test_app_that_does_not_import_exits_with_3(server: Callable[..., Server]) -> None:
    srv = server("--pid", "pid", "app:app", files={"app.py": BROKEN}, listening=False)

    assert srv.wait() == 3
    assert not (srv.cwd / "pid").exists()
    srv.wait_for(r"\[ERROR\] Exception in worker process")
    srv.wait_for(r'File ".*/app.py", line 2')
    srv.wait_for("RuntimeError: the database is not there")
    srv.wait_for(r"Worker \(pid:\d+\) exited with code 3\.")
    srv.wait_for("Reason: Worker failed to boot.")
    assert "arbiter" not in srv.log


def test_reason_is_not_buried_under_the_ends_of_many_workers(
    server: Callable[..., Server],
) -> None:
    srv = server("app:app", "--workers", "8", files={"app.py": BROKEN}, listening=False)

    assert srv.wait() == 3
    srv.wait_for("Reason: Worker failed to boot.")
    assert srv.count(r"exited with code 3") == 1


def test_app_that_is_not_there_exits_with_4(server: Callable[..., Server]) -> None:
    srv = server("app:application", "--workers", "2", listening=False)

    assert srv.wait() == 4
    srv.wait_for(r"Failed to find attribute 'application' in 'app'\. Did you mean 'app:app'\?")
    srv.wait_for("Reason: App failed to load.")


def test_app_that_exits_while_it_is_imported_says_so(server: Callable[..., Server]) -> None:
    srv = server("app:app", files={"app.py": "import sys; sys.exit('no licence')"}, listening=False)

    assert srv.wait() == 3
    srv.wait_for("SystemExit: no licence")


NO_EXCEPTION = """\
import asyncio, os
def worker_exit(server, worker):
    os.write(2, b"worker_exit\\n")
raise asyncio.CancelledError("too early")
"""


def test_app_that_raises_no_exception_exits_with_3(server: Callable[..., Server]) -> None:
    hooks = NO_EXCEPTION.rpartition("raise")[0]
    files = {"app.py": NO_EXCEPTION, "gunicorn.conf.py": hooks}
    srv = server("app:app", files=files, listening=False)

    assert srv.wait() == 3
    srv.wait_for(r'File ".*/app.py", line 4')
    srv.wait_for(r"CancelledError: too early")
    srv.wait_for("^worker_exit$")
    srv.wait_for("Reason: Worker failed to boot.")
    assert srv.count("Booting worker") == 1


def test_preloaded_app_that_does_not_import_exits_with_1(server: Callable[..., Server]) -> None:
    srv = server("--preload", "app:app", files={"app.py": BROKEN}, listening=False)

    assert srv.wait() == 1
    srv.wait_for("RuntimeError: the database is not there")
    assert srv.count("Booting worker") == 0


def test_preloaded_app_is_imported_once_in_the_arbiter(server: Callable[..., Server]) -> None:
    source = "import os\nos.write(2, b'imported by %d\\n' % os.getpid())\n" + APP
    srv = server("--preload", "--workers", "2", "app:app", files={"app.py": source})
    srv.wait_workers(2)

    assert srv.get().body == b"hello"
    srv.wait_for(f"imported by {srv.pid}")
    assert srv.count("imported by") == 1


APP = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""


def test_exit_handlers_of_the_application_run(server: Callable[..., Server]) -> None:
    source = APP + "import atexit, os\natexit.register(os.write, 2, b'flushed\\n')\n"
    srv = server("--workers", "2", "app:app", files={"app.py": source})
    srv.wait_workers(2)
    srv.signal(signal.SIGTERM)

    assert srv.wait() == 0
    assert srv.count("^flushed$") == 2


def test_address_that_becomes_free_in_time(server: Callable[..., Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        host, port = other.getsockname()
        srv = server("--bind", f"{host}:{port}", "app:app", listening=False)
        srv.wait_for("Connection in use")
    srv.wait_for("Listening at")
    assert srv.get().status == 200


def test_stop_while_waiting_for_the_address(server: Callable[..., Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        host, port = other.getsockname()
        srv = server("--bind", f"{host}:{port}", "--pid", "pid", "app:app", listening=False)
        srv.wait_for("Connection in use")
        srv.signal(signal.SIGTERM)
        assert srv.wait() == 0
    assert srv.count("Connection in use") < 5
    assert not (srv.cwd / "pid").exists()


def test_several_addresses(server: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "socket"
    srv = server("-b", f"unix:{path}", "-b", "127.0.0.1:0", "--umask", "007", "app:app")
    srv.wait_for(rf"Listening at: unix:{path},http://127\.0\.0\.1:\d+ \({srv.pid}\)")

    assert srv.get().body == b"hello"
    assert stat.S_IMODE(path.stat().st_mode) == 0o770
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert not path.exists()


def test_pid_file(server: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "server.pid"
    path.write_text("999999999\n")  # left behind
    srv = server("--pid", str(path), "app:app")

    assert path.read_text() == f"{srv.pid}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert not path.exists()


def test_address_that_cannot_be_had_leaves_no_pid_file(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("--pid", "pid", "--bind", "192.0.2.1:8000", "app:app", listening=False)

    assert srv.wait() == 1
    srv.wait_for(r"Can't connect to \('192\.0\.2\.1', 8000\)")
    assert not (tmp_path / "pid").exists()


def test_pid_file_of_a_living_process(server: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "server.pid"
    path.write_text(f"{os.getpid()}\n")
    srv = server("--pid", str(path), "app:app", listening=False)

    assert srv.wait() == 1
    srv.wait_for(rf"Already running on PID {os.getpid()} \(or pid file '.*' is stale\)")
    assert path.read_text() == f"{os.getpid()}\n"
