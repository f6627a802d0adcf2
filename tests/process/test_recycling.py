"""Workers that have served for long enough: by requests, by time, or by the memory they take."""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

# Holds back the import while a file is there, and takes as much memory as it is asked to.
APP = """\
import os, pathlib, time
while pathlib.Path("hold").exists():
    time.sleep(0.01)
kept = []
def app(environ, start_response):
    _, what, amount = (environ["PATH_INFO"] + "//").split("/")[:3]
    if what == "take":
        kept.append(bytearray(os.urandom(1 << 20)) * int(amount))
    if what == "sleep":
        time.sleep(float(amount))
    start_response("200 OK", [])
    return [b"%d" % os.getpid()]
"""
FILES = {"app.py": APP}


def ask_until_other(srv: Server, old: set[int], path: str = "/") -> int:
    """Ask until one answers who was not there before; every request has to be answered."""

    def ask() -> int:
        answer = srv.get(path)
        assert answer.status == 200
        return int(answer.body) if int(answer.body) not in old else 0

    return srv.wait_until(ask, "a successor that answers")


def test_worker_serves_on_until_its_successor_is_ready(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("--max-requests", "2", "app:app", files=FILES)
    old = srv.wait_workers(1)
    hold = tmp_path / "hold"
    hold.touch()
    for _ in range(10):
        assert int(srv.get().body) in old
    srv.wait_for("Autorestarting worker after current request")
    srv.wait_for(r"Replacing worker \(pid:\d+\): it has served max_requests")
    srv.wait_for("Booting worker", count=2)
    assert int(srv.get().body) in old
    hold.unlink()
    ask_until_other(srv, old)

    assert srv.count("Autorestarting") - srv.count(r"Replacing worker \(pid") in (0, 1)
    assert srv.count("next worker is started") == 0
    assert srv.count("exited") == 0


def test_lifetime(server: Callable[..., Server]) -> None:
    srv = server("--max-worker-lifetime", "1", "--workers", "2", "app:app", files=FILES)
    old = srv.wait_workers(2)
    lives = [
        float(srv.wait_for(r"Replacing worker .*: it has lived for (\d+)s", count)[1])
        for count in (1, 2)
    ]
    srv.wait_until(lambda: not old & srv.workers(), "the end of the old ones")

    assert lives == [1.0, 1.0]
    assert srv.get().status == 200


def test_leaking_worker_is_replaced(server: Callable[..., Server]) -> None:
    srv = server("--max-memory", "100M", "--workers", "2", "app:app", files=FILES)
    old = srv.wait_workers(2)
    leaking = {int(srv.get("/take/100").body)}
    size = srv.wait_for(r"Replacing worker \(pid:(\d+)\): it takes (\d+) MiB of memory")
    assert int(size[1]) in leaking
    assert int(size[2]) > 100
    srv.wait_until(lambda: not leaking & srv.workers(), "its end")

    assert len(srv.workers()) == 2
    assert srv.workers() & old == old - leaking
    assert srv.count("SIGKILL") == 0


def test_much_too_large_worker_is_killed(server: Callable[..., Server]) -> None:
    limits = ("--max-memory", "100M", "--max-memory-hard", "150M")
    srv = server(*limits, "app:app", files=FILES)
    old = srv.wait_workers(1)
    assert srv.get("/take/200").status == 200
    with srv.connect() as client:
        client.sendall(b"GET /sleep/60 HTTP/1.1\r\nHost: x\r\n\r\n")
        line = srv.wait_for(r"takes (\d+) MiB of memory, more than max_memory_hard.*").group()
        assert "is killed" in line
        killed = time.monotonic()
        srv.wait_for("was sent SIGKILL!")  # until then it accepts, though its thread is busy
        ask_until_other(srv, old)
        assert time.monotonic() - killed < 5

    assert not re.search("out of memory", srv.log, re.IGNORECASE)


def test_reload_to_code_that_takes_too_much_at_import(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("--max-memory-hard", "150M", "app:app", files=FILES)
    old = srv.wait_workers(1)
    greedy = "kept = bytearray(200 << 20)\nfor n in range(0, len(kept), 4096):\n    kept[n] = 1\n"
    tmp_path.joinpath("app.py").write_text(f"{greedy}import time\ntime.sleep(600)\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for("more than max_memory_hard, and is killed")
    srv.wait_for("Reload given up, the old workers keep serving: a new worker did not boot")

    assert srv.workers() == old


def test_limits_hold_while_the_server_is_a_lame_duck(server: Callable[..., Server]) -> None:
    limits = ("--max-memory", "100M", "--max-memory-hard", "150M")
    srv = server(*limits, "--shutdown-delay", "600", "app:app", files=FILES)
    srv.wait_workers(1)
    srv.signal(signal.SIGTERM)
    srv.wait_for("Serving for another 600 seconds")
    assert srv.get("/take/200").status == 200
    srv.wait_for("more than max_memory_hard, and is killed")
    srv.wait_for("is ready", count=2)
    assert srv.get("/take/110").status == 200
    srv.wait_for(r"Replacing worker .*: it takes \d+ MiB of memory")
    srv.wait_for("Worker exiting")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
