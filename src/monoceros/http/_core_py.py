"""What the connections of one thread share, in pure Python."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from monoceros.http._record_py import Record
from monoceros.http.access import Entry
from monoceros.http.answers import end_of_kept_head
from monoceros.http.body import SCRATCH_SIZE
from monoceros.http.budget import Budget
from monoceros.http.dates import format_date
from monoceros.http.environ import environ_key, listener_environ, scheme_keys
from monoceros.http.input import EmptyInput
from monoceros.unpatched import allocate_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http._request_py import Request
    from monoceros.http.types import CoreLog, Environ, Field, Limits, Policy, Rules, WsgiApp

_LEARNED_NAMES = 512
SLOW_S = 0.001  # lines of the access log do not wait for the next call after one as long as this

EMPTY_INPUT = EmptyInput()


class Core:
    """Buffers, Date line, access lines and scoreboard record of one thread that runs apps."""

    __slots__ = (
        "_flushed",
        "_is_abandoned",
        "_keys",
        "_limit_s",
        "_limited_ns",
        "_line",
        "_lines",
        "_record",
        "_scratch",
        "_second",
        "_server_line",
        "_templates",
        "app",
        "base_environ",
        "budget",
        "closing",
        "end_of_kept_head",
        "errors",
        "flush_log",
        "guard",
        "limits",
        "log",
        "now",
        "out",
        "policy",
        "received",
        "requests",
        "responses",
        "rules",
        "running",
        "scheme_keys",
        "scoreboard_record",
        "sent",
        "server_fields",
        "started_ns",
        "ticked",
        "when",
    )

    def __init__(
        self,
        app: WsgiApp,
        base_environ: Environ,
        limits: Limits,
        rules: Rules,
        server: str,
        policy: Policy,
        log: CoreLog,
        slot: memoryview | None,
    ) -> None:
        self.app = app
        self.base_environ = base_environ
        self.limits = limits
        self.rules = rules
        self.policy = policy
        self.log = log
        self.budget = policy.budget or Budget()
        self.scheme_keys = scheme_keys(rules)
        self.end_of_kept_head = end_of_kept_head(policy.keepalive_timeout)
        self.closing = False
        self.flush_log: Callable[[], object] | None = None
        self.running = False
        self._is_abandoned = False
        self.guard = allocate_lock()
        self._limited_ns = -1  # the start of the call that has a limit of its own
        self._limit_s = 0.0
        self.requests = self.responses = self.received = self.sent = self.errors = 0
        self.out = bytearray()
        self._scratch: memoryview | None = None
        self.started_ns = 0
        self.now = self.ticked = self._flushed = 0.0
        self.when = ""
        self.server_fields = b""
        self._server_line = f"Server: {server}\r\n" if server else ""
        self.scoreboard_record = slot
        self._record = Record(slot)
        self._second = -1
        self._line = b""  # method and target of the request in flight
        self._lines: deque[bytes] = deque()
        self._templates: dict[tuple[Any, str], Environ] = {}
        self._keys: dict[str, str] = {}
        self.tick(time.monotonic())

    def tick(self, now: float, /) -> None:
        """Take over the time of a wake-up."""
        self.now = self.ticked = self._flushed = now
        self.refresh_date()

    def refresh_date(self) -> None:
        """Have Date and the access log's time tell this second, also after a slow call."""
        seconds = int(time.time())
        if seconds != self._second:
            self._second = seconds
            date = format_date(seconds)
            self.server_fields = f"{self._server_line}Date: {date}\r\n".encode("latin-1")
            if self.log.access is not None:
                self.when = self.log.access.format_time(seconds)

    def drain_log(self) -> bytes:
        """Return and forget the access log's whole lines so far."""
        self._flushed = self.now
        lines = []
        # One by one: another thread may write what has gathered while a call adds to it.
        with contextlib.suppress(IndexError):
            while True:
                lines.append(self._lines.popleft())
        return b"".join(lines)

    def abandon(self) -> None:
        """Leave log, hooks and scoreboard to the process that this one was forked from."""
        self._is_abandoned = True
        self._lines.clear()
        self.scoreboard_record = None
        self._record.abandon()

    def drop_output(self) -> None:
        """Forget what a connection that failed has not sent."""
        self.out.clear()

    def scratch(self) -> memoryview:
        """Return room for one large receive, whose content is gone with the next."""
        if self._scratch is None:
            self._scratch = memoryview(bytearray(SCRATCH_SIZE))
        return self._scratch

    def counters(self) -> dict[str, int]:
        """Return requests, responses, received and sent octets, and errors so far."""
        return {
            "requests": self.requests,
            "responses": self.responses,
            "received": self.received,
            "sent": self.sent,
            "errors": self.errors,
        }

    def template(self, local: Any, scheme: str) -> Environ:
        """Return the environ that all requests to one listener begin with."""
        key = (local, scheme)
        environ = self._templates.get(key)
        if environ is None:
            environ = listener_environ(self.base_environ, local, scheme)
            environ["wsgi.input"] = EMPTY_INPUT
            self._templates[key] = environ
        return environ

    def key(self, name: str) -> str:
        """Return the environ's key for a field name, from a table that clients cannot bloat."""
        key = self._keys.get(name)
        if key is None:
            key = environ_key(name)
            if len(self._keys) < _LEARNED_NAMES:
                self._keys[name] = key
        return key

    def check_idle(self) -> None:
        """Refuse what would overwrite the buffers of a request in flight."""
        if self.running:
            raise RuntimeError("a Core serves one request at a time")

    def begin(self, peer: bytes, request: bytes) -> None:
        """Put a request in flight on the scoreboard."""
        self.check_idle()
        self._record.begin(peer, request)
        self.started_ns = self._record.started_ns
        self.running = True
        self.requests += 1
        self._line = request

    def end(self, code: int) -> None:
        """Take the request in flight off the scoreboard and count it.

        ``code`` is the status that it was answered with, 0 where it was none of HTTP's.
        """
        self.running = False
        now = time.monotonic_ns()
        self.now = now / 1e9
        self._record.end(code)
        if self._lines and self.now - self._flushed > SLOW_S and self.flush_log is not None:
            self.flush_log()
        if self.now - self.ticked > 1:
            self.tick(self.now)

    def count_refusal(self, code: int) -> None:
        """Count a response that no application gave."""
        self._record.count(code)

    def deadline(self) -> float | None:
        """Return when the time of the call in flight is up, None for never."""
        started = self.started_ns
        limit = self._limit_s if self._limited_ns == started else self.policy.request_timeout
        return started / 1e9 + limit if self.running and limit else None

    def limit_call(self, seconds: float) -> None:
        """Let the call in flight take so long, 0 for as long as it likes."""
        self._limit_s = seconds
        self._limited_ns = self.started_ns

    def request_line(self, version: str) -> str:
        """Return the whole line of the request in flight."""
        return f"{self._line.decode('latin-1')} {version}"

    def add_line(self, line: bytes, /) -> None:
        """Append to the access log's lines."""
        self._lines.append(line)

    def record(
        self, request: Request, status: str, headers: list[Field], sent: int, is_new: bool
    ) -> None:
        """Tell the access log, and who else wants to know, that a request is done.

        The access log knows already where it is not ``is_new``.
        """
        access, finished = self.log.access, self.log.finished
        if self._is_abandoned or (access is None and finished is None):
            return
        environ = request.environ
        elapsed_us = (time.monotonic_ns() - self.started_ns) // 1000
        line = self.request_line(request.version)
        entry = Entry(environ, status, headers, sent, elapsed_us, self.when, line)
        if access is not None and status and is_new and not access.skips(environ, status):
            self._lines.append(access.line(entry))
        if finished is not None:
            finished(entry)

    def record_exchange(
        self,
        environ: Environ,
        status: str,
        headers: list[Field],
        sent: int,
        elapsed_us: int,
        line: str,
        /,
    ) -> None:
        """Tell the access log, and who else wants to know, that a request of ASGI is done."""
        access, finished = self.log.access, self.log.finished
        if self._is_abandoned:
            return
        entry = Entry(environ, status, headers, sent, elapsed_us, self.when, line)
        if access is not None and status and not access.skips(environ, status):
            self._lines.append(access.line(entry))
        if finished is not None:
            finished(entry)
