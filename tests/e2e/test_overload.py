"""Requests that no thread is free for, and clients that have gone before their turn."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, at_end, head, read_answer, read_to_end
from tests.e2e.processes import needs_proc, stopped
from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Serve, Server

pytestmark = [pytest.mark.process, pytest.mark.quiet, pytest.mark.settled]

APP = """\
import os, time
def app(environ, start_response):
    path = environ["PATH_INFO"]
    environ["wsgi.input"].read()
    os.write(2, f"called for {path}\\n".encode())
    while path.startswith("/stuck") and not os.path.exists("gate"):
        time.sleep(0.005)
    if path == "/short":
        time.sleep(0.0018)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
FILES = {"app.py": APP}
LIMIT_S = 0.3
SLACK_S = 1.0  # on a machine that does other things; what is late without reason is later


def start(serve: Serve, *args: str) -> Server:
    return serve("--workers", "1", "--keep-alive", "75", *args, "app:app", files=FILES)


@contextlib.contextmanager
def at_work(srv: Server, calls: int = 1) -> Iterator[list[socket.socket]]:
    """Have the application work on so many requests until the file ``gate`` is there."""
    with contextlib.ExitStack() as clients:
        busy = []
        for number in range(calls):
            busy.append(clients.enter_context(srv.connect()))
            busy[-1].sendall(head("GET", f"/stuck{number}"))
            srv.wait_for(rf"^called for /stuck{number}$")
        yield busy


def end_work(srv: Server, busy: list[socket.socket]) -> None:
    (srv.cwd / "gate").touch()
    for client in busy:
        assert read_answer(client).status == 200


def let_wait(srv: Server) -> None:
    """Let what was sent before wait for a thread, and for longer than a tick."""
    with srv.connect() as client:
        client.sendall(b"nonsense\r\n\r\n")  # answered without a thread, and later
        assert read_answer(client).status == 400
    time.sleep(0.01)


def took(client: socket.socket, status: int, method: str = "GET") -> float:
    """Read an answer; returns how long that took."""
    began = time.monotonic()
    answer = read_answer(client, method)
    assert answer.status == status
    if status == 503:
        assert answer.fields["Retry-After"] == "1"
        assert answer.fields["Connection"] == "close"
        assert bool(answer.body) == (method != "HEAD")
        assert at_end(client)
    return time.monotonic() - began


@pytest.mark.parametrize("threads", [1, 2])
def test_what_has_waited_too_long_is_answered_503(serve: Serve, threads: int) -> None:
    srv = start(serve, "--threads", str(threads), "--queue-timeout", str(LIMIT_S))
    with srv.connect() as kept, srv.connect() as fresh, srv.connect() as upload:
        assert ask(kept).status == 200
        with at_work(srv, threads) as busy:
            began = time.monotonic()
            kept.sendall(head("GET", "/late"))
            fresh.sendall(head("HEAD", "/late"))
            upload.sendall(head("POST", "/late", "Content-Length: 100000") + b"x" * 100_000)
            for client, method in ((kept, "GET"), (fresh, "HEAD"), (upload, "POST")):
                took(client, 503, method)
                assert LIMIT_S - 0.02 < time.monotonic() - began < LIMIT_S + SLACK_S
            srv.wait_for("Answered 503 to 3 requests .* 3 had waited for queue_timeout")
            end_work(srv, busy)
        with srv.connect() as next_one:
            assert ask(next_one).status == 200
    assert srv.count("^called for /late") == 0


LOGGER = """\
from monoceros.log.logger import Logger
class Mine(Logger):
    def access(self, resp, req, environ, request_time):
        self.info("mine %s %s %s", req.method, req.uri, resp.status)
"""


@pytest.mark.parametrize("args", [(), ("--logger-class", "mine.Mine")], ids=["", "own"])
def test_access_log_has_what_was_turned_away(serve: Serve, args: tuple[str, ...]) -> None:
    srv = serve(
        *("--workers", "1", "--queue-timeout", str(LIMIT_S), "--access-logfile", "access.log"),
        *("--access-logformat", "%(r)s %(s)s %(L)s", *args, "app:app"),
        files={**FILES, "mine.py": LOGGER},
    )
    with at_work(srv) as busy, srv.connect() as late:
        late.sendall(head("GET", "/late?a=1"))
        took(late, 503)
        end_work(srv, busy)
    if args:
        srv.wait_for(r"mine GET /late\?a=1 503 Service Unavailable")
        return
    path = srv.cwd / "access.log"
    srv.wait_until(lambda: path.read_text().count("\n") == 2, "two lines")
    (line,) = [line for line in path.read_text().splitlines() if "/late" in line]
    assert line.startswith("GET /late?a=1 HTTP/1.1 503 0.")
    assert float(line.split()[-1]) >= LIMIT_S - 0.02


def test_it_is_seen_where_siblings_are_at_work_too(serve: Serve) -> None:
    srv = start(serve, "--workers", "2", "--queue-timeout", str(LIMIT_S))
    srv.wait_workers(2)
    with at_work(srv, 2) as busy, srv.connect() as late:
        late.sendall(head("GET", "/late"))
        assert took(late, 503) < LIMIT_S + SLACK_S
        end_work(srv, busy)


