"""The demo application: a page for people, text for programs, nothing unescaped."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from monoceros import http
from monoceros.demo import app

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http.types import Environ

EVIL = '/"><script>alert(1)</script>&amp;'


def ask(**extra: str) -> tuple[dict[str, str], str]:
    environ: Environ = {"QUERY_STRING": "", "SCRIPT_NAME": "", "PATH_INFO": "/"}
    environ |= {"SERVER_SOFTWARE": "monoceros/x", **extra}
    setup_testing_defaults(environ)
    answer: list[tuple[str, dict[str, str]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], object]:
        answer.append((status, dict(headers)))
        return lambda data: None

    result = validator(app)(environ, start_response)
    body = b"".join(result).decode()
    getattr(result, "close")()  # noqa: B009 - PEP 3333 promises no type that has it
    status, fields = answer[0]
    assert status == "200 OK"
    assert int(fields["Content-Length"]) == len(body.encode())
    return fields, body


class Page(HTMLParser):
    """Collects tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_text() -> None:
    fields, body = ask(PATH_INFO="/a", QUERY_STRING="b=c", HTTP_X_SEEN="yes", REMOTE_ADDR="::1")
    assert fields["Content-Type"] == "text/plain; charset=utf-8"
    for line in (
        "Method: GET",
        "Path: /a",
        "Query: b=c",
        "Client: ::1",
        "X-Seen: yes",
        "Software: monoceros/x",
        f"HTTP implementation: {http.IMPL} ({http.IMPL_REASON})",
        f"Worker process: {os.getpid()}",
    ):
        assert f"  {line}\n" in body


def test_page() -> None:
    fields, body = ask(HTTP_ACCEPT="text/html,*/*", PATH_INFO="/caf\u00c3\u00a9")
    assert fields["Content-Type"] == "text/html; charset=utf-8"
    page = Page(body)
    assert "/café" in page.text
    assert f"{http.IMPL} ({http.IMPL_REASON})" in page.text


@pytest.mark.parametrize("key", ["PATH_INFO", "QUERY_STRING", "HTTP_X_EVIL", "SERVER_SOFTWARE"])
def test_everything_is_escaped(key: str) -> None:
    page = Page(ask(HTTP_ACCEPT="text/html", **{key: EVIL})[1])
    assert "script" not in page.tags
    assert EVIL in page.text


def test_a_unix_socket_has_no_address() -> None:
    assert "Client: a unix socket" in ask(REMOTE_ADDR="")[1]
