"""What is about sockets and processes, with ASGI applications."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.asgi import APP
from tests.e2e.clients import ask, begin_answer, connect_unix, head, read_answer
from tests.e2e.load import load
from tests.e2e.processes import cpu_s, needs_proc
from tests.e2e.sockets import be_closed, upgrade
from tests.process import test_upgrade
from tests.process.test_socket_activation import ACTIVATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

ROOT = str(Path(__file__).parents[2])
WHERE = ("--pythonpath", ROOT, "-k", "asgi")


def scope_of(client: socket.socket) -> dict[str, object]:
    """Return the addresses that the application is told."""
    told: dict[str, object] = json.loads(ask(client, "/addresses").body)
    return told


def test_addresses_of_several_listeners(server: Callable[..., Server], tmp_path: Path) -> None:
    """ASGI: a unix socket has its path for a host, and no port; its clients have no address."""
    binds = ("--bind", "unix:first", "--bind", "127.0.0.2:0", "--bind", "127.0.0.1:0")
    srv = server(*binds, *WHERE, APP)
    listening = srv.wait_for(
        r"Listening at: unix:first,http://127.0.0.2:(\d+),http://127.0.0.1:(\d+)"
    )
    with connect_unix(tmp_path / "first") as client:
        assert scope_of(client) == {"server": ["first", None], "client": None}
    for host, port in (("127.0.0.2", int(listening[1])), ("127.0.0.1", int(listening[2]))):
        with socket.create_connection((host, port), 20) as client:
            told = {"server": [host, port], "client": list(client.getsockname())}
            assert scope_of(client) == told


def test_a_socket_for_each_worker(server: Callable[..., Server]) -> None:
    srv = server("--reuse-port", "--workers", "2", *WHERE, APP)
    before = srv.wait_workers(2)
    with load(srv, "/pid") as clients:
        clients.wait_for_more(200)
        assert {int(body) for _, body in clients.answers} == before
        srv.signal(signal.SIGHUP)
        srv.wait_until(lambda: not any(map(srv.owns, before)), "successors")
        clients.wait_for_more(200)
    assert not clients.losses


def test_sockets_of_systemd(server: Callable[..., Server], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
        unix.listen()
        fds = [tcp.fileno(), unix.fileno()]
        launch = [ACTIVATE, ",".join(map(str, fds))]
        first = server(*WHERE, APP, launch=launch, pass_fds=fds)
        first.wait_workers(1)
        with connect_unix(tmp_path / "socket") as client:
            assert scope_of(client)["server"] == [str(tmp_path / "socket"), None]
        with load(lambda: socket.create_connection(tcp.getsockname(), 20), "/pid") as clients:
            clients.wait_for_more(50)
            first.signal(signal.SIGTERM)
            assert first.wait() == 0
            second = server(*WHERE, APP, launch=launch, pass_fds=fds)
            second.wait_workers(1)
            clients.wait_for_more(50)
        assert not clients.losses


def test_an_upgrade_amid_requests_and_streams(server: Callable[..., Server]) -> None:
    srv = server("--pid", "pid", *WHERE, APP)
    srv.wait_workers(1)
    with contextlib.ExitStack() as stack:
        slow, stream, sock = (stack.enter_context(srv.connect()) for _ in range(3))
        with load(srv, "/pid") as clients:
            slow.sendall(head("GET", "/nap/3"))
            stream.sendall(head("GET", "/events/listens"))
            events = begin_answer(stream)
            assert events.readline() == b"data: 0\n"
            upgrade(sock)
            new = test_upgrade.upgrade(srv)
            srv.signal(signal.SIGTERM)
            assert events.read() == b"\ndata: bye\n\n"
            stream.close()
            assert be_closed(sock) == 1012
            assert read_answer(slow).body == b"slept"
            slow.close()
            srv.wait_for(r"Master has been promoted\.")
            clients.wait_for_more(50)
    assert not clients.losses
    os.kill(new, signal.SIGTERM)
    test_upgrade.wait_gone(srv, new)


def test_metrics(server: Callable[..., Server]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(20)
        srv = server("--statsd-host", f"127.0.0.1:{statsd.getsockname()[1]}", *WHERE, APP)
        assert srv.get("/pid").status == 200
        wanted = {"gunicorn.requests", "gunicorn.request.status.200", "gunicorn.request.duration"}
        while wanted:
            wanted.discard(statsd.recv(65536).decode().partition(":")[0])


def test_a_worker_that_dies_is_told_of_with_its_requests(server: Callable[..., Server]) -> None:
    srv = server(*WHERE, APP)
    (worker,) = srv.wait_workers(1)
    with srv.connect() as first, srv.connect() as second, srv.connect() as sock:
        first.sendall(head("GET", "/deaf/1"))
        second.sendall(head("GET", "/deaf/2"))
        upgrade(sock)
        srv.wait_for("^waits$", 2)
        os.kill(worker, signal.SIGKILL)
        told = srv.wait_for(rf"Worker \(pid:{worker}\) was sent SIGKILL!.*")[0]
    for line in ("GET /deaf/1", "GET /deaf/2", "GET /"):
        assert f"running {line} from 127.0.0.1 for 0." in told


def test_settings_that_have_no_effect_are_named(server: Callable[..., Server]) -> None:
    srv = server("--threads", "4", "--queue-timeout", "3", *WHERE, APP)
    srv.wait_for(r"\[INFO\] Not looked at by the worker class asgi: threads, queue_timeout$")
    assert srv.get("/pid").status == 200


FEW = """\
import os, resource
def post_fork(server, worker):
    resource.setrlimit(resource.RLIMIT_NOFILE, ({0}, {0}))
def post_worker_init(worker):
    worker.hoard = [os.open(os.devnull, os.O_RDONLY) for _ in range({1})]
"""


@needs_proc
def test_few_descriptors(server: Callable[..., Server]) -> None:
    srv = server(*WHERE, APP, files={"gunicorn.conf.py": FEW.format(128, 0)})
    srv.wait_for("The system's limit of descriptors allows for 96 connections only")
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            newest = stack.enter_context(srv.connect())
            assert ask(newest, "/pid").status == 200


@needs_proc
def test_no_descriptor_is_left(server: Callable[..., Server]) -> None:
    """Who cannot be accepted waits, without a loop that spins; nobody is lost."""
    srv = server(*WHERE, APP, files={"gunicorn.conf.py": FEW.format(64, 38)})
    (worker,) = srv.wait_workers(1)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(20)]
        for client in clients:
            client.sendall(head("GET", "/nap/0.5", "Connection: close"))
        srv.wait_for("Cannot accept a connection, trying again in a second")
        before = cpu_s(worker)
        assert {read_answer(client).status for client in clients} == {200}
        assert cpu_s(worker) - before < 0.5
    assert srv.get("/pid").status == 200
    assert srv.count("Cannot accept a connection") <= 4


@needs_proc
def test_idle_connections_make_room_where_descriptors_are_few(
    server: Callable[..., Server],
) -> None:
    srv = server(*WHERE, APP, files={"gunicorn.conf.py": FEW.format(64, 35)})
    srv.wait_workers(1)
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            newest = stack.enter_context(srv.connect(5))
            began = time.monotonic()
            assert ask(newest, "/pid").status == 200
            assert time.monotonic() - began < 3
