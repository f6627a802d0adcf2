"""Lines of the access log for ASGI requests, on both twins."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import head, read_answer

if TYPE_CHECKING:
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
