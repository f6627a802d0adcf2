"""No request is lost by what is planned, and none is refused by what fails on the way.

The clients know what they sent: half of them keep their connections, the others make one for
each request, and whatever is not answered with 200 is a loss. A sampler beside the server looks
at the scoreboard all the time for how many workers are ready.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import IMPLS
from tests.e2e.load import load
from tests.e2e.sampler import CONFIGURATION, read_lowest, wait_for_sampler
from tests.process.conftest import DEADLINE_S, WORKER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Serve
    from tests.e2e.load import Load
    from tests.process.conftest import Server

pytestmark = pytest.mark.process

ROUNDS = 3
CLIENTS = 8
APP = """\
import os
from tests.e2e.apps.plain import app as plain
kept = []
def app(environ, start_response):
    if environ["PATH_INFO"] == "/leak":
        kept.append(os.urandom(1 << 20))
        environ["PATH_INFO"] = "/pid"
    return plain(environ, start_response)
"""
SETTINGS = CONFIGURATION + "\nbind = ['127.0.0.1:0']\n"
FILES = {"app.py": APP, "gunicorn.conf.py": SETTINGS}


def start(serve: Serve, *args: str) -> Server:
    """Start two workers."""
    kept = ("--keep-alive", "75")
    srv = serve("--workers", "2", *kept, *args, "app:app", files=FILES, bind=None)
    srv.wait_workers(2)
    return srv


@contextlib.contextmanager
def loaded(serve: Serve, *args: str, path: str = "/pid") -> Iterator[tuple[Server, Load]]:
    """Run two workers under load; at the end nothing may have been lost at any time."""
    srv = start(serve, *args)
    wait_for_sampler(srv, 2)
    with load(srv, path, CLIENTS) as clients:
        clients.wait_for_more(200)
        yield srv, clients
        clients.wait_for_more(200)
    assert not clients.losses
    assert read_lowest(srv) >= 2


def send(srv: Server, signum: signal.Signals, times: int) -> None:
    """Send a signal several times, one after the other: the kernel makes one of equal ones."""
    handled = f"Handling signal: {signum.name[3:].lower()}"
    before = srv.count(handled)
    for count in range(1, times + 1):
        srv.signal(signum)
        srv.wait_for(handled, before + count)


def test_reload(serve: Serve) -> None:
    with loaded(serve) as (srv, clients):
        for count in range(1, 3 * ROUNDS + 1):
            srv.signal(signal.SIGHUP)
            srv.wait_for("Reloaded: 2 new workers are ready", count)
            clients.wait_for_more(50)


def test_ten_reloads_in_a_second(serve: Serve) -> None:
    with loaded(serve) as (srv, clients):
        for _ in range(ROUNDS):
            before = srv.count("Reloaded:")
            for _ in range(10):
                srv.signal(signal.SIGHUP)
                time.sleep(0.1)
            srv.wait_for("Reloaded:", before + 1)
            clients.wait_for_more(50)


def test_more_and_fewer_workers(serve: Serve) -> None:
    with loaded(serve) as (srv, clients):
        for _ in range(ROUNDS):
            send(srv, signal.SIGTTIN, 3)
            srv.wait_workers(5)
            clients.wait_for_more(50)
            send(srv, signal.SIGTTOU, 3)
            srv.wait_workers(2)
            clients.wait_for_more(50)


def test_down_to_one_worker_and_back(serve: Serve) -> None:
    srv = start(serve)
    with load(srv, clients=CLIENTS) as clients:
        for _ in range(ROUNDS):
            send(srv, signal.SIGTTIN, 3)
            srv.wait_workers(5)
            send(srv, signal.SIGTTOU, 4)
            srv.wait_workers(1)
            send(srv, signal.SIGTTIN, 1)
            srv.wait_workers(2)
            clients.wait_for_more(50)
    assert not clients.losses


@pytest.mark.parametrize(
    ("impl", "seconds"),
    [*((impl, 3) for impl in IMPLS), pytest.param(IMPLS[0], 30, marks=pytest.mark.slow)],
    indirect=["impl"],
)
def test_recycling(serve: Serve, seconds: float) -> None:
    with loaded(serve, "--max-requests", "50") as (srv, _):
        end = time.monotonic() + seconds
        srv.wait_until(
            lambda: time.monotonic() > end and srv.count("Replacing worker") > seconds,
            "as many replacements",
            2 * seconds + DEADLINE_S,
        )


def test_leaking_application(serve: Serve) -> None:
    with loaded(serve, "--max-memory", "100M", path="/leak") as (srv, _):
        srv.wait_for("Replacing worker .*MiB of memory", ROUNDS)


def test_upgrade(serve: Serve) -> None:
    srv = start(serve)
    with load(srv, clients=CLIENTS) as clients:
        master = srv.pid
        for count in range(1, ROUNDS + 1):
            heir = upgrade(srv, master, count)
            clients.wait_for_more(50)
            os.kill(master, signal.SIGTERM)
            srv.wait_for("Master has been promoted", count)
            clients.wait_for_more(50)
            master = heir
    assert not clients.losses


def test_upgrade_and_back(serve: Serve) -> None:
    with loaded(serve) as (srv, clients):
        workers = srv.workers()
        for count in range(1, ROUNDS + 1):
            heir = upgrade(srv, srv.pid, count)
            clients.wait_for_more(50)
            os.kill(heir, signal.SIGTERM)
            srv.wait_for(rf"The new master \(pid:{heir}\) has left, this one goes on")
            clients.wait_for_more(50)
        assert workers <= srv.workers()


def upgrade(srv: Server, master: int, count: int) -> int:
    """Start a new master, the ``count``-th one, and return its pid once its workers are ready."""
    os.kill(master, signal.SIGUSR2)
    heir = int(srv.wait_for(r"Starting a new master \(pid:(\d+)\)", count)[1])
    srv.wait_for("is ready", 2 * (count + 1))
    return heir


@pytest.mark.parametrize("fault", ["application", "configuration", "hang", "port"])
def test_reload_that_fails(serve: Serve, fault: str, tmp_path: Path) -> None:
    with loaded(serve) as (srv, clients), socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        cause = _break(fault, tmp_path, other.getsockname()[1])
        old = srv.workers()
        for count in range(1, ROUNDS + 1):
            srv.signal(signal.SIGHUP)
            srv.wait_for("Reload (given up|failed)", count)
            clients.wait_for_more(50)
            assert srv.workers() == old
        # A greenlet that waits at its import is not on the stack that the process is asked for.
        if not (fault == "hang" and WORKER):
            srv.wait_for(cause)


def _break(fault: str, directory: Path, port: int) -> str:
    """Break what the next reload reads; return what the log is to say."""
    application, configuration = directory / "app.py", directory / "gunicorn.conf.py"
    if fault == "application":
        application.write_text("def app(\n")
        return r"app\.py\", line 1"
    if fault == "hang":
        application.write_text("import time\n\n\ntime.sleep(600)\n")
        configuration.write_text(f"{SETTINGS}boot_timeout = 1\n")
        return r"app\.py\", line 4"
    if fault == "configuration":
        configuration.write_text("workers = \n")
        return r"gunicorn\.conf\.py\", line 1"
    configuration.write_text(f"{SETTINGS}bind.append('127.0.0.1:{port}')\n")
    return rf"Can't connect to \('127\.0\.0\.1', {port}\)"
