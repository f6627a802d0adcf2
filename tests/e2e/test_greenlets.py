"""Workers that run the application in greenlets: those of gevent and of eventlet."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, head, read_answer, read_to_end
from tests.process.conftest import skip_without

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

APP = """\
import os, select, socket, subprocess, threading, time
from socket import socket as Socket
seen = {}
def hold(seconds):
    try:
        time.sleep(seconds)  # here
    finally:
        seen["left"] = True
def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
def app(environ, start_response):
    _, name, argument = (environ["PATH_INFO"] + "//").split("/")[:3]
    body = b"hello"
    if name == "sleep":
        hold(float(argument))
    elif name == "spin":
        spin(float(argument))
    elif name == "left":
        body = str(seen.get("left")).encode()
    elif name == "patched":
        body = f"{Socket.__module__} {time.sleep.__module__}".encode()
    elif name == "pid":
        body = b"%d" % os.getpid()
    elif name == "upload":
        size = 0
        while data := environ["wsgi.input"].read(1 << 16):
            size += len(data)
        body = b"%d" % size
    elif name == "big":
        start_response("200 OK", [("Content-Length", str(100 * (1 << 20)))])
        return (b"x" * (1 << 20) for _ in range(100))
    elif name == "fork":
        pid = os.fork()
        if not pid:
            os._exit(7)
        body = b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    elif name == "run":
        body = subprocess.run(["echo", "out"], capture_output=True).stdout
    elif name == "socket":
        sock = environ["gunicorn.socket"]
        sock.sendall(b"raw " + sock.recv(100))
        raise StopIteration
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
FILES = {"app.py": APP}


@pytest.fixture
def kind(impl: str) -> str:
    """Each library, with a twin each: that neither knows of the other is seen elsewhere."""
    name = {"c": "gevent", "py": "eventlet"}[impl]
    skip_without(name)
    return name


@pytest.fixture
def start(serve: Serve, kind: str) -> Callable[..., Server]:
    """Start a server with one worker of the kind."""

    def start_one(*args: str, app: str = "app:app") -> Server:
        return serve("-k", kind, "--keep-alive", "75", *args, app, files=FILES)

    return start_one


@contextlib.contextmanager
def asked(srv: Server, path: str, *fields: str) -> Iterator[socket.socket]:
    """Have a request under way."""
    with srv.connect() as client:
        client.sendall(head("GET", path, *fields))
        yield client


def test_calls_that_wait_run_at_the_same_time(start: Callable[..., Server]) -> None:
    srv = start("--worker-connections", "1000", "--log-level", "info")
    count = 300
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(count)]
        began = time.monotonic()
        for client in clients:
            client.sendall(head("GET", "/sleep/0.2"))
        assert {read_answer(client).status for client in clients} == {200}

    # One after the other they would take a minute.
    assert time.monotonic() - began < 0.1 * count * 0.2


