"""``reuse_port``: a socket for each worker, which outlives it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, connect_unix, head, read_answer
from tests.e2e.load import load
from tests.e2e.stuck import in_a_call, let_tend
from tests.process.conftest import DEADLINE_S, Server
from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="the workers share the sockets"),
]

_ROOT = Path(__file__).parents[2]
_LISTENING = "0A"  # in /proc/net/tcp
_CLIENTS = 40  # so many that the kernel's hash leaves out no socket


def listeners(pid: int, port: int) -> set[str]:
    """Return what a process has open of the sockets that listen on a port."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    inodes = {
        f"socket:[{row[9]}]"
        for row in rows
        if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port
    }
    return inodes & set(descriptors(pid).values())


def ask_often(srv: Server) -> list[socket.socket]:
    """Send a request on each of many connections."""
    clients = [srv.connect() for _ in range(_CLIENTS)]
    for client in clients:
        client.sendall(head("GET", "/pid", "Connection: close"))
    return clients


def collect(clients: list[socket.socket]) -> list[int]:
    """Return who has answered."""
    answers = [int(read_answer(client).body) for client in clients]
    for client in clients:
        client.close()
    return answers


def serve(server: Callable[..., Server], workers: int, *args: str) -> tuple[Server, set[int]]:
    """Return a server of so many workers, and these."""
    srv = server("--reuse-port", "--workers", str(workers), *args, "app:app")
    return srv, srv.wait_workers(workers)


def test_each_worker_has_a_socket_of_its_own(server: Callable[..., Server]) -> None:
    srv, workers = serve(server, 3)
    own = [listeners(pid, srv.port) for pid in workers]

    assert [len(one) for one in own] == [1, 1, 1]
    assert listeners(srv.pid, srv.port) == set().union(*own)
    assert len(listeners(srv.pid, srv.port)) == 3
    assert set(collect(ask_often(srv))) == workers


def test_queue_of_a_killed_worker_is_its_successors(server: Callable[..., Server]) -> None:
    srv, workers = serve(server, 2)
    victim, other = workers
    own = listeners(victim, srv.port)
    os.kill(victim, signal.SIGSTOP)
    clients = ask_often(srv)
    os.kill(victim, signal.SIGKILL)
    srv.wait_until(lambda: not srv.owns(victim), "its end")
    (successor,) = srv.wait_workers(2) - {other}

    assert set(collect(clients)) == {successor, other}
    assert listeners(successor, srv.port) == own


def test_queue_of_a_worker_in_a_call_is_an_idle_ones(server: Callable[..., Server]) -> None:
    """Nobody else takes from its socket, so that it takes itself, and gives away."""
    args = ("--reuse-port", "--workers", "2", "--keep-alive", "75", "--pythonpath", str(_ROOT))
    srv = server(*args, "tests.e2e.apps.numbered:app")
    workers = srv.wait_workers(2)
    with ExitStack() as stack:
        kept = [stack.enter_context(srv.connect()) for _ in range(_CLIENTS)]
        owners = [pid_of(client) for client in kept]
        slow, other, *_ = (kept[n] for n, owner in enumerate(owners) if owner == owners[0])
        stack.enter_context(in_a_call(srv, slow))
        let_tend(other)
        clients = [stack.enter_context(srv.connect()) for _ in range(_CLIENTS)]
        assert {pid_of(client) for client in clients} == workers - {owners[0]}


def pid_of(client: socket.socket) -> int:
    """Ask who serves a connection."""
    return int(ask(client, "/fast/0").body.split()[1])


@pytest.mark.parametrize("args", [(), ("--reload-surge", "1"), ("--reload-surge", "0")])
def test_reload_under_load(server: Callable[..., Server], args: tuple[str, ...]) -> None:
    srv, old = serve(server, 3, *args)
    own = listeners(srv.pid, srv.port)
    with load(srv) as clients:
        srv.signal(signal.SIGHUP)
        srv.wait_for("Reloaded: 3 new workers are ready")
        srv.wait_until(lambda: not old & srv.workers(), "the end of the old ones")
        clients.wait_for_more(20)

    assert not clients.losses
    assert listeners(srv.pid, srv.port) == own
    assert len({min(listeners(pid, srv.port)) for pid in srv.workers()}) == 3


