"""Responses: PEP 3333, RFC 9112 section 6, and what an application may not do to either."""

from __future__ import annotations

import re
import sys
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from monoceros.errors import StopWorker
from monoceros.http.errors import InvalidResponse
from monoceros.http.types import AGAIN, CLOSE, LINGER, Policy, Rules
from tests.http.support import GET, Recorder, Served, read_response, read_responses, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from monoceros.http.types import Environ, Field, StartResponse, Twin, WsgiApp

GET_1_0 = b"GET / HTTP/1.0\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"


def answer(*chunks: bytes, status: str = "200 OK", fields: Iterable[Field] = ()) -> WsgiApp:
    """An application that returns a list."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response(status, list(fields))
        return list(chunks)

    return app


def stream(*chunks: bytes, status: str = "200 OK", fields: Iterable[Field] = ()) -> WsgiApp:
    """An application that is a generator."""

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response(status, list(fields))
        yield from chunks

    return app


class Closing:
    """An iterable that counts calls of ``close``."""

    def __init__(self, chunks: Iterable[bytes], error: BaseException | None = None) -> None:
        self.chunks = iter(chunks)
        self.error = error
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


def returning(result: Iterable[bytes], fields: Iterable[Field] = ()) -> WsgiApp:
    """An application that returns a given object."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", list(fields))
        return result

    return app


def assert_500(served: Served) -> None:
    """The one answer is the server's own error, and the connection ends."""
    response = served.response
    assert (response.status, response.reason) == (500, "Internal Server Error")
    assert response.body == b"500 Internal Server Error\n"
    assert response.get("Connection") == "close"
    assert response.get("Content-Length") == "26"
    assert response.get("Date")
    assert served.code == LINGER
    assert len(served.log.failures) == 1


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


# -- framing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [(), (b"",), (b"a",), (b"a", b"", b"b"), (b"a" * 100_000,)])
def test_a_list_has_a_length(twin: Twin, chunks: tuple[bytes, ...]) -> None:
    for request in (GET, GET_1_0):
        response = serve(twin, answer(*chunks), request).response
        assert response.get("Content-Length") == str(len(b"".join(chunks)))
        assert response.get("Transfer-Encoding") is None
        assert response.body == b"".join(chunks)


def test_a_tuple_is_as_good_as_a_list(twin: Twin) -> None:
    assert serve(twin, returning((b"a", b"b")), GET).response.get("Content-Length") == "2"


@pytest.mark.parametrize("chunks", [(b"a",), (b"", b"a", b"", b"bc"), (b"a" * 100_000, b"b")])
def test_a_generator_is_sent_in_chunks(twin: Twin, chunks: tuple[bytes, ...]) -> None:
    served = serve(twin, stream(*chunks), GET)
    response = served.response
    assert response.get("Transfer-Encoding") == "chunked"
    assert response.get("Content-Length") is None
    assert response.body == b"".join(chunks)
    assert response.whole
    assert served.code == AGAIN
    assert served.output.endswith(b"0\r\n\r\n")


def test_a_generator_without_content(twin: Twin) -> None:
    for chunks in ((), (b"", b"")):
        served = serve(twin, stream(*chunks), GET)
        assert served.response.body == b""
        assert served.response.get("Content-Length") == "0"
        assert served.code == AGAIN


def test_a_generator_on_http_1_0_ends_with_the_connection(twin: Twin) -> None:
    """RFC 9112 6.1: no chunks to HTTP/1.0."""
    head = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    served = serve(twin, stream(b"a", b"b"), head)
    response = served.response
    assert response.get("Transfer-Encoding") is None
    assert response.get("Content-Length") is None
    assert response.get("Connection") == "close"
    assert response.body == b"ab"
    assert served.code != AGAIN


