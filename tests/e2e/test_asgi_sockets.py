"""WebSockets of the ASGI worker over real sockets, on both twins."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.clients import at_end, head, read_answer
from tests.e2e.sockets import (
    ask_upgrade,
    be_closed,
    be_denied,
    close,
    read_close,
    read_text,
    send_text,
    talk,
    upgrade,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

APP = "tests.e2e.apps.sockets:app"


def start(serve: Serve, *args: str, **options: Any) -> Server:
    srv = serve("-k", "asgi", "--workers", "1", *args, APP, **options)
    srv.wait_workers(1)
    return srv


# -- turns -------------------------------------------------------------------------------------


@contextlib.contextmanager
def busy(client: socket.socket, work: Callable[[socket.socket], object]) -> Iterator[None]:
    """Have a thread do the same over and over, until the connection is closed."""

    def go_on() -> None:
        with contextlib.suppress(OSError):
            while work(client):
                pass

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        client.shutdown(2)
        thread.join()


def test_one_that_sends_without_end_does_not_hold_up_another(serve: Serve) -> None:
    srv = start(serve, "--asgi-loop", "asyncio")
    with srv.connect() as greedy, srv.connect() as other:
        upgrade(other)
        upgrade(greedy, "/flood")
        with busy(greedy, lambda client: client.recv(1 << 20)):
            for number in range(20):
                assert talk(other, str(number)) == str(number)
            assert srv.get("/").status == 200


# -- who wants to exit ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt"])
def test_a_wish_to_exit_ends_its_own_call_only(serve: Serve, kind: str) -> None:
    srv = start(serve)
    workers = srv.workers()
    with srv.connect() as other, srv.connect() as client:
        upgrade(other)
        upgrade(client, f"/leave/{kind}")
        send_text(client, "go")
        assert read_close(client) == 1011
        assert talk(other, "still there") == "still there"
    srv.wait_for(f"Error handling WebSocket GET /leave/{kind}")
    srv.wait_for(rf"(?m)^{kind}: wants to go")
    assert srv.workers() == workers


def test_quit_ends_a_call_that_stands_still(serve: Serve) -> None:
    srv = start(serve)
    with srv.connect() as client:
        upgrade(client, "/block/60")
        send_text(client, "go")
        srv.wait_for("blocks")
        srv.signal(signal.SIGQUIT)
        assert srv.wait() == 0
    assert srv.count("Error handling WebSocket") == 0


# -- calls that do not listen --------------------------------------------------------------------


def test_a_call_whose_client_has_gone_is_cancelled(serve: Serve) -> None:
    srv = start(serve, "--asgi-disconnect-grace-period", "1")
    with srv.connect() as client:
        upgrade(client, "/deaf")
    srv.wait_for("was cancelled")


def test_calls_that_do_not_listen_do_not_hold_up_a_stop(serve: Serve) -> None:
    srv = start(serve, "--asgi-disconnect-grace-period", "1", "--graceful-timeout", "3600")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(10)]
        for client in clients:
            upgrade(client, "/deaf")
        srv.signal(signal.SIGTERM)
        for client in clients:
            assert be_closed(client) == 1001
        assert srv.wait() == 0
    assert srv.count("was cancelled") == 10
    assert srv.count("Traceback|Error handling") == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGQUIT])
def test_a_quick_stop_is_told(serve: Serve, signum: int) -> None:
    srv = start(serve)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(2)]
        for client, path in zip(clients, ("/echo", "/deaf"), strict=True):
            upgrade(client, path)
        srv.signal(signum)
        for client in clients:
            assert read_close(client) == 1001
    assert srv.wait() == 0
    assert srv.count("Error handling WebSocket") == 0


@pytest.mark.parametrize("signum", [None, signal.SIGTERM, signal.SIGHUP])
def test_what_comes_of_an_end_is_not_logged(serve: Serve, signum: int | None) -> None:
    srv = start(serve)
    with srv.connect() as client:
        upgrade(client, "/push")
        if signum is not None:
            srv.signal(signum)
            srv.wait_for("could not send")
    srv.wait_for("could not send")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert srv.count("Error handling WebSocket|Traceback") == 0


def test_a_client_that_takes_nothing_is_cut(serve: Serve) -> None:
    srv = start(serve, "--write-timeout", "1", "--websocket-ping-interval", "0")
    with srv.connect() as client, srv.connect() as other:
        upgrade(other)
        upgrade(client, "/push/65536")
        srv.wait_for("could not send")
        assert talk(other, "still there") == "still there"


# -- request_timeout -----------------------------------------------------------------------------


def late(serve: Serve) -> Server:
    args = ("--request-timeout", "1", "--graceful-timeout", "3600")
    return log_to_output(serve, "%(s)s %(U)s", *args)


def test_a_handshake_that_is_not_answered_is(serve: Serve) -> None:
    srv = late(serve)
    with srv.connect() as client:
        assert be_denied(client, "/late/3600").status == 504
        assert at_end(client)
    srv.wait_for(r"REQUEST TIMEOUT running GET /late/3600 from 127\.0\.0\.1 for 1\.\ds, 504$")
    srv.wait_for(r"^  File .*/apps/sockets\.py\", line \d+ in late$")
    wait_for_line(srv, "504 /late/3600")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0, "nothing is left of the call"
    assert srv.count("Error handling WebSocket") == 0


def test_a_denial_that_does_not_end_is_cut_off(serve: Serve) -> None:
    srv = late(serve)
    with srv.connect() as client:
        ask_upgrade(client, "/half")
        with pytest.raises(http.client.IncompleteRead):
            read_answer(client)
    srv.wait_for("REQUEST TIMEOUT running GET /half from .*, cut off")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0, "nothing is left of the call"


def test_a_websocket_may_last_for_longer(serve: Serve) -> None:
    srv = late(serve)
    with srv.connect() as client, srv.connect() as other:
        upgrade(client)
        assert be_denied(other, "/late/3600").status == 504
        assert talk(client, "still there") == "still there"


# -- the access log ----------------------------------------------------------------------------


def log_to_output(serve: Serve, form: str, *args: str, **options: Any) -> Server:
    return start(serve, "--access-logfile", "-", "--access-logformat", form, *args, **options)


def wait_for_line(srv: Server, pattern: str) -> re.Match[bytes]:
    """Wait for the one line of the access log that there is."""
    line = re.compile(pattern.encode() + rb"\n")

    def find() -> re.Match[bytes] | None:
        return line.fullmatch(srv.output)

    return srv.wait_until(find, f"the line {pattern}")


def test_each_atom_of_a_websocket(serve: Serve) -> None:
    atoms = (
        '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(m)s %(U)s %(q)s %(H)s %(b)s %(B)s %(f)s %(a)s '
        "%(T)s %(D)s %(M)s %(L)s %(p)s %({x-id}i)s %({x-kind}o)s %({upgrade}o)s %({SERVER_NAME}e)s "
        "%({wsgi.url_scheme}e)s"
    )
    srv = log_to_output(serve, atoms)
    with srv.connect() as client:
        fields = ("Authorization: Basic bWU6eA==", "Referer: /from", "User-Agent: test", "X-Id: 7")
        upgrade(client, "/echo?a=b", *fields)
        assert talk(client, "hello") == "hello"
        assert talk(client, "x" * 200) == "x" * 200
        assert not srv.output
        assert close(client) == 1000
        assert at_end(client)
    (worker,) = srv.workers()
    wait_for_line(
        srv,
        r"127\.0\.0\.1 - me \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
        r'"GET /echo\?a=b HTTP/1\.1" 101 GET /echo a=b HTTP/1\.1 205 205 /from test '
        rf"0 \d+ \d+ 0\.\d{{6}} <{worker}> 7 socket websocket 127\.0\.0\.1 http",
    )


def test_json_lines_of_websockets(serve: Serve) -> None:
    srv = log_to_output(serve, "json")
    with srv.connect() as client:
        upgrade(client, "/echo")
        talk(client, "hello")
        close(client)
    entry = json.loads(wait_for_line(srv, ".*")[0])
    assert (entry["status"], entry["bytes"], entry["path"]) == (101, 5, "/echo")


def test_the_time_is_that_until_the_end(serve: Serve) -> None:
    srv = log_to_output(serve, "%(s)s %(D)s")
    with srv.connect() as client:
        upgrade(client, "/nap/0.3")
        assert read_close(client) == 1000
        assert int(wait_for_line(srv, r"101 (\d+)")[1]) >= 300_000


def test_lines_by_calls_of_the_logger(serve: Serve) -> None:
    """Widths are filled in by ``logging``."""
    srv = log_to_output(serve, "%(s)6s %(B)06d")
    with srv.connect() as client:
        upgrade(client)
        talk(client, "hello")
        close(client)
    wait_for_line(srv, "   101 000005")


@pytest.mark.parametrize("path", ["/deaf", "/echo"])
def test_the_line_comes_when_the_client_has_gone(serve: Serve, path: str) -> None:
    srv = log_to_output(serve, "%(s)s %(U)s")
    with srv.connect() as client:
        upgrade(client, path)
    wait_for_line(srv, f"101 {path}")


def test_a_stop_leaves_no_line_out(serve: Serve) -> None:
    srv = log_to_output(serve, "%(s)s %(B)s")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(20)]
        for client in clients:
            upgrade(client)
            talk(client, "hello")
        srv.signal(signal.SIGTERM)
        for client in clients:
            assert read_close(client) == 1001
    assert srv.wait() == 0
    assert srv.output == b"101 5\n" * 20


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/deny", "403 0 -"),
        ("/deny/401", "401 6 no"),
        ("/deny/204", "204 0 no"),
        ("/early", "500 0 -"),
        ("/unknown", "500 0 -"),
    ],
)
def test_the_line_of_a_denial(serve: Serve, path: str, line: str) -> None:
    srv = log_to_output(serve, "%(s)s %(B)s %({x-kind}o)s")
    with srv.connect() as client:
        assert be_denied(client, path).status == int(line[:3])
    wait_for_line(srv, line)


def test_the_line_of_a_refused_handshake(serve: Serve) -> None:
    srv = log_to_output(serve, "%(s)s %(B)s")
    with srv.connect() as client:
        client.sendall(head("GET", "/", "Upgrade: websocket", "Connection: upgrade"))
        answer = read_answer(client)
        assert (answer.status, answer.fields["sec-websocket-version"]) == (426, "13")
    wait_for_line(srv, f"426 {len(answer.body)}")


def test_websockets_can_be_left_out(serve: Serve) -> None:
    srv = log_to_output(serve, "%(s)s %(U)s", "--access-log-skip", "/echo")
    for path in ("/echo", "/nap/0"):
        with srv.connect() as client:
            upgrade(client, path)
            close(client)
    wait_for_line(srv, "101 /nap/0")


# -- hooks -------------------------------------------------------------------------------------

HOOKS = """\
def pre_request(worker, req):
    worker.log.info("before %s %s %s", req.method, req.path, dict(req.headers)["UPGRADE"])
    req.headers.append(("X-ADDED", "yes"))
    if req.path == "/fault":
        raise ValueError("in front")
