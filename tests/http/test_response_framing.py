"""Contents of responses: their framing (RFC 9112 section 6), and the iterables they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monoceros.http.types import AGAIN, CLOSE, Rules
from tests.http.apps import GET_1_0, HEAD, Closing, answer, assert_500, returning, stream
from tests.http.support import GET, read_responses, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from monoceros.http.types import Environ, StartResponse, Twin, WsgiApp


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
