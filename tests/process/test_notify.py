"""What a service manager hears by NOTIFY_SOCKET, in the order in which it hears it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.process.conftest import APP, DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

WAITING = "from pathlib import Path\nwhile not Path('go').exists(): pass\n"


class Manager:
    """The other end of the socket; messages are dictionaries of their assignments."""

    def __init__(self, path: str) -> None:
        self.name = path.replace("\0", "@")
        self.heard: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)

    def wait_for(self, key: str, text: str = "") -> dict[str, str]:
        """Return the next message with this key, and this text in its value."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            message = self.receive(deadline - time.monotonic())
            if key in message and text in message[key]:
                return message
        raise AssertionError(f"no {key} with {text!r} among {self.heard}")

    def receive(self, timeout: float) -> dict[str, str]:
        """Return the next message, an empty one where none comes in time."""
        self._socket.settimeout(max(timeout, 0.001))
        try:
            octets = self._socket.recv(4096)
        except (TimeoutError, BlockingIOError):
            return {}
        lines = octets.decode().splitlines()
        self.heard.append({line.partition("=")[0]: line.partition("=")[2] for line in lines})
        return self.heard[-1]

    def drain(self) -> None:
        """Take in all that has come."""
        while self.receive(0):
            pass

    @property
    def states(self) -> list[str]:
        """What was heard of the service's state, in order."""
        kinds = ("READY", "RELOADING", "STOPPING", "MAINPID")
        return [kind for message in self.heard for kind in kinds if kind in message]

    def close(self) -> None:
        """Go away."""
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """Return a manager at an address that is no file, where the system has such."""
    name = f"monoceros-{os.getpid()}-{time.monotonic_ns()}"
    manager = Manager(f"\0{name}" if sys.platform == "linux" else str(tmp_path / "notify"))
    yield manager
    manager.close()


def test_ready_when_all_workers_are(
    server: Callable[..., Server], manager: Manager, tmp_path: Path
) -> None:
    files = {"app.py": WAITING + APP}
    srv = server("-w", "2", "app:app", files=files, env={"NOTIFY_SOCKET": manager.name})
    assert int(manager.wait_for("EXTEND_TIMEOUT_USEC")["EXTEND_TIMEOUT_USEC"]) >= 10_000_000
    srv.wait_for("Booting worker", count=2)
    manager.wait_for("STATUS", "0 of 2 workers ready")
    assert manager.states == []

    (tmp_path / "go").touch()
    assert manager.wait_for("READY")["STATUS"] == "2 of 2 workers ready"
    srv.wait_workers(2)
    manager.drain()
    assert manager.states == ["READY"]


def test_socket_in_the_file_system(server: Callable[..., Server], tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "n"))
    server("app:app", env={"NOTIFY_SOCKET": manager.name})
    manager.wait_for("READY")
    manager.close()


def test_reload(server: Callable[..., Server], manager: Manager) -> None:
    srv = server("app:app", env={"NOTIFY_SOCKET": manager.name})
    manager.wait_for("READY")
    before = time.monotonic_ns() // 1000
    srv.signal(signal.SIGHUP)
    reloading = manager.wait_for("RELOADING")
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert manager.wait_for("READY")["STATUS"] == "1 of 1 workers ready"
    srv.wait_for("Reloaded: 1")
    assert manager.states == ["READY", "RELOADING", "READY"]


def test_reloads_that_fail(server: Callable[..., Server], manager: Manager, tmp_path: Path) -> None:
    files = {"app.py": APP, "gunicorn.conf.py": "workers = 1\n"}
    srv = server("app:app", files=files, env={"NOTIFY_SOCKET": manager.name})
    manager.wait_for("READY")
    (tmp_path / "gunicorn.conf.py").write_text("workers = = 1\n")
    srv.signal(signal.SIGHUP)
    manager.wait_for("RELOADING")
    status = manager.wait_for("READY")["STATUS"]
    assert status.startswith("1 of 1 workers ready; reload failed: ")
    assert "gunicorn.conf.py" in status

    (tmp_path / "gunicorn.conf.py").write_text("workers = 1\n")
    (tmp_path / "app.py").write_text("import nothing_of_that_name\n")
    srv.signal(signal.SIGHUP)
    manager.wait_for("RELOADING")
    status = manager.wait_for("READY")["STATUS"]
    assert status.startswith("1 of 1 workers ready; ")
    assert status.endswith("; reload failed: a new worker did not boot")

    (tmp_path / "app.py").write_text(APP)
    srv.signal(signal.SIGHUP)
    manager.wait_for("RELOADING")
    assert "failed" not in manager.wait_for("READY")["STATUS"]
    assert manager.states == ["READY"] + 3 * ["RELOADING", "READY"]


