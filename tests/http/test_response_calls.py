"""``start_response``, ``write``, early hints, errors in the application, and what is counted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from monoceros.errors import StopWorker
from monoceros.http.types import CLOSE, LINGER
from tests.http.apps import GET_1_0, HEAD, answer, assert_500, returning
from tests.http.support import GET, Recorder, read_response, serve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monoceros.http.types import Environ, Field, StartResponse, Twin, WsgiApp


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


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "Connection", "Date", "Upgrade", "Keep-Alive"]
)
def test_early_hints_have_no_framing(twin: Twin, name: str) -> None:
    """RFC 9110 8.6: no Content-Length in 1xx; the rest is the server's."""
    hints, last = serve(twin, hinting([(name, "5"), ("Link", "a")]), GET).responses
    assert hints.fields == [("Link", "a")]
    assert last.body == b"a"


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
    assert served.core.drain_log() == b"GET /a?b HTTP/1.0 500 0\n"


def test_access_line_of_head(twin: Twin) -> None:
    log = Recorder("%(m)s %(s)s %(b)s")
    served = serve(twin, answer(b"hello"), HEAD, log=log)
    assert served.core.drain_log() == b"HEAD 200 0\n"


def test_counters(twin: Twin) -> None:
    served = serve(twin, answer(b"hello"), GET + GET)
    counters = served.core.counters()
    assert counters["requests"] == counters["responses"] == served.core.requests == 2
    assert counters["received"] == len(GET + GET)
    assert counters["errors"] == 0
