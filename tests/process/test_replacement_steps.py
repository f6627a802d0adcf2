"""Replacing workers in steps, and the numbers that hooks give them on the way."""

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
import os, pathlib, time
if pathlib.Path("broken").exists():
    raise RuntimeError("broken on purpose")
while pathlib.Path("hold").exists():
    time.sleep(0.01)
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"%d" % os.getpid()]
"""

# As configuration files give each worker a number of its own, from 1 to the number of workers.
NUMBERS = """\
import os

def on_starting(server):
    server.spare_numbers = set()

def nworkers_changed(server, new_value, old_value):
    server.highest_number = new_value

def on_reload(server):
    server.spare_numbers = set(range(1, server.cfg.workers + 1))

def pre_fork(server, worker):
    if server.spare_numbers:
        worker.number = server.spare_numbers.pop()
    else:
        taken = {other.number for other in tuple(server.WORKERS.values()) if other.alive}
        worker.number = (set(range(1, server.highest_number + 1)) - taken).pop()

def post_fork(server, worker):
    os.write(2, b"number %d\\n" % worker.number)
"""

FILES = {"app.py": APP, "gunicorn.conf.py": NUMBERS}


def wait_for_replacements(srv: Server, count: int) -> None:
    """Ask until so many workers have been replaced for the requests they served."""

    def ask() -> bool:
        assert srv.get().status == 200
        return srv.count("Replacing worker") >= count

    srv.wait_until(ask, "recycling")


def test_one_more_at_a_time(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("--workers", "3", "--reload-surge", "1", "app:app", files=FILES)
    old = srv.wait_workers(3)
    hold = tmp_path / "hold"
    hold.touch()
    srv.signal(signal.SIGHUP)
    srv.wait_for("Booting worker", count=4)
    hold.unlink()
    srv.wait_for("Reloaded: 3 new workers are ready")
    srv.wait_until(lambda: not old & srv.workers(), "the end of the old ones")

    assert len(srv.workers()) == 3
    news = [line for line in srv.lines if "Booting" in line or "is ready" in line]
    # After the start each one waits for the one before it.
    assert ["Booting" in line for line in news[6:]] == [True, False] * 3


def test_each_leaves_first(server: Callable[..., Server]) -> None:
    srv = server("--workers", "2", "--reload-surge", "0", "app:app", files=FILES)
    old = srv.wait_workers(2)
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded: 2 new workers are ready")

    assert not old & srv.wait_workers(2)
    news = [line for line in srv.lines if "Booting" in line or "Worker exiting" in line]
    assert ["Booting" in line for line in news[2:]] == [False, True] * 2


def test_failure_in_steps_leaves_the_rest_as_it_was(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("--workers", "2", "--reload-surge", "1", "app:app", files=FILES)
    old = srv.wait_workers(2)
    tmp_path.joinpath("broken").touch()
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reload given up, the old workers keep serving: a new worker did not boot")

    assert srv.workers() == old
    assert srv.get().status == 200


def test_free_numbers_are_found_in_every_movement(server: Callable[..., Server]) -> None:
    args = ("--workers", "2", "--max-requests", "3", "--reload-surge", "1")
    srv = server(*args, "app:app", files=FILES)
    srv.wait_workers(2)
    for count in (1, 2, 3):
        srv.signal(signal.SIGHUP)
        srv.wait_for("Reloaded: 2 new workers are ready", count)
    srv.signal(signal.SIGTTIN)
    wait_for_replacements(srv, 4)
    srv.signal(signal.SIGTTOU)
    os.kill(max(srv.wait_until(srv.workers, "a worker")), signal.SIGKILL)
    srv.wait_for("was sent SIGKILL")
    wait_for_replacements(srv, 7)

    numbers = {line for line in srv.lines if line.startswith("number ")}
    assert numbers == {"number 1", "number 2", "number 3"}
    assert srv.count("KeyError") == 0


def test_successor_that_has_no_room_yet_is_not_given_up(server: Callable[..., Server]) -> None:
    app = APP.replace("    start", "    os.write(2, b'called\\n'); time.sleep(2)\n    start", 1)
    config = "from monoceros.arbiter import reload\nreload.SHORTEST_PATIENCE_S = 1\n"
    files = {"app.py": app, "gunicorn.conf.py": config}
    srv = server("--reload-surge", "0", "--timeout", "0", "app:app", files=files)
    srv.wait_workers(1)
    with srv.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        srv.wait_for("^called")
        srv.signal(signal.SIGHUP)
        srv.wait_for("Reloaded: 1 new worker is ready")

    assert srv.count("Reload given up") == 0
