"""How many connections a worker holds, and which descriptors they take."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, at_end, head, pipeline, read_answer, read_numbers
from tests.e2e.crowd import crowd
from tests.e2e.processes import cpu_s, needs_proc, stopped
from tests.e2e.stuck import in_a_call, let_tend
from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve

pytestmark = [pytest.mark.process, pytest.mark.quiet, pytest.mark.quiet]

_PLAIN = "tests.e2e.apps.plain:app"
_NUMBERED = "tests.e2e.apps.numbered:app"
_CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


def test_idle_connections_make_room_for_new_ones(serve: Serve) -> None:
    srv = serve("--keep-alive=75", "--worker-connections", "20", _PLAIN)
    with ExitStack() as stack:
        old = [stack.enter_context(srv.connect()) for _ in range(20)]
        for client in old:
            assert ask(client).status == 200
        newest = stack.enter_context(srv.connect())
        assert ask(newest).status == 200
        assert at_end(old[0])  # idle for longest
        assert ask(old[-1]).status == 200


@needs_proc
def test_connections_are_never_more_than_allowed(serve: Serve) -> None:
    srv = serve("--keep-alive=75", "--worker-connections", "50", _PLAIN)
    (worker,) = srv.wait_workers(1)
    with srv.connect() as client:
        assert ask(client).status == 200
        before = len(descriptors(worker)) - 1
    with crowd(srv.address, idle=500):
        assert len(descriptors(worker)) - before <= 50
        with srv.connect() as client:
            assert ask(client).status == 200


def test_connections_beyond_busy_ones_wait_for_their_turn(serve: Serve) -> None:
    srv = serve("--worker-connections", "10", _PLAIN)
    with ExitStack() as stack:
        busy = [stack.enter_context(srv.connect()) for _ in range(10)]
        for client in busy:
            client.sendall(b"GET / HTTP/1.1\r\n")
        late = stack.enter_context(srv.connect())
        late.sendall(head("GET", "/"))
        late.settimeout(0.5)
        with pytest.raises(TimeoutError):
            late.recv(1)
        late.settimeout(20)
        began = time.monotonic()
        busy[3].sendall(b"Host: localhost\r\nConnection: close\r\n\r\n")
        assert read_answer(busy[3]).status == 200
        busy[3].close()
        assert read_answer(late).status == 200
        assert time.monotonic() - began < 0.9


@needs_proc
def test_a_connection_amid_its_pipeline_makes_no_room(serve: Serve) -> None:
    srv = serve("--keep-alive=75", "--worker-connections", "2", _NUMBERED)
    (worker,) = srv.wait_workers(1)
    for _ in range(2):
        with srv.connect() as partial, srv.connect() as client:
            partial.sendall(b"GET / HTTP/1.1\r\n")
            assert ask(client, "/fast/0").status == 200
            with stopped({worker}):
                pipeline(client, "/sleep/.0005", 300)
            client.recv(1, socket.MSG_PEEK)  # all that was sent has been read
            with srv.connect() as newcomer:
                newcomer.sendall(head("GET", "/fast/0"))
                assert read_numbers(client) == list(range(300))
                client.close()
                assert read_answer(newcomer).status == 200


@needs_proc
def test_a_connection_whose_request_waits_makes_no_room(serve: Serve) -> None:
    srv = serve("--keep-alive=75", "--worker-connections", "3", _NUMBERED)
    (worker,) = srv.wait_workers(1)
    with ExitStack() as stack:
        waiting, slow = (stack.enter_context(srv.connect()) for _ in range(2))
        assert ask(waiting, "/fast/0").status == 200
        with in_a_call(srv, slow):
            waiting.sendall(head("POST", "/fast/1", "Transfer-Encoding: chunked") + _CHUNKS)
            with srv.connect() as client:
                let_tend(client)
            with stopped({worker}):
                first, *newcomers = (stack.enter_context(srv.connect()) for _ in range(3))
                for client in newcomers:
                    client.sendall(head("GET", "/fast/2"))
                first.sendall(b"nonsense\r\n\r\n")
            assert read_answer(first).status == 400
        assert read_answer(waiting).status == 200
        for client in newcomers:
            assert read_answer(client).status == 200
            client.close()


@needs_proc
def test_low_descriptors_are_left_to_the_application(serve: Serve) -> None:
    srv = serve("--keep-alive=75", "--worker-connections", "4000", _PLAIN)
    (worker,) = srv.wait_workers(1)
    with crowd(srv.address, idle=1500):
        assert max(descriptors(worker)) > 1500
        with srv.connect() as client:
            assert int(ask(client, "/descriptor").body) < 512


# Few descriptors, some of which the application has itself.
_FEW = """\
import os, resource
def post_fork(server, worker):
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
def post_worker_init(worker):
    worker.hoard = [os.open(os.devnull, os.O_RDONLY) for _ in range({})]
"""


@needs_proc
@pytest.mark.parametrize("hoard", [0, 35])
def test_idle_connections_make_room_where_descriptors_are_few(serve: Serve, hoard: int) -> None:
    srv = serve("--keep-alive=75", _PLAIN, files={"gunicorn.conf.py": _FEW.format(hoard)})
    (worker,) = srv.wait_workers(1)
    with ExitStack() as stack:
        for _ in range(100):
            newest = stack.enter_context(srv.connect())
            began = time.monotonic()
            assert ask(newest).status == 200
            assert time.monotonic() - began < 3
        if not hoard:
            assert int(ask(newest, "/descriptor").body) < 64  # there is one
    srv.wait_for("The system's limit of descriptors allows for 48 connections only")
    srv.wait_until(lambda: len(descriptors(worker)) < hoard + 20, "the end of the connections")


@needs_proc
def test_worker_without_descriptors_does_not_spin(serve: Serve) -> None:
    srv = serve(_PLAIN, files={"gunicorn.conf.py": _FEW.format(35)})
    (worker,) = srv.wait_workers(1)
    with crowd(srv.address, silent=100):
        srv.wait_for("Cannot accept a connection")
        before = cpu_s(worker)
        time.sleep(1)
        assert cpu_s(worker) - before < 0.2
    with srv.connect() as client:
        assert ask(client).status == 200
    assert srv.count("Cannot accept a connection") < 10
