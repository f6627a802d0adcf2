"""Requests that take too long: their clients get 504, others notice nothing."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import head, read_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Serve, Server

pytestmark = [pytest.mark.process, pytest.mark.quiet, pytest.mark.settled]

APP = """\
import os, time
def nap(seconds):
    time.sleep(seconds)  # here
def app(environ, start_response):
    _, limit, seconds = (environ["PATH_INFO"] + "//").split("/")[:3]
    if limit not in ("", "setting"):
        environ["monoceros.set_timeout"](float(limit))
    nap(float(seconds or 0))
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
FILES = {"app.py": APP}


@contextlib.contextmanager
def asked(srv: Server, path: str) -> Iterator[Callable[[], tuple[int, float]]]:
    """Have a request under way; gives what waits for its status, and tells how long it took."""
    with contextlib.closing(srv.connect()) as client:
        began = time.monotonic()
        client.sendall(head("GET", path))
        yield lambda: (read_answer(client).status, time.monotonic() - began)


class Others:
    """Clients with a connection each, that ask again and again until they are told to stop."""

    def __init__(self, srv: Server, clients: int = 2) -> None:
        self.statuses: list[int] = []
        self.pids: list[int] = []
        self.errors: list[BaseException] = []
        self._srv = srv
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Others:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        client = self._srv.connect()
        try:
            while not self._is_over.wait(0.005):
                client.sendall(head("GET", "/"))
                answer = read_answer(client)
                self.statuses.append(answer.status)
                self.pids.append(int(answer.body))
                if answer.fields.get("Connection") == "close":
                    client.close()
                    client = self._srv.connect()
        except (OSError, ValueError) as error:
            self.errors.append(error)
        finally:
            client.close()


def is_in_time(taken: float, limit: float) -> bool:
    """Whether something that is looked for now and then was found soon."""
    return limit <= taken < limit + 1


def test_others_are_served_on(serve: Serve) -> None:
    srv = serve("--threads", "4", "--request-timeout", "1", "app:app", files=FILES)
    with Others(srv) as others:
        with asked(srv, "/setting/60") as slow:
            status, taken = slow()
        srv.wait_until(lambda: len(others.statuses) >= 100, "100 answers")
    assert status == 504
    assert is_in_time(taken, 1)
    assert set(others.statuses) == {200}
    assert others.errors == []
    doing = r"running GET /setting/60 from 127\.0\.0\.1 for 1\.\ds"
    srv.wait_for(rf"\[ERROR\] REQUEST TIMEOUT {doing}, 504")
    srv.wait_for(r'app\.py", line 3 in nap')
    srv.wait_for(r'app\.py", line 8 in app')
    assert srv.count("Replacing worker") == 0


def test_lost_threads_are_replaced_and_then_the_worker(serve: Serve) -> None:
    args = ("--threads", "4", "--request-timeout", "1", "--graceful-timeout", "20", "app:app")
    srv = serve(*args, files=FILES)
    (old,) = srv.wait_workers(1)
    with Others(srv) as others:
        with contextlib.ExitStack() as stack:
            slow = [stack.enter_context(asked(srv, "/setting/60")) for _ in range(4)]
            assert [wait()[0] for wait in slow] == [504] * 4
        srv.wait_for(rf"Replacing worker \(pid:{old}\): its threads are lost")
        # Which has others in their place, and does not wait for the lost ones when it is to leave.
        srv.wait_for(rf"Worker exiting \(pid: {old}\)")
        srv.wait_until(lambda: others.pids and others.pids[-1] != old, "the successor's answer")
    assert set(others.statuses) == {200}
    assert others.errors == []
    assert srv.count("REQUEST TIMEOUT") == 4


def test_thread_that_returns(serve: Serve) -> None:
    """Its connection is closed, what it answers is dropped, and the worker stays."""
    srv = serve("--threads", "2", "--request-timeout", "1", "app:app", files=FILES)
    (pid,) = srv.wait_workers(1)
    for _ in range(3):
        with asked(srv, "/0.2/0.6") as slow, asked(srv, "/0.9/0.8") as other:
            assert slow()[0] == 504
            assert other()[0] == 200
    assert int(srv.get("/").body) == pid
    assert srv.count("Replacing worker") == 0
    assert srv.count("Error handling request|Unexpected error|Traceback") == 0


def test_lost_calls_are_not_cut_off_at_the_end(serve: Serve) -> None:
    args = ("--threads", "2", "--request-timeout", "1", "--graceful-timeout", "20", "app:app")
    srv = serve(*args, files=FILES)
    (old,) = srv.wait_workers(1)
    with asked(srv, "/0.2/60") as slow:
        assert slow()[0] == 504
    srv.signal(signal.SIGHUP)
    srv.wait_for(rf"Worker exiting \(pid: {old}\)")
    srv.wait_until(lambda: not srv.owns(old), "its end")
    assert srv.count("Cut off") == 0


def test_sync_is_replaced(serve: Serve) -> None:
    args = ("--request-timeout", "1", "--graceful-timeout", "20", "app:app")
    srv = serve(*args, files=FILES)
    (old,) = srv.wait_workers(1)
    with Others(srv) as others:
        with asked(srv, "/setting/60") as slow:
            status, taken = slow()
        assert status == 504
        assert is_in_time(taken, 1)
        srv.wait_for(rf"Replacing worker \(pid:{old}\): its threads are lost")
        srv.wait_for(rf"Worker exiting \(pid: {old}\)")
        count = len(others.statuses)
        srv.wait_until(lambda: len(others.statuses) >= count + 10, "more answers")
    assert set(others.statuses) == {200}
    assert others.errors == []
    assert old not in others.pids[-5:]
    srv.wait_for(r'app\.py", line 3 in nap')
    assert not re.search("Traceback|Error handling|Unexpected error", srv.log)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_routes_choose_their_own(serve: Serve, threads: str) -> None:
    srv = serve("--threads", threads, "--request-timeout", "1", "app:app", files=FILES)
    with asked(srv, "/2/1.2") as longer:
        assert longer()[0] == 200
    with asked(srv, "/0.2/60") as shorter:
        status, taken = shorter()
    assert status == 504
    assert is_in_time(taken, 0.2)
    assert srv.get("/").status == 200


def test_it_is_off_by_default(serve: Serve) -> None:
    srv = serve("--threads", "2", "app:app", files=FILES)
    with asked(srv, "/setting/0.5") as slow, asked(srv, "/0.2/60") as limited:
        assert limited()[0] == 504
        assert slow()[0] == 200
