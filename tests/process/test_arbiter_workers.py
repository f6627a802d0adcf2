"""Workers that die, are silent, or do not start; signals that change their number."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.conftest import Server

pytestmark = pytest.mark.process


def test_killed_workers_are_replaced_within_a_second(server: Callable[..., Server]) -> None:
    srv = server("--workers", "3", "app:app")
    old = srv.wait_workers(3)
    began = time.monotonic()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    srv.wait_for("is ready", count=6)

    assert time.monotonic() - began < 1 + 2  # the slack of a busy machine
    assert not old & srv.wait_workers(3)
    for pid in old:
        srv.wait_for(rf"Worker \(pid:{pid}\) was sent SIGKILL! (Not by this|Perhaps)")
    assert srv.get().status == 200


def test_stopped_process_is_found_silent(server: Callable[..., Server]) -> None:
    srv = server("--timeout", "1", "app:app")
    (victim,) = srv.wait_workers(1)
    os.kill(victim, signal.SIGSTOP)

    srv.wait_for(rf"WORKER TIMEOUT \(pid:{victim}\) no request, no sign of life for \d")
    srv.wait_for(rf"Worker \(pid:{victim}\) was sent SIGKILL!")
    srv.wait_for("is ready", count=2)


def test_idle_workers_are_not_silent(server: Callable[..., Server]) -> None:
    srv = server("--timeout", "1", "app:app")
    (pid,) = srv.wait_workers(1)
    with pytest.raises(AssertionError):
        srv.wait_for("WORKER TIMEOUT", timeout=3)
    assert srv.workers() == {pid}


APP = """\
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""


def test_crash_loop_backs_off_and_the_others_go_on(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    source = "from pathlib import Path\nif Path('broken').exists(): raise OSError('full')\n" + APP
    srv = server("--workers", "2", "app:app", files={"app.py": source})
    survivor, victim = srv.wait_workers(2)
    broken.touch()
    os.kill(victim, signal.SIGKILL)
    srv.wait_for("exited with code 3", count=4)
    delays = [
        float(srv.wait_for(r"next worker is started in (\d+\.\d) seconds", n)[1]) for n in (1, 4)
    ]

    assert delays[0] <= 0.2
    assert 0.4 <= delays[1] <= 1.6
    assert srv.workers() == {survivor}
    assert srv.get().status == 200
    broken.unlink()
    srv.wait_workers(2)


def test_crash_of_all_workers_later_does_not_end_the_server(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    source = "from pathlib import Path\nif Path('broken').exists(): raise OSError('full')\n" + APP
    srv = server("app:app", files={"app.py": source})
    (victim,) = srv.wait_workers(1)
    (tmp_path / "broken").touch()
    os.kill(victim, signal.SIGKILL)
    srv.wait_for("exited with code 3", count=3)
    (tmp_path / "broken").unlink()

    srv.wait_workers(1)
    assert srv.get().status == 200


def test_more_and_fewer_workers(server: Callable[..., Server]) -> None:
    srv = server("app:app")
    (first,) = srv.wait_workers(1)
    srv.signal(signal.SIGTTIN)
    srv.wait_for("Handling signal: ttin")
    two = srv.wait_workers(2)
    srv.signal(signal.SIGTTOU)
    (left,) = srv.wait_workers(1)

    assert {first, left} == two  # the oldest goes
    srv.signal(signal.SIGTTOU)
    srv.wait_for("Handling signal: ttou", count=2)
    assert srv.get().status == 200  # never below one
    assert srv.workers() == {left}


def test_usr1_reopens_the_logs_everywhere(server: Callable[..., Server], tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    srv = server("--error-logfile", str(log), "app:app", listening=False)
    srv.wait_until(lambda: log.exists() and "is ready" in log.read_text(), "the worker")
    log.rename(tmp_path / "error.log.1")
    srv.signal(signal.SIGUSR1)
    srv.wait_until(lambda: log.exists(), "a new log")
    srv.signal(signal.SIGTERM)

    assert srv.wait() == 0
    text = log.read_text()
    assert "Shutting down: Master" in text
    assert "Worker exiting" in text


def test_a_signal_without_effect(server: Callable[..., Server]) -> None:
    srv = server("app:app")
    pids = srv.wait_workers(1)
    srv.signal(signal.SIGWINCH)
    srv.wait_for("Handling signal: winch")
    srv.wait_for("SIGWINCH ignored")

    assert srv.get().status == 200
    assert srv.workers() == pids


def test_signals_of_an_applications_child_stay_its_own(server: Callable[..., Server]) -> None:
    source = """\
import os, signal, sys
def app(environ, start_response):
    pid = os.fork()
    if not pid:
        default = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        os._exit(7 if default and signal.set_wakeup_fd(-1) == -1 else 8)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    start_response("200 OK", [("Content-Length", "1")])
    return [b"%d" % code]
"""
    srv = server("app:app", files={"app.py": source})

    assert srv.get().body == b"7"
