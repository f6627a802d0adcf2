"""SIGUSR2: a new master beside the old one, and what becomes of the two."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import connect_unix, head, read_answer
from tests.e2e.load import load
from tests.process.conftest import COMPAT, DEADLINE_S, Server
from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.process

APP = """\
import os
def app(environ, start_response):
    names = ("GUNICORN_PID", "GUNICORN_FD")
    body = " ".join(str(os.environ.get(name)) for name in names).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
BROKEN = "raise RuntimeError('no good')\n"


def tell(text: str) -> str:
    """Return an application that answers a text."""
    return f"""\
def app(environ, start_response):
    start_response("200 OK", [])
    return [{text!r}.encode()]
"""


def upgrade(srv: Server, pid: int = 0, count: int = 1) -> int:
    """Send SIGUSR2, by default to the first master; return the new one's pid once it serves."""
    before = srv.count("is ready")
    os.kill(pid or srv.pid, signal.SIGUSR2)
    new = int(srv.wait_for(r"Starting a new master \(pid:(\d+)\)", count)[1])
    srv.wait_for(rf"Listening at: .* \({new}\)")
    srv.wait_for("is ready", before + 1)
    return new


def wait_gone(srv: Server, pid: int) -> None:
    """Wait for the end of a process."""
    srv.wait_until(lambda: not srv.owns(pid), f"the end of {pid}")


def title(pid: int) -> str:
    """Return a process's command line."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


def ask(path: Path) -> bytes:
    """Return the answer of a server at a unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE_S)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        with client.makefile("rb") as stream:
            return stream.read().partition(b"\r\n\r\n")[2]


def test_upgrade(server: Callable[..., Server], tmp_path: Path) -> None:
    config = "def pre_exec(server): server.log.info('pre_exec, %s', server.reexec_pid)\n"
    srv = server(
        *("--workers", "2", "--pid", "pid", "--name", "shop", "app:app"),
        files={"app.py": APP, "gunicorn.conf.py": config},
    )
    srv.wait_workers(2)
    names = [COMPAT + ": master [shop]", COMPAT + ": master [shop.2]"]
    has_titles = bool(importlib.util.find_spec("setproctitle"))

    with load(srv, "/") as clients:
        new = upgrade(srv)
        srv.wait_workers(4)
        srv.wait_for("pre_exec, 0")
        assert [(tmp_path / name).read_text() for name in ("pid", "pid.2")] == [
            f"{srv.pid}\n",
            f"{new}\n",
        ]
        assert not has_titles or [title(srv.pid), title(new)] == names
        for pid, refusal in ((srv.pid, rf"new master \(pid:{new}"), (new, "old master")):
            os.kill(pid, signal.SIGUSR2)
            srv.wait_for(f"SIGUSR2 ignored: the {refusal}")

        srv.signal(signal.SIGTERM)
        assert srv.process.wait(DEADLINE_S) == 0
        srv.wait_for(r"Master has been promoted\.")
        # A worker that is forked from here on sees no trace of the upgrade.
        os.kill(new, signal.SIGHUP)
        srv.wait_for("Reloaded: 2")

    assert not clients.losses
    # The first master's workers, those of the second one, and those after its promotion.
    assert {body for _, body in clients.answers} >= {"None None", f"{srv.pid} None"}
    assert srv.get().body == b"None None"
    assert (tmp_path / "pid").read_text() == f"{new}\n"
    assert not (tmp_path / "pid.2").exists()
    assert not has_titles or title(new) == names[0]

    os.kill(new, signal.SIGTERM)
    wait_gone(srv, new)
    srv.wait_for("Shutting down: Master$", count=2)
    assert not (tmp_path / "pid").exists()
    with pytest.raises(ConnectionRefusedError):
        srv.connect()


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix:socket"])
def test_a_new_master_that_does_not_boot(
    server: Callable[..., Server], tmp_path: Path, bind: str
) -> None:
    srv = server("--bind", bind, "--pid", "pid", "app:app", files={"app.py": tell("one")})
    old = srv.wait_workers(1)
    (tmp_path / "app.py").write_text(BROKEN)
    srv.signal(signal.SIGUSR2)
    new = int(srv.wait_for(r"new master \(pid:(\d+)\) ended with 3, this one goes on")[1])
    srv.wait_for("RuntimeError: no good")
    srv.wait_for(r"Shutting down: Master\.2")

    def is_served() -> bool:
        return (ask(tmp_path / "socket") if "unix" in bind else srv.get().body) == b"one"

    assert is_served()
    assert srv.workers() == old
    assert not (tmp_path / "pid.2").exists()

    # Another attempt, which is called back.
    (tmp_path / "app.py").write_text(tell("one"))
    other = upgrade(srv, count=2)
    os.kill(other, signal.SIGTERM)
    srv.wait_for(rf"The new master \(pid:{other}\) has left, this one goes on")
    assert other != new
    assert all(is_served() for _ in range(3))
    assert srv.workers() == old
    assert (tmp_path / "pid").read_text() == f"{srv.pid}\n"

    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert not (tmp_path / "socket").exists()


