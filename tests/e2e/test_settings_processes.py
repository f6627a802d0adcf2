"""What the settings of processes and sockets change."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.conftest import Server

pytestmark = pytest.mark.process


def test_where_the_server_listens(server: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "s"
    server("--bind", f"unix:{path}", "--workers", "0", "--backlog", "3", "--umask", "0117")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660  # umask

    # workers and backlog: nobody accepts, and the kernel keeps one more than it is asked for.
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(5)]
        for client in clients:
            client.setblocking(False)
        found = [client.connect_ex(str(path)) for client in clients]
        assert found == [0, 0, 0, 0, errno.EAGAIN]


def test_servers_share_a_port(server: Callable[..., Server]) -> None:
    first = server("--reuse-port", "--workers", "0")
    second = server("--reuse-port", "--workers", "0", "--bind", f"127.0.0.1:{first.port}")
    assert second.address == first.address


APP = """\
import os
import beside

def app(environ, start_response):
    lines = [os.getcwd(), os.environ["M_FROM"], beside.__file__, str(os.getpid())]
    start_response("200 OK", [])
    return ["\\n".join(lines).encode()]
"""

WORKER = """\
from monoceros.workers.sync import SyncWorker

class Mine(SyncWorker):
    def init_process(self):
        self.log.info("a worker of my own")
        super().init_process()
"""

SETTINGS = """\
wsgi_app = "inner_app:app"
chdir = "inner"
pythonpath = "../library"
raw_env = ["M_FROM=the file"]
worker_class = "mine.Mine"
worker_tmp_dir = "/dev/shm"
default_proc_name = "shop"
max_requests = 1
max_requests_jitter = 1_000_000_000

def on_starting(server):
    server.log.info("named %s", server.proc_name)
"""


def test_where_the_application_runs(server: Callable[..., Server], tmp_path: Path) -> None:
    for name, text in (
        ("inner/inner_app.py", APP),
        ("library/beside.py", ""),
        ("mine.py", WORKER),
        ("other.py", SETTINGS),
        ("gunicorn.conf.py", "raise AssertionError('not the file that was asked for')"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    srv = server("--config", "other.py")  # config and wsgi_app
    srv.wait_for("a worker of my own")  # worker_class
    srv.wait_for("worker_tmp_dir is not needed")
    srv.wait_for("named shop$")  # default_proc_name

    answers = {srv.get().body.decode() for _ in range(5)}
    (answer,) = answers  # max_requests_jitter: the first request was not the worker's last
    directory, variable, beside, pid = answer.splitlines()
    assert directory == f"{tmp_path}/inner"  # chdir
    assert variable == "the file"  # raw_env
    assert os.path.realpath(beside) == f"{tmp_path}/library/beside.py"  # pythonpath
    assert int(pid) in srv.workers()


MEETING = """\
import threading
everybody = threading.Barrier(3)

def app(environ, start_response):
    everybody.wait(20)
    me = threading.current_thread()
    start_response("200 OK", [])
    return [f"{me.ident} {me is threading.main_thread()} {environ['wsgi.multithread']}".encode()]
"""


def test_threads_run_the_application(server: Callable[..., Server]) -> None:
    args = ("--workers", "1", "--threads", "3", "app:app")
    srv = server(*args, files={"app.py": MEETING})
    srv.wait_for("Using worker: gthread$")
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(srv.get) for _ in range(3)]
        words = [answer.result().body.decode().split() for answer in answers]

    assert len({ident for ident, *_ in words}) == 3
    assert [rest for _, *rest in words] == [["False", "True"]] * 3
