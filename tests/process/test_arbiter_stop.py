"""The ways to stop a server, and what clients see of them."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process.descriptors import watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

KEEP = ("--keep-alive", "75")
SLEEPS = r"\[DEBUG\] GET /sleep/"  # the worker has this request in hand


def send(client: socket.socket, path: str = "/") -> None:
    client.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())


def read(client: socket.socket) -> http.client.HTTPResponse:
    """Read an answer whole."""
    with contextlib.closing(http.client.HTTPResponse(client)) as answer:
        answer.begin()
        answer.read()
        return answer


def is_last(client: socket.socket) -> bool:
    """Ask, and tell whether the answer is to be the last on its connection."""
    send(client)
    answer = read(client)
    assert answer.status == 200
    return answer.getheader("Connection") == "close"


def is_lame(srv: Server) -> bool:
    with srv.connect() as client:
        return is_last(client)


def test_lame_duck(server: Callable[..., Server]) -> None:
    srv = server("--shutdown-delay", "600", *KEEP, "app:app")
    (worker,) = srv.wait_workers(1)
    with srv.connect() as kept:
        assert not is_last(kept)
        srv.signal(signal.SIGTERM)
        srv.wait_for(r"\[INFO\] Serving for another 600 seconds \(shutdown_delay\)")
        srv.wait_until(lambda: is_lame(srv), "the worker to know")
        # Whoever is idle is left alone until it asks once more.
        assert is_last(kept)
        assert not kept.recv(1)

    for signum in (signal.SIGHUP, signal.SIGTTIN, signal.SIGUSR2):
        srv.signal(signum)
        srv.wait_for(f"Handling signal: {signal.Signals(signum).name[3:].lower()}")
    os.kill(worker, signal.SIGKILL)
    srv.wait_for("is ready", count=2)
    assert is_lame(srv)
    assert srv.count("Booting worker") == 2

    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_lame_duck_whose_workers_are_told_with_the_arbiter(
    server: Callable[..., Server], threads: int
) -> None:
    options = ("--shutdown-delay", "600", "--graceful-timeout", "3", "--threads", str(threads))
    srv = server(*options, "app:app")
    srv.wait_workers(1)
    told = time.monotonic()
    os.killpg(srv.pid, signal.SIGTERM)
    srv.wait_for("Serving for another 600 seconds")
    srv.wait_until(lambda: is_lame(srv), "the worker to know")
    # While this lasts somebody else sees to newcomers, who must not take them for a sibling's.
    assert srv.get("/sleep/0.3").status == 200
    assert srv.get(timeout=5).status == 200
    srv.wait_until(lambda: time.monotonic() - told > 3, "the time for what is in hand")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(1 + threads)]
        for client in clients:
            send(client, "/sleep/0.5")
        srv.wait_for(SLEEPS, count=2)
        srv.signal(signal.SIGTERM)
        assert [read(client).status for client in clients] == [200] * len(clients)
    assert srv.wait() == 0
    assert srv.count("Cut off") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_lame_duck_is_idle(server: Callable[..., Server]) -> None:
    srv = server("--shutdown-delay", "600", "--max-memory", "1000G", "app:app")
    srv.wait_workers(1)
    srv.signal(signal.SIGTERM)
    srv.wait_for("Serving for another 600 seconds")
    before, began = measure_time(srv.pid), time.monotonic()
    srv.wait_until(lambda: time.monotonic() - began > 1.5, "what would be due by now")
    assert measure_time(srv.pid) - before < 0.2


def measure_time(pid: int) -> float:
    """Return the processor time of a process in seconds."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def test_lame_duck_gives_up_a_reload(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("--shutdown-delay", "2", "app:app")
    workers = srv.wait_workers(1)
    (tmp_path / "app.py").write_text("import time\ntime.sleep(600)\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Booting worker", count=2)
    began = time.monotonic()
    srv.signal(signal.SIGTERM)
    srv.wait_for("Reload given up, the old workers keep serving: the server is about to stop")
    assert srv.workers() == workers
    assert srv.wait() == 0
    assert 2 <= time.monotonic() - began < 10


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGQUIT])
def test_quick_stop_has_no_delay(server: Callable[..., Server], signum: int) -> None:
    srv = server("--shutdown-delay", "600", "app:app")
    srv.wait_workers(1)
    srv.signal(signum)
    assert srv.wait() == 0


