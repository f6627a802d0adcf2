"""What hooks and loggers see of a request and its response, as Gunicorn shows it."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from monoceros.config import load
from monoceros.http.access import Entry
from monoceros.wsgi.exchange import RequestView, ResponseView
from monoceros.wsgi.observers import Observers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monoceros.http.types import Environ
    from monoceros.workers.base import Worker


def environ(uri: str = "/", method: str = "GET", protocol: str = "HTTP/1.1") -> Environ:
    return {
        "REQUEST_METHOD": method,
        "RAW_URI": uri,
        "SERVER_PROTOCOL": protocol,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": None,
    }


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("/a%20b?c=d#e", ("/a%20b", "c=d", "e")),
        ("//double/x", ("//double/x", "", "")),
        ("http://h/p?q", ("/p", "q", "")),
        ("*", ("*", "", "")),
    ],
)
def test_parts_of_the_target(uri: str, parts: tuple[str, str, str]) -> None:
    request = RequestView(environ(uri), 1)
    assert (request.path, request.query, request.fragment) == parts


@pytest.mark.parametrize(
    ("status", "length", "method", "protocol", "chunked"),
    [
        ("200 OK", None, "GET", "HTTP/1.1", True),
        ("200 OK", "5", "GET", "HTTP/1.1", False),
        ("200 OK", None, "GET", "HTTP/1.0", False),
        ("200 OK", None, "HEAD", "HTTP/1.1", False),
        ("204 No Content", None, "GET", "HTTP/1.1", False),
        ("304 Not Modified", None, "GET", "HTTP/1.1", False),
        ("500", None, "GET", "HTTP/1.1", False),
    ],
)
def test_chunked(
    status: str, length: str | None, method: str, protocol: str, chunked: bool
) -> None:
    fields = [] if length is None else [("Content-Length", length)]
    entry = Entry(environ("/", method, protocol), status, fields, 0, 0, "")
    assert ResponseView(entry).chunked is chunked


def test_status_always_has_a_phrase() -> None:
    """Recipes split it: an error that the server answers itself is no exception."""
    assert ResponseView(Entry(environ(), "500", [], 0, 0, "")).status == "500 Internal Server Error"
    assert ResponseView(Entry(environ(), "299 Odd", [], 0, 0, "")).status == "299 Odd"


@pytest.fixture
def observe(tmp_path: Path) -> Callable[[str], tuple[Observers, Worker]]:
    def make(config: str) -> tuple[Observers, Worker]:
        (tmp_path / "gunicorn.conf.py").write_text(config)
        cfg = load(["app:app"], {}, str(tmp_path), "monoceros")
        log = logging.getLogger("tests.exchange")
        log.wants_access_calls = lambda: False  # type: ignore[attr-defined]
        worker = cast("Worker", SimpleNamespace(cfg=cfg, log=log, nr=0))
        return Observers(worker), worker

    return make


def answer(observers: Observers) -> None:
    values = environ()
    observers.wrap(lambda environ, start_response: [])(values, lambda *args: None)  # type: ignore[arg-type]
    if observers.finished is not None:
        observers.finished(Entry(values, "200 OK", [], 0, 0, ""))


@pytest.mark.parametrize("before", ["", "def pre_request(worker, req): seen.append(worker.nr)\n"])
def test_hooks_see_how_many_requests_there_were(
    observe: Callable[[str], tuple[Observers, Worker]], before: str
) -> None:
    """As in Gunicorn: the number of those before, then with this one."""
    config = f"seen = []\n{before}def post_request(worker, req): seen.append(worker.nr)\n"
    observers, worker = observe(config)
    for _ in range(2):
        answer(observers)
    seen = worker.cfg.post_request.__wrapped__.__globals__["seen"]  # type: ignore[attr-defined]
    assert seen == ([0, 1, 1, 2] if before else [1, 2])


def test_pre_request_that_raises_is_named(
    observe: Callable[[str], tuple[Observers, Worker]], caplog: pytest.LogCaptureFixture
) -> None:
    observers, _ = observe("def pre_request(worker, req): raise OSError('x')\n")
    with pytest.raises(OSError, match="x"):
        answer(observers)
    assert [one.message for one in caplog.records] == ["Exception in hook pre_request"]
