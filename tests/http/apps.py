"""Small applications that the tests of responses share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.http.types import LINGER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monoceros.http.types import Environ, Field, StartResponse, WsgiApp
    from tests.http.support import Served

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
