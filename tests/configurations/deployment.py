"""A server that a case has started, and what can be asked about it from outside."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import monoceros

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.configurations.cases import Command

T = TypeVar("T")

DEADLINE_S = 20.0
LAUNCH = Path(__file__).with_name("launch.py")
_TROUBLE = re.compile(r"\[(WARNING|ERROR|CRITICAL)\]|\"(WARNING|ERROR|CRITICAL)\"|Traceback")


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: str


class Deployment:
    """A process in ``here``; its output goes to files in ``logs``, outside of ``here``."""

    def __init__(self, command: Command, argv: list[str], here: Path, logs: Path) -> None:
        self.here = here
        self.error_log = logs / "stderr"
        self.output = logs / "stdout"
        self.pid = 0
        environ = {
            **command.environ,
            "PYTHONPATH": os.pathsep.join(
                [str(Path(monoceros.__file__).parents[1]), command.environ.get("PYTHONPATH", "")]
            ).rstrip(os.pathsep),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with self.output.open("wb") as output, self.error_log.open("wb") as error_log:
            self.process = subprocess.Popen(
                [sys.executable, str(LAUNCH), command.prog, *argv],
                cwd=here,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=error_log,
            )
        self.pid = self.process.pid

    # -- waiting

    def wait_until(self, condition: Callable[[], T | None], what: str) -> T:
        """Return the first true value of ``condition``."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            ended = not self.is_alive()
            if value := condition():
                return value
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {what}:\n{self.tell()}")
            time.sleep(0.005)

    def wait_line(self, path: Path, pattern: str, count: int = 1) -> re.Match[str]:
        """Return the ``count``-th match in the lines of a file."""

        def find() -> re.Match[str] | None:
            found = list(re.finditer(pattern, _read(path), re.MULTILINE))
            return found[count - 1] if len(found) >= count else None

        return self.wait_until(find, f"{pattern!r} in {path.name}")

    def is_alive(self) -> bool:
        """Whether the master lives."""
        if self.pid == self.process.pid:
            return self.process.poll() is None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def tell(self) -> str:
        """Return all output for a failure's message."""
        names = dict.fromkeys((self.error_log, self.output))
        return "\n".join(f"--- {path.name}:\n{_read(path)}" for path in names)

    def find_trouble(self) -> list[str]:
        """Return the lines of the error log that are no good news."""
        return [line for line in _read(self.error_log).splitlines() if _TROUBLE.search(line)]

    # -- life

    def follow_daemon(self, pidfile: str) -> None:
        """Go on with the process that a pid file names, after the first one has ended."""
        assert self.process.wait(DEADLINE_S) == 0, self.tell()
        self.pid = os.getpid()  # that of somebody who lives, until the file is there
        self.pid = int(self.wait_line(self.here / pidfile, r"^(\d+)\n")[1])

    def signal(self, name: str) -> None:
        """Send a signal to the master."""
        os.kill(self.pid, signal.Signals[f"SIG{name}"])

    def end(self) -> int:
        """End the server; returns its exit code, 0 where it is a daemon."""
        self.signal("TERM")
        if self.pid == self.process.pid:
            return self.process.wait(DEADLINE_S)
        deadline = time.monotonic() + DEADLINE_S
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        return int(self.is_alive())

    def close(self) -> None:
        """Leave no process behind, whatever happened."""
        with contextlib.suppress(ProcessLookupError):
            if self.is_alive():
                # The workers follow their master by themselves.
                os.kill(self.pid, signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    # -- requests

    def get(self, address: str, path: str, fields: Mapping[str, str]) -> Answer:
        """Send a request to ``unix:PATH`` or to the TCP address in the log."""
        connection = http.client.HTTPConnection("localhost", timeout=DEADLINE_S)
        with contextlib.closing(connection):
            connection.sock = self._connect(address)
            connection.request("GET", path, headers={"Connection": "close", **fields})
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read().decode())

    def _connect(self, address: str) -> socket.socket:
        if not address.startswith("unix:"):
            listening = self.wait_line(self.error_log, r"Listening at: .*http://127.0.0.1:(\d+)")
            return socket.create_connection(("127.0.0.1", int(listening[1])), DEADLINE_S)
        path = self.here / address.removeprefix("unix:")

        def connect() -> socket.socket | None:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(DEADLINE_S)
            try:
                client.connect(str(path))
            except OSError:
                client.close()
                return None
            return client

        return self.wait_until(connect, f"somebody who listens at {path}")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""
