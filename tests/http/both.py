"""Both twins side by side, and strategies for what they are asked."""

from __future__ import annotations

import importlib
import os
import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from monoceros.http.types import Limits, Rules

if TYPE_CHECKING:
    from monoceros.http.types import Twin

EXAMPLES = int(os.environ.get("MONOCEROS_FUZZ_EXAMPLES", "0"))
_DATE = re.compile(rb"(?m)^Date: [^\r\n]*\r\n")


def fuzz(examples: int) -> settings:
    """The same examples each time, or as many new ones as MONOCEROS_FUZZ_EXAMPLES asks for.

    Tens of thousands take longer than pytest's ``faulthandler_timeout``.
    """
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


class Both(NamedTuple):
    """The two twins."""

    c: Twin
    py: Twin


@pytest.fixture(scope="session")
def both() -> Both:
    """Both twins; a compiled one that was not built is a skip, or a failure where it is due."""
    try:
        compiled = importlib.import_module("monoceros.http._c")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("monoceros.http._"):
            raise
        if os.environ.get("MONOCEROS_REQUIRE_C") == "1":
            pytest.fail("MONOCEROS_REQUIRE_C=1, but the compiled twin was not built", pytrace=False)
        pytest.skip("the compiled twin was not built")
    return Both(cast("Twin", compiled), cast("Twin", importlib.import_module("monoceros.http._py")))


def without_date(output: bytes) -> bytes:
    """Output that does not depend on the second in which it was made."""
    return _DATE.sub(b"", output)


# -- heads -------------------------------------------------------------------------------------

INTERESTING = [
    bytes((octet,)) for octet in b'\x00\t\n\x0b\r !"#%(),/0:;=@A[\\]_a|\x7f\x80\xb2\xe9\xff'
]
INTERESTING += [b"\r\n", b"\r\n\r\n", b"\r\n ", b" \r\n", b": ", b"\r", b"chunked", b"0\r\n\r\n"]

_METHODS = st.sampled_from(
    [
        b"GET",
        b"GET",
        b"HEAD",
        b"POST",
        b"POST",
        b"PUT",
        b"OPTIONS",
        b"CONNECT",
        b"get",
        b"M-SEARCH",
        b"X",
        b"",
        b"A" * 20,
        b"A" * 21,
        b"G#T",
        b"G(T",
    ]
)
_TARGETS = st.sampled_from(
    [
        b"/",
        b"/",
        b"/a/b?c=d&e",
        b"/%41%2f?%20#f",
        b"//a",
        b"*",
        b"http://b/c?d",
        b"http://b:81",
        b"HTTPS://[::1]:1/",
        b"http://u@b/",
        b"http:///",
        b"http://:1/",
        b"b:443",
        b"b:",
        b"[::1]:1",
        b"a/b",
        b"",
        b"/" + b"x" * 60,
        b"/\xe9",
        b"/a b",
        b"/#",
        b"?",
        b"/?",
        b"/a%",
        b"*x",
    ]
)
_VERSIONS = st.sampled_from(
    [b"HTTP/1.1"] * 6
    + [b"HTTP/1.0"] * 3
    + [
        b"HTTP/1.2",
        b"HTTP/2.0",
        b"HTTP/0.9",
        b"http/1.1",
        b"HTTP/1",
        b"HTTP/1.11",
        b"HTTP/1.x",
        b"",
    ]
)
_HOSTS = [
    b"a",
    b"a:80",
    b"",
    b"[::1]:80",
    b"a_b",
    b"a b",
    b"a/b",
    b"[::1",
    b"1.2.3.4",
    b"%41",
    b"%4",
]
_CODINGS = [b"chunked", b"Chunked", b"gzip", b"gzip, chunked", b"chunked, gzip", b"", b"chunked,"]
_LENGTHS = [b"0", b"5", b"05", b"", b"-5", b"+5", b"5, 5", b"5 5", b"9" * 18, b"1" * 19, b"0x5"]
_OPTIONS = [b"close", b"keep-alive", b"Keep-Alive, close", b"upgrade", b"x, Upgrade ,y", b"", b","]


def _named(name: bytes, values: list[bytes]) -> st.SearchStrategy[bytes]:
    names = st.sampled_from([name, name.lower(), name.upper()])
    return st.builds(lambda one, value: one + b": " + value, names, st.sampled_from(values))


_FIELDS = st.one_of(
    _named(b"Host", _HOSTS),
    _named(b"Connection", _OPTIONS),
    _named(b"Content-Length", _LENGTHS),
    _named(b"Transfer-Encoding", _CODINGS),
    _named(b"Expect", [b"100-continue", b"100-Continue", b"x", b"", b"100-continue, x"]),
    _named(b"Upgrade", [b"websocket", b"h2c", b""]),
    _named(b"Content-Type", [b"a/b", b""]),
    _named(b"Cookie", [b"a=1", b"b=2; c", b""]),
    _named(b"X-Forwarded-Proto", [b"https", b"http", b"https, https", b""]),
    _named(b"X-Forwarded-Ssl", [b"on", b"off"]),
    _named(b"Script-Name", [b"/a", b"/b"]),
    _named(b"Script_Name", [b"/a", b"/", b""]),
    _named(b"Accept", [b"*/*", b"a" * 40, b"\xe9\xff", b"\t x \t"]),
    st.sampled_from(
        [
            b"X_Y: 1",
            b"X-Y:2",
            b"X-Y:",
            b"X: a:b",
            b"X : 1",
            b" folded",
            b"\tfolded",
            b"nocolon",
            b": 1",
            b"X\x00: 1",
            b"X: \x00",
            b"X: a\rb",
            b"X: \x7f",
            b"Content_Length: 9",
            b"X Y: 1",
        ]
    ),
)
_ENDS = st.sampled_from([b"\r\n"] * 40 + [b"\n", b"\r", b"\r\r\n", b""])
_LINES = st.builds(
    lambda host, fields: ([host] if host else []) + fields,
    st.sampled_from([b"Host: a"] * 5 + [b""]),
    st.lists(_FIELDS, max_size=6),
)