def test_the_applications_length_is_kept(twin: Twin) -> None:
    for kind in (answer, stream):
        served = serve(twin, kind(b"hel", b"lo", fields=[("content-LENGTH", "5")]), GET)
        assert served.response.get("Content-Length") == "5"
        assert b"content-LENGTH: 5" in served.output
        assert served.response.get("Transfer-Encoding") is None
        assert served.response.body == b"hello"
        assert served.code == AGAIN


@pytest.mark.parametrize(
    "value", ["-5", "+5", "5, 5", "", "0x5", "5.0", "five", "1_0", "\xb2", "5 5", "1" * 19]
)
def test_a_length_that_is_no_number(twin: Twin, value: str) -> None:
    for kind in (answer, stream):
        assert_500(serve(twin, kind(b"hello", fields=[("Content-Length", value)]), GET))


def test_two_lengths(twin: Twin) -> None:
    fields = [("Content-Length", "5"), ("content-length", "5")]
    for kind in (answer, stream):
        assert_500(serve(twin, kind(b"hello", fields=fields), GET))


def test_never_more_than_the_length(twin: Twin) -> None:
    """What is over would be taken for the next response."""
    for kind in (answer, stream):
        for chunks in ((b"hello", b"!"), (b"hel", b"lo!", b"!"), (b"hello" + b"!" * 50_000,)):
            served = serve(twin, kind(*chunks, fields=[("Content-Length", "5")]), GET, GET)
            assert [response.body for response in served.responses] == [b"hello"] * 2


def test_a_response_that_ends_short_ends_the_connection(twin: Twin) -> None:
    for kind in (answer, stream):
        served = serve(twin, kind(b"hel", fields=[("Content-Length", "5")]), GET + GET)
        assert served.response.body == b"hel"
        assert not served.response.whole
        assert served.code == CLOSE
        assert len(served.log.warnings) == 1


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("kind", [answer, stream])
@pytest.mark.parametrize("request_head", [GET, GET_1_0])
def test_statuses_without_content(
    twin: Twin, status: str, kind: Callable[..., WsgiApp], request_head: bytes
) -> None:
    served = serve(twin, kind(b"hello", status=status), request_head)
    response = served.response
    assert response.get("Transfer-Encoding") is None
    assert b"hello" not in served.output
    assert served.output.endswith(b"\r\n\r\n")


def test_length_of_statuses_without_content(twin: Twin) -> None:
    """RFC 9110 8.6: none in 1xx and 204; in 304 it is that of the 200."""
    fields = [("Content-Length", "5")]
    assert b"ength" not in serve(twin, answer(status="204 a", fields=fields), GET).output
    assert (
        b"Content-Length: 5\r\n" in serve(twin, answer(status="304 a", fields=fields), GET).output
    )


@pytest.mark.parametrize("kind", [answer, stream])
def test_head_has_no_content(twin: Twin, kind: Callable[..., WsgiApp]) -> None:
    served = serve(twin, kind(b"hello"), HEAD, GET)
    first, second = read_responses(served.output, "HEAD", "GET")
    assert first.status == second.status == 200
    assert second.body == b"hello"


@pytest.mark.parametrize("kind", [answer, stream])
def test_head_keeps_the_applications_length(twin: Twin, kind: Callable[..., WsgiApp]) -> None:
    served = serve(twin, kind(b"", fields=[("Content-Length", "5")]), HEAD)
    ((response),) = read_responses(served.output, "HEAD")
    assert response.get("Content-Length") == "5"
    assert served.code == AGAIN
    assert served.log.warnings == []


