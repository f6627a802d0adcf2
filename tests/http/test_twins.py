"""Both twins have the same names, take the same arguments, and answer the same to anything."""

from __future__ import annotations

import inspect
import io
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monoceros.http import protocols
from monoceros.http.budget import Budget
from monoceros.http.errors import BadRequest
from monoceros.http.types import AGAIN, Limits, Policy, Rules
from tests.http.both import (
    HEADS,
    LIMITS,
    REQUESTS,
    RULES,
    Both,
    both,
    fuzz,
    in_parts,
    without_date,
)
from tests.http.support import GET, Recorder, make_conn, make_core, room_left, serve_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monoceros.http.types import Environ, Field, Head, StartResponse, Twin, WsgiApp

__all__ = ["both"]


# -- signatures --------------------------------------------------------------------------------


def parameters(function: Any) -> list[tuple[str, bool]]:
    """Names of the parameters, and whether they have a default; without ``self``."""
    found = inspect.signature(function).parameters.values()
    empty = inspect.Parameter.empty
    return [(one.name, one.default is not empty) for one in found if one.name != "self"]


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def attributes(protocol: type) -> set[str]:
    return public(protocol) | set(inspect.get_annotations(protocol))


def kinds(twin: Twin) -> dict[str, type]:
    core = make_core(twin, lambda environ, start_response: [])
    conn = make_conn(twin, core)
    conn.feed(GET)
    return {"Core": twin.Core, "Conn": twin.Conn, "Request": type(conn.take())}


@pytest.mark.parametrize("name", ["parse_head", "accept"])
def test_functions(both: Both, name: str) -> None:
    compiled = inspect.signature(getattr(both.c, name))
    pure = inspect.signature(getattr(both.py, name))
    shapes = [
        [(one.name, one.kind, one.default) for one in signature.parameters.values()]
        for signature in (compiled, pure)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", ["Core", "Conn", "Request"])
def test_classes(both: Both, name: str) -> None:
    """The seam is all that a worker may rely on."""
    seam = attributes(getattr(protocols, name))
    compiled, pure = kinds(both.c)[name], kinds(both.py)[name]
    assert seam <= public(compiled)
    assert seam <= public(pure)
    assert public(compiled) <= public(pure)
    for method in seam:
        if callable(getattr(pure, method)):
            expected = parameters(getattr(getattr(protocols, name), method))
            assert parameters(getattr(pure, method)) == expected
            assert parameters(getattr(compiled, method)) == expected


def test_constructors(both: Both) -> None:
    for twin in both:
        core = make_core(twin, lambda environ, start_response: [])
        conn = twin.Conn(core, -1, "", "", "http")  # type: ignore[call-arg]
        assert (conn.fd, conn.pending) == (-1, 0)
        for arguments in ((), (core,), (core, -1, "", "")):
            with pytest.raises(TypeError):
                twin.Conn(*arguments)
        with pytest.raises(TypeError):
            twin.Core(lambda environ, start_response: [])  # type: ignore[call-arg]


# -- heads -------------------------------------------------------------------------------------


def judge(twin: Twin, data: bytes, limits: Limits, rules: Rules) -> Head | str | None:
    try:
        return twin.parse_head(data, limits, rules)
    except BadRequest as error:
        return str(error)


@fuzz(1500)
@given(HEADS, LIMITS, RULES)
def test_heads(both: Both, data: bytes, limits: Limits, rules: Rules) -> None:
    """The same head or the same error, and the same verdict for every start of it."""
    whole = judge(both.py, data, limits, rules)
    decided = False
    for end in range(len(data) + 1):
        found = judge(both.py, data[:end], limits, rules)
        assert judge(both.c, data[:end], limits, rules) == found, end
        decided = decided or found is not None
        assert found == (whole if decided else None), end


@fuzz(800)
@given(st.binary(max_size=80), RULES)
def test_noise(both: Both, data: bytes, rules: Rules) -> None:
    limits = Limits()
    assert judge(both.c, data, limits, rules) == judge(both.py, data, limits, rules)


# -- connections -------------------------------------------------------------------------------


class Run(NamedTuple):
    """All that can be seen of a connection."""

    codes: list[int]
    output: bytes
    environs: list[dict[str, object]]
    refusals: list[tuple[str, str]]
    failures: list[tuple[str, str]]
    warnings: list[str]
    lines: bytes
    counters: dict[str, int]
    pending: int
    state: int
    received: int
    budget: tuple[int, int, int, int]


def run(twin: Twin, parts: Iterable[bytes], app: WsgiApp, **options: Any) -> Run:
    log = Recorder('%(r)s %(s)s %(B)s "%({X}o)s" %(h)s')
    budget = Budget()
    trusted = options.pop("trusted", False)
    policy = Policy(budget=budget)
    environs: list[dict[str, object]] = []

    def outer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen = {key: value for key, value in environ.items() if isinstance(value, str)}
        environs.append({**seen, "wsgi.input": environ["wsgi.input"].read()})
        return app(environ, start_response)

    core = make_core(twin, outer, log=log, policy=policy, **options)
    conn = make_conn(twin, core, trusted=trusted)
    codes = []
    output = b""
    for part in parts:
        codes.append(serve_on(conn, core, part))
        output += without_date(conn.data_to_send())
        if codes[-1] != AGAIN:
            break
    pending, state, received = conn.pending, conn.state, conn.received
    conn.close()
    return Run(
        codes,
        output,
        environs,
        [(peer, str(error)) for peer, error in log.refusals],
        [(type(error).__name__, str(error)) for _, error in log.failures],
        log.warnings,
        core.drain_log(),
        core.counters(),
        pending,
        state,
        received,
        room_left(budget),
    )


def plain(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("X", environ["PATH_INFO"])])
    return [environ["REQUEST_METHOD"].encode()]


