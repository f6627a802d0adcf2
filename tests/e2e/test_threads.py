"""Threads that take turns at the lead: no request waits for that, and none is lost."""

from __future__ import annotations

import signal
import time
from statistics import median
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, begin_answer, head, pipeline, read_numbers
from tests.e2e.load import load

if TYPE_CHECKING:
    import socket

    from tests.e2e.conftest import Serve, Server

pytestmark = pytest.mark.process

_PLAIN = "tests.e2e.apps.plain:app"
_NUMBERED = "tests.e2e.apps.numbered:app"
_PIPELINED = 66  # more than a connection is given at a time
# Others get on as soon as they hear of a connection, and who has told them does not.
SLOW = {
    "gunicorn.conf.py": """\
import time
from monoceros.workers.poller import EpollPoller
add = EpollPoller.add
def add_slowly(self, fd):
    add(self, fd)
    time.sleep(0.002)
EpollPoller.add = add_slowly
"""
}
_PAUSE_S = 0.4  # more than the machine makes


def drain(srv: Server) -> float:
    """Send a pipeline of requests that take a while each; returns how long that took."""
    with srv.connect() as client:
        began = time.monotonic()
        pipeline(client, "/sleep/0.005", _PIPELINED)
        assert read_numbers(client) == list(range(_PIPELINED))
        return time.monotonic() - began


def test_a_pipeline_goes_on_when_another_thread_leads(serve: Serve) -> None:
    """It takes as long as where there is no other one."""
    srv, lone = serve("--threads", "2", _NUMBERED), serve("-k", "gthread", _NUMBERED)
    machine = max(drain(lone) for _ in range(2))
    # One after the other: a pause that ends once a second is a long one in each but the first.
    found = [drain(srv) for _ in range(3)]
    assert median(found) < machine + _PAUSE_S, (found, machine)


def read_whole(client: socket.socket) -> bytes:
    """Read an answer to its last octet, and not for longer."""
    with begin_answer(client) as answer:
        return answer.read()


def test_a_client_that_closes_after_the_last_octet(serve: Serve) -> None:
    """Its descriptor's number is the next one's while the thread of its call goes on with it."""
    srv = serve("--threads", "3", _NUMBERED, files=SLOW)
    for number in range(10):
        with srv.connect() as client:
            client.sendall(head("GET", f"/sleep/0.01/{number}", "Connection: close"))
            assert read_whole(client).startswith(b"%d " % number)
        with srv.connect() as client:
            assert ask(client, "/fast/1").status == 200
    assert srv.count("exited with|Exception in worker|Unexpected error") == 0


def test_reload_under_load(serve: Serve) -> None:
    srv = serve("--threads", "3", "--workers", "2", "--keep-alive=75", _PLAIN, files=SLOW)
    srv.wait_workers(2)
    with load(srv, "/sleep/0.005") as clients:
        for count in range(1, 5):
            clients.wait_for_more(50)
            srv.signal(signal.SIGHUP)
            srv.wait_for("Reloaded: 2 new workers are ready", count)
        srv.wait_for("Worker exiting", 8)
    assert not clients.losses
    assert srv.count("exited with|Exception in worker|Unexpected error") == 0
