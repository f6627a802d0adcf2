"""Real servers for tests: the fixture ``server``.

``server(*args, files=..., env=...)`` starts ``python -m monoceros ARGS`` in a directory of its
own and returns a ``Server`` once it listens. Without a ``--bind`` among the arguments it binds
127.0.0.1 to a port that the kernel chooses; ``bind=None`` leaves it to a configuration file.
``files`` are written into the directory first, by name; ``app.py`` with a small application is
there if nothing else is given. At the end of the test all its processes are stopped, by their
pids.

    def test_it(server):
        srv = server("--workers", "2", "app:app")
        assert srv.get("/").body == b"hello"
        srv.signal(signal.SIGTERM)
        assert srv.wait() == 0
        srv.wait_for(r"Shutting down: Master")

There is one worker unless the test asks for more: WEB_CONCURRENCY is 1 where the test sets
nothing else. MONOCEROS_TEST_COMPAT=gunicorn in the environment of the tests runs every server
under ``--compat gunicorn``; ``COMPAT`` tells the tests under which of the two they run.
MONOCEROS_TEST_WORKER=gevent gives those of them that worker which do not ask for another.

Waiting is always for an event with a deadline: ``wait_for`` for a line of the log (standard
error), ``wait_workers`` for a number of workers that are ready (it needs ``--log-level debug``,
which is the default here), ``wait`` for the end. ``listening=False`` is for servers that are
to fail. ``pass_fds`` are descriptors that the server gets, and ``launch`` is a program with
arguments that starts it.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pytest

import monoceros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

T = TypeVar("T")

DEADLINE_S = 20.0  # for anything that ought to happen soon
COMPAT = os.environ.get("MONOCEROS_TEST_COMPAT", "monoceros")
WORKER = os.environ.get("MONOCEROS_TEST_WORKER", "")

_WORKER_OPTIONS = ("-k", "--worker-class", "--threads")

APP = """\
import os, time
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/sleep/"):
        time.sleep(float(path.rpartition("/")[2]))
    body = b"%d" % os.getpid() if path == "/pid" else b"hello"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


