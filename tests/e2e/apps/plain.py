"""A WSGI application without a framework: each path shows one behaviour."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.e2e.apps.bulk import PIECE, pieces

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.http.types import Environ, StartResponse


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer ``/NAME/ARGUMENT`` by the function of that name."""
    _, name, *rest = environ["PATH_INFO"].split("/", 2)
    route = ROUTES.get(name)
    if route is None:
        return _answer(start_response, b"no such route", "404 Not Found")
    return route(environ, start_response, rest[0] if rest else "")


def _answer(start_response: StartResponse, body: bytes, status: str = "200 OK") -> Iterable[bytes]:
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]


def hello(environ: Environ, start_response: StartResponse, _: str) -> Iterable[bytes]:
    """Answer a few octets."""
    return _answer(start_response, b"hello")


def pid(environ: Environ, start_response: StartResponse, _: str) -> Iterable[bytes]:
    """Name the worker."""
    return _answer(start_response, b"%d" % os.getpid())


def sleep(environ: Environ, start_response: StartResponse, seconds: str) -> Iterable[bytes]:
    """Answer late."""
    time.sleep(float(seconds))
    return _answer(start_response, b"slept")


def upload(environ: Environ, start_response: StartResponse, _: str) -> Iterable[bytes]:
    """Answer the size and the hash of the content."""
    found = hashlib.sha256()
    size = 0
    while data := environ["wsgi.input"].read(PIECE):
        found.update(data)
        size += len(data)
    return _answer(start_response, b"%d %s" % (size, found.hexdigest().encode()))


def deny(environ: Environ, start_response: StartResponse, _: str) -> Iterable[bytes]:
    """Refuse without a look at the content."""
    return _answer(start_response, b"who are you?", "401 Unauthorized")


def whole(environ: Environ, start_response: StartResponse, size: str) -> Iterable[bytes]:
    """Answer ``size`` octets in one piece."""
    # Not zeros: memory that was never written to takes no room.
    return _answer(start_response, b"x" * int(size))


def stream(environ: Environ, start_response: StartResponse, size: str) -> Iterable[bytes]:
    """Answer ``size`` octets piece by piece, without a length."""
    start_response("200 OK", [])
    return pieces(int(size))


def drops(environ: Environ, start_response: StartResponse, size: str) -> Iterable[bytes]:
    """Answer ``size`` octets in very small pieces."""
    start_response("200 OK", [("Content-Length", size)])
    return (b"x" * 512 for _ in range(int(size) // 512))


def file(environ: Environ, start_response: StartResponse, size: str) -> Iterable[bytes]:
    """Answer a file of ``size`` octets, always the same one."""
    content = os.fdopen(os.dup(_stored(int(size)).fileno()), "rb")
    content.seek(0)
    start_response("200 OK", [("Content-Length", size)])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](content)
    return wrapped


@cache
def _stored(size: int) -> IO[bytes]:
    content = tempfile.TemporaryFile()  # noqa: SIM115
    for piece in pieces(size):
        content.write(piece)
    content.flush()
    return content


def descriptor(environ: Environ, start_response: StartResponse, _: str) -> Iterable[bytes]:
    """Answer the number that the application's next descriptor gets."""
    with Path(os.devnull).open("rb") as found:
        return _answer(start_response, b"%d" % found.fileno())


ROUTES = {
    route.__name__: route
    for route in (pid, sleep, upload, deny, whole, stream, drops, file, descriptor)
} | {"": hello}
