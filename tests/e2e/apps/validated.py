"""An application and a server that ``wsgiref.validate`` looks at from between them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from wsgiref.validate import validator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.http.types import Environ, StartResponse


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the content in each way that PEP 3333 knows, and answer it in the way of the path."""
    stream = environ["wsgi.input"]
    data = b"".join([stream.read(3), stream.readline(), *stream.readlines(8), *stream])
    environ["wsgi.errors"].write("echo\n")
    environ["wsgi.errors"].flush()
    fields = [("Content-Type", "application/octet-stream")]
    if environ["PATH_INFO"] == "/write":
        write = start_response("200 OK", fields)
        write(data)
        return []
    if environ["PATH_INFO"] == "/failed":
        try:
            raise ValueError("expected")
        except ValueError as error:
            exc_info = (ValueError, error, error.__traceback__)
            start_response("503 Service Unavailable", fields, exc_info)  # type: ignore[arg-type]
            return [data]
    if environ["PATH_INFO"] == "/none":
        start_response("204 No Content", [])
        return []
    start_response("200 OK", fields)
    return (part for part in (data[:5], b"", data[5:]))


app = validator(echo)
