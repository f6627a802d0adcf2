"""Lines of the access log for ASGI requests, on both twins."""

from __future__ import annotations

import signal
import socket
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import head, read_answer
from tests.e2e.sockets import ask_upgrade

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Serve

pytestmark = [pytest.mark.process, pytest.mark.settled]

APP = "tests.e2e.apps.awaits:app"
ALL = '%(h)s %(l)s %(u)s "%(r)s" %(m)s %(U)s %(q)s %(H)s %(s)s %(b)s %(f)s %(a)s %({Cookie}i)s'
# Not written by the compiled twin itself.
ODD = ALL + " %({wsgi.url_scheme}e)s"
USER = "Authorization: Basic " + b64encode(b"mina:secret").decode()
REQUESTS = [
    (head("GET", "/whole/3"), '- "GET /whole/3 HTTP/1.1" GET /whole/3  HTTP/1.1 200 3 - - -'),
    (
        head("GET", "/whole/3?a=%22&b", "Referer: here", 'User-Agent: a "b" \\ c\xff', "x_y: 1"),
        '- "GET /whole/3?a=%22&b HTTP/1.1" GET /whole/3 a=%22&b HTTP/1.1 200 3 here'
        ' a \\"b\\" \\\\ cÿ -',
    ),
    (
        head(
            "GET", "/whole/%C3%A94", USER, "Cookie: a=1", "Cookie: b=2", "Referer: x", "Referer: y"
        ),
        'mina "GET /whole/%C3%A94 HTTP/1.1" GET /whole/é4  HTTP/1.1 500 0 x,y - a=1; b=2',
    ),
    (
        head("POST", "/echo", "Content-Length: 2").replace(b"/1.1", b"/1.0") + b"hi",
        '- "POST /echo HTTP/1.0" POST /echo  HTTP/1.0 200 2 - - -',
    ),
    (head("HEAD", "/whole/9"), '- "HEAD /whole/9 HTTP/1.1" HEAD /whole/9  HTTP/1.1 200 0 - - -'),
]


@pytest.mark.parametrize("form", [ALL, ODD])
def test_lines(serve: Serve, tmp_path: Path, form: str) -> None:
    log = tmp_path / "access.log"
    srv = serve("-k", "asgi", "--access-logfile", str(log), "--access-logformat", form, APP)
    srv.wait_workers(1)
    for octets, _ in REQUESTS:
        with srv.connect() as client:
            client.sendall(octets)
            read_answer(client, octets.split()[0].decode())
    expected = [f"127.0.0.1 - {line}{' http' if form is ODD else ''}" for _, line in REQUESTS]
    srv.wait_until(lambda: len(lines(log)) == len(expected), "the lines")
    assert lines(log) == expected


def lines(log: Path) -> list[str]:
    return log.read_text("utf-8").splitlines()


def test_paths_without_lines(serve: Serve, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    options = ("--access-logformat", "%(U)s %(s)s", "--access-log-skip", "/whole/*")
    srv = serve("-k", "asgi", "--access-logfile", str(log), *options, APP)
    srv.wait_workers(1)
    for path in ("/whole/1", "/whole/x", "/pid"):
        with srv.connect() as client:
            client.sendall(head("GET", path))
            read_answer(client)
    srv.wait_until(lambda: len(lines(log)) == 2, "the lines")
    assert lines(log) == ["/whole/x 500", "/pid 200"]


# -- requests whose clients leave before the response begins ------------------------------------

_RESET = b"\1\0\0\0\0\0\0\0"  # struct linger: at once
HOOKS = """\
def post_request(worker, req, environ, resp):
    worker.log.info("after %s %s %s", req.path, resp.status, resp.headers)
"""


def get(client: socket.socket, path: str) -> None:
    client.sendall(head("GET", path, "Referer: there"))


def open_websocket(client: socket.socket, path: str) -> None:
    ask_upgrade(client, path, "Referer: there")


@pytest.mark.parametrize("hooks", ["", HOOKS], ids=["log", "log-and-hook"])
@pytest.mark.parametrize("resets", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize(
    ("ask", "path"),
    [(get, "/wait"), (get, "/deaf"), (get, "/begun"), (open_websocket, "/hang")],
    ids=["listens", "deaf", "begun", "websocket"],
)
def test_a_client_that_leaves_too_early(
    serve: Serve,
    tmp_path: Path,
    ask: Callable[[socket.socket, str], None],
    path: str,
    *,
    resets: bool,
    hooks: str,
) -> None:
    log = tmp_path / "access.log"
    form = '%(h)s "%(r)s" %(s)s %(b)s %(f)s %({content-length}o)s'
    options = ("--access-logfile", str(log), "--access-logformat", form)
    app = "tests.e2e.apps.sockets:app" if ask is open_websocket else APP
    files = {"gunicorn.conf.py": hooks}
    grace = ("--asgi-disconnect-grace-period", "1")
    srv = serve("-k", "asgi", "-w", "1", *grace, *options, app, files=files)
    srv.wait_workers(1)
    with srv.connect() as client:
        ask(client, path)
        srv.wait_for("^waits$")
        if resets:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    srv.wait_until(lambda: log.exists() and lines(log), "the line")
    assert lines(log) == [f'127.0.0.1 "GET {path} HTTP/1.1" 499 0 there -']
    if hooks:
        srv.wait_for(rf"after {path} 499 Client Closed Request \[\]$")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert len(lines(log)) == 1
    assert not srv.count("Traceback")


def test_a_call_that_the_server_cuts_off_is_not_its_clients_doing(
    serve: Serve, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    srv = serve("-k", "asgi", "--graceful-timeout", "1", "--access-logfile", str(log), APP)
    srv.wait_workers(1)
    with srv.connect() as client:
        get(client, "/deaf")
        srv.wait_for("^waits$")
        srv.signal(signal.SIGTERM)
        assert srv.wait() == 0
    srv.wait_for("Cut off at the end of graceful_timeout: calls in progress: 1")
    assert lines(log) == []
