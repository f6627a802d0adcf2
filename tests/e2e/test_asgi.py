"""The ASGI worker's HTTP over real sockets, on both twins."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import signal
import socket
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monoceros.asgi.content import HIGH_WATER
from tests.e2e.asgi import running, start
from tests.e2e.clients import ask, at_end, begin_answer, head, read_answer, read_to_end
from tests.e2e.conftest import IMPLS, require
from tests.e2e.load import load
from tests.e2e.processes import needs_proc, resident
from tests.e2e.sockets import upgrade
from tests.process.conftest import skip_without

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

MIB = 1 << 20
PIECE = 1 << 16


@pytest.fixture(scope="module", params=IMPLS)
def srv(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with default settings on each twin, for all tests that leave it as it is."""
    require(request.param)
    with running(tmp_path_factory.mktemp(request.param), request.param) as found:
        yield found


# -- requests ----------------------------------------------------------------------------------


def test_a_connection_is_kept(srv: Server) -> None:
    with srv.connect() as client:
        assert ask(client, "/pid").body == ask(client, "/pid").body


def test_pipelined_requests_are_answered_in_order(srv: Server) -> None:
    parts = [
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n%02d" % n for n in range(50)
    ]
    with srv.connect() as client:
        client.sendall(b"".join(parts) + head("GET", "/pid", "Connection: close"))
        answers = read_to_end(client).split(b"HTTP/1.1 200 OK\r\n")[1:]
    bodies = [answer.partition(b"\r\n\r\n")[2] for answer in answers]
    assert bodies[:-1] == [b"%02d" % number for number in range(50)]
    assert int(bodies[-1]) in srv.workers()


def test_a_client_that_has_sent_all_it_wants_is_answered(srv: Server) -> None:
    with srv.connect() as client:
        client.sendall(head("GET", "/nap/0.3"))
        client.shutdown(socket.SHUT_WR)
        assert read_answer(client).body == b"slept"
        assert at_end(client)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_all_that_has_come_before_the_end_is_answered(serve: Serve, loop: str) -> None:
    if loop == "uvloop":
        skip_without("uvloop")
    srv = start(serve, "--asgi-loop", loop)
    for count in (2, 3, 8) * 5:
        with srv.connect() as client:
            client.sendall(head("GET", "/pid") * count)
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client).count(b"HTTP/1.1 200 OK") == count


