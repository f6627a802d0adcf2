"""Heads of responses: status, fields, and what they say of the connection."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from monoceros.http.errors import InvalidResponse
from monoceros.http.types import AGAIN, CLOSE, HANDOFF, LINGER, Policy
from tests.http.apps import GET_1_0, answer, assert_500, stream
from tests.http.support import GET, make_conn, make_core, read_response, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monoceros.http.types import Environ, Field, StartResponse, Twin, WsgiApp


# -- the head ----------------------------------------------------------------------------------


def test_status_and_fields_of_a_plain_answer(twin: Twin) -> None:
    fields = [("Content-Type", "text/plain"), ("X-a", "1"), ("x-A", "2")]
    served = serve(twin, answer(b"hello", fields=fields), GET, server="monoceros/9")
    response = served.response
    assert (response.status, response.reason, response.body) == (200, "OK", b"hello")
    assert response.get("Server") == "monoceros/9"
    assert response.get("Content-Length") == "5"
    assert response.get("Connection") is None
    assert [field for field in response.fields if field in fields] == fields
    date = response.get("Date")
    assert date
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date)
    assert parsedate_to_datetime(date).tzinfo is not None
    assert served.code == AGAIN


def test_date_is_of_the_answer(twin: Twin) -> None:
    """RFC 9110 5.6.7 and 6.6.1: when it was generated, not when the request came."""
    begun = int(time.time())

    def slow(environ: Environ, start_response: StartResponse) -> list[bytes]:
        # time(2) may be some milliseconds behind.
        time.sleep(max(0.0, begun + 1.1 - time.time()))
        start_response("200 OK", [])
        return [b""]

    date = serve(twin, slow, GET).response.get("Date")
    assert date
    assert parsedate_to_datetime(date).timestamp() > begun


def test_no_server_field_where_there_is_no_name(twin: Twin) -> None:
    response = serve(twin, answer(b""), GET, server="").response
    assert response.get("Server") is None
    assert response.get("Date")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("200 OK", b"200 OK"),
        ("200", b"200 "),
        ("200 ", b"200 "),
        ("404 Not\tFound", b"404 Not\tFound"),
        ("999 \xe9", b"999 \xe9"),
    ],
)
def test_a_status_that_is_valid(twin: Twin, status: str, line: bytes) -> None:
    served = serve(twin, answer(b"", status=status), GET)
    assert served.output.startswith(b"HTTP/1.1 " + line + b"\r\n")


@pytest.mark.parametrize(
    "status",
    [
        *("", "OK", "20 OK", "2000 OK", "200OK", "200\tOK", " 200 OK", "200 OK\r\n", "200 a\nb"),
        *("200 OK\r\nX: y", "200 \x00", "200 \u20ac", "000 a", "099 a", "\xb200 a", "-20 a", "+20"),
        *("100 Continue", "102 Processing", "103 Early Hints", "199 a"),
        *(200, b"200 OK"),
    ],
)
@pytest.mark.parametrize("kind", [answer, stream])
def test_a_status_that_is_not(twin: Twin, status: str, kind: Callable[..., WsgiApp]) -> None:
    served = serve(twin, kind(b"hello", status=status), GET)
    assert_500(served)
    ((_, error),) = served.log.failures
    assert isinstance(error, InvalidResponse)
    assert not status or str(status) not in str(error)


BAD_FIELDS: list[object] = [
    ("", "a"),
    ("X:", "a"),
    ("X Y", "a"),
    ("X\r\nY", "a"),
    ("X\n", "a"),
    ("X\x00", "a"),
    ("\xe9", "a"),
    ("\u20ac", "a"),
    ("X", "a\r\nSet-Cookie: b"),
    ("X", "secret\n"),
    ("X", "secret\r"),
    ("X", "\x00secret"),
    ("X", "secret\x7f"),
    ("X", "secret\x0b"),
    ("X", "\u20ac"),
    ("X", "\udc80"),
    ("X", b"secret"),
    (b"X", "secret"),
    ("X", 1),
    ("X", None),
    ("X",),
    ("X", "a", "b"),
    None,
    5,
]


@pytest.mark.parametrize("field", BAD_FIELDS, ids=map(repr, BAD_FIELDS))
@pytest.mark.parametrize("kind", [answer, stream])
def test_a_field_that_cannot_be_sent(
    twin: Twin, field: Field, kind: Callable[..., WsgiApp]
) -> None:
    """A 500; nothing of the value is in the answer or in the error's text."""
    served = serve(twin, kind(b"hello", fields=[("A", "b"), field]), GET)
    assert_500(served)
    ((_, error),) = served.log.failures
    assert isinstance(error, InvalidResponse)
    assert "secret" not in str(error)
    assert "Set-Cookie" not in served.output.decode("latin-1")