def test_a_call_that_waits_holds_up_nobody(start: Callable[..., Server]) -> None:
    srv = start()
    with asked(srv, "/sleep/1.5") as slow, srv.connect() as fast:
        until = time.monotonic() + 1
        times = []
        while time.monotonic() < until:
            began = time.monotonic()
            assert ask(fast, "/").body == b"hello"
            times.append(time.monotonic() - began)
        assert read_answer(slow).status == 200

    assert sorted(times)[len(times) // 2] < 0.1


@pytest.mark.parametrize("args", [(), ("--preload",)], ids=["", "preload"])
def test_library_is_patched_before_the_application(
    start: Callable[..., Server], kind: str, args: tuple[str, ...]
) -> None:
    srv = start(*args)
    first, second = srv.get("/patched").body.decode().split()
    assert first.startswith(kind)
    assert second.startswith(kind)
    assert not srv.count("too late")


def test_too_late_is_told(serve: Serve, kind: str) -> None:
    files = {
        **FILES,
        "gunicorn.conf.py": "import helper\n",
        "helper.py": "from time import sleep\nfrom socket import socket\n",
    }
    srv = serve("-k", kind, "app:app", files=files)
    srv.wait_for(rf"\[WARNING\] {kind} came too late for .*: helper \(sleep, socket\)\. ")
    assert srv.get("/").status == 200


# eventlet looks at less where it finds pytest.
LAZY = """\
import os
os.environ.pop("PYTEST_CURRENT_TEST", None)
class Lazy:
    @property
    def __class__(self):
        raise LookupError("no settings")
lazy = Lazy()
"""


def test_what_cannot_be_patched_is_told(serve: Serve, kind: str) -> None:
    files = {**FILES, "gunicorn.conf.py": LAZY}
    srv = serve("-k", kind, "app:app", files=files)
    srv.wait_for(rf"\[ERROR\] {kind} cannot patch .* patch at the top of the configuration file")
    srv.wait_for("LookupError: no settings")
    assert srv.wait() == 3


def test_a_file_that_patches_itself(serve: Serve, kind: str) -> None:
    patch = {
        "gevent": "from gevent import monkey\nmonkey.patch_all()\n",
        "eventlet": "import eventlet\neventlet.monkey_patch()\n",
    }
    files = {**FILES, "gunicorn.conf.py": patch[kind]}
    srv = serve("-k", kind, "--workers", "2", "app:app", files=files)
    before = srv.wait_workers(2)
    assert srv.get("/patched").body.decode().startswith(kind)
    srv.signal(signal.SIGHUP)
    srv.wait_until(lambda: not before & srv.workers(), "other workers")
    assert srv.get("/").status == 200
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0


def test_stop_waits_for_calls(start: Callable[..., Server]) -> None:
    srv = start()
    srv.wait_workers(1)
    with asked(srv, "/sleep/1") as one, asked(srv, "/sleep/1.2") as other:
        srv.wait_until(lambda: srv.count("GET /sleep") == 2, "both calls")
        srv.signal(signal.SIGTERM)
        assert [read_answer(client).status for client in (one, other)] == [200, 200]
    assert srv.wait() == 0


@pytest.mark.parametrize("path", ["/sleep/60", "/spin/60"])
def test_quick_stop_waits_for_nothing(start: Callable[..., Server], path: str) -> None:
    srv = start()
    srv.wait_workers(1)
    with asked(srv, path):
        srv.wait_for("GET " + path)
        began = time.monotonic()
        srv.signal(signal.SIGQUIT)
        assert srv.wait() == 0
    assert time.monotonic() - began < 10


def test_a_hook_at_a_quick_stop_may_wait(serve: Serve, kind: str) -> None:
    hook = (
        "import os, time\n"
        "def worker_int(worker):\n    time.sleep(0.05)\n    os.write(2, b'hook has waited\\n')\n"
    )
    srv = serve("-k", kind, "app:app", files={**FILES, "gunicorn.conf.py": hook})
    srv.wait_workers(1)
    srv.signal(signal.SIGQUIT)
    srv.wait_for("hook has waited")
    assert srv.wait() == 0


def test_end_of_graceful_timeout(start: Callable[..., Server]) -> None:
    srv = start("--graceful-timeout", "1")
    srv.wait_workers(1)
    with asked(srv, "/sleep/60"):
        srv.wait_for("GET /sleep/60")
        srv.signal(signal.SIGTERM)
        srv.wait_for("Cut off at the end of graceful_timeout: calls in progress: 1")
        assert srv.wait() == 0


def test_request_timeout_ends_the_call(start: Callable[..., Server]) -> None:
    srv = start("--request-timeout", "1")
    (worker,) = srv.wait_workers(1)
    with asked(srv, "/sleep/60") as slow:
        began = time.monotonic()
        assert read_answer(slow).status == 504
        assert 1 <= time.monotonic() - began < 5
    srv.wait_for(r"REQUEST TIMEOUT running GET /sleep/60 from .*, 504")
    srv.wait_for(r"line \d+ in hold")
    srv.wait_until(lambda: srv.get("/left").body == b"True", "the call to end")
    assert srv.workers() == {worker}


def test_a_hub_that_stands_still_is_replaced(start: Callable[..., Server]) -> None:
    srv = start("--timeout", "2")
    (worker,) = srv.wait_workers(1)
    with asked(srv, "/spin/60"):
        srv.wait_for(r"WORKER TIMEOUT \(pid:\d+\).*GET /spin/60")
        srv.wait_for(r"in spin")
    srv.wait_until(lambda: worker not in srv.wait_workers(1), "its successor")
    assert srv.get("/").status == 200


def test_calls_that_wait_are_no_timeout(start: Callable[..., Server]) -> None:
    srv = start("--timeout", "1")
    assert srv.get("/sleep/3").status == 200
    assert not srv.count("WORKER TIMEOUT")


def test_content_that_comes_slowly_holds_up_nobody(start: Callable[..., Server]) -> None:
    srv = start("--no-request-buffering")
    with srv.connect() as slow:
        slow.sendall(head("POST", "/upload", "Content-Length: 10") + b"12345")
        srv.wait_for("POST /upload")
        assert [srv.get("/").status for _ in range(10)] == [200] * 10
        slow.sendall(b"67890")
        assert read_answer(slow).body == b"10"


def test_content_that_stops_coming(start: Callable[..., Server]) -> None:
    srv = start("--no-request-buffering", "--body-timeout", "1")
    with srv.connect() as slow:
        slow.sendall(head("POST", "/upload", "Content-Length: 10") + b"12345")
        assert read_answer(slow).status == 408


def test_a_client_that_takes_nothing_holds_up_nobody(start: Callable[..., Server]) -> None:
    srv = start()
    with asked(srv, "/big") as slow:
        srv.wait_for("GET /big")
        assert [srv.get("/").status for _ in range(10)] == [200] * 10
        assert len(read_answer(slow).body) == 100 << 20


def test_limit_of_connections(start: Callable[..., Server]) -> None:
    srv = start("--worker-connections", "3", "--log-level", "debug")
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(asked(srv, "/sleep/1")) for _ in range(3)]
        srv.wait_until(lambda: srv.count("GET /sleep") == 3, "all calls")
        began = time.monotonic()
        assert srv.get("/").status == 200
        assert time.monotonic() - began > 0.3
        assert [read_answer(client).status for client in slow] == [200] * 3