def test_quick_stop_ends_the_delay(server: Callable[..., Server]) -> None:
    srv = server("--shutdown-delay", "600", "app:app")
    srv.wait_workers(1)
    srv.signal(signal.SIGTERM)
    srv.wait_for("Serving for another 600 seconds")
    srv.signal(signal.SIGINT)
    assert srv.wait() == 0


def test_stop_before_any_worker_is_ready_has_no_delay(server: Callable[..., Server]) -> None:
    source = "import time; time.sleep(600)"
    srv = server("--shutdown-delay", "600", "app:app", files={"app.py": source})
    srv.wait_for("Booting worker")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0


# The handler of a signal that comes right before the import begins to wait runs after that.
DEAF = """\
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
open("waits", "w").close()
signal.sigwait({signal.SIGTERM})
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
time.sleep(600)
"""
CATCHES_ALL = """\
import time
open("waits", "w").close()
try:
    time.sleep(600)
except BaseException:
    time.sleep(600)
"""


@pytest.mark.parametrize("source", [DEAF, CATCHES_ALL])
def test_worker_that_does_not_hear_it_while_it_boots_is_told_again(
    server: Callable[..., Server], tmp_path: Path, source: str
) -> None:
    srv = server("app:app", files={"app.py": source})
    srv.wait_until((tmp_path / "waits").exists)
    srv.signal(signal.SIGTERM)

    assert srv.wait(10) == 0


# Its workers do not leave, and a quick stop lets them for longer than a test waits.
STUBBORN = """\
import os, time
from monoceros.arbiter import supervision
supervision.QUICK_S = 600
def app(environ, start_response):
    start_response("200 OK", [])
    return [b""]
def worker_int(worker):
    os.write(2, b"in no hurry\\n")
    time.sleep(600)
"""


def test_second_quick_stop_kills(server: Callable[..., Server]) -> None:
    srv = server("--config", "app.py", "app:app", files={"app.py": STUBBORN})
    srv.wait_workers(1)
    srv.signal(signal.SIGQUIT)
    srv.wait_for("in no hurry")
    srv.signal(signal.SIGINT)
    assert srv.wait() == 0


# As if its workers were in an uninterruptible sleep.
UNKILLABLE = """\
import signal, time
from monoceros.arbiter import supervision
def send(child, signum, send=supervision.send):
    if signum != signal.SIGKILL:
        send(child, signum)
supervision.send = send
def app(environ, start_response):
    start_response("200 OK", [])
    return [b""]
def worker_exit(server, worker):
    time.sleep(600)
"""


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_worker_that_outlives_sigkill_is_left_behind(
    server: Callable[..., Server], first: int
) -> None:
    files = {"app.py": UNKILLABLE}
    srv = server("--config", "app.py", "--graceful-timeout", "0", "app:app", files=files)
    (worker,) = srv.wait_workers(1)
    srv.signal(first)
    srv.wait_for("Worker exiting")
    if first == signal.SIGTERM:
        srv.wait_for("Cut off at the end of graceful_timeout")
    srv.signal(signal.SIGINT)
    srv.wait_for(rf"\[ERROR\] Leaving worker \(pid:{worker}\) behind, which SIGKILL does not end")
    assert srv.process.wait(20) == 0


def test_second_term_changes_nothing(server: Callable[..., Server]) -> None:
    srv = server("app:app")
    srv.wait_workers(1)
    with srv.connect() as client:
        send(client, "/sleep/1")
        srv.wait_for(SLEEPS)
        srv.signal(signal.SIGTERM)
        srv.wait_for("Handling signal: term")
        srv.signal(signal.SIGTERM)
        answer = read(client)
        assert (answer.status, answer.getheader("Connection")) == (200, "close")
    assert srv.wait() == 0


