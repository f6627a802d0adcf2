"""What the tests of the HTTP layer share: a recording log, and a strict reader of responses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from monoceros.http.access import AccessFormat
from monoceros.http.budget import Budget
from monoceros.http.environ import base_environ
from monoceros.http.types import AGAIN, HANDOFF, MORE, Limits, Policy, Rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http.access import Entry
    from monoceros.http.errors import BadRequest
    from monoceros.http.types import Conn, Core, Environ, Twin, WsgiApp

PEER = ("127.0.0.1", 50000)
LISTENER = ("127.0.0.1", 8000)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Errors:
    """``wsgi.errors`` that keeps what was written."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        pass


class Recorder:
    """A ``CoreLog`` that keeps what it was told."""

    def __init__(self, access: str | None = None) -> None:
        self.access = None if access is None else AccessFormat(access)
        self.finished: Callable[[Entry], object] | None = None
        self.refusals: list[tuple[str, BadRequest]] = []
        self.failures: list[tuple[Environ, BaseException]] = []
        self.warnings: list[str] = []

    def refused(self, peer: str, error: BadRequest) -> None:
        self.refusals.append((peer, error))

    def failed(self, environ: Environ, error: BaseException) -> None:
        self.failures.append((environ, error))

    def warning(self, message: str) -> None:
        self.warnings.append(message)


def make_core(
    twin: Twin,
    app: WsgiApp,
    *,
    limits: Limits | None = None,
    rules: Rules | None = None,
    policy: Policy | None = None,
    log: Recorder | None = None,
    server: str = "monoceros",
    slot: memoryview | None = None,
    base: Environ | None = None,
) -> Core:
    """Return a Core of a twin with defaults for whatever a test does not care about."""
    if base is None:
        base = base_environ("monoceros/test", Errors(), False, True)
    policy = policy or Policy()
    if policy.budget is None:
        policy.budget = Budget()
    return twin.Core(  # type: ignore[call-arg]
        app, base, limits or Limits(), rules or Rules(), server, policy, log or Recorder(), slot
    )


def make_conn(
    twin: Twin,
    core: Core,
    fd: int = -1,
    remote: object = PEER,
    local: object = LISTENER,
    scheme: str = "http",
    trusted: bool = False,
) -> Conn:
    """Return a connection, by default one whose transport is the test."""
    return twin.Conn(core, fd, remote, local, scheme, trusted)  # type: ignore[call-arg]


def room_left(budget: Budget) -> tuple[int, int, int, int]:
    """What is left of each of a budget's limits."""
    rooms = budget.memory, budget.spool, budget.output, budget.output_spool
    return rooms[0].left, rooms[1].left, rooms[2].left, rooms[3].left


class Served(NamedTuple):
    """What came of feeding octets to a connection without a descriptor."""

    output: bytes
    code: int  # the last code
    conn: Conn
    core: Core
    log: Recorder

    @property
    def responses(self) -> list[Response]:
        return read_responses(self.output)

    @property
    def response(self) -> Response:
        """The only response."""
        (response,) = self.responses
        return response


def serve_on(conn: Conn, core: Core, data: bytes) -> int:
    """Feed octets and run all requests that they hold; returns the last code."""
    code = conn.feed(data)
    while code in (HANDOFF, MORE):
        request = conn.take()
        assert request is not None
        code = request.run(core)
        if code == AGAIN and conn.pending:
            code = conn.read()
    return code


def serve(twin: Twin, app: WsgiApp, *parts: bytes, **options: object) -> Served:
    """Serve requests that arrive in the given parts; stops where the connection ends."""
    conn_options = {
        name: options.pop(name)
        for name in ("remote", "local", "scheme", "trusted")
        if name in options
    }
    log = options.setdefault("log", Recorder())
    assert isinstance(log, Recorder)
    core = make_core(twin, app, **options)  # type: ignore[arg-type]
    conn = make_conn(twin, core, **conn_options)  # type: ignore[arg-type]
    code = AGAIN
    for part in parts:
        code = serve_on(conn, core, part)
        if code != AGAIN:
            break
    return Served(conn.data_to_send(), code, conn, core, log)


class Response(NamedTuple):
    """One response as a client reads it (RFC 9112 section 6.3)."""

    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes
    whole: bool  # False where the framing promised more than came

    def get(self, name: str) -> str | None:
        """The value of a field, joined where it is repeated."""
        values = [value for field, value in self.fields if field.lower() == name.lower()]
        return ", ".join(values) if values else None


_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ([^\r\n]*)\r\n")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([^\r\n\x00]*)\r\n")


def read_response(data: bytes, method: str = "GET") -> tuple[Response, bytes]:
    """Return the response at the start of ``data``, strictly read, and what follows it."""
    line = _STATUS_LINE.match(data)
    assert line, data[:100]
    position = line.end()
    fields = []
    while data[position : position + 2] != b"\r\n":
        match = _FIELD.match(data, position)
        assert match, data[position : position + 100]
        fields.append((match[1].decode(), match[2].decode("latin-1")))
        position = match.end()
    status = int(line[1])
    rest = data[position + 2 :]
    body, rest, whole = _read_content(status, fields, rest, method)
    return Response(status, line[2].decode("latin-1"), fields, body, whole), rest


def _read_content(
    status: int, fields: list[tuple[str, str]], rest: bytes, method: str
) -> tuple[bytes, bytes, bool]:
    framing = {name.lower(): value for name, value in fields}
    assert not ("content-length" in framing and "transfer-encoding" in framing)
    if method == "HEAD" or status < 200 or status in (204, 304):
        return b"", rest, True
    if framing.get("transfer-encoding") == "chunked":
        return read_chunks(rest)
    if "content-length" in framing:
        length = int(framing["content-length"])
        return rest[:length], rest[length:], len(rest) >= length
    return rest, b"", True


def read_chunks(data: bytes) -> tuple[bytes, bytes, bool]:
    """Return content, what follows, and whether the last chunk came."""
    content: list[bytes] = []
    position = 0
    while True:
        end = data.find(b"\r\n", position)
        if end < 0:
            return b"".join(content), b"", False
        count = int(data[position:end], 16)
        position = end + 2 + count
        if not count:
            assert data[position : position + 2] == b"\r\n"
            return b"".join(content), data[position + 2 :], True
        content.append(data[end + 2 : position])
        if len(data) < position + 2:
            return b"".join(content), b"", False
        assert data[position : position + 2] == b"\r\n"
        position += 2


def read_responses(data: bytes, *methods: str) -> list[Response]:
    """Return all responses; ``methods`` of the requests where they are not GET."""
    responses = []
    names = iter(methods)
    method = next(names, "GET")
    while data:
        response, data = read_response(data, method)
        responses.append(response)
        if response.status >= 200:
            method = next(names, "GET")
    return responses
