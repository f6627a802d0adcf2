"""The scoreboard of a real server, read by a process that is neither arbiter nor worker."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

APP = """\
import os, time
def wait():
    while not os.path.exists("gate"):
        time.sleep(0.01)
def app(environ, start_response):
    if environ["PATH_INFO"].startswith("/stuck"):
        os.write(2, f"stuck in {environ['PATH_INFO']}\\n".encode())
        wait()
    status = {"/no": "404 Not Found"}.get(environ["PATH_INFO"], "200 OK")
    start_response(status, [("Content-Length", "0")])
    return []
"""

# Each line of the pipe is a question; the answers are lines of the log.
READER = """\
import os, signal
def when_ready(server):
    if os.fork():
        return
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_DFL)
    try:
        with open("ask") as questions:
            for question in questions:
                answer(question.strip(), server.scoreboard)
    finally:
        os._exit(0)
def answer(question, board):
    for thread in board.threads():
        if thread.slot != thread.worker:
            continue  # what helps the main thread
        record, counters = thread.record, thread.counters
        tell(question, "pid", record.pid, thread.phase.name, record.state.name,
             record.request or "-", "done", counters.finished, counters.responses)
    totals = board.totals()
    tell(question, "totals", totals.requests, totals.finished, totals.responses,
         "lame" if board.lame_duck else "sound")
def tell(*words):
    os.write(2, f"{' '.join(map(str, words))}\\n".encode())
"""


class Reader:
    """The test's end of the pipe of questions."""

    def __init__(self, srv: Server) -> None:
        self._srv = srv
        self._asked = 0
        self._fd = os.open(srv.cwd / "ask", os.O_WRONLY)

    def ask(self) -> list[str]:
        """Return what is read of each worker, and of all of them."""
        self._asked += 1
        os.write(self._fd, b"question%d\n" % self._asked)
        self._srv.wait_for(rf"^question{self._asked} totals")
        start = f"question{self._asked} "
        lines = self._srv.log.splitlines()
        return [line.removeprefix(start) for line in lines if line.startswith(start)]

    def close(self) -> None:
        """End the process that reads."""
        os.close(self._fd)


@pytest.fixture
def files(tmp_path: os.PathLike[str]) -> dict[str, str]:
    """What the servers of these tests consist of."""
    os.mkfifo(os.path.join(tmp_path, "ask"))  # noqa: PTH118
    return {"app.py": APP, "gunicorn.conf.py": READER}


def test_all_workers_are_read_while_all_are_stuck(
    server: Callable[..., Server], files: dict[str, str]
) -> None:
    srv = server("--workers", "2", "app:app", files=files)
    pids = srv.wait_workers(2)
    with contextlib.closing(Reader(srv)) as reader, contextlib.ExitStack() as clients:
        for number in range(2):
            client = clients.enter_context(contextlib.closing(srv.connect()))
            client.sendall(b"GET /stuck%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            # The next one goes to the other worker, since this one accepts nothing now.
            srv.wait_for(rf"^stuck in /stuck{number}$")
        first, second, totals = sorted(reader.ask())

        assert {int(line.split()[1]) for line in (first, second)} == pids
        assert sorted(line.split(maxsplit=2)[2] for line in (first, second)) == [
            f"READY RUNNING GET /stuck{number} done 0 (0, 0, 0, 0, 0)" for number in range(2)
        ]
        assert totals == "totals 2 0 (0, 0, 0, 0, 0) sound"
        srv.cwd.joinpath("gate").touch()
        srv.wait_until(lambda: "totals 2 2 (0, 2, 0, 0, 0) sound" in reader.ask(), "the answers")


def test_counters_outlive_workers(server: Callable[..., Server], files: dict[str, str]) -> None:
    srv = server("app:app", files=files)
    (pid,) = srv.wait_workers(1)
    with contextlib.closing(Reader(srv)) as reader:
        assert srv.get("/").status == 200
        assert srv.get("/no").status == 404
        assert reader.ask() == [
            f"pid {pid} READY IDLE GET /no done 2 (0, 1, 0, 1, 0)",
            "totals 2 2 (0, 1, 0, 1, 0) sound",
        ]
        os.kill(pid, signal.SIGKILL)
        srv.wait_until(lambda: srv.workers() - {pid}, "another worker")
        (successor,) = srv.workers()
        assert srv.get("/").status == 200
        assert reader.ask() == [
            f"pid {successor} READY IDLE GET / done 1 (0, 1, 0, 0, 0)",
            "totals 3 3 (0, 2, 0, 1, 0) sound",
        ]


def test_booting_and_draining_workers_are_told_apart(
    server: Callable[..., Server], files: dict[str, str]
) -> None:
    files["app.py"] = APP + "if os.path.exists('slow'):\n    wait()\n"
    srv = server("app:app", files=files)
    (old,) = srv.wait_workers(1)
    with (
        contextlib.closing(Reader(srv)) as reader,
        contextlib.closing(srv.connect()) as client,
    ):
        srv.cwd.joinpath("slow").touch()
        srv.signal(signal.SIGHUP)
        new = int(srv.wait_for(r"Booting worker with pid: (\d+)", count=2)[1])
        srv.wait_until(
            lambda: any(line.startswith(f"pid {new} BOOTING") for line in reader.ask()),
            "the booting worker",
        )
        assert f"pid {old} READY IDLE - done 0 (0, 0, 0, 0, 0)" in reader.ask()
        client.sendall(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
        srv.wait_for("^stuck in /stuck$")
        srv.signal(signal.SIGTERM)
        srv.wait_until(
            lambda: any(f"pid {old} DRAINING RUNNING" in line for line in reader.ask()),
            "the draining worker",
        )
        srv.cwd.joinpath("gate").touch()
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
    assert srv.wait() == 0