def test_calls_beyond_the_records(serve: Serve, kind: str) -> None:
    few = "from monoceros.workers import greenlets\ngreenlets._MOST_RECORDS = 2\n"
    files = {**FILES, "gunicorn.conf.py": few}
    args = ("--max-requests", "7", "--request-timeout", "2", "app:app")
    srv = serve("-k", kind, *args, files=files)
    before = srv.wait_workers(1)
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(asked(srv, "/sleep/0.5")) for _ in range(6)]
        late = stack.enter_context(asked(srv, "/sleep/60"))
        assert [read_answer(client).status for client in slow] == [200] * 6
        assert read_answer(late).status == 504
    srv.wait_until(lambda: not srv.workers() & before, "the successor")


PATCH = {
    "gevent": "from gevent import monkey, Timeout\nmonkey.patch_all()\n",
    "eventlet": "import eventlet\nfrom eventlet import Timeout\neventlet.monkey_patch()\n",
}
LATER = {
    "gevent": "import gevent\nlimit, later = Timeout.start_new, gevent.spawn_later\n",
    "eventlet": "limit, later = Timeout, eventlet.spawn_after\n",
}
LEFTOVERS = """\
import greenlet, time
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/timeout":
        limit(0.2)
    elif path == "/kill":
        later(0.2, lambda victim=greenlet.getcurrent(): victim.throw(greenlet.GreenletExit))
    elif path == "/wait":
        time.sleep(0.5)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.mark.parametrize("path", ["/timeout", "/kill"])
def test_what_a_call_leaves_behind_ends_no_worker(serve: Serve, kind: str, path: str) -> None:
    files = {"app.py": PATCH[kind] + LATER[kind] + LEFTOVERS}
    srv = serve("-k", kind, "--keep-alive", "75", "app:app", files=files)
    before = srv.wait_workers(1)
    assert srv.get(path).status == 200
    srv.wait_for("An exception for a call that is over was raised too late")
    # A call that has waited takes what it has left behind with it.
    with srv.connect() as one, srv.connect() as other:
        one.sendall(head("GET", "/wait"))
        srv.wait_for("GET /wait")
        assert ask(other, "/").status == 200
        assert read_answer(one).status == 200
    assert srv.workers() == before


def test_sync_with_an_application_that_patches(serve: Serve, kind: str) -> None:
    files = {"app.py": PATCH[kind] + APP}
    srv = serve("--keep-alive", "75", "app:app", files=files)
    assert srv.get("/").body == b"hello"
    assert srv.get("/sleep/0.1").body == b"hello"
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0


def test_threads_that_are_none(serve: Serve, kind: str) -> None:
    srv = serve("--threads", "2", "app:app", files={"app.py": PATCH[kind] + APP})
    srv.wait_for("Threads have been patched to be greenlets")
    assert srv.wait() == 4


def test_a_fork_slows_nobody_down(start: Callable[..., Server]) -> None:
    srv = start()
    assert srv.get("/fork").body == b"7"
    with srv.connect() as client:
        began = time.monotonic()
        for _ in range(20):
            assert ask(client, "/").body == b"hello"
        # A worker that hears of nothing but its clock would take a second for each.
        assert time.monotonic() - began < 5


def test_programs_run_by_a_preloaded_application(serve: Serve, kind: str) -> None:
    files = {"app.py": "import subprocess\nsubprocess.check_output(['true'])\n" + APP}
    srv = serve("-k", kind, "--preload", "app:app", files=files)
    assert srv.get("/run").body == b"out\n"


def test_limit_of_a_call_at_the_end_of_a_pipeline(start: Callable[..., Server]) -> None:
    srv = start("--request-timeout", "1")
    with srv.connect() as client:
        client.sendall(head("GET", "/spin/0.0001") * 64 + head("GET", "/sleep/60"))
        answers = read_to_end(client)
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 64
    assert b"HTTP/1.1 504 Gateway Timeout\r\n" in answers


def test_edits_are_seen_where_the_file_patches(serve: Serve, kind: str) -> None:
    files = {"app.py": APP, "gunicorn.conf.py": PATCH[kind]}
    srv = serve("-k", kind, "--reload", "app:app", files=files)
    assert srv.get("/").body == b"hello"
    (srv.cwd / "app.py").write_text(APP.replace("hello", "edited"))
    srv.wait_until(lambda: srv.get("/").body == b"edited", "the edit")


def test_processes_of_the_application(start: Callable[..., Server]) -> None:
    srv = start()
    assert srv.get("/fork").body == b"7"
    assert srv.get("/run").body == b"out\n"
    assert srv.get("/").body == b"hello"


def test_the_socket_of_the_client(start: Callable[..., Server]) -> None:
    srv = start()
    with asked(srv, "/socket") as client:
        srv.wait_for("GET /socket")
        assert srv.get("/").body == b"hello"
        client.sendall(b"data")
        assert client.recv(100) == b"raw data"
        assert client.recv(100) == b""
    assert not srv.count("ERROR")


def test_recycling_under_load(start: Callable[..., Server]) -> None:
    srv = start("--workers", "2", "--max-requests", "200", "--log-level", "info")
    wrong: list[object] = []

    def drive() -> None:
        try:
            for _ in range(300):
                answer = srv.get("/sleep/0.001")
                if answer.body != b"hello":
                    wrong.append(answer)
        except OSError as error:
            wrong.append(error)

    threads = [threading.Thread(target=drive) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert srv.count("Autorestarting worker after current request")


def test_what_is_not_installed(serve: Serve) -> None:
    files = {**FILES, "gevent.py": "raise ModuleNotFoundError('no gevent', name='gevent')\n"}
    srv = serve("-k", "gevent", "--chdir", ".", "app:app", files=files, listening=False)
    assert srv.wait() == 1
    srv.wait_for(r"gevent.*pip install 'monoceros\[gevent\]'")
