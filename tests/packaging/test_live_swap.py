"""A Gunicorn that runs becomes Monoceros, and Monoceros Gunicorn, by the upgrade that both have."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.packaging.builds import SECONDS
from tests.packaging.sites import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

COMMAND = "gunicorn --workers 2 --bind unix:g.sock --pid g.pid --no-control-socket app"
APPLICATION = """\
import sys
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Monoceros" if "monoceros.arbiter.loop" in sys.modules else b"Gunicorn"]
"""
PIDS, NEXT = Path("g.pid"), Path("g.pid.2")


@pytest.fixture
def site(uv: Path, wheelhouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An environment with Gunicorn, and a folder with an application to be in."""
    (tmp_path / "app.py").write_text(APPLICATION)
    monkeypatch.chdir(tmp_path)  # so that the socket's name is short
    site = Site(tmp_path / "venv", "uv", uv, wheelhouse).create()
    site.install("gunicorn", "setproctitle")
    return site


@pytest.fixture
def log(site: Site, tmp_path: Path) -> Iterator[Path]:
    """The log of a server that was started, and is ended in whatever shape the test leaves it."""
    log = tmp_path / "log"
    with log.open("w") as file:
        first = subprocess.Popen(COMMAND.split(), env={"PATH": site.path}, stderr=file)
    try:
        wait_for(PIDS.exists, log)
        yield log
    finally:
        for path in (NEXT, PIDS):
            if path.exists():
                os.kill(int(path.read_text()), signal.SIGTERM)
        wait_for(lambda: not PIDS.exists() and not NEXT.exists(), log)
        first.wait(SECONDS)


def wait_for(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def ask() -> str:
    """Return who answers; fails where nobody does."""
    connection = http.client.HTTPConnection("localhost", timeout=SECONDS)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect("g.sock")
    connection.request("GET", "/")
    with connection.getresponse() as response:
        return response.read().decode()


def upgrade(log: Path) -> set[str]:
    """Have a new master take over from the old one; return who answers from then on."""
    old = int(PIDS.read_text())
    os.kill(old, signal.SIGUSR2)
    wait_for(NEXT.exists, log)
    new = NEXT.read_text()
    wait_for(lambda: f"[{new.strip()}] [INFO] Using worker" in log.read_text(), log)
    os.kill(old, signal.SIGTERM)
    wait_for(has_taken_over, log)
    assert PIDS.read_text() == new
    return {ask() for _ in range(20)}


def has_taken_over() -> bool:
    """Whether the new master has the old one's name; one of them has to answer meanwhile."""
    ask()
    return PIDS.exists() and not NEXT.exists()


def test_there_and_back(site: Site, log: Path) -> None:
    wait_for(lambda: Path("g.sock").exists(), log)
    assert ask() == "Gunicorn"

    site.uninstall("gunicorn")
    site.install("monoceros[gunicorn]")
    assert upgrade(log) == {"Monoceros"}

    site.uninstall("monoceros-gunicorn")
    site.install("gunicorn")
    assert upgrade(log) == {"Gunicorn"}