def test_what_keeps_a_new_master_from_starting(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    config = "def pre_exec(server):\n    raise ValueError('not today')\n"
    srv = server("app:app", files={"app.py": APP, "gunicorn.conf.py": config})
    old = srv.wait_workers(1)
    for times in (1, 2):
        srv.signal(signal.SIGUSR2)
        srv.wait_for(
            "Cannot start a new master, this one goes on: Exception in hook pre_exec", times
        )
        srv.wait_for("ValueError: not today", times)

    assert srv.workers() == old
    assert srv.get().status == 200


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process")
def test_no_descriptor_is_left_for_a_new_master(server: Callable[..., Server]) -> None:
    srv = server("app:app")
    old = srv.wait_workers(1)
    before = resource.prlimit(srv.pid, resource.RLIMIT_NOFILE)
    taken = descriptors(srv.pid)
    lowest = next(fd for fd in range(len(taken) + 1) if fd not in taken)
    resource.prlimit(srv.pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
    srv.signal(signal.SIGUSR2)
    srv.wait_for(r"\[ERROR\] Cannot fork a new master, this one goes on: .*Too many open files")
    assert srv.get().body == b"hello"
    assert srv.workers() == old

    resource.prlimit(srv.pid, resource.RLIMIT_NOFILE, before)
    upgrade(srv)


def test_the_new_master_is_killed(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("--pid", "pid", "app:app")
    srv.wait_workers(1)
    new = upgrade(srv)
    assert (tmp_path / "pid.2").read_text() == f"{new}\n"
    os.kill(new, signal.SIGKILL)
    srv.wait_for(rf"The new master \(pid:{new}\) was ended by SIGKILL, this one goes on")
    assert not (tmp_path / "pid.2").exists()
    assert srv.get().status == 200


def test_the_old_master_is_killed(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("--pid", "pid", "--bind", "unix:socket", "app:app")
    srv.wait_workers(1)
    second = upgrade(srv)
    srv.signal(signal.SIGKILL)
    srv.wait_for(r"Master has been promoted\.")
    # It was not waited for yet: its number is still taken, and the file is taken over all the same.
    srv.wait_until(lambda: (tmp_path / "pid").read_text() == f"{second}\n", "the pid file")
    third = upgrade(srv, second, count=2)
    os.kill(second, signal.SIGTERM)
    srv.wait_for(r"Master has been promoted\.", count=2)

    assert ask(tmp_path / "socket") == b"hello"
    # The second one has removed it, and the third one writes it after that line of the log.
    pid = tmp_path / "pid"
    srv.wait_until(lambda: pid.exists() and pid.read_text() == f"{third}\n", "the pid file")
    os.kill(third, signal.SIGTERM)
    wait_gone(srv, third)
    assert not (tmp_path / "socket").exists()


def listens(pid: int) -> bool:
    """Whether a process has sockets open, which the masters here have to listen on only."""
    with contextlib.suppress(FileNotFoundError):
        return any(link.startswith("socket:") for link in descriptors(pid).values())
    return False  # the process has gone


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("old_first", [True, False])
def test_both_masters_are_stopped(server: Callable[..., Server], old_first: bool) -> None:
    srv = server("app:app")
    srv.wait_workers(1)
    new = upgrade(srv)
    first, second = (srv.pid, new) if old_first else (new, srv.pid)
    with contextlib.ExitStack() as stack:
        clients = []
        for sleeping in (1, 2, 2):  # one in each worker, and one that waits in the queue
            clients.append(stack.enter_context(srv.connect()))
            clients[-1].sendall(head("GET", "/sleep/1"))
            srv.wait_for(r"\[DEBUG\] GET /sleep/", sleeping)
        os.kill(first, signal.SIGTERM)
        srv.wait_until(lambda: not listens(first), "its listener to be closed")
        os.kill(second, signal.SIGTERM)
        assert [read_answer(client).status for client in clients] == [200] * 3
    wait_gone(srv, new)
    assert srv.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_upgrade_to_another_address(server: Callable[..., Server], tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text("bind = 'unix:one'")
    srv = server("--config", "config.py", "app:app", bind=None)
    srv.wait_workers(1)
    config.write_text("bind = 'unix:two'")
    new = upgrade(srv)
    with connect_unix(tmp_path / "one") as client:
        client.sendall(head("GET", "/sleep/0.5"))
        srv.wait_for(r"\[DEBUG\] GET /sleep/")
        with connect_unix(tmp_path / "one") as queued:
            queued.sendall(head("GET", "/"))
            srv.signal(signal.SIGTERM)
            assert [read_answer(one).status for one in (client, queued)] == [200] * 2
    srv.wait_for(r"Master has been promoted\.")
    assert not (tmp_path / "one").exists()
    assert ask(tmp_path / "two") == b"hello"
    os.kill(new, signal.SIGTERM)
    wait_gone(srv, new)
    assert not (tmp_path / "two").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_upgrade_to_another_address_and_back(server: Callable[..., Server], tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text("bind = 'unix:one'")
    srv = server("--config", "config.py", "app:app", bind=None)
    srv.wait_workers(1)
    config.write_text("bind = ['unix:one', 'unix:two']")
    new = upgrade(srv)
    os.kill(new, signal.SIGTERM)
    srv.wait_for(rf"The new master \(pid:{new}\) has left, this one goes on")
    assert ask(tmp_path / "one") == b"hello"
    assert not (tmp_path / "two").exists()


def test_upgrade_to_another_name_of_the_same_path(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    config = tmp_path / "config.py"
    config.write_text("bind = 'unix:one'")
    srv = server("--config", "config.py", "app:app", bind=None)
    srv.wait_workers(1)
    config.write_text(f"bind = 'unix:{tmp_path}/one'")
    new = upgrade(srv)  # has made the file anew
    srv.signal(signal.SIGTERM)
    srv.wait_for(r"Master has been promoted\.")
    assert ask(tmp_path / "one") == b"hello"
    os.kill(new, signal.SIGTERM)
    wait_gone(srv, new)
    assert not (tmp_path / "one").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_addresses_move_during_an_upgrade(server: Callable[..., Server], tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text("bind = 'unix:one'")
    srv = server("--config", "config.py", "app:app", bind=None)
    srv.wait_workers(1)
    new = upgrade(srv)
    config.write_text("bind = ['unix:one', 'unix:two']")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded: ")
    config.write_text("bind = 'unix:three'")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded: ", 2)
    assert not (tmp_path / "two").exists()
    assert ask(tmp_path / "one") == b"hello"  # of the new master
    os.kill(new, signal.SIGTERM)
    srv.wait_for(rf"The new master \(pid:{new}\) has left, this one goes on")
    assert not (tmp_path / "one").exists()
    assert ask(tmp_path / "three") == b"hello"


def test_a_link_to_the_release(server: Callable[..., Server], tmp_path: Path) -> None:
    current = tmp_path / "current"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text(tell(name))
    current.symlink_to("one")
    srv = Server(
        ["--bind", "unix:socket", "--log-level", "debug", "app:app"], current, {"PWD": str(current)}
    )
    try:
        srv.wait_workers(1)
        current.unlink()
        srv.signal(signal.SIGUSR2)
        srv.wait_for(rf"Cannot start a new master, .*No such file or directory: '{current}'")
        current.symlink_to("two")
        new = upgrade(srv, count=2)
        # The path leads to another directory now, in which there was no socket.
        assert ask(current / "socket") == b"two"
        srv.signal(signal.SIGTERM)
        srv.wait_for(r"Master has been promoted\.")
        assert ask(current / "socket") == b"two"
        os.kill(new, signal.SIGTERM)
        wait_gone(srv, new)
    finally:
        srv.stop()
    assert not (tmp_path / "two" / "socket").exists()
