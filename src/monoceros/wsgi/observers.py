"""Who wants to know of each request: the hooks around it, and a logger of the user's own.

None of it is on the way of a server without them: the application is called as it is, and the
access log's lines are written where the response is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.config.hooks import ignore, log_request
from monoceros.wsgi.exchange import RequestView, ResponseView, request_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monoceros.http.access import Entry
    from monoceros.http.types import Environ, StartResponse, WsgiApp
    from monoceros.workers.base import Worker


class Observers:
    """The observers of one thread that runs the application, one request at a time."""

    def __init__(self, worker: Worker) -> None:
        """Ask the settings and the logger; the application has been imported by now."""
        cfg, log = worker.cfg, worker.log
        self._worker = worker
        self.request: RequestView | None = None
        self._number = 0
        self._pre_request = cfg.pre_request
        self._post_request = cfg.post_request
        self.wants_requests = cfg.pre_request is not log_request or cfg.loglevel == "debug"
        self.wants_calls = log.wants_access_calls()
        self.wants_ends = cfg.post_request is not ignore

    def wrap(self, app: WsgiApp) -> WsgiApp:
        """Return the application with ``pre_request`` before it."""
        if not self.wants_requests:
            return app

        def call(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            self._begin(environ)
            return app(environ, start_response)

        return call

    @property
    def finished(self) -> Callable[[Entry], None] | None:
        """What to call at the end of each request, if anything."""
        return self._finish if self.wants_calls or self.wants_ends else None

    def _begin(self, environ: Environ) -> None:
        self._worker.nr = self._number
        self.request = request = self._view(environ)
        self.call_before(request)
        request.write_back()

    def call_before(self, request: RequestView) -> None:
        """Run ``pre_request``; raises what it raises."""
        try:
            self._pre_request(self._worker, request)
        except Exception:  # border: a hook is the user's code
            self._worker.log.error("Exception in hook pre_request")
            raise

    def _view(self, environ: Environ) -> RequestView:
        self._number += 1
        return RequestView(environ, self._number)

    def _finish(self, entry: Entry) -> None:
        request = self.request or self._view(entry.environ)
        self.request = None
        self._worker.nr = self._number
        response = ResponseView(entry) if entry.status else None
        if self.wants_calls and response is not None:
            self._log(request, entry, response)
        if self.wants_ends:
            self._tell_end(request, entry, response)

    def _log(self, request: RequestView, entry: Entry, response: ResponseView) -> None:
        log = self._worker.log
        try:
            log.access(response, request, entry.environ, request_time(entry))
        except Exception:  # border: the logger may be the user's
            log.exception("Exception in the access log")

    def _tell_end(self, request: RequestView, entry: Entry, response: ResponseView | None) -> None:
        try:
            self._post_request(self._worker, request, entry.environ, response)
        except Exception:  # border: a hook is the user's code
            self._worker.log.exception("Exception in hook post_request")