@pytest.mark.parametrize("value", ["", " ", "a b", " a", "a ", "\ta", "\xe9\xff", "a: b", '"'])
def test_a_value_that_is_valid(twin: Twin, value: str) -> None:
    served = serve(twin, answer(b"", fields=[("X", value)]), GET)
    assert b"\r\nX: " + value.encode("latin-1") + b"\r\n" in served.output


def test_fields_that_are_no_list(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", None)  # type: ignore[arg-type]
        return []

    assert_500(serve(twin, app, GET))


@pytest.mark.parametrize(
    "name",
    [
        *("Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailer", "Trailers"),
        *("Transfer-Encoding", "Upgrade", "upgrade", "TRANSFER-ENCODING", "Server", "Date"),
    ],
)
def test_hop_by_hop_fields_are_dropped(twin: Twin, name: str) -> None:
    """RFC 9110 7.6.1 and PEP 3333: the connection is the server's; so are Server and Date."""
    served = serve(twin, answer(b"hi", fields=[(name, "app's"), ("X", "y")]), GET)
    assert "app's" not in served.output.decode()
    assert served.response.get("X") == "y"
    assert served.response.body == b"hi"


@pytest.mark.parametrize("value", ["keep-alive", "upgrade, x", ""])
def test_the_applications_connection_is_dropped(twin: Twin, value: str) -> None:
    served = serve(twin, answer(b"hi", fields=[("Connection", value)]), GET)
    assert served.response.get("Connection") is None
    assert served.code == AGAIN


@pytest.mark.parametrize("value", ["close", "Close", "a, close", " close "])
def test_the_application_may_end_the_connection(twin: Twin, value: str) -> None:
    served = serve(twin, answer(b"hi", fields=[("connection", value)]), GET + GET)
    assert served.response.get("Connection") == "close"
    assert served.code == LINGER


# -- the connection ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_head", "connection", "code"),
    [
        (GET, None, AGAIN),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "close", CLOSE),
        (GET_1_0, "close", CLOSE),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive", AGAIN),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "close", CLOSE),
    ],
)
def test_connection_field(
    twin: Twin, request_head: bytes, connection: str | None, code: int
) -> None:
    served = serve(twin, answer(b"hi"), request_head)
    assert served.response.get("Connection") == connection
    assert served.code == code


def test_no_keep_alive_by_policy(twin: Twin) -> None:
    served = serve(twin, answer(b"hi"), GET + GET, policy=Policy(keepalive=False))
    assert served.response.get("Connection") == "close"
    assert served.code == LINGER


KEPT_1_0 = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"


@pytest.mark.parametrize("head", [GET, KEPT_1_0])
def test_clients_are_told_how_long_connections_are_kept(twin: Twin, head: bytes) -> None:
    fields = [("Keep-Alive", "timeout=9999")]
    policy = Policy(keepalive_timeout=75)
    served = serve(twin, answer(b"hi", fields=fields), head * 2, policy=policy)
    for response in served.responses:
        assert response.get("Keep-Alive") == "timeout=75"
        # RFC 9110 7.6.1: or proxies might hand it on.
        assert response.get("Connection") == "keep-alive"
    assert len(served.responses) == 2
    assert served.code == AGAIN


