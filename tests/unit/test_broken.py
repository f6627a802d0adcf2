"""The page in the place of an application that cannot be imported."""

from __future__ import annotations

import io
from wsgiref.handlers import SimpleHandler
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from monoceros.wsgi.broken import BrokenApplication


def test_page_shows_the_reason() -> None:
    environ: dict[str, str] = {"QUERY_STRING": ""}
    setup_testing_defaults(environ)
    output, errors = io.BytesIO(), io.StringIO()
    handler = SimpleHandler(io.BytesIO(), output, errors, environ)
    handler.run(validator(BrokenApplication("SyntaxError: <ä> \udcff")))
    head, _, page = output.getvalue().partition(b"\r\n\r\n")

    assert errors.getvalue() == ""
    assert b"SyntaxError: <\xc3\xa4> \\udcff\n" in page
    assert head.startswith(b"HTTP/1.0 500 Internal Server Error\r\n")
    assert b"Content-Type: text/plain; charset=utf-8\r\n" in head
    assert b"Content-Length: %d\r\n" % len(page) in head
