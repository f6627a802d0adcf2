"""Signals reach the process they are meant for, and no other, whoever forks at that moment."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

# Ends a process of its own in the middle of a request, at the worst of moments: right after the
# fork, when all that it has is what it inherited. Then an event loop leaves its marks.
APP = """\
import asyncio, multiprocessing, os, time

def nothing():
    time.sleep(600)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    codes = []
    if path == "/processes":
        context = multiprocessing.get_context("fork")
        for _ in range(20):
            process = context.Process(target=nothing)
            process.start()
            process.terminate()
            process.join()
            codes.append(process.exitcode)
    if path == "/loop":
        asyncio.run(asyncio.sleep(0))
    start_response("200 OK", [])
    return [repr([os.getpid(), *codes]).encode()]
"""
FILES = {"app.py": APP}


def test_processes_of_an_application_end_alone(server: Callable[..., Server]) -> None:
    srv = server("--workers", "2", "app:app", files=FILES)
    workers = srv.wait_workers(2)
    for _ in range(5):
        pid, *codes = eval(srv.get("/processes").body)
        assert pid in workers
        assert codes == [-signal.SIGTERM] * 20

    assert srv.workers() == workers
    assert srv.count("Handling signal") == 0
    assert srv.count("Worker exiting") == 0


def test_processes_of_a_preloaded_application_end_alone(server: Callable[..., Server]) -> None:
    source = APP + "\napp({'PATH_INFO': '/processes'}, lambda *args: None)\n"
    srv = server("--preload", "app:app", files={"app.py": source})
    srv.wait_workers(1)

    assert srv.count("Handling signal") == 0
    assert srv.get().status == 200


def test_signals_arrive_after_an_event_loop_in_a_view(server: Callable[..., Server]) -> None:
    srv = server("app:app", files=FILES)
    (worker,) = srv.wait_workers(1)
    assert srv.get("/loop").status == 200
    os.kill(worker, signal.SIGUSR1)
    srv.signal(signal.SIGTERM)
    began = time.monotonic()

    assert srv.wait() == 0
    assert time.monotonic() - began < 5  # less than until somebody kills it
    assert srv.count("SIGKILL") == 0


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.02, 0.05, 0.1])
def test_term_while_workers_are_forked(server: Callable[..., Server], delay: float) -> None:
    srv = server("--workers", "8", "app:app", files=FILES)
    time.sleep(delay)  # to meet another moment each time, whichever it is
    srv.signal(signal.SIGTERM)

    assert srv.wait() == 0
    for unwanted in ("Traceback", "SIGKILL", "exited with code", "was sent"):
        assert srv.count(unwanted) == 0, srv.log


# Waits for a signal where exceptions are ignored, and then where they are not.
HANGING = """\
import sys, time

class Held:
    def __del__(self):
        print("in a destructor", file=sys.stderr, flush=True)
        time.sleep(60)

def hang():
    held = Held()
    del held
    time.sleep(60)

def app(environ, start_response):
    hang()
"""


def test_a_signal_that_an_import_catches(server: Callable[..., Server]) -> None:
    source = """\
import sys, time
try:
    print("will catch all", file=sys.stderr, flush=True)
    time.sleep(60)
except:
    time.sleep(60)
"""
    srv = server("app:app", files={"app.py": source})
    srv.wait_for("will catch all")
    _end_promptly(srv, signal.SIGTERM)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_in_a_destructor_at_boot(server: Callable[..., Server], signum: int) -> None:
    srv = server("app:app", files={"app.py": HANGING + "\nhang()\n"})
    srv.wait_for("in a destructor")
    _end_promptly(srv, signum)


def test_a_signal_in_a_destructor_at_work(server: Callable[..., Server]) -> None:
    srv = server("app:app", files={"app.py": HANGING})
    srv.wait_workers(1)
    with srv.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        srv.wait_for("in a destructor")
        _end_promptly(srv, signal.SIGQUIT)


def _end_promptly(srv: Server, signum: int) -> None:
    began = time.monotonic()
    srv.signal(signum)

    assert srv.wait() == 0
    assert time.monotonic() - began < 5  # less than until somebody kills it
    for unwanted in ("SIGKILL", "Exception ignored", "Traceback"):
        assert srv.count(unwanted) == 0, srv.log


def test_other_signals_while_workers_are_forked(server: Callable[..., Server]) -> None:
    srv = server("--workers", "3", "app:app", files=FILES)
    srv.wait_workers(3)
    for number in range(30):
        srv.signal((signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP)[number % 3])
        time.sleep(0.01)
    # Signals that come together are not taken in order: the one that sets the number comes alone.
    srv.signal(signal.SIGUSR1)
    srv.wait_for("Handling signal: usr1")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded: 3 new workers are ready")
    srv.wait_workers(3)

    assert srv.get().status == 200
    for unwanted in ("Traceback", "SIGKILL", "exited with code", "was sent", "not boot"):
        assert srv.count(unwanted) == 0, srv.log
