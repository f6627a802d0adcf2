"""``wsgiref.validate`` finds nothing, whatever kind of request comes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast
from wsgiref.validate import validator

import pytest

from monoceros.http.environ import base_environ
from monoceros.http.types import AGAIN, Limits, Policy
from tests.http.link import Link
from tests.http.support import GET, Errors, Recorder, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from monoceros.http.types import Environ, StartResponse, Twin, WsgiApp

POST = (
    b"POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\n"
    b"one\ntwo\n"
)
CHUNKED = (
    b"PUT /%e9 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\none\n\r\n4\r\ntwo\n\r\n0\r\nX: y\r\n\r\n"
)
REQUESTS = {
    "GET": GET,
    "GET with fields": b"GET /a%20b?c=d HTTP/1.1\r\nHost: h:1\r\nX: 1\r\nx: 2\r\nCookie: a\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "absolute-form": b"GET http://b/c HTTP/1.1\r\nHost: b\r\n\r\n",
    "HEAD": b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "DELETE": b"DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST": POST,
    "POST without content": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "chunks": CHUNKED,
    "pipeline": GET + POST + CHUNKED + GET,
}
FIELDS = [("Content-Type", "text/plain")]


def read(environ: Environ) -> None:
    """All the readers that the validator knows."""
    body = environ["wsgi.input"]
    body.read(1)
    body.readline()
    body.readlines()
    list(body)
    body.read(10)
    environ["wsgi.errors"].write("a")
    environ["wsgi.errors"].writelines(["b"])
    environ["wsgi.errors"].flush()


def plain(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    read(environ)
    start_response("200 OK", list(FIELDS))
    return [b"a", b"b"]


def generator(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    def chunks() -> Iterator[bytes]:
        yield b"a"
        read(environ)
        yield b"b"

    start_response("200 OK", list(FIELDS))
    return chunks()


def writing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", list(FIELDS))
    write(b"a")
    return [b"b"]


def replacing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", list(FIELDS))
    try:
        raise ValueError
    except ValueError:
        start_response("500 Sorry", list(FIELDS), sys.exc_info())  # type: ignore[arg-type]
    return [b"ab"]


def empty(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return []


def validated(app: Callable[..., Any]) -> WsgiApp:
    return cast("WsgiApp", validator(app))


APPS: list[Callable[..., Any]] = [plain, generator, writing, replacing, empty]


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("app", APPS, ids=lambda app: app.__name__)
@pytest.mark.parametrize("pieces", [1, 3])
def test_nothing_is_found(twin: Twin, name: str, app: Callable[..., Any], pieces: int) -> None:
    data = REQUESTS[name]
    size = -(-len(data) // pieces)
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    served = serve(twin, validated(app), *parts, log=Recorder(), limits=Limits(body_memory=4))
    assert [error for _, error in served.log.failures] == []
    assert served.core.counters()["responses"] == (4 if name == "pipeline" else 1)


def test_nothing_is_found_over_a_unix_socket(twin: Twin) -> None:
    with Link(twin, validated(plain), "unix") as link:
        assert link.ask(GET + POST) == AGAIN
        assert [response.status for response in link.responses()] == [200, 200]
        assert link.log.failures == []


def test_nothing_is_found_in_a_stream(twin: Twin) -> None:
    with Link(twin, validated(plain), policy=Policy(request_buffering=False)) as link:
        link.send(POST[:-4])
        link.start()
        link.send(POST[-4:])
        link.half_close()
        assert link.receive_to_end().startswith(b"HTTP/1.1 200")
        link.join()
        assert link.log.failures == []


def test_wsgi_errors_is_the_given_one(twin: Twin) -> None:
    errors = Errors()
    serve(twin, validated(plain), GET, base=base_environ("a", errors, True, False))
    assert errors.text == "ab"