@pytest.mark.parametrize(
    ("transport", "seconds"),
    [("tcp", 0.3), ("tcp6", 0.3), ("unix", 0.3), pytest.param("tcp", 2, marks=pytest.mark.slow)],
)
def test_all_that_were_received_are_answered(
    server: Callable[..., Server], tmp_path: Path, transport: str, seconds: float
) -> None:
    path = tmp_path / "socket"
    binds = {"tcp": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": f"unix:{path}"}
    srv = server("--workers", "2", "--bind", binds[transport], "app:app")
    srv.wait_workers(2)
    port = 0 if transport == "unix" else int(srv.wait_for(r"Listening at: .*:(\d+) ")[1])

    def connect(client: socket.socket) -> None:
        client.settimeout(20)
        client.connect(str(path) if transport == "unix" else (HOSTS[transport], port))

    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(FAMILIES[transport])) for _ in range(9)]
        late = clients.pop()
        for client in clients:
            connect(client)
            send(client, f"/sleep/{seconds}")
        srv.signal(signal.SIGTERM)
        statuses = [read(client).status for client in clients]
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            connect(late)
    assert statuses == [200] * 8
    assert srv.wait() == 0
    # Both workers went on taking from the queue until it was empty.
    assert time.monotonic() - began < 6 * seconds + 3


HOSTS = {"tcp": "127.0.0.1", "tcp6": "::1"}
FAMILIES = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6, "unix": socket.AF_UNIX}


def test_what_is_cut_off_is_counted(server: Callable[..., Server]) -> None:
    srv = server("--graceful-timeout", "1", "app:app")
    srv.wait_workers(1)
    with srv.connect() as client, srv.connect() as idle:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234")
        send(idle)
        assert read(idle).status == 200
        srv.signal(signal.SIGTERM)
        assert srv.wait() == 0
    srv.wait_for(
        r"\[WARNING\] Cut off at the end of graceful_timeout: requests that had not come whole: 1, "
        "answers that had not been taken whole: 0$"
    )


def test_killed_worker_is_cut_off_with_its_connections(server: Callable[..., Server]) -> None:
    srv = server("--graceful-timeout", "1", *KEEP, "app:app")
    (worker,) = srv.wait_workers(1)
    with srv.connect() as client:
        send(client, "/sleep/600")
        srv.wait_for(SLEEPS)
        srv.signal(signal.SIGTERM)
        assert srv.wait() == 0
    srv.wait_for(
        rf"\[WARNING\] Cut off at the end of graceful_timeout: worker \(pid:{worker}\) "
        "with 1 connection$"
    )
    srv.wait_for("It was running GET /sleep/600")


def test_request_that_crosses_with_the_end_of_an_idle_connection(
    server: Callable[..., Server],
) -> None:
    srv = server("--graceful-timeout", "2", *KEEP, "app:app")
    srv.wait_workers(1)
    with srv.connect() as client:
        assert not is_last(client)
        srv.signal(signal.SIGTERM)
        assert not client.recv(1)
        # Sent before its client can have known; it meets no reset.
        for _ in range(3):
            send(client)
        assert not client.recv(1)
    assert srv.wait() == 0


def test_worker_that_is_told_before_the_arbiter(server: Callable[..., Server]) -> None:
    srv = server(*KEEP, "app:app")
    (worker,) = srv.wait_workers(1)
    with srv.connect() as kept:
        assert not is_last(kept)
        srv.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, srv.pid, os.WSTOPPED)
        os.kill(worker, signal.SIGTERM)
        assert is_last(kept)
    with srv.connect() as client:
        srv.signal(signal.SIGTERM)
        srv.signal(signal.SIGCONT)
        send(client)
        assert read(client).status == 200
    assert srv.wait() == 0


def test_worker_that_nobody_but_a_stranger_tells_to_leave(server: Callable[..., Server]) -> None:
    srv = server("app:app")
    (worker,) = srv.wait_workers(1)
    os.kill(worker, signal.SIGTERM)
    srv.wait_for(rf"Worker exiting \(pid: {worker}\)")
    srv.wait_for("is ready", count=2)
    assert srv.get().status == 200


def test_worker_without_an_arbiter_leaves_after_its_call(server: Callable[..., Server]) -> None:
    srv = server(*KEEP, "app:app")
    (worker,) = srv.wait_workers(1)
    with srv.connect() as client:
        send(client, "/sleep/1.5")
        srv.wait_for(SLEEPS)
        srv.signal(signal.SIGKILL)
        assert read(client).status == 200
        began = time.monotonic()
        srv.wait_until(lambda: not srv.owns(worker), "its end")
    assert time.monotonic() - began < 5