def test_more_and_fewer_workers_under_load(server: Callable[..., Server]) -> None:
    srv, _ = serve(server, 1)
    with load(srv) as clients:
        for count in (2, 3):
            srv.signal(signal.SIGTTIN)
            srv.wait_workers(count)
            assert len(listeners(srv.pid, srv.port)) == count
            clients.wait_for_more(20)
        for count in (2, 1):
            srv.signal(signal.SIGTTOU)
            srv.wait_workers(count)
            assert len(listeners(srv.pid, srv.port)) == count
            clients.wait_for_more(20)

    assert not clients.losses
    (left,) = srv.workers()
    assert listeners(left, srv.port) == listeners(srv.pid, srv.port)


def test_queue_of_a_place_that_is_given_up(server: Callable[..., Server]) -> None:
    srv, workers = serve(server, 2)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    clients = ask_often(srv)
    srv.signal(signal.SIGTTOU)
    srv.wait_until(lambda: len(listeners(srv.pid, srv.port)) == 1, "the second socket's end")
    for pid in workers:
        os.kill(pid, signal.SIGCONT)

    # The one that leaves may have given some to the one that stays.
    answers = collect(clients)
    assert len(answers) == len(clients)
    assert set(answers) <= workers
    srv.wait_workers(1)


def test_fewer_workers_by_reload(server: Callable[..., Server], tmp_path: Path) -> None:
    config = "import pathlib\nreuse_port = True\nworkers = int(pathlib.Path('count').read_text())\n"
    tmp_path.joinpath("count").write_text("3")
    app = (
        "import os\ndef app(e, start):\n    start('200 OK', [])\n    return [b'%d' % os.getpid()]\n"
    )
    srv = server("app:app", files={"app.py": app, "gunicorn.conf.py": config})
    old = srv.wait_workers(3)
    tmp_path.joinpath("count").write_text("1")
    with load(srv) as clients:
        srv.signal(signal.SIGHUP)
        srv.wait_for("Reloaded: 1 new worker is ready")
        srv.wait_until(lambda: not old & srv.workers(), "the end of the old ones")
        clients.wait_for_more(20)

    assert not clients.losses
    assert len(listeners(srv.pid, srv.port)) == 1


def test_upgrade_passes_all_sockets_on(server: Callable[..., Server]) -> None:
    srv, _ = serve(server, 2)
    port, own = srv.port, listeners(srv.pid, srv.port)
    with load(srv) as clients:
        srv.signal(signal.SIGUSR2)
        new = int(srv.wait_for(r"Starting a new master \(pid:(\d+)\)")[1])
        srv.wait_workers(4)
        assert listeners(new, port) == own
        srv.signal(signal.SIGTERM)
        assert srv.process.wait(DEADLINE_S) == 0
        srv.wait_for(r"Master has been promoted\.")
        clients.wait_for_more(20)

    assert not clients.losses
    assert listeners(new, port) == own
    assert set(collect(ask_often(srv))) == srv.workers()


def test_unix_sockets_are_shared(server: Callable[..., Server], tmp_path: Path) -> None:
    _, workers = serve(server, 2, "--bind", "unix:socket")
    with connect_unix(tmp_path / "socket") as client:
        client.sendall(head("GET", "/pid"))
        assert int(read_answer(client).body) in workers


def test_shared_where_it_was_switched_on_later(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("--workers", "2", "app:app")
    srv.wait_workers(2)
    tmp_path.joinpath("gunicorn.conf.py").write_text("reuse_port = True\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded: 2 new workers are ready")

    assert srv.get().status == 200
    assert len(listeners(srv.pid, srv.port)) == 1
