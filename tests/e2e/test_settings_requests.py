"""What the settings of requests change, with as few servers as will do."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import head, read_answer
from tests.e2e.processes import needs_proc
from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = pytest.mark.process

ECHO = """\
import json

def app(environ, start_response):
    body = json.dumps({name: text for name, text in environ.items() if isinstance(text, str)})
    start_response("200 OK", [])
    return [body.encode()]
"""

STRICT = """\
limit_request_line = 100
limit_request_fields = 6
limit_request_field_size = 64
limit_request_head = 320
permit_missing_host = False
header_map = "refuse"
forwarded_allow_ips = "127.0.0.9"
secure_scheme_headers = {"x-mine": "yes"}
forwarder_headers = ["REMOTE_USER"]
"""

LENIENT = """\
permit_missing_host = True
permit_obsolete_folding = True
strip_header_spaces = True
permit_unconventional_http_method = True
permit_unconventional_http_version = True
casefold_http_method = True
header_map = "dangerous"
"""


def ask(srv: Server, request: bytes, source: str = "127.0.0.1") -> tuple[int, dict[str, str]]:
    """Send a request from an address; returns the status and the environ that came of it."""
    with socket.create_connection(srv.address, 20, (source, 0)) as client:
        client.sendall(request)
        answer = read_answer(client)
        return answer.status, json.loads(answer.body) if answer.status == 200 else {}


def test_limits_and_trust(serve: Serve) -> None:
    srv = serve("app:app", files={"app.py": ECHO, "gunicorn.conf.py": STRICT})
    for request, status in (
        (head("GET", "/" + "x" * 80), 200),
        (head("GET", "/" + "x" * 100), 414),  # limit_request_line
        (head("GET", "/", *(f"X-{n}: 1" for n in range(5))), 200),
        (head("GET", "/", *(f"X-{n}: 1" for n in range(6))), 431),  # limit_request_fields
        (head("GET", "/", "X-Long: " + "x" * 60), 431),  # limit_request_field_size
        (head("GET", "/", *(f"X-{n}: {'x' * 55}" for n in range(4))), 200),
        (head("GET", "/", *(f"X-{n}: {'x' * 55}" for n in range(5))), 431),  # limit_request_head
        (head("GET", "/", "X_A: 1"), 400),  # header_map
    ):
        assert ask(srv, request)[0] == status, request

    # forwarded_allow_ips, secure_scheme_headers and forwarder_headers
    proxied = head("GET", "/", "X-Mine: yes", "REMOTE_USER: me")
    status, environ = ask(srv, proxied, "127.0.0.9")
    assert (status, environ["wsgi.url_scheme"]) == (200, "https")
    assert environ["HTTP_REMOTE_USER"] == "me"
    assert ask(srv, proxied)[0] == 400
    untrusted = ask(srv, head("GET", "/", "X-Mine: yes"))[1]
    assert untrusted["wsgi.url_scheme"] == "http"


# A request of each kind that the setting permits, and what the environ has then.
PERMITTED = {
    "permit_missing_host": (b"GET / HTTP/1.1\r\n\r\n", "PATH_INFO", "/"),
    "permit_obsolete_folding": (head("GET", "/", "X-A: 1\r\n 2"), "HTTP_X_A", "1 2"),
    "strip_header_spaces": (head("GET", "/", "X-A : 1"), "HTTP_X_A", "1"),
    "permit_unconventional_http_method": (head("GE#T", "/"), "REQUEST_METHOD", "GE#T"),
    "casefold_http_method": (head("ge#t", "/"), "REQUEST_METHOD", "GE#T"),
    "permit_unconventional_http_version": (
        b"GET / HTTP/3.1\r\nHost: a\r\n\r\n",
        "PATH_INFO",
        "/",
    ),
    "header_map": (head("GET", "/", "X_A: 1"), "HTTP_X_A", "1"),
}


def test_leniency(serve: Serve, tmp_path: Path) -> None:
    lenient = serve("app:app", files={"app.py": ECHO, "gunicorn.conf.py": LENIENT})
    (tmp_path / "strict.py").write_text("permit_missing_host = False\nheader_map = 'refuse'\n")
    strict = serve("-c", "strict.py", "app:app", files={"app.py": ECHO})
    for name, (request, variable, text) in PERMITTED.items():
        status, environ = ask(lenient, request)
        assert (name, status, environ.get(variable)) == (name, 200, text)
        assert (name, ask(strict, request)[0] >= 400) == (name, True)


SPEAKING = """\
import os

def app(environ, start_response):
    length = environ.get("CONTENT_LENGTH", "")
    os.write(2, b"called %s\\n" % length.encode())
    body = environ["wsgi.file_wrapper"](open(__file__, "rb"))
    start_response("200 OK", [("Content-Length", str(os.stat(__file__).st_size))])
    return body
"""

NOTING = """\
import os

tmp_upload_dir = "spool"

def post_worker_init(worker):
    sendfile = os.sendfile
    def noting(*args):
        os.write(2, b"sendfile\\n")
        return sendfile(*args)
    os.sendfile = noting

def pre_request(worker, req):
    os.write(2, f"pre_request {req.method} {req.path}\\n".encode())

def post_request(worker, req, environ, resp):
    os.write(2, f"post_request {req.path} {environ['PATH_INFO']} {resp.status}\\n".encode())
"""


@needs_proc
def test_bodies_wait_where_they_are_told_to(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    srv = serve(
        *("--body-memory-limit", "1000", "--body-spool-limit", "100000", "app:app"),
        files={"app.py": SPEAKING, "gunicorn.conf.py": NOTING},
    )
    (pid,) = srv.wait_workers(1)
    with srv.connect() as client:
        client.sendall(head("POST", "/", "Content-Length: 50000") + b"x" * 20000)
        # body_memory_limit and tmp_upload_dir: what is too much for memory is there.
        srv.wait_until(
            lambda: any(str(tmp_path / "spool") in name for name in descriptors(pid).values()),
            "a file for the body",
        )
        assert not srv.count("^called")
        client.sendall(b"x" * 30000)
        assert read_answer(client).status == 200
    srv.wait_for("^called 50000")
    srv.wait_for("^sendfile")
    srv.wait_for("^pre_request POST /$")
    srv.wait_for("^post_request / / 200 OK$")

    with srv.connect() as client:
        client.sendall(head("POST", "/", "Content-Length: 1000000") + b"x" * 150000)
        srv.wait_for("^called 1000000")  # body_spool_limit


def test_nothing_is_buffered_or_sent_by_the_kernel(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    srv = serve(
        *("--no-request-buffering", "--no-sendfile", "app:app"),
        files={"app.py": SPEAKING, "gunicorn.conf.py": NOTING},
    )
    with srv.connect() as client:
        client.sendall(head("POST", "/", "Content-Length: 10"))
        srv.wait_for("^called 10")
        client.sendall(b"x" * 10)
        assert read_answer(client).body == SPEAKING.encode()
    srv.wait_for("^post_request")
    assert not srv.count("^sendfile")