def test_chunked_content(srv: Server) -> None:
    with srv.connect() as client:
        client.sendall(head("POST", "/echo", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
        client.sendall(b"2;x=y\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n")
        assert read_answer(client).body == b"abcde"
        assert ask(client, "/pid").status == 200


def test_whoever_waits_to_be_invited_is(srv: Server) -> None:
    with srv.connect() as client:
        client.sendall(head("POST", "/echo", "Content-Length: 3", "Expect: 100-continue"))
        invitation = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.recv(len(invitation), socket.MSG_WAITALL) == invitation
        client.sendall(b"abc")
        assert read_answer(client).body == b"abc"


def test_an_application_that_does_not_ask_invites_nobody(srv: Server) -> None:
    with srv.connect() as client:
        client.sendall(head("POST", "/pid", "Content-Length: 3", "Expect: 100-continue"))
        answer = read_answer(client)
        assert (answer.status, answer.fields["Connection"]) == (200, "close")
        assert at_end(client)


def test_content_larger_than_allowed(serve: Serve) -> None:
    srv = start(serve, "--limit-request-body", "10")
    with srv.connect() as client:
        client.sendall(head("POST", "/echo", "Content-Length: 11"))
        assert read_answer(client).status == 413
        assert at_end(client)
    with srv.connect() as client:
        client.sendall(head("POST", "/echo", "Transfer-Encoding: chunked"))
        client.sendall(b"b\r\n01234567890\r\n0\r\n\r\n")
        assert read_answer(client).status == 413
        assert at_end(client)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417),
        (b"GET /%b HTTP/1.1\r\n" % (b"x" * 5000), 414),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_what_is_no_request(srv: Server, data: bytes, status: int) -> None:
    told = srv.count("Invalid request from ip=127.0.0.1")
    with srv.connect() as client:
        client.sendall(data)
        answer = read_answer(client)
        assert (answer.status, answer.fields["Connection"]) == (status, "close")
        assert at_end(client)
    srv.wait_for("Invalid request from ip=127.0.0.1", told + 1)


def test_a_refused_head_request_is_answered_without_content(srv: Server) -> None:
    with srv.connect() as client:
        client.sendall(b"HEAD / HTTP/1.1\r\n\r\n")
        assert read_to_end(client).endswith(b"\r\n\r\n")


# -- responses ---------------------------------------------------------------------------------


def test_early_hints(srv: Server) -> None:
    with srv.connect() as client:
        client.sendall(head("GET", "/hints", "Connection: close"))
        first, second = read_to_end(client).split(b"\r\n\r\n", 1)
        assert first == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload"
        assert second.endswith(b"hinted")


def test_trailers(srv: Server) -> None:
    with srv.connect() as client:
        client.sendall(head("GET", "/trailers"))
        client.sendall(head("GET", "/pid", "Connection: close"))
        first, second = read_to_end(client).split(b"HTTP/1.1 200 OK\r\n")[1:]
        assert first.endswith(b"\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n")
        assert b"\r\nConnection: close\r\n" in second


def test_a_file_is_sent(srv: Server, tmp_path: Path) -> None:
    content = b"0123456789abcdef" * (MIB // 4)
    (tmp_path / "large").write_bytes(content)
    with srv.connect() as client:
        assert ask(client, f"/path{tmp_path}/large").body == content
        assert ask(client, "/pid").status == 200


@pytest.mark.parametrize("how", ["raises", "returns", "unknown", "order", "field"])
def test_faults_before_the_response(srv: Server, how: str) -> None:
    with srv.connect() as client:
        answer = ask(client, f"/wrong/{how}")
        assert (answer.status, answer.fields["Connection"]) == (500, "close")
        assert at_end(client)
    srv.wait_for(f"Error handling request GET /wrong/{how}")


@pytest.mark.parametrize("how", ["text", "late", "short"])
def test_faults_in_the_response_are_seen_by_the_client(srv: Server, how: str) -> None:
    with srv.connect() as client:
        client.sendall(head("GET", f"/wrong/{how}"))
        if how == "text":
            # Nothing had been sent by then.
            assert read_answer(client).status == 500
        else:
            with pytest.raises(http.client.IncompleteRead):
                begin_answer(client).read()
    shorter = "shorter than its Content-Length"
    srv.wait_for(shorter if how == "short" else f"Error handling request GET /wrong/{how}")


def test_a_background_task_holds_up_nobody(serve: Serve) -> None:
    srv = start(serve)
    with srv.connect() as client:
        assert ask(client, "/background/1").body == b"done"
        assert ask(client, "/pid").status == 200
        assert not srv.count("background is over")
        srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    srv.wait_for("background is over")


def test_access_log(serve: Serve) -> None:
    srv = start(
        serve, "--access-logfile", "-", "--access-logformat", '%(h)s "%(r)s" %(s)s %(B)s %(a)s'
    )
    with srv.connect() as client:
        ask(client, "/pid?a", "User-Agent: me")
    line = re.compile(rb'127\.0\.0\.1 "GET /pid\?a HTTP/1\.1" 200 \d+ me\n')
    srv.wait_until(lambda: line.search(srv.output), "the line")


HOOKS = """\
def pre_request(worker, req):
    worker.log.info("before %s %s", req.method, req.path)
    req.headers.append(("X-ADDED", "1"))
def post_request(worker, req, environ, resp):
    worker.log.info("after %s %s %s", req.path, resp.status, environ["HTTP_X_ADDED"])
"""


def test_hooks(serve: Serve) -> None:
    srv = start(serve, files={"gunicorn.conf.py": HOOKS})
    assert srv.get("/pid").status == 200
    srv.wait_for("before GET /pid")
    srv.wait_for("after /pid 200 OK 1")
    assert srv.get("/stream/9").status == 200  # its response has no fields
    srv.wait_for("after /stream/9 200 OK 1")
    assert srv.get("/wrong/raises").status == 500
    srv.wait_for("after /wrong/raises 500 Internal Server Error 1")


# -- slow and absent clients -------------------------------------------------------------------


def test_the_application_hears_of_a_client_that_has_gone(srv: Server) -> None:
    with srv.connect() as client:
        client.sendall(head("GET", "/wait"))
        srv.wait_for("waits")
    srv.wait_for("is alone")


def test_a_call_that_does_not_listen_is_cancelled(serve: Serve) -> None:
    srv = start(serve, "--asgi-disconnect-grace-period", "1")
    with srv.connect() as client:
        client.sendall(head("GET", "/deaf"))
        srv.wait_for("waits")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    srv.wait_for("was cancelled")


def test_a_client_that_takes_nothing_costs_no_memory(srv: Server) -> None:
    """Not of a gigabyte: what was sent before ``send`` waits is all."""
    (worker,) = srv.workers()
    with srv.connect() as client:  # shows what a worker takes that has streamed
        assert len(ask(client, f"/stream/{4 * MIB}").body) == 4 * MIB
    before = resident(worker)
    with srv.connect() as client:
        client.sendall(head("GET", f"/stream/{1000 * MIB}"))
        client.recv(1, socket.MSG_PEEK)
        assert srv.get("/nap/0.5").status == 200
        assert resident(worker) - before < MIB


def test_a_client_that_only_asks_costs_no_memory(srv: Server) -> None:
    (worker,) = srv.workers()
    srv.get("/pid")
    before = resident(worker)
    with srv.connect() as client:
        for _ in range(100):
            client.sendall(head("GET", f"/whole/{4 * MIB}"))
            assert srv.get("/pid").status == 200
        assert resident(worker) - before < 40 * MIB


def test_a_call_that_reads_on_after_its_response_ends(srv: Server) -> None:
    with srv.connect() as client:
        client.sendall(head("POST", "/early", "Content-Length: 100") + b"abc")
        assert read_answer(client).status == 413
    srv.wait_for("has read on")


def test_an_application_that_does_not_wait_for_content_is_not_held_up(serve: Serve) -> None:
    srv = start(serve, "--body-timeout", "1")
    with srv.connect() as client:
        client.sendall(head("POST", "/impatient/2.2", "Content-Length: 100"))
        assert read_answer(client).body == b"impatient"


def test_a_background_task_may_outlast_its_client(serve: Serve) -> None:
    srv = start(serve, "--asgi-disconnect-grace-period", "1")
    with srv.connect() as client:
        client.sendall(head("GET", "/background/1.5"))
        client.shutdown(socket.SHUT_WR)
        assert read_answer(client).body == b"done"
    srv.wait_for("background is over")


def test_a_client_that_has_taken_all_at_last_is_idle(serve: Serve) -> None:
    srv = start(serve)
    with srv.connect() as client:
        client.sendall(head("GET", f"/whole/{8 * MIB}") + head("GET", "/pid"))
        assert srv.get("/nap/0.3").status == 200
        size = 0
        while size < 8 * MIB + 100:
            size += len(client.recv(MIB))
        srv.signal(signal.SIGTERM)
        read_to_end(client)
    assert srv.wait() == 0


@needs_proc
def test_a_client_that_sends_too_fast_waits(srv: Server) -> None:
    """What is not in the kernel's hands is in the server's, and that is little."""
    (worker,) = srv.workers()
    size = 64 * MIB
    content = memoryview(b"x" * size)
    with srv.connect() as client:
        client.sendall(head("POST", "/upload/held", f"Content-Length: {size}"))
        before = resident(worker)
        client.settimeout(0.5)
        sent = send_until_stuck(client, content)
        assert 0 < sent - in_the_kernel(client.getsockname()[1]) < 2 * HIGH_WATER
        assert resident(worker) - before < MIB
        client.settimeout(20)
        assert srv.get("/release").status == 200
        client.sendall(content[sent:])
        found = hashlib.sha256(content).hexdigest().encode()
        assert read_answer(client).body == b"%d %s" % (size, found)


def send_until_stuck(client: socket.socket, content: memoryview) -> int:
    """Send for as long as it is taken; returns how many octets were."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < len(content):
            sent += client.send(content[sent : sent + PIECE])
    return sent


def in_the_kernel(port: int) -> int:
    """Return the octets that wait on either side of a connection of ours, for /proc/net/tcp."""
    waiting = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        ours, theirs = (int(address.partition(":")[2], 16) for address in (local, remote))
        to_send, to_read = (int(size, 16) for size in queues.split(":"))
        waiting += to_send if ours == port else to_read if theirs == port else 0
    return waiting


def test_a_large_upload_comes_whole(srv: Server) -> None:
    content = b"0123456789abcdef" * (2 * MIB)
    with srv.connect() as client:
        client.sendall(head("POST", "/upload", f"Content-Length: {len(content)}"))
        client.sendall(content)
        expected = b"%d %s" % (len(content), hashlib.sha256(content).hexdigest().encode())
        assert read_answer(client).body == expected


def test_late_clients(serve: Serve) -> None:
    srv = start(serve, "--header-timeout", "1", "--body-timeout", "1")
    with srv.connect() as late_head, srv.connect() as late_content:
        late_head.sendall(b"GET / HT")
        late_content.sendall(head("POST", "/echo", "Content-Length: 9") + b"abc")
        for client in (late_head, late_content):
            assert read_answer(client).status == 408
            assert at_end(client)


def test_connections_are_limited(serve: Serve) -> None:
    """The oldest idle one makes room."""
    srv = start(serve, "--worker-connections", "3")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(3)]
        for client in clients:
            assert ask(client, "/pid").status == 200
        assert srv.get("/pid").status == 200
        assert at_end(clients[0])
        clients[1].sendall(head("GET", "/nap/1"))
        clients[2].sendall(head("GET", "/nap/1"))
        fresh = [stack.enter_context(srv.connect()) for _ in range(2)]
        for client in fresh:
            client.sendall(head("GET", "/pid", "Connection: close"))
        assert read_answer(clients[1]).body == b"slept"
        assert {read_answer(client).status for client in fresh} == {200}


# -- time --------------------------------------------------------------------------------------


def test_a_request_that_takes_too_long(serve: Serve) -> None:
    srv = start(serve, "--request-timeout", "1")
    with srv.connect() as client:
        answer = ask(client, "/deaf")
        assert (answer.status, answer.fields["Connection"]) == (504, "close")
        assert at_end(client)
    srv.wait_for(r"REQUEST TIMEOUT running GET /deaf from 127\.0\.0\.1 for 1\.\ds, 504")
    srv.wait_for(r'awaits\.py", line \d+ in deaf')
    srv.wait_for("was cancelled")
    assert srv.get("/pid").status == 200


def test_a_request_that_takes_too_long_for_a_worker_that_leaves(serve: Serve) -> None:
    srv = start(serve, "--request-timeout", "1")
    with srv.connect() as client:
        client.sendall(head("GET", "/deaf"))
        srv.wait_for("waits")
        srv.signal(signal.SIGTERM)
        assert read_answer(client).status == 504
    assert srv.wait() == 0


@pytest.mark.parametrize("setting", ["0", "1"])
def test_a_request_may_choose_its_time(serve: Serve, setting: str) -> None:
    srv = start(serve, "--request-timeout", setting)
    with srv.connect() as shorter, srv.connect() as longer:
        shorter.sendall(head("GET", "/limited/0.2/30"))
        longer.sendall(head("GET", "/limited/5/1.4"))
        began = time.monotonic()
        assert read_answer(shorter).status == 504
        assert 0.2 <= time.monotonic() - began < 5
        assert read_answer(longer).body == b"slept"
        # Of the next request nothing is said.
        longer.sendall(head("GET", "/nap/1.4"))
        assert read_answer(longer).status == (504 if setting == "1" else 200)
    srv.wait_for(r"REQUEST TIMEOUT running GET /limited/0.2/30 from 127\.0\.0\.1 for 0\.\ds, 504")


# -- the end of a worker -----------------------------------------------------------------------


def _have_gone(srv: Server, workers: set[int]) -> bool:
    return not srv.workers() & workers


@pytest.mark.parametrize("how", ["reload", "recycling"])
def test_no_request_is_lost(serve: Serve, how: str) -> None:
    args = ["--max-requests", "300"] if how == "recycling" else []
    srv = start(serve, *args, workers=2)
    with load(srv, "/pid", 8) as clients:
        clients.wait_for_more(200)
        for _ in range(3):
            before = srv.workers()
            if how == "reload":
                srv.signal(signal.SIGHUP)
            srv.wait_until(partial(_have_gone, srv, before), "successors")
            clients.wait_for_more(200)
    assert not clients.losses


def test_a_stop_answers_whoever_has_connected(serve: Serve) -> None:
    srv = start(serve)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(40)]
        clients[0].sendall(head("GET", "/block/1"))
        srv.wait_for("blocks")
        late = [stack.enter_context(srv.connect()) for _ in range(40)]
        for client in (*clients[1:], *late):
            client.sendall(head("GET", "/pid"))
        srv.signal(signal.SIGTERM)
        assert {read_answer(client).status for client in (*clients, *late)} == {200}
    assert srv.wait() == 0
    srv.wait_for("lifespan has ended")


def test_a_stop_waits_for_requests(serve: Serve) -> None:
    srv = start(serve)
    with srv.connect() as slow, srv.connect() as idle:
        assert ask(idle, "/pid").status == 200
        slow.sendall(head("GET", "/nap/1.5"))
        assert ask(idle, "/pid").status == 200
        srv.signal(signal.SIGTERM)
        answer = read_answer(slow)
        assert (answer.body, answer.fields["Connection"]) == (b"slept", "close")
    assert srv.wait() == 0


def test_a_stop_does_not_wait_for_ever(serve: Serve) -> None:
    srv = start(serve, "--graceful-timeout", "1")
    with srv.connect() as client:
        client.sendall(head("GET", "/deaf"))
        srv.wait_for("waits")
        srv.signal(signal.SIGTERM)
        assert srv.wait() == 0
    srv.wait_for("Cut off at the end of graceful_timeout: calls in progress: 1")
    srv.wait_for("lifespan has ended")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_streams_that_do_not_listen_are_ended_well(serve: Serve, signum: signal.Signals) -> None:
    srv = start(serve)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(30)]
        answers = []
        for client in clients:
            client.sendall(head("GET", "/events/deaf"))
            answers.append(begin_answer(client))
            assert answers[-1].readline() == b"data: 0\n"
        srv.signal(signum)
        for answer in answers:
            assert answer.read() == b"\n"  # the end of the chunks, or this would raise
        for client in clients:
            client.close()
        srv.wait_for("ended", count=30)
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0


def test_a_stream_that_begins_when_its_worker_leaves_ends_too(serve: Serve) -> None:
    srv = start(serve)
    with srv.connect() as kept, srv.connect() as slow:
        assert ask(kept, "/pid").status == 200
        slow.sendall(head("GET", "/nap/1"))
        assert ask(kept, "/pid").status == 200
        srv.signal(signal.SIGTERM)
        srv.wait_for("Handling signal: term")
        assert read_answer(slow).body == b"slept"
        kept.sendall(head("GET", "/events/deaf"))
        assert read_answer(kept).body == b"data: 0\n\n"
    assert srv.wait() == 0


def test_a_websocket_that_answers_no_ping_is_closed(serve: Serve) -> None:
    srv = start(serve, "--websocket-ping-interval", "1", "--websocket-ping-timeout", "1")
    with srv.connect() as client:
        upgrade(client)
        assert client.recv(1) == b"\x89"
        assert b"ping timeout" in read_to_end(client)


def test_a_message_may_be_too_large(serve: Serve) -> None:
    srv = start(serve, "--websocket-max-message-size", "10")
    with srv.connect() as client:
        upgrade(client)
        client.sendall(b"\x81\x8b\0\0\0\0" + b"x" * 11)
        assert client.recv(1) == b"\x88"
        assert client.recv(3)[1:] == (1009).to_bytes(2, "big")


@pytest.mark.parametrize("is_on", [True, False])
def test_messages_are_compressed_where_that_is_wanted(serve: Serve, is_on: bool) -> None:
    args = [] if is_on else ["--no-websocket-per-message-deflate"]
    srv = start(serve, *args)
    with srv.connect() as client:
        answer = upgrade(client, "/", "Sec-WebSocket-Extensions: permessage-deflate")
        assert ("permessage-deflate" in answer) is is_on


def test_streams_get_their_time(serve: Serve) -> None:
    srv = start(serve, "--stream-grace", "1.5")
    with srv.connect() as client:
        client.sendall(head("GET", "/events/deaf"))
        answer = begin_answer(client)
        assert answer.readline() == b"data: 0\n"
        began = time.monotonic()
        srv.signal(signal.SIGTERM)
        assert answer.read() == b"\n"
        assert time.monotonic() - began >= 1.4
    assert srv.wait() == 0


def test_no_lifespan(serve: Serve) -> None:
    srv = start(serve, "--asgi-lifespan", "off")
    assert srv.get("/pid").status == 200
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert srv.count("lifespan has ended") == 0


def test_root_path(serve: Serve) -> None:
    srv = start(serve, "--root-path", "/api")
    assert srv.get("/pid").status == 500  # it looks for a route named api
    srv.wait_for("KeyError: 'api'")


ROUTES = """\
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

def tell(request):
    return PlainTextResponse(f"{request.scope['root_path']} {request.scope['path']}")

app = Starlette(routes=[Mount("/sub", routes=[Route("/thing", tell)])])
"""


@pytest.mark.parametrize("root", ["/api", "/api/"])
@pytest.mark.parametrize("path", ["/sub/thing", "/api/sub/thing"])
def test_routes_below_a_root_path(serve: Serve, root: str, path: str) -> None:
    skip_without("starlette")
    srv = serve("--root-path", root, "app:app", files={"app.py": ROUTES})
    srv.wait_workers(1)
    assert srv.get(path).body == b"/api/sub /api/sub/thing"


def test_quit_ends_at_once(serve: Serve) -> None:
    srv = start(serve)
    with srv.connect() as client:
        client.sendall(head("GET", "/deaf"))
        srv.wait_for("waits")
        began = time.monotonic()
        srv.signal(signal.SIGQUIT)
        assert srv.wait() == 0
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_loops(serve: Serve, loop: str) -> None:
    if loop == "uvloop":
        skip_without("uvloop")
    srv = start(serve, "--asgi-loop", loop)
    assert srv.get("/pid").status == 200
    with srv.connect() as client:
        client.sendall(head("GET", "/nap/0.5"))
        srv.signal(signal.SIGTERM)
        assert read_answer(client).status == 200
    assert srv.wait() == 0