@pytest.mark.parametrize("fields", [[], [("Connection", "close")]])
def test_clients_are_told_nothing_of_a_connection_that_ends(
    twin: Twin, fields: list[Field]
) -> None:
    policy = Policy(keepalive=bool(fields), keepalive_timeout=75)
    response = serve(twin, answer(b"hi", fields=fields), GET, policy=policy).response
    assert response.get("Connection") == "close"
    assert response.get("Keep-Alive") is None


def test_upgrades_and_hints_have_no_keep_alive(twin: Twin) -> None:
    policy = Policy(keepalive_timeout=75)

    def hinting(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
        start_response("200 OK", [])
        return [b"hi"]

    hints, _, rest = serve(twin, hinting, GET, policy=policy).output.partition(b"\r\n\r\n")
    assert hints.startswith(b"HTTP/1.1 103 ")
    assert b"keep-alive" not in hints.lower()
    assert rest.count(b"Keep-Alive: timeout=75\r\n") == 1
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    fields = [("Upgrade", "x")]
    upgrade = serve(
        twin, answer(status="101 Switching Protocols", fields=fields), head, policy=policy
    )
    assert upgrade.response.get("Keep-Alive") is None


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("spared", [False, True])
def test_trusted_peers_are_told_no_time(twin: Twin, trusted: bool, spared: bool) -> None:
    policy = Policy(keepalive_timeout=75, spares_trusted=spared)
    core = make_core(twin, answer(b"hi"), policy=policy)
    conn = make_conn(twin, core, trusted=trusted)
    for head, connection in ((GET, None), (KEPT_1_0, "keep-alive")):
        assert conn.feed(head) == HANDOFF
        request = conn.take()
        assert request is not None
        assert request.run(core) == AGAIN
        response, _ = read_response(conn.data_to_send())
        assert conn.expires is not (trusted and spared)
        assert response.get("Keep-Alive") == (None if trusted else "timeout=75")
        assert response.get("Connection") == (connection if trusted else "keep-alive")


def test_a_core_that_closes_ends_connections(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [b"hi"]

    served = serve(twin, app, GET)
    assert served.code == AGAIN
    served.core.closing = True
    assert served.conn.feed(GET)
    request = served.conn.take()
    assert request is not None
    assert request.run(served.core) == LINGER
    response, _ = read_response(served.conn.data_to_send())
    assert response.get("Connection") == "close"


def test_pipelined_answers_are_in_order(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        path = environ["PATH_INFO"].encode()
        return [path] if environ["QUERY_STRING"] else iter([path, path])

    targets = [f"/{number}{'?a' * (number % 2)}" for number in range(20)]
    heads = "".join(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n" for target in targets)
    served = serve(twin, app, heads.encode())
    paths = [target.partition("?") for target in targets]
    assert [response.body.decode() for response in served.responses] == [
        path if mark else path * 2 for path, mark, _ in paths
    ]
    assert served.code == AGAIN


def test_upgrade_is_answered_with_101(twin: Twin) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    served = serve(twin, answer(status="101 Switching Protocols", fields=[("Upgrade", "x")]), head)
    response = served.response
    assert response.get("Connection") == "upgrade"
    assert response.get("Upgrade") == "x"
    assert response.get("Content-Length") is None
    assert response.get("Transfer-Encoding") is None


def test_an_upgrade_that_the_application_ignores_ends_the_connection(twin: Twin) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    served = serve(twin, answer(b"hi"), head + GET)
    assert served.response.get("Connection") == "close"
    assert served.code == LINGER


def test_a_tunnel_has_no_framing(twin: Twin) -> None:
    """RFC 9110 9.3.6: neither Content-Length nor Transfer-Encoding in a 2xx to CONNECT."""
    head = b"CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n"
    for app in (answer(b"", fields=[("Content-Length", "0")]), answer(b""), stream(b"")):
        response = serve(twin, app, head).response
        assert response.get("Content-Length") is None
        assert response.get("Transfer-Encoding") is None
        assert response.get("Connection") == "close"


def test_a_refused_tunnel_has_framing(twin: Twin) -> None:
    head = b"CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n"
    response = serve(twin, answer(b"no", status="403 Forbidden"), head).response
    assert response.get("Content-Length") == "2"
