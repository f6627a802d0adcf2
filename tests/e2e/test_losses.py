"""What is lost when workers end, of their own accord or not."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, at_end, begin_answer, head, read_answer
from tests.e2e.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

pytestmark = pytest.mark.process

_PLAIN = "tests.e2e.apps.plain:app"


def test_killed_worker_loses_only_what_it_had_in_hand(serve: Serve) -> None:
    srv = serve("--workers", "2", _PLAIN)
    workers = srv.wait_workers(2)
    with load(srv) as clients:
        srv.wait_until(lambda: len(clients.answers) > 200, "some load")
        victim = min(workers)
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        srv.wait_for("is ready", count=3)
        replaced = time.monotonic()
        (fresh,) = srv.wait_workers(2) - workers
        srv.wait_until(
            lambda: str(fresh) in {worker for _, worker in clients.answers}, "the replacement"
        )

    assert replaced - killed < 1
    assert len(clients.losses) <= 8  # one for each client
    for loss in clients.losses:
        assert loss.began < killed + 0.1
        assert loss.worker in ("", str(victim))


def test_stop_under_load_finishes_what_was_begun(serve: Serve) -> None:
    srv = serve("--workers", "2", _PLAIN)
    srv.wait_workers(2)
    with srv.connect() as busy, load(srv) as clients:
        srv.wait_until(lambda: len(clients.answers) > 200, "some load")
        busy.sendall(head("GET", "/sleep/1"))
        time.sleep(0.2)
        clients.allow_refusal()
        srv.signal(signal.SIGTERM)
        answer = read_answer(busy)
        assert (answer.status, answer.fields["Connection"]) == (200, "close")
        clients.wait_to_end()

    assert srv.wait() == 0
    assert clients.losses == []
    srv.wait_for("Shutting down: Master")


def test_idle_connections_end_within_2_seconds_of_a_stop(serve: Serve) -> None:
    srv = serve("--keep-alive=75", _PLAIN)
    with srv.connect() as unused, srv.connect() as idle, srv.connect() as late:
        assert ask(idle).status == 200
        assert ask(late).status == 200
        began = time.monotonic()
        srv.signal(signal.SIGTERM)
        srv.wait_for("Handling signal: term")
        time.sleep(0.5)
        answer = ask(late)
        assert (answer.status, answer.fields["Connection"]) == (200, "close")
        assert at_end(late)
        assert at_end(idle)
        assert at_end(unused)
        assert time.monotonic() - began < 3
    assert srv.wait() == 0


def test_reader_that_takes_nothing_does_not_cost_the_worker_its_exit(
    serve: Serve, tmp_path: Path
) -> None:
    source = """\
import atexit, pathlib
from tests.e2e.apps.plain import app
atexit.register(pathlib.Path("left").touch)
"""
    srv = serve("--graceful-timeout", "2", "leaving:app", files={"leaving.py": source})
    with srv.connect() as client:
        client.sendall(head("GET", "/whole/20000000"))
        with begin_answer(client):
            srv.signal(signal.SIGTERM)
            assert srv.wait() == 0
    assert not srv.count("SIGKILL")
    assert (tmp_path / "left").exists()


def test_reload_under_load_loses_nothing(serve: Serve) -> None:
    srv = serve("--workers", "2", _PLAIN)
    srv.wait_workers(2)
    with load(srv) as clients:
        for generation in (2, 3):
            srv.wait_until(lambda: len(clients.answers) > 200, "some load")
            srv.signal(signal.SIGHUP)
            srv.wait_for("is ready", count=2 * generation)
        srv.wait_for(r"Worker exiting", count=4)
    assert not clients.losses


def test_recycling_under_load_loses_nothing(serve: Serve) -> None:
    srv = serve("--workers", "2", "--max-requests", "300", "--max-requests-jitter", "50", _PLAIN)
    srv.wait_workers(2)
    with load(srv) as clients:
        srv.wait_for("Autorestarting worker after current request", count=4)
        srv.wait_for("is ready", count=6)
    assert not clients.losses
    assert len({worker for _, worker in clients.answers}) >= 4
