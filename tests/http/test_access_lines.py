"""Access lines in both forms, which requests get one, and who else is told of their end."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

import pytest

from monoceros.http.access import AccessFormat, Entry
from monoceros.http.types import UPGRADE
from tests.http.apps import GET_1_0, answer, stream
from tests.http.link import Link
from tests.http.support import GET, Recorder, serve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.http.types import Environ, StartResponse, Twin, WsgiApp

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d\Z")


def request(*fields: bytes, target: bytes = b"/") -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"


def json_line(twin: Twin, data: bytes) -> dict[str, object]:
    """Serve one request; its line parses, and is one line of ASCII."""
    line = serve(twin, answer(b"hello"), data, log=Recorder("json")).core.drain_log()
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert line.isascii()
    found: dict[str, object] = json.loads(line)
    return found


def test_json_line(twin: Twin) -> None:
    found = json_line(twin, request(b"User-Agent: curl", target=b"/a%20b?c=d"))
    assert TIME.match(str(found.pop("time")))
    duration = found.pop("duration_us")
    assert isinstance(duration, int)
    assert isinstance(found.pop("pid"), int)
    assert found == {
        "level": "INFO",
        "logger": "gunicorn.access",
        "remote_addr": "127.0.0.1",
        "user": None,
        "method": "GET",
        "path": "/a b",
        "query": "c=d",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 5,
        "referer": None,
        "user_agent": "curl",
    }


HOSTILE = {
    b'a"b\\': 'a"b\\',
    b"tab\there": "tab\there",
    b'"}, {"forged": "x': '"}, {"forged": "x',
    "Grüße".encode(): "Grüße",
    b"\xff\xfe": "\xff\xfe",
    b"\xe2\x80\xa8": "\u2028",
    b"<script>": "<script>",
    b"x" * 8000: "x" * 8000,
    b"": "",
}


@pytest.mark.parametrize("sent", HOSTILE, ids=lambda sent: repr(sent[:12]))
def test_json_line_holds_what_clients_send(twin: Twin, sent: bytes) -> None:
    found = json_line(twin, request(b"User-Agent: " + sent, b"Referer: " + sent))
    assert found["user_agent"] == found["referer"] == HOSTILE[sent]


@pytest.mark.parametrize("user", ['x"y', "\n", "ü"])
def test_json_line_has_the_user(twin: Twin, user: str) -> None:
    credentials = base64.b64encode(f"{user}:secret".encode())
    found = json_line(twin, request(b"Authorization: Basic " + credentials))
    assert found["user"] == user


@pytest.mark.parametrize("value", ["\ud800", "\u20ac", 7, None, b"x"], ids=repr)
def test_json_line_survives_the_application(twin: Twin, value: object) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["HTTP_USER_AGENT"] = value
        start_response("200 OK", [])
        return []

    line = serve(twin, app, GET, log=Recorder("json")).core.drain_log()
    expected = None if value is None else value if isinstance(value, str) else str(value)
    assert json.loads(line)["user_agent"] == expected


@pytest.mark.parametrize("user", [b"x", "j\u00fcrgen \u20ac".encode(), b"\xff"], ids=repr)
def test_line_has_the_octets_that_were_sent(twin: Twin, user: bytes) -> None:
    """Whatever one value spells, the line is no mixture of encodings."""
    credentials = base64.b64encode(user + b":secret")
    data = request(b"Authorization: Basic " + credentials, b"User-Agent: " + user)
    served = serve(twin, answer(), data, log=Recorder("%(u)s|%(a)s"))
    assert served.core.drain_log() == user + b"|" + user + b"\n"


def test_text_around_the_atoms_is_utf_8(twin: Twin) -> None:
    log = Recorder("é %(s)s ☃ %(a)s")
    data = request(b"User-Agent: \xc3\xbc")
    assert serve(twin, answer(), data, log=log).core.drain_log() == "é 200 ☃ ü\n".encode()


class Spiteful:
    """A key of an environ that looks like another one, and cannot be compared with it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        raise ValueError


@pytest.mark.parametrize("name", ["HTTP_REFERER", "HTTP_AUTHORIZATION"])
def test_keys_that_cannot_be_compared_are_missing(twin: Twin, name: str) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ[Spiteful(name)] = "x"  # type: ignore[index]
        start_response("200 OK", [])
        return []

    served = serve(twin, app, GET, log=Recorder("%(u)s %(s)s %(f)s"))
    assert served.core.drain_log() == b"- 200 -\n"
    assert served.log.failures == []


SKIP = ("/healthz", "/static/*")


