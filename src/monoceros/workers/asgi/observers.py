"""Who wants to know of each request: the access log, the hooks, and a logger of the user's own.

They see a request as those of WSGI do, by an environ that is made of its scope for them. One whose
client leaves before the response begins has a status all the same, so that logs have a line of it
and hooks need not expect that there is no response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.http.scope import decode_fields, status_line
from monoceros.workers.asgi.environ import fields_of, make_environ
from monoceros.wsgi.exchange import RequestView

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http.types import Core, Environ, Exchange
    from monoceros.workers.base import Worker
    from monoceros.wsgi.observers import Observers as WsgiObservers

# That of a request to which nothing was answered. No client ever sees it; nginx logs it as well.
_CLIENT_HAS_GONE = "499 Client Closed Request"


class Observers:
    """The observers of one worker, whose requests overlap."""

    def __init__(self, worker: Worker, inner: WsgiObservers) -> None:
        self._worker = worker
        self._inner = inner
        self._environs: dict[Exchange, tuple[Environ, RequestView]] = {}
        self._number = 0
        self.wants_requests = inner.wants_requests
        self.wants_ends = False
        self._is_needed_again = False  # what ``pre_request`` was given

    def attach(self, core: Core, wake: Callable[[], object]) -> None:
        """Take the Core whose log is written to; ``wake`` has its lines go out soon."""
        self._core: Core = core
        self.wake = wake
        self._is_needed_again = core.log.finished is not None
        self.wants_ends = core.log.access is not None or self._is_needed_again

    def begin(self, exchange: Exchange) -> None:
        """Run ``pre_request``; raises what it raises."""
        environ = make_environ(exchange, self._core.base_environ)
        view = self._view(environ)
        if self._is_needed_again:
            self._environs[exchange] = environ, view
        self._inner.call_before(view)
        if view.write_back():
            exchange.scope["headers"] = fields_of(environ)

    def _view(self, environ: Environ) -> RequestView:
        self._number += 1
        self._worker.nr = self._number
        return RequestView(environ, self._number)

    def end(self, exchange: Exchange, elapsed_us: int, sent: int | None = None) -> None:
        """Tell the access log and ``post_request``; ``sent`` where the exchange does not know."""
        found = self._environs.pop(exchange, None)
        environ = make_environ(exchange, self._core.base_environ) if found is None else found[0]
        self._inner.request = None if found is None else found[1]
        self._core.record_exchange(
            environ,
            _status(exchange),
            decode_fields(exchange.headers) if exchange.started else [],
            exchange.sent if sent is None else sent,
            elapsed_us,
            f"{exchange.line.decode('latin-1')} HTTP/1.{exchange.minor}",
        )
        self.wake()


def _status(exchange: Exchange) -> str:
    """Return the status of a response, without a phrase for the server's own errors."""
    if not exchange.started:
        return "" if _is_cut_off(exchange) else _CLIENT_HAS_GONE
    # An application's fields are a list, though it may be empty; those errors have none.
    is_applications = isinstance(exchange.headers, list)
    return status_line(exchange.code) if is_applications else str(exchange.code)


def _is_cut_off(exchange: Exchange) -> bool:
    """Whether it is the server that ends a request, because the worker does."""
    owner = getattr(exchange, "owner", None)  # WebSockets, which have none, are answered then
    return owner is not None and owner.calls.is_closing