class Response(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Server:
    """A server process, its log and its workers."""

    def __init__(
        self,
        args: list[str],
        cwd: Path,
        env: Mapping[str, str],
        *,
        launch: Sequence[str] = (),
        command: Sequence[str] = ("-m", "monoceros"),
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.cwd = cwd
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [sys.executable, *launch, *command, *args],
            pass_fds=pass_fds,
            cwd=cwd,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(monoceros.__file__).parents[1]),
                # Tests change files faster than the times in cached byte code can tell.
                "PYTHONDONTWRITEBYTECODE": "1",
                # The default depends on the machine, and a file still overrides this.
                "WEB_CONCURRENCY": "1",
                **env,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that its workers can be told from other processes
        )
        self.output = bytearray()  # standard output so far
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._collect_log, self._collect_output)
        ]
        for thread in self._threads:
            thread.start()

    # -- the log

    def wait_for(self, pattern: str, count: int = 1, timeout: float = DEADLINE_S) -> re.Match[str]:
        """Return the ``count``-th match in the lines of the log, once it is there."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                found = [match for line in self.lines if (match := re.search(pattern, line))]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    raise AssertionError(f"no {pattern!r} (x{count}) in the log:\n{self.log}")
                self._news.wait(left)

    def count(self, pattern: str) -> int:
        """Return how many lines of the log match so far."""
        with self._news:
            return sum(1 for line in self.lines if re.search(pattern, line))

    @property
    def log(self) -> str:
        """The log so far."""
        with self._news:
            return "\n".join(self.lines)

    # -- processes

    @property
    def pid(self) -> int:
        """The arbiter's process id."""
        return self.process.pid

    def workers(self) -> set[int]:
        """Return the pids of the workers that have told that they are ready and still live."""
        with self._news:
            lines = list(self.lines)
        ready = {int(m[1]) for line in lines if (m := re.search(r"pid:(\d+)\) is ready", line))}
        return {pid for pid in ready if self.owns(pid)}

    def wait_workers(self, count: int, timeout: float = DEADLINE_S) -> set[int]:
        """Return the workers once exactly ``count`` are ready."""

        def find() -> set[int] | None:
            pids = self.workers()
            return pids if len(pids) == count else None

        return self.wait_until(find, f"{count} workers", timeout)

    def wait_until(
        self,
        condition: Callable[[], T | None],
        what: str = "it",
        timeout: float = DEADLINE_S,
    ) -> T:
        """Return the first true value of ``condition``; for what no event tells."""
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {what}; the log:\n{self.log}")
            time.sleep(0.01)
        return value

    def owns(self, pid: int) -> bool:
        """Whether a process is alive and one of this server's."""
        try:
            return os.getsid(pid) == self.pid and not _is_zombie(pid)
        except ProcessLookupError:
            return False

    def signal(self, signum: int) -> None:
        """Send a signal to the arbiter."""
        self.process.send_signal(signum)

    def wait(self, timeout: float = DEADLINE_S) -> int:
        """Return the exit code once the arbiter and the log have ended."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it does not end; the log:\n{self.log}") from error
        for thread in self._threads:
            thread.join(timeout)
        return code

    def stop(self) -> None:
        """End all processes, by their pids."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        with self._news:
            text = "\n".join(self.lines)
        masters = re.findall(r"Starting a new master \(pid:(\d+)\)", text)
        workers = re.findall(r"Booting worker with pid: (\d+)", text)
        for pid in dict.fromkeys((self.pid, *map(int, (*masters, *workers)))):
            if self.owns(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait(5)
        for thread in self._threads:
            thread.join(5)

    # -- requests

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens on TCP: the last of its addresses."""
        match = self.wait_for(r"Listening at: .*http://\[?([^\s,]+?)\]?:(\d+)")
        return match[1], int(match[2])

    @property
    def port(self) -> int:
        """The TCP port."""
        return self.address[1]

    def connect(self, timeout: float = DEADLINE_S) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(self.address, timeout)

    def get(
        self,
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        timeout: float = DEADLINE_S,
    ) -> Response:
        """Send one GET on a connection of its own; raises OSError or HTTPException."""
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Connection": "close", **(headers or {})})
            answer = connection.getresponse()
            return Response(answer.status, dict(answer.getheaders()), answer.read())

    # -- collecting

    def _collect_log(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                with self._news:
                    self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _collect_output(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            while data := os.read(stream.fileno(), 65536):
                self.output += data


def skip_without(module: str) -> None:
    """Skip the test where a module is not installed, without importing it here."""
    try:
        is_there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even its package
        is_there = False
    if not is_there:
        pytest.skip(f"needs {module}")


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers; see the head of this file."""
    started: list[Server] = []

    def start(
        *args: str,
        files: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        bind: str | None = "127.0.0.1:0",
        listening: bool = True,
        launch: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> Server:
        for name, text in (files or {"app.py": APP}).items():
            tmp_path.joinpath(name).write_text(text)
        given = list(args)
        if bind and not any(one.startswith(("-b", "--bind")) for one in args):
            given = ["--bind", bind, *given]
        if not any(one.startswith("--log-level") for one in args):
            given = ["--log-level", "debug", *given]
        if COMPAT != "monoceros" and not any(one.startswith("--compat") for one in args):
            given = ["--compat", COMPAT, *given]
        if WORKER and not any(one.startswith(_WORKER_OPTIONS) for one in args):
            given = ["--worker-class", WORKER, *given]
        running = Server(given, tmp_path, env or {}, launch=launch, pass_fds=pass_fds)
        started.append(running)
        if listening:
            running.wait_for("Listening at:")
        return running

    yield start
    for running in started:
        running.stop()
