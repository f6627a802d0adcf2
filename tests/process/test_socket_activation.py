"""Servers on sockets that somebody else has opened: systemd, or whoever passes ``fd://``."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.load import load
from tests.process.conftest import DEADLINE_S
from tests.process.test_upgrade import ask, upgrade, wait_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

ACTIVATE = str(Path(__file__).with_name("activate.py"))
APP = """\
import os
def app(environ, start_response):
    start_response("200 OK", [])
    return [b" ".join(name for name in os.environb if name.startswith(b"LISTEN_"))]
"""


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    """A listener of somebody else, with two places in its queue."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as sock:
        yield sock


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[socket.socket]:
    """A listener of somebody else at ``socket``."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.listen()
        yield sock


@pytest.fixture
def activated(server: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers with sockets as systemd passes them."""

    def start(*sockets: socket.socket, args: tuple[str, ...] = (), **options: object) -> Server:
        fds = [sock.fileno() for sock in sockets]
        return server(
            *(*args, "app:app"),
            launch=[ACTIVATE, ",".join(map(str, fds))],
            pass_fds=fds,
            files={"app.py": APP},
            **options,
        )

    return start


def test_both_kinds_instead_of_bind(
    activated: Callable[..., Server], tcp: socket.socket, unix: socket.socket, tmp_path: Path
) -> None:
    srv = activated(tcp, unix)
    srv.wait_for("The sockets come from systemd; bind is not looked at")
    path = tmp_path / "socket"
    assert srv.address == tcp.getsockname()
    assert srv.get().body == ask(path) == b""

    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded: 1")
    assert srv.get().body == ask(path) == b""

    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert path.is_socket()
    # Its owner goes on to take connections.
    with socket.create_connection(tcp.getsockname(), DEADLINE_S):
        tcp.accept()[0].close()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_restart_loses_nothing(
    activated: Callable[..., Server], request: pytest.FixtureRequest, kind: str
) -> None:
    sock: socket.socket = request.getfixturevalue(kind)

    def connect() -> socket.socket:
        client = socket.socket(sock.family)
        client.settimeout(DEADLINE_S)
        client.connect(sock.getsockname())
        return client

    first = activated(sock)
    first.wait_workers(1)
    with load(connect, "/") as clients:
        for _ in range(2):
            clients.wait_for_more(20)
            first.signal(signal.SIGTERM)
            assert first.wait() == 0
            first = activated(sock)
            first.wait_workers(1)

    assert not clients.losses


def test_upgrade(
    activated: Callable[..., Server], tcp: socket.socket, unix: socket.socket, tmp_path: Path
) -> None:
    srv = activated(tcp, unix)
    srv.wait_workers(1)
    with load(lambda: socket.create_connection(tcp.getsockname(), DEADLINE_S), "/") as clients:
        new = upgrade(srv)
        srv.signal(signal.SIGTERM)
        assert srv.process.wait(DEADLINE_S) == 0
        srv.wait_for(r"Master has been promoted\.")
        third = upgrade(srv, new, count=2)
        os.kill(new, signal.SIGTERM)
        srv.wait_for(r"Master has been promoted\.", count=2)

    assert not clients.losses
    assert srv.get().body == ask(tmp_path / "socket") == b""
    os.kill(third, signal.SIGTERM)
    wait_gone(srv, third)
    assert (tmp_path / "socket").is_socket()


def test_a_socket_that_is_none(
    activated: Callable[..., Server], server: Callable[..., Server]
) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        srv = activated(datagrams, listening=False)
        assert srv.wait() == 1
        assert "Descriptor 3, of LISTEN_FDS, cannot be listened on: it is no stream" in srv.log


def test_variables_for_another_process(server: Callable[..., Server]) -> None:
    srv = server("app:app", env={"LISTEN_PID": "1", "LISTEN_FDS": "1"}, files={"app.py": APP})

    assert srv.get().body.split() == [b"LISTEN_PID", b"LISTEN_FDS"]


def test_by_number(server: Callable[..., Server], unix: socket.socket, tmp_path: Path) -> None:
    fd = unix.fileno()
    bind = ["--bind", f"fd://{fd}", "--bind", "127.0.0.1:0"]
    srv = server(*bind, "app:app", pass_fds=[fd])
    path = tmp_path / "socket"
    assert srv.get().body == ask(path) == b"hello"

    new = upgrade(srv)
    srv.signal(signal.SIGTERM)
    srv.wait_for(r"Master has been promoted\.")
    assert srv.get().body == ask(path) == b"hello"
    os.kill(new, signal.SIGHUP)
    srv.wait_for("Reloaded: 1")
    assert srv.get().body == ask(path) == b"hello"
    os.kill(new, signal.SIGTERM)
    wait_gone(srv, new)
    assert path.is_socket()


def test_a_number_that_is_no_listener(server: Callable[..., Server]) -> None:
    srv = server("--bind", "fd://99", "app:app", listening=False)

    assert srv.wait() == 1
    assert "Can't listen on fd://99: " in srv.log
    assert "Set in: command line." in srv.log