def test_queue_is_as_long_as_it_may_be(serve: Serve) -> None:
    srv = start(serve, "--max-queue", "1")
    with at_work(srv) as busy, srv.connect() as first, srv.connect() as second:
        first.sendall(head("GET", "/first"))
        let_wait(srv)
        second.sendall(head("GET", "/second"))
        took(second, 503)
        end_work(srv, busy)
        took(first, 200)
        srv.wait_for("Answered 503 to 1 requests .* 1 found max_queue")
    assert srv.count("^called for /second") == 0


def test_a_full_worker_turns_away_whom_it_has_no_room_for_too(serve: Serve) -> None:
    srv = start(serve, "--worker-connections", "10", "--queue-timeout", str(LIMIT_S))
    with at_work(srv) as busy, contextlib.ExitStack() as clients:
        began = time.monotonic()
        crowd = [clients.enter_context(srv.connect()) for _ in range(30)]
        for client in crowd:
            client.sendall(head("GET", "/late"))
        for client in crowd:
            took(client, 503)
            client.close()
        assert time.monotonic() - began < LIMIT_S + SLACK_S
        end_work(srv, busy)
    assert srv.count("^called for /late") == 0


@needs_proc
def test_what_an_idle_sibling_takes_is_not_too_much(serve: Serve) -> None:
    srv = start(serve, "--workers", "2", "--max-queue", "2")
    busy, idle = srv.wait_workers(2)
    with contextlib.ExitStack() as clients, stopped({idle}):
        crowd = [clients.enter_context(srv.connect()) for _ in range(20)]
        for client in crowd:
            assert ask(client).status == 200
        stuck = crowd.pop()
        stuck.sendall(head("GET", "/stuck0"))
        srv.wait_for("^called for /stuck0$")
        before = len(descriptors(busy))
        with stopped({busy}):
            for client in crowd:
                client.sendall(head("GET", "/"))
        srv.wait_until(lambda: len(descriptors(busy)) == before - len(crowd), "them to be given")
        assert not select.select(crowd, [], [], 0)[0]
        os.kill(idle, signal.SIGCONT)
        took(crowd[0], 200)
        end_work(srv, [stuck])


@needs_proc
def test_a_thread_that_is_free_serves_beside_a_call_at_the_end_of_a_batch(serve: Serve) -> None:
    """Whoever came for the batch, which was late, finds a call that is young."""
    srv = start(serve, "--threads", "2", "--max-queue", "1000")
    (worker,) = srv.wait_workers(1)
    for _ in range(8):
        with srv.connect() as short, srv.connect() as long, srv.connect() as late:
            for client in (short, long, late):
                assert ask(client).status == 200
            with stopped({worker}):
                short.sendall(head("GET", "/short"))
                long.sendall(head("GET", "/stuck"))
            assert read_answer(short).status == 200
            assert ask(late).status == 200
            end_work(srv, [long])
            (srv.cwd / "gate").unlink()


@pytest.mark.parametrize("threads", [1, 2])
def test_short_calls_make_a_queue_too(serve: Serve, threads: int) -> None:
    srv = start(serve, "--threads", str(threads), "--queue-timeout", "0.2")
    with contextlib.ExitStack() as clients:
        crowd = [clients.enter_context(srv.connect()) for _ in range(400)]
        for client in crowd:
            client.sendall(head("GET", "/short"))
        statuses = [read_answer(client).status for client in crowd]
        assert set(statuses) == {200, 503}
        assert statuses.count(200) == srv.count("^called for /short")
        assert ask(clients.enter_context(srv.connect())).status == 200


def test_a_proxy_tells_how_long_it_had_the_request(serve: Serve) -> None:
    srv = start(serve, "--queue-timeout", "5")
    now = time.time()
    old, new = now - 10, now - 1
    with srv.connect() as client:
        for text in (f"t={new}", f"{1000 * new:.0f}", f"t={now + 30}", "t=yesterday", "0", "t=-1"):
            assert ask(client, "/", f"X-Request-Start: {text}").status == 200
    for text in (f"t={old:.3f}", f"{1000 * old:.0f}", f"t={1e6 * old:.0f}"):
        with srv.connect() as client:
            client.sendall(head("GET", "/late", f"X-Request-Start: {text}"))
            took(client, 503)
    assert srv.count("^called for /late") == 0


def test_nobody_else_is_believed(serve: Serve) -> None:
    srv = start(serve, "--queue-timeout", "5", "--forwarded-allow-ips", "")
    with srv.connect() as client:
        assert ask(client, "/", f"X-Request-Start: t={time.time() - 10}").status == 200


def test_who_has_gone_is_not_served(serve: Serve) -> None:
    srv = start(serve)
    with at_work(srv) as busy:
        with srv.connect() as impatient:
            impatient.sendall(head("GET", "/gone"))
        let_wait(srv)
        with srv.connect() as patient:
            patient.sendall(head("GET", "/there"))
            end_work(srv, busy)
            assert read_answer(patient).status == 200
        srv.wait_for("its client has gone before its turn came")
    assert srv.count("^called for /gone") == 0


def test_who_has_only_nothing_to_add_is_served(serve: Serve) -> None:
    srv = start(serve, "--forwarded-allow-ips", "")
    with at_work(srv) as busy, srv.connect() as client:
        client.sendall(head("GET", "/there"))
        client.shutdown(socket.SHUT_WR)
        end_work(srv, busy)
        assert read_to_end(client).startswith(b"HTTP/1.1 200 OK\r\n")