@pytest.mark.parametrize(
    ("target", "status", "lines"),
    [
        (b"/healthz", "200 OK", 0),
        (b"/healthz?full=1", "204 No Content", 0),
        (b"/healthz", "400 Bad Request", 1),
        (b"/healthz", "503 Service Unavailable", 1),
        (b"/healthz/", "200 OK", 1),
        (b"/static/", "304 Not Modified", 0),
        (b"/static/a/b", "200 OK", 0),
        (b"/static", "200 OK", 1),
        (b"/", "200 OK", 1),
    ],
)
@pytest.mark.parametrize("text", ["%(U)s", "json"])
def test_paths_left_out(twin: Twin, text: str, target: bytes, status: str, lines: int) -> None:
    log = Recorder()
    log.access = AccessFormat(text, SKIP)
    served = serve(twin, answer(status=status), request(target=target), log=log)
    assert served.core.drain_log().count(b"\n") == lines


def line_of(twin: Twin, text: str, app: WsgiApp, data: bytes) -> bytes:
    """Serve one request; returns its line of the access log."""
    return serve(twin, app, data, log=Recorder(text)).core.drain_log()


@pytest.mark.parametrize("size", [1, 379, 380, 381, 3000])
def test_request_line_is_what_was_received(twin: Twin, size: int) -> None:
    """Also where it is longer than what the scoreboard keeps of it, 384 octets."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["REQUEST_METHOD"] = "DELETE"
        environ["RAW_URI"] = "/forged"
        start_response("200 OK", [])
        return []

    target = b"/" * size
    line = line_of(twin, "%(r)s %(m)s", app, request(target=target))
    assert line == b"GET " + target + b" HTTP/1.1 DELETE\n"


@pytest.mark.parametrize("added", range(20))
@pytest.mark.parametrize("text", ["%(f)s %(a)s %(u)s", "json"])
def test_line_has_fields_that_the_application_renamed(twin: Twin, text: str, added: int) -> None:
    """Whatever becomes of the dict that the environ is: it may grow, and keep its size."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["HTTP_USER_AGENT"] = environ.pop("HTTP_X_AGENT")
        start_response("200 OK", [])
        return []

    more = [b"X-%d: x" % number for number in range(added)]
    line = line_of(twin, text, app, request(b"X-Agent: curl", *more))
    found = json.loads(line)["user_agent"] if text == "json" else line.split()[1].decode()
    assert found == "curl"


class Watcher(Recorder):
    """A ``CoreLog`` that keeps what it was told about ends of requests."""

    def __init__(self) -> None:
        super().__init__("%(s)s %(B)s")
        self.entries: list[Entry] = []
        self.finished = self.entries.append


def raising(environ: Environ, start_response: StartResponse) -> list[bytes]:
    raise ValueError


def cut_short(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "100")])
    yield b"x" * 10
    raise ValueError


def unused_status(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("nonsense", [])
    return [b"x"]


@pytest.mark.parametrize(
    ("app", "data", "status", "sent"),
    [
        (answer(b"hello"), GET, "200 OK", 5),
        (stream(b"he", b"llo"), GET, "200 OK", 5),
        (answer(b"hello", status="404 Not Found"), GET_1_0, "404 Not Found", 5),
        (raising, GET, "500", 0),
        (unused_status, GET, "500", 0),
        (cut_short, GET, "200 OK", 10),
    ],
    ids=["list", "stream", "1.0", "raising", "bad status", "cut short"],
)
def test_each_request_ends_once(
    twin: Twin, app: object, data: bytes, status: str, sent: int
) -> None:
    log = Watcher()
    served = serve(twin, app, data, log=log)  # type: ignore[arg-type]
    (entry,) = log.entries
    assert (entry.status, entry.sent) == (status, sent)
    assert entry.environ["PATH_INFO"] == "/"
    assert entry.elapsed_us >= 0
    assert served.core.drain_log() == f"{status[:3]} {sent}\n".encode()


def test_a_request_whose_socket_was_taken_ends_without_a_status(twin: Twin) -> None:
    log = Watcher()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["gunicorn.socket"].sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        return []

    with Link(twin, app, log=log) as link:
        assert link.ask(request(b"Connection: upgrade", b"Upgrade: websocket")) == UPGRADE
    assert [entry.status for entry in log.entries] == [""]


def test_requests_are_told_in_their_order(twin: Twin) -> None:
    log = Watcher()
    serve(twin, answer(b"x"), *(request(target=b"/%d" % number) for number in range(5)), log=log)
    assert [entry.environ["PATH_INFO"] for entry in log.entries] == [f"/{n}" for n in range(5)]