def test_an_error_in_answer_to_head_has_no_content(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        raise RuntimeError

    served = serve(twin, app, HEAD)
    assert served.output.startswith(b"HTTP/1.1 500 ")
    assert served.output.endswith(b"\r\n\r\n")
    refused = serve(twin, app, b"HEAD / HTTP/1.1\r\n\r\n")
    assert refused.output.startswith(b"HTTP/1.1 400 ")
    assert refused.output.endswith(b"\r\n\r\n")


def test_a_folded_head_request_has_no_content(twin: Twin) -> None:
    request = b"head / HTTP/1.1\r\nHost: a\r\n\r\n"
    served = serve(twin, answer(b"hello"), request, rules=Rules(casefold_http_method=True))
    assert b"hello" not in served.output


# -- the iterable ------------------------------------------------------------------------------


@pytest.mark.parametrize("item", ["a", "", 1, 0, None, bytearray(b"a"), memoryview(b"a")], ids=repr)
def test_items_that_are_not_bytes(twin: Twin, item: bytes) -> None:
    for result in ([item], iter([item])):
        served = serve(twin, returning(result), GET)
        assert_500(served)
        assert isinstance(served.log.failures[0][1], TypeError)


@pytest.mark.parametrize("result", [None, 5, "text", b"bytes"], ids=repr)
def test_results_that_are_no_iterables_of_bytes(twin: Twin, result: Iterable[bytes]) -> None:
    assert_500(serve(twin, returning(result), GET))


def test_close_is_called_once(twin: Twin) -> None:
    for chunks in ([], [b"a"], [b"a", b"b"]):
        result = Closing(chunks)
        assert serve(twin, returning(result), GET).code == AGAIN
        assert result.closed == 1


def test_close_is_called_for_head(twin: Twin) -> None:
    result = Closing([b"a"])
    serve(twin, returning(result), HEAD)
    assert result.closed == 1


def test_close_is_called_when_the_iterable_raises(twin: Twin) -> None:
    def chunks() -> Iterator[bytes]:
        yield b""
        raise ValueError

    result = Closing(chunks())
    assert_500(serve(twin, returning(result), GET))
    assert result.closed == 1


def test_close_is_called_when_the_fields_are_bad(twin: Twin) -> None:
    result = Closing([b"a"])
    assert_500(serve(twin, returning(result, [("X", "\n")]), GET))
    assert result.closed == 1


def test_close_is_called_when_it_was_not_iterated(twin: Twin) -> None:
    class Broken(Closing):
        def __iter__(self) -> Iterator[bytes]:
            raise ValueError

    result = Broken([])
    assert_500(serve(twin, returning(result), GET))
    assert result.closed == 1


def test_an_error_in_close_comes_after_the_answer(twin: Twin) -> None:
    """The answer is whole and goes out; the error is logged."""
    error = ValueError()
    served = serve(twin, returning(Closing([b"a"], error)), GET)
    assert served.response.body == b"a"
    assert served.response.whole
    assert [failure for _, failure in served.log.failures] == [error]


def test_subclasses_of_list_are_closed(twin: Twin) -> None:
    class Result(list):  # type: ignore[type-arg]
        closed = 0

        def close(self) -> None:
            self.closed += 1

    result = Result([b"a"])
    assert serve(twin, returning(result), GET).response.body == b"a"
    assert result.closed == 1


# -- start_response and write ------------------------------------------------------------------


def test_start_response_may_come_with_the_first_chunk(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        yield b""
        start_response("201 Created", [])
        yield b"a"

    assert serve(twin, app, GET).response.status == 201


def test_start_response_that_never_comes(twin: Twin) -> None:
    results: list[Iterable[bytes]] = [[], [b"a"], iter([b"a"]), iter([])]

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return results.pop()

    while results:
        assert_500(serve(twin, app, GET))


def test_start_response_twice(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    served = serve(twin, app, GET)
    assert_500(served)
    assert isinstance(served.log.failures[0][1], AssertionError)


def test_exc_info_replaces(twin: Twin) -> None:
    """PEP 3333: the fields given before are gone, and not appended to."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("X", "1"), ("Content-Length", "100")])
        try:
            raise ValueError
        except ValueError:
            start_response("502 Bad", [("Y", "2")], sys.exc_info())  # type: ignore[arg-type]
        return [b"sorry"]

    served = serve(twin, app, GET)
    assert served.response.status == 502
    assert served.response.get("X") is None
    assert served.response.get("Y") == "2"
    assert served.response.get("Content-Length") == "5"
    assert served.log.failures == []


def test_exc_info_is_raised_once_the_head_is_gone(twin: Twin) -> None:
    reached = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        try:
            raise ValueError("late")
        except ValueError:
            start_response("500 Bad", [], sys.exc_info())  # type: ignore[arg-type]
            reached.append(True)
        yield b"b"

    served = serve(twin, app, GET)
    assert reached == []
    assert str(served.log.failures[0][1]) == "late"
    assert served.response.status == 200
    assert not served.response.whole
    assert served.code == CLOSE


def test_exc_info_as_keyword(twin: Twin) -> None:
    """PEP 3333 names the parameter, but calls are positional; frameworks use both."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [], None)
        return [b"a"]

    assert serve(twin, app, GET).response.body == b"a"


def test_fields_may_be_changed_until_they_are_sent(twin: Twin) -> None:
    """PEP 3333 gives the list to the server, which may look at it late."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        fields = [("X", "1")]
        start_response("200 OK", fields)
        return [b"a"]

    assert serve(twin, app, GET).response.get("X") == "1"


def test_write(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"a")
        write(b"")
        write(b"b" * 20_000)
        return [b"c", b"d"]

    for request in (GET, GET_1_0):
        served = serve(twin, app, request)
        assert served.response.body == b"a" + b"b" * 20_000 + b"cd"
        assert served.response.whole


def test_write_with_a_length(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "3")])
        write(b"a")
        write(b"bcd")
        return [b"e"]

    assert serve(twin, app, GET).response.body == b"abc"


def test_write_of_what_is_not_bytes(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])("text")  # type: ignore[arg-type]
        return []

    served = serve(twin, app, GET)
    assert_500(served)


def test_an_empty_write_sends_nothing(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])(b"")
        try:
            raise ValueError
        except ValueError:
            start_response("404 No", [], sys.exc_info())  # type: ignore[arg-type]
        return []

    assert serve(twin, app, GET).response.status == 404


# -- errors in the application -----------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ValueError("secret"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr
)
def test_an_error_before_anything_was_sent(twin: Twin, error: BaseException) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("X", "secret")])
        raise error

    served = serve(twin, app, GET + GET)
    assert_500(served)
    assert served.log.failures == [(served.log.failures[0][0], error)]
    assert served.log.failures[0][0]["PATH_INFO"] == "/"
    assert b"secret" not in served.output
    assert served.core.counters()["errors"] == 1


def test_an_error_after_the_head_was_made(twin: Twin) -> None:
    """What nobody has seen is taken back."""

    def chunks() -> Iterator[bytes]:
        yield b""
        raise ValueError

    served = serve(twin, returning(chunks(), [("X", "1")]), GET)
    assert_500(served)
    assert served.response.get("X") is None


@pytest.mark.parametrize("error", [ValueError("secret"), SystemExit(3)], ids=repr)
def test_an_error_in_the_middle_cuts_the_connection(twin: Twin, error: BaseException) -> None:
    for fields in ([], [("Content-Length", "10")]):

        def app(
            environ: Environ, start_response: StartResponse, fields: list[Field] = fields
        ) -> Iterator[bytes]:
            start_response("200 OK", fields)
            yield b"hello"
            raise error

        served = serve(twin, app, GET + GET)
        assert served.code == CLOSE
        assert served.response.body == b"hello"
        assert not served.response.whole
        assert served.log.failures[0][1] is error


def test_an_error_after_the_whole_length_was_sent(twin: Twin) -> None:
    """The client has a whole response; the connection still ends, as its state is unclear."""

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        yield b"hello"
        raise ValueError

    served = serve(twin, app, GET + GET)
    assert served.response.whole
    assert served.code == CLOSE
    assert len(served.log.failures) == 1


def test_a_pipelined_answer_before_an_error_is_kept(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/bad":
            raise ValueError
        start_response("200 OK", [])
        return [b"a"]

    served = serve(twin, app, GET + GET + b"GET /bad HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    assert [response.status for response in served.responses] == [200, 200, 500]


def test_stop_worker_passes(twin: Twin) -> None:
    """The signal handler's own exception ends the worker, and the request with it."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        raise StopWorker(0)

    with pytest.raises(StopWorker):
        serve(twin, app, GET)


def test_a_request_can_be_aborted(twin: Twin) -> None:
    served = serve(twin, answer(b"a"))
    served.conn.feed(GET)
    request = served.conn.take()
    assert request is not None
    assert request.abort(TimeoutError()) == LINGER
    response, _ = read_response(served.conn.data_to_send())
    assert response.status == 500


def test_a_connection_can_be_rejected(twin: Twin) -> None:
    for status in (408, 503, 500):
        served = serve(twin, answer(b"a"), b"GET / HT")
        assert served.conn.reject(status) == LINGER
        response, rest = read_response(served.conn.data_to_send())
        assert response.status == status
        assert response.get("Connection") == "close"
        assert response.get("Date")
        assert (response.get("Retry-After") is not None) == (status == 503)
        assert rest == b""


# -- early hints -------------------------------------------------------------------------------


def hinting(*hints: list[Field]) -> WsgiApp:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        for fields in hints:
            environ["wsgi.early_hints"](fields)
        start_response("200 OK", [])
        return [b"a"]

    return app


def test_early_hints(twin: Twin) -> None:
    """RFC 8297."""
    link = ("Link", "</style.css>; rel=preload")
    served = serve(twin, hinting([link], [("Link", "</b>")]), GET)
    first, second, last = served.responses
    assert (first.status, first.fields) == (103, [link])
    assert (second.status, last.status) == (103, 200)


def test_early_hints_are_not_for_http_1_0(twin: Twin) -> None:
    assert serve(twin, hinting([("Link", "a")]), GET_1_0).response.status == 200


def test_early_hints_after_the_head_are_nothing(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        environ["wsgi.early_hints"]([("Link", "a")])
        yield b"b"

    assert serve(twin, app, GET).response.body == b"ab"


@pytest.mark.parametrize("field", [("X", "a\r\nb"), ("X\n", "a"), ("X", 1)], ids=repr)
def test_early_hints_are_checked(twin: Twin, field: Field) -> None:
    assert_500(serve(twin, hinting([field]), GET))


# -- the access log and the counters -----------------------------------------------------------


def test_access_lines(twin: Twin) -> None:
    log = Recorder('%(m)s %(U)s %(s)s %(B)s %(b)s "%({X}o)s" %(H)s')
    served = serve(twin, answer(b"hello", fields=[("x", 'a"b')]), GET, log=log)
    assert served.core.drain_log() == b'GET / 200 5 5 "a\\"b" HTTP/1.1\n'
    assert served.core.drain_log() == b""


def test_access_line_of_an_error(twin: Twin) -> None:
    log = Recorder("%(r)s %(s)s %(b)s")

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        raise ValueError

    served = serve(twin, app, b"GET /a?b HTTP/1.0\r\n\r\n", log=log)
    assert served.core.drain_log() == b"GET /a?b HTTP/1.0 500 -\n"


def test_access_line_of_head(twin: Twin) -> None:
    log = Recorder("%(m)s %(s)s %(b)s")
    served = serve(twin, answer(b"hello"), HEAD, log=log)
    assert served.core.drain_log() == b"HEAD 200 -\n"


def test_counters(twin: Twin) -> None:
    served = serve(twin, answer(b"hello"), GET + GET)
    counters = served.core.counters()
    assert counters["requests"] == counters["responses"] == served.core.requests == 2
    assert counters["received"] == len(GET + GET)
    assert counters["errors"] == 0