@fuzz(1200)
@given(in_parts(REQUESTS), LIMITS, RULES, st.booleans(), st.booleans())
def test_connections(
    both: Both, parts: list[bytes], limits: Limits, rules: Rules, trusted: bool, ended: bool
) -> None:
    """The same requests, answers, errors and log lines, however the octets arrive."""
    if ended:
        parts = [*parts, b""]
    options = {"limits": limits, "rules": rules, "trusted": trusted}
    compiled = run(both.c, parts, plain, **options)
    pure = run(both.py, parts, plain, **options)
    assert compiled == pure
    whole = run(both.py, [b"".join(parts), *([b""] if ended else [])], plain, **options)
    assert (whole.environs, whole.refusals) == (pure.environs, pure.refusals)
    # Whether a connection that ends has to linger depends on what has come behind its end.
    assert (whole.codes[-1] == AGAIN) == (pure.codes[-1] == AGAIN)
    assert pure.budget == room_left(Budget())


# -- responses ---------------------------------------------------------------------------------

_STATUSES = st.one_of(
    st.sampled_from(["200 OK", "200 OK", "204 No", "304 Not", "404 Not Found", "500 a", "205 b"]),
    st.sampled_from(
        ["200", "200 ", "101 S", "100 C", "103 E", "999 x", "099 x", "20", "200OK", ""]
    ),
    st.sampled_from(
        ["200 \xe9", "200 \u20ac", "200 a\r\nb", "200 \x00", " 200 a", "\u0662\u0660\u0660"]
    ),
    st.text(max_size=6),
    st.sampled_from([None, 200, b"200 OK"]),
)
_NAMES = st.one_of(
    st.sampled_from(
        ["X", "x-y", "Content-Length", "content-length", "Connection", "Date", "Server"]
    ),
    st.sampled_from(
        ["Transfer-Encoding", "Upgrade", "Keep-Alive", "TE", "Trailer", "Content-Type"]
    ),
    st.sampled_from(
        ["", "X:", "X Y", "X\r\n", "\xe9", "X\x00", "Set-Cookie", "Proxy-Authenticate"]
    ),
    st.text(max_size=4),
)
_VALUES = st.one_of(
    st.sampled_from(
        ["", "a", " a ", "3", "0", "5", "05", "+5", "close", "keep-alive, Close", "chunked"]
    ),
    st.sampled_from(["a\r\nb", "a\nb", "\x00", "\x7f", "\xe9", "\u20ac", "\t", "9" * 18, "9" * 19]),
    st.text(max_size=6),
)
_PAIRS = st.one_of(
    st.tuples(_NAMES, _VALUES),
    st.tuples(_NAMES, _VALUES),
    st.sampled_from(
        [("X",), ("X", "a", "b"), None, ("X", 1), ("X", b"a"), (1, "a"), ["X", "a"], "Xa"]
    ),
)
_ITEMS = st.one_of(
    st.sampled_from([b"", b"a", b"hello", b"x" * 100, b"y" * 20_000]),
    st.binary(max_size=5),
    st.sampled_from(["", "a", None, 0, bytearray(b"a")]),
)
_GOOD_ITEMS = st.sampled_from([b"", b"a", b"hello", b"x" * 100, b"y" * 20_000])
_KINDS = st.sampled_from(
    ["list", "tuple", "generator", "write", "file", "late", "raises", "close raises", "replaced"]
)
_REQUESTS = st.sampled_from(
    [
        GET,
        GET + GET,
        b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET,
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + GET,
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        + GET,
    ]
)


