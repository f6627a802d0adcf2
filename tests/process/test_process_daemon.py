"""A server without terminal, session and parent."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

APP = """\
import os
def app(environ, start_response):
    print("from the application")
    start_response("200 OK", [])
    return [os.getcwd().encode(), b" %o" % os.umask(0o22)]
"""
ASGI_APP = """\
import os
async def app(scope, receive, send):
    assert scope["type"] == "http"
    print("from the application")
    body = os.getcwd().encode() + b" %o" % os.umask(0o22)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})
"""
CONFIG = "daemon = True\npidfile = 'pid'\nerrorlog = 'log'\nloglevel = 'debug'\nchdir = 'site'\n"


class Daemon:
    """A daemon that writes pid file and log into the directory ``site``."""

    def __init__(self, srv: Server) -> None:
        self._srv = srv
        self._site = srv.cwd / "site"
        self.pid = int(self._wait(self._site / "pid", r"\d+\n")[0])

    def wait_for(self, pattern: str, count: int = 1) -> re.Match[str]:
        """Return the ``count``-th match in the log, once it is there."""
        return self._wait(self._site / "log", pattern, count)

    def workers(self) -> list[int]:
        """Return the children of the master."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def wait_workers(self, count: int) -> None:
        """Wait until there are so many children."""
        self._srv.wait_until(lambda: len(self.workers()) == count, f"{count} workers")

    def has_gone(self) -> bool:
        """Whether the master has ended; whoever adopted it may not have reaped it."""
        with contextlib.suppress(OSError):
            return " Z " in Path(f"/proc/{self.pid}/stat").read_text()
        return True

    def _wait(self, path: Path, pattern: str, count: int = 1) -> re.Match[str]:
        def find() -> re.Match[str] | None:
            with contextlib.suppress(OSError):
                found = list(re.finditer(pattern, path.read_text(), re.MULTILINE))
                return found[count - 1] if len(found) >= count else None
            return None

        return self._srv.wait_until(find, f"{pattern!r} in {path}")


@pytest.fixture
def daemon(server: Callable[..., Server], tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Start daemons; at the end of the test they are killed with their children.

    A new master is such a child while the old one lives.
    """
    (tmp_path / "site").mkdir()
    daemons: list[Daemon] = []

    def start(*args: str, app: str = APP) -> Daemon:
        files = {"site/app.py": app, "gunicorn.conf.py": CONFIG}
        srv = server(*args, "app:app", files=files, listening=False)
        assert srv.wait() == 0, srv.log
        assert srv.log == ""
        daemons.append(one := Daemon(srv))
        one.wait_for("is ready")
        return one

    yield start
    for one in daemons:
        with contextlib.suppress(OSError):
            for pid in [one.pid, *one.workers()]:
                os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("app", [APP, ASGI_APP], ids=["wsgi", "asgi"])
def test_a_whole_life(daemon: Callable[..., Daemon], tmp_path: Path, app: str) -> None:
    one = daemon("--log-level", "debug", "--workers", "2", app=app)
    one.wait_workers(2)
    stat = Path(f"/proc/{one.pid}/stat").read_text().rpartition(")")[2].split()
    session, terminal = int(stat[3]), int(stat[4])
    # The leader of its session has gone, so that no terminal can ever become its own.
    assert session != one.pid
    assert terminal == 0
    standard = {Path(f"/proc/{one.pid}/fd/{fd}").readlink() for fd in range(3)}
    assert standard == {Path("/dev/null")}

    url = one.wait_for(r"Listening at: (\S+)")[1]
    with urlopen(url, timeout=10) as answer:
        assert answer.read().decode() == f"{tmp_path / 'site'} 22"

    os.kill(one.pid, signal.SIGWINCH)
    one.wait_for("graceful stop of workers")
    one.wait_workers(0)
    os.kill(one.pid, signal.SIGTTIN)
    one.wait_workers(1)
    os.kill(one.pid, signal.SIGHUP)
    one.wait_workers(2)
    one.wait_for("Reloaded: 2")
    os.kill(one.pid, signal.SIGTERM)
    one.wait_for("Shutting down: Master")
    one._srv.wait_until(one.has_gone, "the end")
    assert not (tmp_path / "site" / "pid").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_upgrade_and_back(daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    one = daemon("--log-level", "debug", "--workers", "2")
    one.wait_workers(2)
    url = one.wait_for(r"Listening at: (\S+)")[1]

    os.kill(one.pid, signal.SIGUSR2)
    new = int(one.wait_for(r"Starting a new master \(pid:(\d+)\)")[1])
    one.wait_for("is ready", count=4)
    assert (tmp_path / "site" / "pid.2").read_text() == f"{new}\n"
    os.kill(one.pid, signal.SIGWINCH)
    one.wait_for("graceful stop of workers")
    one.wait_workers(1)  # none, but a new master
    with urlopen(url, timeout=10) as answer:
        assert answer.status == 200

    os.kill(one.pid, signal.SIGHUP)
    one.wait_for("Reloaded: 2")
    os.kill(new, signal.SIGQUIT)
    one.wait_for("has left, this one goes on")
    one.wait_workers(2)
    with urlopen(url, timeout=10) as answer:
        assert answer.status == 200
    assert {path.name for path in (tmp_path / "site").glob("pid*")} == {"pid"}
    os.kill(one.pid, signal.SIGTERM)
    one.wait_for("Shutting down: Master$", count=1)


def test_what_is_wrong_is_told_before_detaching(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("-D", "--error-logfile", "nowhere/log", "app:app", listening=False)

    assert srv.wait() == 1
    assert "Invalid value for errorlog: 'nowhere/log' (No such file or directory)" in srv.log


def test_log_to_nowhere_is_warned_of(server: Callable[..., Server], tmp_path: Path) -> None:
    # Another one seems to run, so that the daemon ends by itself.
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    srv = server("-D", "--pid", "pid", "app:app", listening=False)

    assert srv.wait() == 0
    assert "Warning: the daemon's error log goes to /dev/null" in srv.log


def test_inherited_output(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    process = subprocess.run(
        [sys.executable, "-m", "monoceros", "-DR", "-b", "127.0.0.1:0", "-p", "pid", "app:app"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

    # Ends with the daemon, which has the pipe.
    assert "Warning" not in process.stderr
    assert f"Already running on PID {os.getpid()}" in process.stderr
