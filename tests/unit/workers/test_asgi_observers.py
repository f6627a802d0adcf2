"""What the observers of an ASGI worker keep of its requests."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.config.hooks import ignore
from monoceros.http.environ import base_environ
from monoceros.workers.asgi.observers import Observers
from monoceros.wsgi.observers import Observers as WsgiObservers

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeCore:
    """Keeps what it is told, like the access log behind it."""

    def __init__(self, finished: Callable[[Any], None] | None, access: object = None) -> None:
        self.log = SimpleNamespace(access=access, finished=finished)
        self.base_environ = base_environ("software", None, multithread=False, multiprocess=False)
        self.told: list[tuple[Any, ...]] = []

    def record_exchange(self, *facts: Any) -> None:
        """Take note."""
        self.told.append(facts)


class FakeExchange:
    """A request that can be watched."""

    line = b"GET /a?b"
    minor = 1
    started = True
    code = 101
    sent = 7

    def __init__(self) -> None:
        self.headers: Any = [(b"a", b"b")]
        self.scope = {
            "root_path": "",
            "path": "/a",
            "query_string": b"b",
            "scheme": "ws",
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 5000),
            "headers": [(b"host", b"a")],
        }


def observe(
    post_request: Callable[..., object] = ignore, access: object = None
) -> tuple[Any, FakeCore, list[Any]]:
    """Return observers with ``pre_request``, their Core, and the requests that the hook gets."""
    seen: list[Any] = []
    cfg = SimpleNamespace(
        pre_request=lambda worker, request: seen.append((request.scheme, request.path)),
        post_request=post_request,
        loglevel="info",
    )
    log = SimpleNamespace(wants_access_calls=lambda: False)
    worker: Any = SimpleNamespace(cfg=cfg, log=log, nr=0)
    inner = WsgiObservers(worker)
    core = FakeCore(inner.finished, access)
    observers = Observers(worker, inner)
    observers.attach(core, lambda: None)  # type: ignore[arg-type]
    return observers, core, seen


@pytest.mark.parametrize(
    ("post_request", "access", "wants_ends"),
    [(ignore, None, False), (ignore, object(), True), (print, None, True)],
    ids=["alone", "access-log", "post_request"],
)
def test_nothing_is_kept_of_a_request_that_is_over(
    post_request: Callable[..., object], access: object, wants_ends: bool
) -> None:
    observers, _core, seen = observe(post_request, access)
    assert observers.wants_requests
    assert observers.wants_ends == wants_ends
    exchange = FakeExchange()
    observers.begin(exchange)
    if post_request is print:
        observers.end(exchange, 1000)  # the others may not be asked for it
    assert seen == [("http", "/a")]
    watched = weakref.ref(exchange)
    del exchange
    gc.collect()
    assert watched() is None


@pytest.mark.parametrize(("sent", "expected"), [(None, 7), (0, 0), (12, 12)])
def test_octets_may_be_known_better(sent: int | None, expected: int) -> None:
    observers, core, _ = observe(print)
    observers.end(FakeExchange(), 1000, sent)
    [(environ, status, headers, told, elapsed_us, line)] = core.told
    assert environ["wsgi.url_scheme"] == "http"
    assert (status, headers) == ("101 Switching Protocols", [("a", "b")])
    assert (told, elapsed_us, line) == (expected, 1000, "GET /a?b HTTP/1.1")


@pytest.mark.parametrize(
    ("headers", "code", "expected"),
    [
        ([], 200, ("200 OK", [])),
        ([], 299, ("299 ", [])),
        ((), 500, ("500", [])),  # the server's own
    ],
)
def test_a_response_without_fields_may_be_the_applications(
    headers: object, code: int, expected: object
) -> None:
    observers, core, _ = observe(print)
    exchange = FakeExchange()
    exchange.headers, exchange.code = headers, code
    observers.end(exchange, 1000)
    assert core.told[0][1:3] == expected


@pytest.mark.parametrize("code", [0, 200], ids=["nothing", "begun"])
def test_a_client_that_has_gone_has_a_status(code: int) -> None:
    observers, core, _ = observe(print)
    exchange = FakeExchange()
    exchange.started, exchange.code, exchange.sent = False, code, 0
    observers.end(exchange, 1000)
    assert core.told[0][1:4] == ("499 Client Closed Request", [], 0)