class _Result:
    """An iterable with a ``close`` that may raise."""

    def __init__(self, items: list[Any], error: bool) -> None:
        self.items = iter(items)
        self.error = error

    def __iter__(self) -> Iterator[bytes]:
        return self.items

    def close(self) -> None:
        if self.error:
            raise RuntimeError("close")


def _generate(items: list[Any], kind: str, start: Any) -> Iterator[bytes]:
    if kind == "late":
        yield b""
        start()
    yield from items
    if kind == "raises":
        raise RuntimeError("mid")


def _application(status: Any, fields: list[Any], items: list[Any], kind: str) -> WsgiApp:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        def start() -> Any:
            return start_response(status, [*fields])

        if kind == "late":
            return _generate(items, kind, start)
        write = start()
        if kind in ("list", "tuple"):
            return items if kind == "list" else tuple(items)
        if kind == "write":
            for item in items[:2]:
                write(item)
            return items[2:]
        if kind == "file":
            content = b"".join(item for item in items if isinstance(item, bytes))
            return environ["wsgi.file_wrapper"](io.BytesIO(content), 7)
        if kind == "close raises":
            return _Result(items, True)
        if kind == "replaced":
            try:
                raise KeyError(1)
            except KeyError:
                start_response("500 Again", [("Y", "z")], sys.exc_info())  # type: ignore[arg-type]
        return _generate(items, kind, start)

    return app


@fuzz(1200)
@given(
    _REQUESTS,
    _STATUSES,
    st.lists(_PAIRS, max_size=4),
    st.one_of(st.lists(_ITEMS, max_size=4), st.lists(_GOOD_ITEMS, max_size=4)),
    _KINDS,
)
@example(GET, "200 OK", [("Content-Length", "3")], [b"hello"], "generator")
@example(GET, "200 OK", [("X", "a\r\nSet-Cookie: b")], [b"hello"], "list")
def test_responses(
    both: Both,
    request_data: bytes,
    status: Any,
    fields: list[Any],
    items: list[Any],
    kind: str,
) -> None:
    """The same octets, the same errors; and never a line of the application's own making."""
    app = _application(status, fields, items, kind)
    compiled = run(both.c, [request_data], app)
    pure = run(both.py, [request_data], app)
    assert compiled == pure
    head = pure.output.partition(b"\r\n\r\n")[0]
    assert b"\r" not in head.replace(b"\r\n", b"")
    assert b"\n" not in head.replace(b"\r\n", b"")


@fuzz(300)
@given(st.lists(_PAIRS, max_size=3))
def test_early_hints(both: Both, fields: list[Field]) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["wsgi.early_hints"](fields)
        start_response("200 OK", [])
        return []

    assert run(both.c, [GET], app) == run(both.py, [GET], app)


@fuzz(200)
@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_access_lines(both: Both, agent: str, path: str, value: str) -> None:
    """Whatever client and application say, one line of the same octets."""
    text = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %({X}o)s %({b}i)s %%'

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ.update(HTTP_USER_AGENT=agent, RAW_URI=path, HTTP_B=value)
        start_response("200 OK", [("X", "a")])
        return [b"abc"]

    lines = []
    for twin in both:
        core = make_core(twin, app, log=Recorder(text))
        serve_on(make_conn(twin, core), core, GET)
        lines.append(core.drain_log())
    assert lines[0].count(b"\n") == 1
    assert lines[0].split(b"] ")[-1] == lines[1].split(b"] ")[-1]
