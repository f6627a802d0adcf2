"""The queue by which workers give connections away: who has it, and what is left in it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from tests.process.conftest import DEADLINE_S, Server
from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="nothing is given away elsewhere"),
]

APP = """\
import multiprocessing, os

def list_descriptors(end):
    links = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    end.send([os.readlink(link) for link in links if os.path.lexists(link)])

def app(environ, start_response):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=list_descriptors, args=(theirs,))
    process.start()
    found = ours.recv()
    process.join()
    start_response("200 OK", [])
    return [repr(found).encode()]
"""
CONF = """\
import os, socket
from monoceros.net.overflow import Moved

connection_handoff = {enabled}

def post_worker_init(worker):
    queue = worker.overflow
    worker.log.info("queue %s", "socket:[%s]" % os.fstat(queue.fileno()).st_ino if queue else None)

def worker_exit(server, worker):
    port = int(os.environ.get("PORT_OF_TEST", 0))
    if port and worker.overflow:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.recv(1)  # until nobody else serves any more
            moved = Moved(sock.fileno(), b"", 0, 0.0, None, None, "http", False)
            worker.log.info("given: %s", worker.overflow.give(moved))
"""
QUEUE = r"queue (None|socket:\[\d+\])"


def files(enabled: bool = True) -> dict[str, str]:
    return {"app.py": APP, "gunicorn.conf.py": CONF.replace("{enabled}", str(enabled))}


def holders(srv: Server, queue: str) -> set[int]:
    """Return which of the arbiter and its workers have the queue."""
    return {pid for pid in (srv.pid, *srv.workers()) if queue in descriptors(pid).values()}


def reload(srv: Server, folder: Path, count: int, enabled: bool) -> str:
    """Change the setting; return the queue of the new worker once the old one has gone."""
    before = srv.workers()
    (folder / "gunicorn.conf.py").write_text(files(enabled)["gunicorn.conf.py"])
    srv.signal(signal.SIGHUP)
    queue = srv.wait_for(QUEUE, count)[1]
    srv.wait_until(lambda: not any(map(srv.owns, before)), "the end of the old workers")
    srv.wait_workers(1)
    return queue


def test_all_have_the_queue_of_the_arbiter(server: Callable[..., Server]) -> None:
    srv = server("--workers", "2", "app:app", files=files())
    workers = srv.wait_workers(2)
    queues = {srv.wait_for(QUEUE, count)[1] for count in (1, 2)}

    assert len(queues) == 1
    assert holders(srv, *queues) == {srv.pid, *workers}
    found = eval(srv.get().body)
    assert any(link.startswith("pipe:") for link in found)
    assert not queues & set(found)


def test_reload_switches_it_off_and_on(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("--workers", "1", "app:app", files=files())
    first = srv.wait_for(QUEUE)[1]
    srv.wait_workers(1)

    assert reload(srv, tmp_path, 2, enabled=True) == first
    assert reload(srv, tmp_path, 3, enabled=False) == "None"
    srv.wait_until(lambda: not holders(srv, first), "the end of the queue")
    again = reload(srv, tmp_path, 4, enabled=True)
    assert again != "None"
    assert holders(srv, again) == {srv.pid, *srv.workers()}


def test_switched_off_workers_do_not_inherit_it(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    """Also while workers of the generation before, which have it, are still there."""
    srv = server("--workers", "1", "app:app", files=files())
    queue = srv.wait_for(QUEUE)[1]
    old = srv.wait_workers(1)
    with srv.connect() as client:
        client.sendall(b"GET / HT")  # keeps the old worker
        srv.wait_until(lambda: holders(srv, queue) == {srv.pid, *old})
        (tmp_path / "gunicorn.conf.py").write_text(files(False)["gunicorn.conf.py"])
        srv.signal(signal.SIGHUP)
        srv.wait_for("Reloaded")

        assert len(srv.workers()) == 2
        assert holders(srv, queue) == {srv.pid, *old}
    srv.wait_until(lambda: not holders(srv, queue), "the end of the queue")


def test_new_master_has_a_queue_of_its_own(server: Callable[..., Server]) -> None:
    srv = server("--workers", "1", "app:app", files=files())
    old = srv.wait_for(QUEUE)[1]
    srv.signal(signal.SIGUSR2)
    new_pid = int(srv.wait_for(r"Starting a new master \(pid:(\d+)\)")[1])
    new = srv.wait_for(QUEUE, 2)[1]

    assert new != old
    assert new in descriptors(new_pid).values()
    assert old not in descriptors(new_pid).values()
    assert holders(srv, old) & {srv.pid, new_pid} == {srv.pid}
    os.kill(new_pid, signal.SIGTERM)
    srv.wait_until(lambda: not srv.owns(new_pid), "the end of the new master")


def test_watcher_does_without_it(server: Callable[..., Server]) -> None:
    srv = server("--workers", "1", "--reload", "app:app", files=files())
    queue = srv.wait_for(QUEUE)[1]
    watcher = int(srv.wait_for(r"Watching files with pid: (\d+)")[1])
    srv.wait_workers(1)

    assert queue not in descriptors(watcher).values()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_what_is_left_at_the_end(server: Callable[..., Server], signum: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)
        env = {"PORT_OF_TEST": str(listener.getsockname()[1])}
        srv = server("--workers", "2", "app:app", files=files(), env=env)
        srv.wait_workers(2)
        srv.signal(signum)
        peers = [listener.accept()[0] for _ in range(2)]
        for peer in peers:
            peer.sendall(b"g")
        assert srv.wait() == 0
        for peer in peers:
            peer.settimeout(DEADLINE_S)
            assert peer.recv(10) == b""
            peer.close()

    assert srv.count("given: True") == 2
    assert srv.count("no worker was left to take: 2") == 1


def test_nothing_is_said_where_nothing_is_left(server: Callable[..., Server]) -> None:
    srv = server("--workers", "1", "app:app", files=files())
    srv.wait_workers(1)
    srv.signal(signal.SIGTERM)

    assert srv.wait() == 0
    assert srv.count("no worker was left") == 0
