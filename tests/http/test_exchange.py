"""Requests and responses of ASGI as octets, the same of both twins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monoceros.http.errors import BadRequest, InvalidResponse
from monoceros.http.scope import base_scope
from monoceros.http.types import Limits, Policy, Rules
from tests.http.both import HEADS, LIMITS, RULES, Both, both, fuzz, in_parts, without_date
from tests.http.support import GET, LISTENER, PEER, Recorder, make_core

if TYPE_CHECKING:
    from monoceros.http.types import Core, Exchange, HeadReader, Twin

__all__ = ["both"]

POST = b"POST /%41?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"


def make_reader(
    twin: Twin, core: Core | None = None, *, trusted: bool = False, **extras: Any
) -> HeadReader:
    root_path = extras.pop("root_path", "")
    template = {**base_scope("http", LISTENER, PEER, root_path), **extras}
    return twin.HeadReader(core or make_core(twin, no_app), template, trusted)


def no_app(environ: object, start_response: object) -> list[bytes]:
    raise AssertionError("no WSGI application is called")


def read(twin: Twin, data: bytes, core: Core | None = None, *, trusted: bool = False) -> Exchange:
    exchange = make_reader(twin, core, trusted=trusted).feed(data)
    assert exchange is not None
    return exchange


def respond(exchange: Exchange, *pieces: bytes, status: int = 200, headers: Any = ()) -> bytes:
    """All octets of a response whose content is sent in pieces."""
    exchange.start(status, headers)
    last = len(pieces) - 1
    sent = [exchange.body(piece, place < last) for place, piece in enumerate(pieces)]
    return without_date(b"".join(sent))


# -- scopes ------------------------------------------------------------------------------------


def test_a_scope(twin: Twin) -> None:
    exchange = read(twin, POST + b"xyz")
    assert exchange.scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "server": LISTENER,
        "client": PEER,
        "scheme": "http",
        "method": "POST",
        "root_path": "",
        "path": "/A",
        "raw_path": b"/%41",
        "query_string": b"b=c",
        "headers": [(b"host", b"a"), (b"content-length", b"3")],
        "extensions": {
            "http.response.early_hint": {},
            "http.response.trailers": {},
            "http.response.pathsend": {},
        },
    }
    assert exchange.line == b"POST /%41?b=c"
    assert (exchange.content_length, exchange.keep_alive, exchange.minor) == (3, True, 1)


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        (b"/", "/", b"/", b""),
        (b"/a%20b", "/a b", b"/a%20b", b""),
        (b"/%C3%A9", "/é", b"/%C3%A9", b""),
        (b"/%ff", "/�", b"/%ff", b""),
        (b"/a?%20", "/a", b"/a", b"%20"),
        (b"//a//b", "//a//b", b"//a//b", b""),
        (b"http://b/c?d", "/c", b"/c", b"d"),
    ],
)
def test_targets(twin: Twin, target: bytes, path: str, raw_path: bytes, query: bytes) -> None:
    scope = read(twin, b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target).scope
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw_path, query)


def test_an_authority_overrides_the_host(twin: Twin) -> None:
    scope = read(twin, b"GET http://b/ HTTP/1.1\r\nA: 1\r\nHost: a\r\n\r\n").scope
    assert scope["headers"] == [(b"host", b"b"), (b"a", b"1")]


def test_names_are_in_lower_case_and_in_order(twin: Twin) -> None:
    head = b"GET / HTTP/1.1\r\nHOST: a\r\nX-A: 1\r\nx-a: 2\r\nCookie: \xe9\r\n\r\n"
    fields = [(b"host", b"a"), (b"x-a", b"1"), (b"x-a", b"2"), (b"cookie", b"\xe9")]
    assert read(twin, head).scope["headers"] == fields


def test_an_underscore_is_what_header_map_says(twin: Twin) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX_A: 1\r\n\r\n"
    assert read(twin, head).scope["headers"] == [(b"host", b"a")]
    dangerous = make_core(twin, no_app, rules=Rules(header_map="dangerous"))
    assert read(twin, head, dangerous).scope["headers"] == [(b"host", b"a"), (b"x_a", b"1")]
    with pytest.raises(BadRequest, match="underscore"):
        read(twin, head, make_core(twin, no_app, rules=Rules(header_map="refuse")))


@pytest.mark.parametrize(("trusted", "scheme"), [(True, "https"), (False, "http")])
def test_a_trusted_proxy_tells_the_scheme(twin: Twin, trusted: bool, scheme: str) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n"
    assert read(twin, head, trusted=trusted).scope["scheme"] == scheme


@pytest.mark.parametrize(
    ("upgrade", "told", "scheme"),
    [
        (b"websocket", b"wss", "https"),
        (b"h2c, WebSocket", b"wss", "https"),
        (b"websocket", b"https, wss", "https"),
        (b"websocket", b"https", "https"),
        (b"websocket", b"ws", "http"),
        (b"websocket", b"wss, ws", "http"),
        (b"h2c", b"wss", "http"),
        (b"", b"wss", "http"),
    ],
)
def test_a_proxy_may_name_the_scheme_of_a_websocket(
    twin: Twin, upgrade: bytes, told: bytes, scheme: str
) -> None:
    asked = b"Connection: upgrade\r\nUpgrade: %b\r\n" % upgrade if upgrade else b""
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: %b\r\n%b\r\n" % (told, asked)
    assert read(twin, head, trusted=True).scope["scheme"] == scheme
    assert read(twin, head).scope["scheme"] == "http"


@pytest.mark.parametrize(("value", "scheme"), [("ssl", "http"), ("wss", "https")])
def test_other_values_of_scheme_fields_are_what_they_are(
    twin: Twin, value: str, scheme: str
) -> None:
    core = make_core(twin, no_app, rules=Rules(secure_scheme_headers={"X-Proto": value}))
    head = (
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Proto: wss\r\n"
        b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    assert read(twin, head, core, trusted=True).scope["scheme"] == scheme


def test_contradicting_schemes_are_refused(twin: Twin) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n\r\n"
    with pytest.raises(BadRequest, match="contradict"):
        read(twin, head, trusted=True)


def test_a_trusted_proxy_tells_the_root_path(twin: Twin) -> None:
    scope = read(twin, b"GET /a/b HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /a\r\n\r\n", trusted=True)
    assert (scope.scope["root_path"], scope.scope["path"]) == ("/a", "/a/b")
    with pytest.raises(BadRequest, match="SCRIPT_NAME"):
        read(twin, b"GET /b HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /a\r\n\r\n", trusted=True)


@pytest.mark.parametrize(
    ("root", "target", "path", "raw_path"),
    [
        ("/api", b"/a", "/api/a", b"/api/a"),
        ("/api/", b"/a", "/api/a", b"/api/a"),
        ("/api/", b"/api/a", "/api/a", b"/api/a"),
        ("/", b"/a", "/a", b"/a"),
        ("/api", b"/api/a", "/api/a", b"/api/a"),
        ("/api", b"/api", "/api", b"/api"),
        ("/api", b"/apis", "/api/apis", b"/api/apis"),
        ("/\u00fc", b"/", "/\u00fc/", b"/%C3%BC/"),
        ("/api", b"*", "", b""),
    ],
)
def test_the_path_begins_with_the_root(
    twin: Twin, root: str, target: bytes, path: str, raw_path: bytes
) -> None:
    reader = make_reader(twin, root_path=root)
    method = b"OPTIONS" if target == b"*" else b"GET"
    exchange = reader.feed(b"%b %b HTTP/1.1\r\nHost: a\r\n\r\n" % (method, target))
    assert exchange is not None
    scope = exchange.scope
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == (
        root.rstrip("/"),
        path,
        raw_path,
    )


def test_what_requests_may_change_is_their_own(twin: Twin) -> None:
    reader = make_reader(twin, state={"a": 1})
    first, second = reader.feed(GET), reader.feed(GET)
    assert first is not None
    assert second is not None
    first.scope["state"]["a"] = 2
    first.scope["extensions"]["x"] = {}
    first.scope["headers"].clear()
    assert second.scope["state"] == {"a": 1}
    assert "x" not in second.scope["extensions"]
    assert second.scope["headers"] == [(b"host", b"a")]


def test_what_requests_may_change_is_their_connections_own(twin: Twin) -> None:
    first, second = make_reader(twin).feed(GET), make_reader(twin).feed(GET)
    assert first is not None
    assert second is not None
    first.scope["asgi"]["x"] = 1
    for extension in first.scope["extensions"].values():
        extension["x"] = 1
    assert "x" not in second.scope["asgi"]
    assert second.scope["extensions"]
    assert not any(second.scope["extensions"].values())


# -- what comes behind -------------------------------------------------------------------------


def test_what_comes_behind_a_head_is_kept(twin: Twin) -> None:
    reader = make_reader(twin)
    assert reader.feed(POST[:20]) is None
    assert reader.pending == 20
    assert reader.feed(POST[20:] + b"xyz" + GET[:3]) is not None
    rest = reader.take_rest()
    assert rest == b"xyz" + GET[:3]
    assert reader.pending == 0
    reader.keep(rest[3:])
    reader.keep(GET[3:] + GET)
    for _ in range(2):
        exchange = reader.feed(b"")
        assert exchange is not None
        assert exchange.line == b"GET /"
    assert reader.feed(b"") is None


@pytest.mark.parametrize(("data", "expected"), [(b"HEAD / HTTP/9\r\n\r\n", True), (b"G", False)])
def test_a_refused_head_request_is_known(twin: Twin, data: bytes, expected: bool) -> None:
    reader = make_reader(twin)
    try:
        reader.feed(data)
    except BadRequest:
        assert expected
    assert reader.is_for_head() is expected


# -- responses ---------------------------------------------------------------------------------


def test_content_that_is_whole_has_a_length(twin: Twin) -> None:
    exchange = read(twin, GET)
    assert respond(exchange, b"abc", headers=[(b"X", b"y")]) == (
        b"HTTP/1.1 200 OK\r\nServer: monoceros\r\nX: y\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert (exchange.complete, exchange.keep_alive, exchange.sent) == (True, True, 3)


def test_content_in_pieces_is_chunked(twin: Twin) -> None:
    exchange = read(twin, GET)
    assert respond(exchange, b"a" * 17, b"", b"b") == (
        b"HTTP/1.1 200 OK\r\nServer: monoceros\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"11\r\naaaaaaaaaaaaaaaaa\r\n1\r\nb\r\n0\r\n\r\n"
    )


def test_http_1_0_ends_with_the_connection(twin: Twin) -> None:
    exchange = read(twin, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert respond(exchange, b"a", b"b").endswith(b"monoceros\r\nConnection: close\r\n\r\nab")
    assert not exchange.keep_alive
    assert not exchange.is_delimited


def test_http_1_0_is_kept_where_it_can_be(twin: Twin) -> None:
    exchange = read(twin, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"\r\nConnection: keep-alive\r\n\r\na" in respond(exchange, b"a")
    assert exchange.keep_alive


def test_never_more_than_announced(twin: Twin) -> None:
    exchange = read(twin, GET)
    sent = respond(exchange, b"ab", b"cde", headers=[(b"content-length", b"3")])
    assert sent.endswith(b"\r\n\r\nabc")
    assert exchange.complete


def test_less_than_announced_is_not_complete(twin: Twin) -> None:
    log = Recorder()
    exchange = read(twin, GET, make_core(twin, no_app, log=log))
    respond(exchange, b"ab", headers=[(b"content-length", b"3")])
    assert not exchange.complete
    assert log.warnings == [
        "Response of 2 octets is shorter than its Content-Length 3; closing the connection"
    ]


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_content(twin: Twin, status: int) -> None:
    exchange = read(twin, GET)
    assert respond(exchange, b"abc", status=status).endswith(b"Server: monoceros\r\n\r\n")
    assert exchange.complete


def test_head_is_answered_without_content(twin: Twin) -> None:
    exchange = read(twin, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert respond(exchange, b"abc", headers=[(b"content-length", b"9")]).endswith(
        b"content-length: 9\r\n\r\n"
    )
    assert exchange.complete


def test_switching_protocols(twin: Twin) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    exchange = read(twin, head)
    assert exchange.upgrade
    assert respond(exchange, b"", status=101, headers=[(b"Upgrade", b"websocket")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nServer: monoceros\r\n"
        b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    )


def test_the_application_asks_for_the_end(twin: Twin) -> None:
    exchange = read(twin, GET)
    sent = respond(exchange, b"a", headers=[(b"Connection", b"close")])
    assert sent.count(b"Connection: close") == 1
    assert not exchange.keep_alive


def test_the_connection_is_the_servers_own(twin: Twin) -> None:
    headers = [(b"Date", b"x"), (b"Server", b"x"), (b"Keep-Alive", b"x"), (b"Upgrade", b"h2c")]
    sent = respond(read(twin, GET), b"a", headers=headers)
    assert sent == b"HTTP/1.1 200 OK\r\nServer: monoceros\r\nContent-Length: 1\r\n\r\na"


def test_keep_alive_is_told(twin: Twin) -> None:
    core = make_core(twin, no_app, policy=Policy(keepalive_timeout=5))
    assert b"\r\nKeep-Alive: timeout=5\r\n\r\na" in respond(read(twin, GET, core), b"a")
    assert b"Keep-Alive" not in respond(read(twin, GET, core, trusted=True), b"a")


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200", []),
        (True, []),
        (99, []),
        (100, []),
        (1000, []),
        (200, [(b"a b", b"")]),
        (200, [(b"", b"")]),
        (200, [(b"a", b"\r\nb: c")]),
        (200, [(b"a", b"\0")]),
        (200, [("a", "b")]),
        (200, [(b"a", "b")]),
        (200, [(b"a", 1)]),
        (200, [(b"a",)]),
        (200, [5]),
        (200, [(b"content-length", b"1"), (b"content-length", b"1")]),
        (200, [(b"content-length", b"x")]),
    ],
)
def test_what_cannot_be_sent(twin: Twin, status: Any, headers: Any) -> None:
    exchange = read(twin, GET)
    with pytest.raises(InvalidResponse):
        exchange.start(status, headers)
    assert not exchange.started
    assert without_date(exchange.error(500)).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize(
    ("value", "expected"), [(b"text/event-stream; charset=utf-8", True), (b"text/plain", False)]
)
def test_streams_of_events_are_known(twin: Twin, kind: Any, value: bytes, expected: bool) -> None:
    exchange = read(twin, GET)
    exchange.start(200, [(b"Content-Type", kind(value))])
    assert exchange.is_stream is expected


def test_out_of_order(twin: Twin) -> None:
    exchange = read(twin, GET)
    with pytest.raises(InvalidResponse, match="not begun"):
        exchange.body(b"", False)
    exchange.start(200, [])
    with pytest.raises(InvalidResponse, match="begun before"):
        exchange.start(200, [])


def test_content_that_came_with_the_head(twin: Twin) -> None:
    reader = make_reader(twin)
    assert reader.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab") is not None
    assert reader.take_content(3) is None
    assert reader.take_content(-1) is None
    reader.keep(b"cGET")
    assert reader.take_content(3) == b"abc"
    assert reader.take_content(0) == b""
    assert reader.pending == 3
    assert reader.take_content(3) == b"GET"
    assert reader.pending == 0


def test_trailers(twin: Twin) -> None:
    exchange = read(twin, GET)
    exchange.start(200, [(b"Trailer", b"x")], True)
    assert not exchange.awaits_trailers
    assert exchange.body(b"ab", False).endswith(b"\r\n\r\n2\r\nab\r\n0\r\n")
    assert exchange.awaits_trailers
    assert exchange.trailers([(b"x", b"1")], True) == b"x: 1\r\n"
    assert exchange.trailers([(b"y", b"2"), (b"Content-Length", b"1")], False) == b"y: 2\r\n\r\n"
    assert exchange.complete


def test_trailers_before_the_end_of_the_content(twin: Twin) -> None:
    exchange = read(twin, GET)
    exchange.start(200, [], True)
    exchange.body(b"ab", True)
    with pytest.raises(InvalidResponse, match="before the content had ended"):
        exchange.trailers([(b"x", b"1")], False)
    assert exchange.body(b"", False) == b"0\r\n"


@pytest.mark.parametrize("more", [True, False])
def test_content_after_its_end(twin: Twin, more: bool) -> None:
    exchange = read(twin, GET)
    exchange.start(200, [], True)
    exchange.body(b"ab", False)
    with pytest.raises(InvalidResponse, match="after it had ended"):
        exchange.body(b"c", more)
    with pytest.raises(InvalidResponse, match="after it had ended"):
        exchange.file(1)
    assert exchange.trailers([], False) == b"\r\n"
    assert exchange.complete


def test_a_stream_is_not_what_a_refused_start_announced(twin: Twin) -> None:
    exchange = read(twin, GET)
    events = (b"content-type", b"text/event-stream")
    with pytest.raises(InvalidResponse):
        exchange.start(200, [events, (b"bad name", b"")])
    exchange.start(200, [])
    assert not exchange.is_stream


def test_content_that_nobody_took_is_given_again(twin: Twin) -> None:
    event = {"type": "http.request", "body": b"abc", "more_body": False}
    exchange = read(twin, GET)
    exchange.whole = b"abc"
    coroutine: Any = exchange.receive()
    with pytest.raises(KeyError):  # as a task does that is cancelled before it runs
        coroutine.throw(KeyError())
    coroutine = exchange.receive()
    coroutine.close()
    with pytest.raises(StopIteration) as found:
        exchange.receive().send(None)  # type: ignore[attr-defined]
    assert found.value.value == event
    assert (exchange.is_taken, exchange.whole) == (True, b"")

    async def taken() -> Any:
        exchange.is_taken, exchange.whole = False, b"abc"
        given: Any = exchange.receive()
        value = await given
        given.close()
        return value

    assert asyncio.run(taken()) == event
    assert exchange.is_taken


def test_a_file(twin: Twin) -> None:
    exchange = read(twin, GET)
    exchange.start(200, [])
    head, count = exchange.file(7)
    assert head.endswith(b"Content-Length: 7\r\n\r\n")
    exchange.count(3)
    exchange.count(4)
    assert (count, exchange.end_file(7), exchange.complete) == (7, b"", True)
    assert exchange.sent == 7


def test_a_file_that_has_become_shorter(twin: Twin) -> None:
    exchange = read(twin, GET)
    exchange.start(200, [])
    exchange.file(7)
    exchange.count(3)
    exchange.end_file(7)
    assert not exchange.complete


def test_a_file_is_cut_to_the_length(twin: Twin) -> None:
    exchange = read(twin, GET)
    exchange.start(200, [(b"content-length", b"3")])
    assert exchange.file(7)[1] == 3
    exchange.count(3)
    assert exchange.end_file(3) == b""
    assert exchange.complete


# -- both, on whatever comes -------------------------------------------------------------------


class Seen(NamedTuple):
    """All that can be seen of a reader and its exchanges."""

    scopes: list[object]
    rest: bytes
    verdict: str


def look(twin: Twin, parts: list[bytes], limits: Limits, rules: Rules, *, trusted: bool) -> Seen:
    reader = make_reader(twin, make_core(twin, no_app, limits=limits, rules=rules), trusted=trusted)
    found: list[object] = []
    try:
        for part in parts:
            exchange = reader.feed(part)
            while exchange is not None:
                found.append(facts(exchange))
                exchange = reader.feed(b"")
    except BadRequest as error:
        return Seen(found, b"", f"{error} {reader.is_for_head()}")
    pending = reader.pending
    rest = reader.take_rest()
    assert pending == len(rest)
    return Seen(found, rest, "")


def facts(exchange: Exchange) -> object:
    names = ("scope", "line", "minor", "content_length", "expect_continue", "upgrade")
    more = ("is_head", "keep_alive", "wants_close")
    return [getattr(exchange, name) for name in (*names, *more)]


@fuzz(1200)
@given(in_parts(HEADS), LIMITS, RULES, st.booleans())
def test_heads(both: Both, parts: list[bytes], limits: Limits, rules: Rules, trusted: bool) -> None:
    seen = [look(twin, parts, limits, rules, trusted=trusted) for twin in both]
    assert seen[0] == seen[1]


NAMES = st.sampled_from(
    [
        *(b"content-length", b"Content-Length", b"connection", b"upgrade", b"date", b"server"),
        *(b"transfer-encoding", b"trailer", b"x", b"X-Y", b"", b"a b", b"\xe9", "x", None),
    ]
)
VALUES = st.sampled_from(
    [
        b"",
        b"0",
        b"3",
        b"4",
        b" 3 ",
        b"03",
        b"close",
        b"x, Close",
        b"a\r\n",
        b"\xe9",
        b"\x7f",
        "x",
        3,
    ]
)
PAIRS = st.one_of(
    st.tuples(NAMES, VALUES),
    st.tuples(NAMES, VALUES).map(list),
    st.sampled_from([(b"a",), 5, b"ab", (b"a", b"b", b"c")]),
)
STATUSES = st.sampled_from([200, 200, 204, 304, 101, 404, 299, 100, 999, 1000, True, "200", None])
METHODS = st.sampled_from([b"GET", b"HEAD", b"CONNECT"])


@fuzz(1500)
@given(
    METHODS,
    st.booleans(),
    STATUSES,
    st.lists(PAIRS, max_size=3),
    st.lists(st.sampled_from([b"", b"a", b"abc", b"x" * 20000]), max_size=4),
    st.booleans(),
)
def test_responses(
    both: Both,
    method: bytes,
    is_old: bool,
    status: Any,
    headers: list[Any],
    pieces: list[bytes],
    trailers: bool,
) -> None:
    target = b"b:1" if method == b"CONNECT" else b"/"
    head = b"%b %b HTTP/1.%d\r\nHost: a\r\n\r\n" % (method, target, 0 if is_old else 1)
    results = []
    for twin in both:
        exchange = read(twin, head)
        output: list[bytes] = []
        try:
            exchange.start(status, headers, trailers)
            for place, piece in enumerate(pieces):
                output.append(exchange.body(piece, place < len(pieces) - 1))
            if exchange.awaits_trailers and pieces:
                output.append(exchange.trailers([(b"t", b"1")], False))
        except InvalidResponse as error:
            output.append(str(error).encode())
        state = (exchange.code, exchange.sent, exchange.started, exchange.complete)
        flags = (exchange.keep_alive, exchange.is_delimited, exchange.is_chunked)
        results.append((without_date(b"".join(output)), state, flags))
    assert results[0] == results[1]