def post_request(worker, req, environ, resp):
    length = resp.sent, resp.response_length, resp.chunked
    worker.log.info("after %s %s %s %s", req.path, resp.status, length, environ.get("HTTP_X_ADDED"))
    if req.path == "/echo":
        raise ValueError("behind")
"""


def test_hooks_of_a_websocket(serve: Serve) -> None:
    srv = start(serve, files={"gunicorn.conf.py": HOOKS})
    with srv.connect() as client:
        upgrade(client, "/field/x-added")
        assert read_text(client) == "yes"
        assert read_close(client) == 1000
    srv.wait_for("before GET /field/x-added websocket")
    srv.wait_for(r"after /field/x-added 101 Switching Protocols \(3, None, False\) yes")
    with srv.connect() as client:
        assert be_denied(client, "/deny").status == 403
    srv.wait_for(r"after /deny 403 Forbidden \(0, None, False\) yes")
    assert (srv.count("before"), srv.count("after")) == (2, 2)


def test_a_fault_of_a_hook_before_a_websocket(serve: Serve) -> None:
    srv = start(serve, files={"gunicorn.conf.py": HOOKS})
    with srv.connect() as client:
        assert be_denied(client, "/fault").status == 500
        assert at_end(client)
    srv.wait_for("Exception in hook pre_request")
    srv.wait_for("Error handling WebSocket GET /fault")
    srv.wait_for("ValueError: in front")
    srv.wait_for("after /fault 500")
    assert srv.count("after") == 1


def test_a_fault_of_a_hook_behind_a_websocket(serve: Serve) -> None:
    srv = start(serve, files={"gunicorn.conf.py": HOOKS})
    with srv.connect() as client:
        upgrade(client, "/echo")
        assert close(client) == 1000
        assert at_end(client)
    srv.wait_for("Exception in hook post_request")
    srv.wait_for("ValueError: behind")
    with srv.connect() as client:
        upgrade(client, "/echo")
        assert talk(client, "still there") == "still there"


def test_hooks_of_a_client_that_goes_before_the_answer(serve: Serve) -> None:
    srv = start(serve, files={"gunicorn.conf.py": HOOKS})
    with srv.connect() as client:
        ask_upgrade(client, "/hang")
        srv.wait_for("before GET /hang")
    srv.wait_for(r"after /hang 499 Client Closed Request \(0, None, .*\) yes")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_handshake_on_its_way_may_still_be_accepted(serve: Serve, signum: int) -> None:
    srv = start(serve)
    code = 1001 if signum == signal.SIGTERM else 1012
    with srv.connect() as client:
        ask_upgrade(client, "/late/0.5")
        srv.wait_for("is asked")
        srv.signal(signum)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += client.recv(1)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert read_close(client) == code
    srv.wait_for(f"websocket ended by {code}")


def test_a_handshake_that_is_not_accepted_holds_up_nobody(serve: Serve) -> None:
    srv = start(serve)
    with srv.connect() as client:
        ask_upgrade(client, "/late/60")
        srv.wait_for("is asked")
        srv.signal(signal.SIGTERM)
        assert read_answer(client).status == 503
