"""The command lines that a newcomer from Gunicorn types first, on a fresh Django project."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import monoceros
from monoceros.config.machine import plan_workers
from tests.process.conftest import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("django")

pytestmark = [pytest.mark.process, pytest.mark.settled]

_PORT = 8000
_PORT_DEADLINE_S = 30.0

_FILE = """\
bind = "0.0.0.0:8000"
workers = 3
timeout = 120
loglevel = "info"
"""


class Case(NamedTuple):
    """A command line without the command's name, and what has to come of it."""

    line: str
    file: str | None
    host: str
    workers: int
    timeout: int


CASES = {
    "bare": Case("myproject.wsgi:application", None, "127.0.0.1", plan_workers().workers, 30),
    "flags": Case(
        "--workers 3 --bind 0.0.0.0:8000 myproject.wsgi:application", None, "0.0.0.0", 3, 30
    ),
    "file": Case("-c gunicorn.conf.py myproject.wsgi:application", _FILE, "0.0.0.0", 3, 120),
    "found": Case("myproject.wsgi:application", _FILE, "0.0.0.0", 3, 120),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """Each command line in turn."""
    name: str = request.param
    return CASES[name]


@pytest.fixture(scope="session")
def fresh_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as ``django-admin startproject myproject`` leaves it."""
    parent = tmp_path_factory.mktemp("django")
    command = [sys.executable, "-m", "django", "startproject", "myproject"]
    subprocess.run(command, cwd=parent, check=True)
    return parent / "myproject"


@pytest.fixture
def project(case: Case, fresh_project: Path, tmp_path: Path) -> Path:
    """The project with the case's configuration file."""
    place = tmp_path / "myproject"
    shutil.copytree(fresh_project, place)
    if case.file is not None:
        place.joinpath("gunicorn.conf.py").write_text(case.file)
    return place


@pytest.fixture
def port() -> int:
    """Port 8000, once nobody else has it."""
    deadline = time.monotonic() + _PORT_DEADLINE_S
    while True:
        try:
            with socket.create_server(("0.0.0.0", _PORT)):
                return _PORT
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                pytest.skip(f"port {_PORT} is not free: {error}")
        time.sleep(0.05)


@pytest.fixture
def environment(impl: str) -> dict[str, str]:
    """What the server gets beside its command line: the twin, and none of its own settings."""
    return {"MONOCEROS_IMPL": impl, "WEB_CONCURRENCY": "", "PORT": "", "GUNICORN_CMD_ARGS": ""}


@pytest.fixture
def running(case: Case, project: Path, port: int, environment: dict[str, str]) -> Iterator[Server]:
    """The server that the command line starts."""
    started = Server(shlex.split(case.line), project, environment)
    with contextlib.ExitStack() as stack:
        stack.callback(started.stop)
        yield started


def test_newcomers_command_line_serves_the_project(running: Server, case: Case) -> None:
    match = running.wait_for(r"\[INFO\] Listening at: http://(\S+):(\d+) \((\d+)\)$")
    assert match.groups() == (case.host, str(_PORT), str(running.pid))
    running.wait_for(r"\[INFO\] Booting worker with pid: \d+", count=case.workers)

    with socket.create_connection(("127.0.0.1", _PORT), 10) as client:
        client.sendall(b"GET /admin/login/ HTTP/1.1\r\nHost: localhost:8000\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")

    running.signal(signal.SIGTERM)
    assert running.wait() == 0
    running.wait_for(r"\[INFO\] Shutting down: Master")
    assert running.count("Booting worker with pid") == case.workers
    assert not running.count(r"\[DEBUG\]")  # the log level is info


def test_newcomers_command_line_puts_the_settings_in_force(
    case: Case, project: Path, environment: dict[str, str]
) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "monoceros", "--print-config", *shlex.split(case.line)],
        cwd=project,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(monoceros.__file__).parents[1]),
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    values = dict(re.findall(r"^(\w+)\s+= (.*)  #", found.stdout, re.MULTILINE))
    assert values["timeout"] == str(case.timeout)
    assert values["loglevel"].strip("'\"") == "info"
    assert values["workers"] == str(case.workers)
