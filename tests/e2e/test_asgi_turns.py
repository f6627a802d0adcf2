"""Whose turn it is on an ASGI connection, on both twins."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.asgi import start
from tests.e2e.clients import ask, head, read_answer, read_to_end
from tests.e2e.processes import needs_proc, resident

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve

pytestmark = [pytest.mark.process, pytest.mark.settled]

MIB = 1 << 20
MOST_UNFINISHED = 16


def test_who_waits_behind_calls_in_the_background_is_not_silent(serve: Serve) -> None:
    srv = start(serve, "--keep-alive", "1")
    with srv.connect() as client:
        for _ in range(MOST_UNFINISHED + 1):
            assert ask(client, "/behind/4.5").body == b"done"
        client.sendall(head("GET", "/pid", "Connection: close"))
        assert read_to_end(client).startswith(b"HTTP/1.1 200 OK")


def test_a_limit_that_comes_too_late_is_not_that_of_the_next_request(serve: Serve) -> None:
    srv = start(serve)
    with srv.connect() as client:
        assert ask(client, "/limited_late/0.2").body == b"done"
        assert ask(client, "/nap/1").status == 200
    assert srv.count("has set its limit") == 1


def test_tasks_may_send(serve: Serve) -> None:
    srv = start(serve)
    with srv.connect() as client:
        client.sendall(head("GET", "/tasks"))
        assert read_answer(client).body.endswith(b"end")


@needs_proc
def test_a_flood_of_requests_is_read_as_it_is_answered(serve: Serve) -> None:
    srv = start(serve)
    (worker,) = srv.workers()
    requests = head("GET", "/pid") * 20_000
    with srv.connect() as client, srv.connect() as other:
        assert ask(other, "/pid").status == 200
        before = resident(worker)
        client.setblocking(False)
        end = time.monotonic() + 2
        sent = 0
        while time.monotonic() < end:
            try:
                sent += client.send(requests[sent % len(requests) :])
                client.recv(MIB)
            except BlockingIOError:
                assert ask(other, "/pid").status == 200
        assert resident(worker) - before < 8 * MIB, f"after {sent >> 20} MiB"