def test_stop(server: Callable[..., Server], manager: Manager) -> None:
    args = ("--graceful-timeout", "7", "--shutdown-delay", "1", "app:app")
    srv = server(*args, env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "200000"})
    manager.wait_for("READY")
    srv.signal(signal.SIGTERM)
    stopping = manager.wait_for("STOPPING")
    assert stopping["STATUS"] == "stopping, 1 worker left"
    assert 8_000_000 <= int(stopping["EXTEND_TIMEOUT_USEC"]) < 30_000_000
    assert srv.wait() == 0
    told = len(manager.heard)
    manager.drain()
    assert manager.states == ["READY", "STOPPING"]
    assert not any("WATCHDOG" in message for message in manager.heard[told:])


def test_application_that_does_not_boot(server: Callable[..., Server], manager: Manager) -> None:
    files = {"app.py": "raise OSError\n"}
    srv = server("app:app", files=files, env={"NOTIFY_SOCKET": manager.name})
    assert manager.wait_for("STOPPING")["STATUS"].endswith("; Worker failed to boot.")
    assert srv.wait() == 3
    assert manager.states == ["STOPPING"]


def test_stuck_arbiter_does_not_feed_the_watchdog(
    server: Callable[..., Server], manager: Manager
) -> None:
    env = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "400000"}
    srv = server("app:app", env=env)
    manager.wait_for("READY")
    for _ in range(5):
        assert "WATCHDOG" in manager.receive(5.0)

    srv.signal(signal.SIGSTOP)
    try:
        os.waitid(os.P_PID, srv.pid, os.WSTOPPED)
        manager.drain()
        assert manager.receive(0.6) == {}
    finally:
        srv.signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG")


def test_watchdog_of_another_process(server: Callable[..., Server], manager: Manager) -> None:
    env = {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid())}
    server("app:app", env={"NOTIFY_SOCKET": manager.name, **env})
    manager.wait_for("READY")

    assert manager.receive(0.4) == {}


def test_status_counts(server: Callable[..., Server], manager: Manager) -> None:
    srv = server("-w", "2", "app:app", env={"NOTIFY_SOCKET": manager.name})
    manager.wait_for("READY")
    os.kill(min(srv.wait_workers(2)), signal.SIGKILL)
    manager.wait_for("STATUS", "2 of 2 workers ready; 1 died so far")
    srv.signal(signal.SIGTTIN)
    manager.wait_for("STATUS", "3 of 3 workers ready; 1 died so far")
    assert manager.states == ["READY"]


def test_nobody_listens(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("app:app", env={"NOTIFY_SOCKET": f"{tmp_path}/nobody", "WATCHDOG_USEC": "100000"})
    srv.wait_workers(1)
    assert srv.get().status == 200
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert srv.count(r"\[INFO\] The service manager at .*/nobody .*: .*NOTIFY_SOCKET") == 1
    assert srv.count("hears nothing") == 1


@pytest.fixture
def upgraded(server: Callable[..., Server], manager: Manager) -> Iterator[tuple[Server, int]]:
    """Return a server beside its new arbiter, and that one's pid."""
    env = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "300000"}
    srv = server("--graceful-timeout", "5", "app:app", env=env)
    manager.wait_for("READY")
    srv.signal(signal.SIGUSR2)
    new = int(srv.wait_for(r"Starting a new master \(pid:(\d+)\)")[1])
    srv.wait_for("is ready", count=2)
    manager.drain()
    assert manager.states == ["READY"]
    yield srv, new
    if srv.owns(new):
        os.kill(new, signal.SIGKILL)


def test_upgrade(upgraded: tuple[Server, int], manager: Manager) -> None:
    srv, new = upgraded
    srv.signal(signal.SIGTERM)
    assert manager.wait_for("MAINPID")["MAINPID"] == str(new)  # from the old one
    assert srv.process.wait(DEADLINE_S) == 0
    assert manager.wait_for("MAINPID")["MAINPID"] == str(new)  # from the new one
    manager.wait_for("WATCHDOG")
    manager.wait_for("READY")
    manager.wait_for("WATCHDOG")
    assert manager.states == ["READY", "MAINPID", "MAINPID", "READY"]

    os.kill(new, signal.SIGTERM)
    manager.wait_for("STOPPING")
    srv.wait_until(lambda: not srv.owns(new), "the end of the new arbiter")


def test_upgrade_that_is_taken_back(upgraded: tuple[Server, int], manager: Manager) -> None:
    srv, new = upgraded
    os.kill(new, signal.SIGTERM)
    srv.wait_for(rf"The new master \(pid:{new}\) has left")
    manager.drain()
    assert manager.states == ["READY"]

    srv.signal(signal.SIGTERM)
    manager.wait_for("STOPPING")
    assert srv.wait() == 0
    manager.drain()
    assert manager.states == ["READY", "STOPPING"]
