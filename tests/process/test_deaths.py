"""What the log says about workers that died, and that the arbiter survives any number of them."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import monoceros
from monoceros.arbiter.memory import measure_resident
from tests.process.conftest import COMPAT, DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.conftest import Server

pytestmark = pytest.mark.process
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

APP = """\
import os, signal, sys
from pathlib import Path
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/oom":
        Path("cg/memory.events").write_text("oom 1\\noom_kill 1\\n")
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/last-words":
        start_response("200 OK", [])(b"%d" % os.getpid())
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path == "/exit":
        os._exit(int(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
GROUPS = """\
from pathlib import Path
from monoceros.arbiter import oom
oom.ROOT = Path.cwd()
for name, text in {
    "proc/self/cgroup": "0::/\\n",
    "proc/self/mountinfo": "30 23 0:26 / /cg rw - cgroup2 cgroup rw\\n",
    "cg/memory.events": "oom 0\\noom_kill 0\\n",
    "cg/memory.max": "67108864\\n",
}.items():
    path = oom.ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
"""
NO_GROUPS = """\
from pathlib import Path
from monoceros.arbiter import oom
oom.ROOT = Path("nothing/here")
"""


def die(srv: Server, target: str) -> int:
    """Have the only worker die of a request; return the worker's pid."""
    (pid,) = srv.wait_workers(1)
    with pytest.raises((OSError, http.client.HTTPException)):
        srv.get(target)
    return pid


def test_kernel_that_killed_for_memory_is_named(server: Callable[..., Server]) -> None:
    srv = server("app:app", files={"app.py": APP, "gunicorn.conf.py": GROUPS})
    pid = die(srv, "/oom?a=b")
    srv.wait_for(
        rf"\[ERROR\] Worker \(pid:{pid}\) was sent SIGKILL! Out of memory: the kernel killed it "
        r"\(oom_kill of its cgroup rose from 0 to 1; the limit is 64 MiB\)\. "
        r"It was running GET /oom\?a=b from 127\.0\.0\.1(:\d+)? for \d\.\ds"
    )


def test_memory_is_not_blamed_for_a_kill_without_proof(server: Callable[..., Server]) -> None:
    srv = server("app:app", files={"app.py": APP, "gunicorn.conf.py": GROUPS})
    pid = die(srv, "/killed")
    srv.wait_for(
        rf"Worker \(pid:{pid}\) was sent SIGKILL! Not by this server, nor .* counted no such "
        r"kill\. It was running GET /killed from "
    )
    assert srv.get().body == b"ok"


def test_without_a_counter_it_stays_a_guess(server: Callable[..., Server]) -> None:
    srv = server("app:app", files={"app.py": APP, "gunicorn.conf.py": NO_GROUPS})
    (pid,) = srv.wait_workers(1)
    os.kill(pid, signal.SIGKILL)
    srv.wait_for(rf"Worker \(pid:{pid}\) was sent SIGKILL! Perhaps out of memory\?$")


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/crash", r"was sent SIGSEGV! It was running GET /crash from "),
        ("/exit?3", r"exited with code 3\. It was running GET /exit\?3 from "),
        (
            "/exit?0",
            r"exited with code 0, unasked\. It was running GET /exit\?0 from ",
        ),
    ],
)
def test_requests_in_hand_are_named(server: Callable[..., Server], target: str, text: str) -> None:
    srv = server("app:app", files={"app.py": APP})
    pid = die(srv, target)
    srv.wait_for(rf"\[ERROR\] Worker \(pid:{pid}\) {text}")

    assert srv.get().body == b"ok"


def test_worker_class_may_leave_by_itself(server: Callable[..., Server]) -> None:
    config = """\
from monoceros.workers.sync import SyncWorker
class Worker(SyncWorker):
    def run(self):
        if self.age > 1:
            super().run()
worker_class = Worker
"""
    srv = server("app:app", files={"app.py": APP, "gunicorn.conf.py": config})
    srv.wait_for(r"\[INFO\] Worker \(pid:\d+\) exited with code 0, unasked\.$")

    assert srv.get().body == b"ok"