ENDLESS = """\
import os
import time
from pathlib import Path
def app(environ, start_response):
    os.write(2, b"called\\n")
    while not Path("go").exists():
        time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_workers_without_an_arbiter_give_the_address_free_while_calls_go_on(
    server: Callable[..., Server], tmp_path: Path, threads: int
) -> None:
    options = ("--graceful-timeout", "600", "--threads", str(threads))
    srv = server(*options, "app:app", files={"app.py": ENDLESS})
    srv.wait_workers(1)
    address = srv.address
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(1 + threads)]
        for client in clients:
            send(client)
        srv.wait_for("^called", count=threads)
        srv.signal(signal.SIGKILL)
        srv.wait_until(lambda: is_free(address), "a free address")
        (tmp_path / "go").touch()
        assert [read(client).status for client in clients] == [200] * len(clients)


def is_free(address: tuple[str, int]) -> bool:
    """Whether another server could have an address."""
    with contextlib.suppress(OSError), socket.create_server(address):
        return True
    return False


@pytest.mark.parametrize("threads", [1, 2])
def test_calls_without_an_arbiter_have_as_long_as_with_one(
    server: Callable[..., Server], threads: int
) -> None:
    options = ("--graceful-timeout", "1", "--threads", str(threads))
    srv = server(*options, "app:app", files={"app.py": ENDLESS})
    (worker,) = srv.wait_workers(1)
    with contextlib.ExitStack() as stack:
        for _ in range(threads):
            send(stack.enter_context(srv.connect()))
        srv.wait_for("^called", count=threads)
        srv.signal(signal.SIGKILL)
        srv.wait_for("Cut off at the end of graceful_timeout")
        srv.wait_until(lambda: not srv.owns(worker), "its end")


LINGERING = """\
import os
import threading
import time
def app(environ, start_response):
    threading.Thread(target=time.sleep, args=(600,)).start()
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


def test_worker_without_an_arbiter_does_not_wait_for_threads_of_the_application(
    server: Callable[..., Server],
) -> None:
    srv = server("--graceful-timeout", "1", "app:app", files={"app.py": LINGERING})
    (worker,) = srv.wait_workers(1)
    assert srv.get().status == 200
    srv.signal(signal.SIGKILL)
    srv.wait_for("Cut off at the end of graceful_timeout")
    srv.wait_until(lambda: not srv.owns(worker), "its end")


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_queue_of_a_socket_that_others_use_is_left_to_them(
    server: Callable[..., Server], tmp_path: Path, transport: str
) -> None:
    path = tmp_path / "socket"
    with socket.socket(FAMILIES[transport]) as listener:
        listener.bind(str(path) if transport == "unix" else ("127.0.0.1", 0))
        listener.listen()
        fd = listener.fileno()
        srv = server("--bind", f"fd://{fd}", "app:app", pass_fds=[fd])
        (worker,) = srv.wait_workers(1)
        inode = os.fstat(fd).st_ino
        srv.wait_until(lambda: inode in watched(worker), "its watching the queue")
        with (
            socket.socket(listener.family) as first,
            socket.socket(listener.family) as second,
            socket.socket(listener.family) as third,
        ):
            for client in (first, second, third):
                client.settimeout(20)
            first.connect(listener.getsockname())
            send(first, "/sleep/1")
            srv.wait_for(SLEEPS)
            srv.signal(signal.SIGTERM)
            srv.wait_until(lambda: inode not in watched(worker), "its leaving the queue alone")
            second.connect(listener.getsockname())
            third.connect(listener.getsockname())
            assert read(first).status == 200
            first.close()  # else the worker waits for that
            assert srv.wait() == 0
            for client in (second, third):
                send(client)
                accepted, _ = listener.accept()
                with accepted:
                    assert accepted.recv(99).startswith(b"GET / ")


def test_queue_of_an_address_that_a_reload_gives_up_is_emptied(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    config = tmp_path / "config.py"
    old, new = (tmp_path / name for name in ("old", "new"))
    config.write_text(f"bind = ['unix:{old}', 'unix:{new}']")
    srv = server("--config", "config.py", "app:app", bind=None)
    srv.wait_workers(1)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(4)]
        for client in clients:
            client.settimeout(20)
            client.connect(str(old))
            send(client, "/sleep/0.4")
            srv.wait_for(SLEEPS)
        config.write_text(f"bind = ['unix:{new}']")
        srv.signal(signal.SIGHUP)
        assert [read(client).status for client in clients] == [200] * 4
    srv.wait_for("Reloaded: 1 new worker is ready")
    assert not old.exists()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(new))
        send(client)
        assert read(client).status == 200
