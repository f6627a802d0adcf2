"""What is lost when workers end, of their own accord or not."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, at_end, begin_answer, head
from tests.e2e.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

pytestmark = pytest.mark.process

_PLAIN = "tests.e2e.apps.plain:app"
_SLACK_S = 2.0  # of a machine that does other things


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

    assert replaced - killed < 1 + _SLACK_S
    assert len(clients.losses) <= 8  # one for each client
    for loss in clients.losses:
        assert loss.began < killed + _SLACK_S
        assert loss.worker in ("", str(victim))


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
        assert time.monotonic() - began < 2 + _SLACK_S
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