def test_killed_on_the_way_out_with_a_request(server: Callable[..., Server]) -> None:
    app = """\
import pathlib, time
def app(environ, start_response):
    pathlib.Path("begun").touch()
    time.sleep(600)
"""
    srv = server("--graceful-timeout", "1", "app:app", files={"app.py": app})
    (pid,) = srv.wait_workers(1)
    with contextlib.closing(srv.connect()) as client:
        client.sendall(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        srv.wait_until((srv.cwd / "begun").exists, "the request to begin")
        srv.signal(signal.SIGTERM)
        assert srv.wait() == 0
    srv.wait_for(
        rf"Worker \(pid:{pid}\) was sent SIGKILL! It had not left in time\. "
        r"It was running GET /long from "
    )


# -- any number of deaths

DEATHS = 300
SETTLED = "from monoceros.arbiter import supervision\nsupervision.SETTLED_S = 0\n"


@pytest.fixture
def unread(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server whose errors go into a full pipe that nobody reads."""
    (tmp_path / "app.py").write_text(APP)
    # No delay between deaths: it is told by the time that the dead had served.
    (tmp_path / "gunicorn.conf.py").write_text(SETTLED)
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(write_end, bytes(4096)):
            pass
    os.set_blocking(write_end, True)
    args = ("--compat", COMPAT, "-w", "4", "-b", f"unix:{tmp_path}/s", "--log-level", "debug")
    process = subprocess.Popen(
        [sys.executable, "-m", "monoceros", *args, "app:app"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(monoceros.__file__).parents[1])},
        stderr=write_end,
    )
    yield process
    process.kill()
    process.wait()
    os.close(read_end)
    os.close(write_end)


@on_linux
@pytest.mark.slow
def test_many_deaths_with_a_full_pipe(unread: subprocess.Popen[bytes], tmp_path: Path) -> None:
    address = str(tmp_path / "s")
    measured = []
    for deaths in (DEATHS // 3, DEATHS - DEATHS // 3):
        pids = {die_on_purpose(address) for _ in range(deaths)}
        assert len(pids) == deaths
        measured.append((measure_resident(unread.pid), count_descriptors(unread.pid)))

    (before, fds_before), (after, fds_after) = measured
    assert before is not None
    assert after is not None
    assert after - before < 1 << 20
    assert max(fds_before, fds_after) < DEATHS // 5  # some for each of four workers
    unread.send_signal(signal.SIGTERM)
    assert unread.wait(DEADLINE_S) == 0


@on_linux
def test_no_zombie_is_left(server: Callable[..., Server]) -> None:
    files = {"app.py": APP, "gunicorn.conf.py": SETTLED}
    srv = server("-w", "2", "app:app", files=files)
    for _ in range(10):
        with pytest.raises((OSError, http.client.HTTPException)):
            srv.get("/killed")
    srv.wait_workers(2)

    children = Path(f"/proc/{srv.pid}/task/{srv.pid}/children").read_text().split()
    assert {int(pid) for pid in children} == srv.workers()


def die_on_purpose(address: str) -> int:
    """Have a worker tell its pid and die; return the pid."""
    deadline = time.monotonic() + DEADLINE_S
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE_S)
        while True:  # the server may still be starting
            try:
                client.connect(address)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                assert time.monotonic() < deadline
                time.sleep(0.01)
        client.sendall(b"GET /last-words HTTP/1.0\r\n\r\n")
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while data := client.recv(4096):
                answer += data
    return int(answer.partition(b"\r\n\r\n")[2])


def count_descriptors(pid: int) -> int:
    """Return how many descriptors a process has."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def test_successor_of_a_worker_that_leaves_unasked_boots_meanwhile(
    server: Callable[..., Server],
) -> None:
    srv = server("app:app", files={"app.py": APP})
    (pid,) = srv.wait_workers(1)
    with srv.connect() as idle:
        # Kept open for a moment: its client may be about to send one more request.
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(4096)
        os.kill(pid, signal.SIGTERM)
        srv.wait_for(rf"\[INFO\] Worker \(pid:{pid}\) leaves, unasked$")
        assert srv.get().body == b"ok"
        srv.wait_for("Worker exiting")

    order = [line for line in srv.lines if "is ready" in line or "Worker exiting" in line]
    assert ["is ready" in line for line in order] == [True, True, False]
    assert srv.count("exited") == srv.count("next worker is started") == 0