@st.composite
def _heads(draw: st.DrawFn) -> bytes:
    parts = [draw(_METHODS), draw(_TARGETS), draw(_VERSIONS)]
    line = b" ".join(parts)
    start = draw(st.sampled_from([b""] * 10 + [b"\r\n", b"\r\n\r\n", b"\n", b"\r"]))
    lines = [line, *draw(_LINES), b""]
    return start + b"".join(one + draw(_ENDS) for one in lines)


@st.composite
def _good_heads(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD"]))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]))
    fields = draw(
        st.lists(
            st.sampled_from(
                [
                    b"A: b",
                    b"A: c",
                    b"Cookie: a",
                    b"Cookie: b",
                    b"Connection: keep-alive",
                    b"Connection: close",
                    b"Accept: */*",
                    b"X_Y: 1",
                    b"Content-Type: a/b",
                    b"Expect: 100-continue",
                    b"X-Forwarded-Proto: https",
                ]
            ),
            max_size=5,
            unique=True,
        )
    )
    return b"\r\n".join([method + b" /a%20b?c " + version, b"Host: a", *fields, b""])


@st.composite
def mutated(draw: st.DrawFn, source: st.SearchStrategy[bytes], most: int = 3) -> bytes:
    """Octets with a few of them replaced, taken out, put in or repeated."""
    data = draw(source)
    for _ in range(draw(st.sampled_from([0, 0, 0, *range(1, most + 1)]))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 3)))
        data = data[:start] + draw(st.sampled_from([b"", *INTERESTING])) + data[end:]
    return data


HEADS = mutated(_heads())

LIMITS = st.builds(
    Limits,
    line=st.sampled_from([4094, 4094, 20, 40]),
    fields=st.sampled_from([100, 100, 2, 4]),
    field=st.sampled_from([8190, 8190, 20, 30]),
    head=st.sampled_from([65536, 65536, 60, 120]),
    body=st.sampled_from([0, 0, 0, 4, 100]),
    body_memory=st.sampled_from([1 << 20, 1 << 20, 0, 10]),
    body_spool=st.sampled_from([64 << 20, 10]),
)
RULES = st.builds(
    Rules,
    header_map=st.sampled_from(["drop", "drop", "refuse", "dangerous"]),
    forwarder_headers=st.sampled_from(
        [frozenset({"SCRIPT_NAME", "PATH_INFO"}), frozenset({"*"}), frozenset()]
    ),
    permit_obsolete_folding=st.booleans(),
    permit_unconventional_http_method=st.booleans(),
    permit_unconventional_http_version=st.booleans(),
    permit_missing_host=st.booleans(),
    casefold_http_method=st.booleans(),
    strip_header_spaces=st.booleans(),
)


# -- requests with content ---------------------------------------------------------------------

_CHUNKS = st.lists(
    st.builds(
        lambda content, zeros, extension: (
            b"%b%x%b\r\n%b\r\n" % (zeros, len(content), extension, content)
        ),
        st.binary(min_size=1, max_size=20),
        st.sampled_from([b"", b"", b"00"]),
        st.sampled_from([b"", b"", b";a", b';a="b;\\"c"', b" ; a = b", b";", b";a=", b" "]),
    ),
    max_size=4,
)
_TRAILERS = st.lists(
    st.sampled_from(
        [b"X: 1\r\n", b"Host: a\r\n", b"TE: x\r\n", b"X : 1\r\n", b"Y:\r\n", b" f\r\n"]
    ),
    max_size=2,
)
_CHUNKED = st.builds(
    lambda head, chunks, last, trailers: (
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(chunks)
        + last
        + b"".join(trailers)
        + b"\r\n"
    ),
    _good_heads(),
    _CHUNKS,
    st.sampled_from([b"0\r\n", b"0\r\n", b"000;a=b\r\n", b"0 \r\n", b"\r\n", b"0\n"]),
    _TRAILERS,
)
_SIZED = st.builds(
    lambda head, content: head + b"Content-Length: %d\r\n\r\n" % len(content) + content,
    _good_heads(),
    st.binary(max_size=40),
)
REQUESTS = st.lists(
    st.one_of(
        _good_heads().map(lambda head: head + b"\r\n"),
        _SIZED,
        mutated(_CHUNKED, 1),
        mutated(_SIZED, 1),
        HEADS,
    ),
    min_size=1,
    max_size=4,
).map(b"".join)


@st.composite
def in_parts(draw: st.DrawFn, source: st.SearchStrategy[bytes]) -> list[bytes]:
    """Octets as they may arrive."""
    data = draw(source)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    bounds = [0, *cuts, len(data)]
    return [data[start:end] for start, end in pairwise(bounds) if end > start]
