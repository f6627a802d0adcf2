"""httptools (llhttp, strict) as the second opinion: what we accept, it frames the same way.

Each message that reaches our application is fed to llhttp octet by octet of its extent: llhttp
has to complete it with its last octet and not before, with the same fields, content and
keep-alive. Where it refuses what we accept, the refusal has to be in ``REFUSALS``.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import httptools
import pytest
from hypothesis import given

from monoceros.http.types import Limits, Rules
from tests.http.both import REQUESTS, fuzz
from tests.http.corpus import read_cases
from tests.http.support import make_conn, make_core, serve_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monoceros.http.types import Environ, StartResponse, Twin
    from tests.http.corpus import Case


class Opinion(NamedTuple):
    """What a parser makes of one message."""

    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes
    keep_alive: bool
    upgrade: bool


class Exemption(NamedTuple):
    """Why llhttp refuses what we accept, or sees it otherwise."""

    reason: str
    rfc: str
    applies: Callable[[bytes], object]  # to the octets of the message


# Of those that llhttp knows, the ones that this suite uses.
_KNOWN_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"CONNECT", b"M-SEARCH")

_BLANKS = Exemption(
    "blanks may stand around the semicolon and the equals sign of a chunk extension",
    "RFC 9112 7.1.1",
    lambda data: re.search(rb"\r\n[0-9a-fA-F]+[^\r]*([ \t][;=]|[;=][ \t])", data),
)

# By what llhttp says.
REFUSALS = {
    "Invalid method encountered": Exemption(
        "llhttp knows a list of methods; a method is any token",
        "RFC 9110 9.1",
        lambda data: data.split(b" ")[0].strip() not in _KNOWN_METHODS,
    ),
    "Expected space after method": Exemption(
        "as before, of methods that begin like a known one",
        "RFC 9110 9.1",
        lambda data: data.split(b" ")[0].strip().startswith(_KNOWN_METHODS),
    ),
    "Invalid HTTP version": Exemption(
        "llhttp knows HTTP/1.0 and 1.1; a higher minor version is served as 1.1",
        "RFC 9110 2.5",
        lambda data: re.match(rb"(?:\r\n)?[^\r]* HTTP/1\.[2-9]\r\n", data),
    ),
    "Invalid character in chunk size": _BLANKS._replace(
        applies=lambda data: re.search(rb"\r\n[0-9a-fA-F]+[ \t]+;", data)
    ),
    "Invalid character in chunk extensions": _BLANKS,
    "Invalid character in chunk extensions name": _BLANKS,
    "Invalid character in chunk extensions value": _BLANKS,
    "Invalid character in chunk extensions quote value": _BLANKS,
}

# Where the opinions differ, the first that applies.
DIFFERENCES = (
    Exemption(
        "`close` wins over `keep-alive`; llhttp asks HTTP/1.0 for the latter only",
        "RFC 9112 9.3",
        lambda data: b"HTTP/1.0\r\n" in data and re.search(rb"(?i)connection:[^\r]*close", data),
    ),
    Exemption(
        "Proxy-Connection means nothing; llhttp takes it for Connection",
        "RFC 9112 C.2.2",
        lambda data: re.search(rb"(?i)proxy-connection:", data),
    ),
    Exemption(
        "Upgrade is ignored on HTTP/1.0",
        "RFC 9110 7.8",
        lambda data: b"HTTP/1.0\r\n" in data and re.search(rb"(?i)\r\nupgrade:", data),
    ),
)


class Listener:
    """Collects what llhttp says."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.opinions: list[Opinion] = []
        self.on_message_begin()

    def on_message_begin(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.keep_alive = False
        self.ended = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come by the same way.
        if not self.ended:
            self.fields.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.ended = True
        self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        parser = self.parser
        self.opinions.append(
            Opinion(
                parser.get_method(),
                self.target,
                self.fields,
                self.body,
                self.keep_alive,
                parser.should_upgrade(),
            )
        )

    def feed(self, data: bytes) -> str | None:
        """Returns why it refuses."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            return str(error)
        return None


def accepted(
    twin: Twin, data: bytes, limits: Limits, rules: Rules
) -> tuple[list[Opinion], list[bytes]]:
    """Our opinion of each request that is accepted, and the octets of each."""
    ends = [0]
    bodies: list[bytes] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        ends.append(len(data) - conn.pending)
        bodies.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return []

    core = make_core(twin, app, limits=limits, rules=rules)
    conn = make_conn(twin, core)
    serve_on(conn, core, data)
    extents = [data[start:end] for start, end in pairwise(ends)]
    opinions = []
    for extent, body in zip(extents, bodies, strict=True):
        head = twin.parse_head(extent, limits, rules)
        assert head is not None
        fields = [(name.encode(), value.encode("latin-1")) for name, value in head.fields]
        opinions.append(
            Opinion(
                head.method.encode(),
                head.target.encode(),
                fields,
                body,
                head.keep_alive and not head.upgrade,
                head.upgrade,
            )
        )
    return opinions, extents


def compare(twin: Twin, data: bytes, limits: Limits, rules: Rules) -> Exemption | None:
    """Ask llhttp about what we accept; returns the exemption that was needed."""
    opinions, extents = accepted(twin, data, limits, rules)
    listener = Listener()
    for number, (opinion, extent) in enumerate(zip(opinions, extents, strict=True)):
        refusal = listener.feed(extent[:-1])
        if refusal is None:
            assert len(listener.opinions) == number, "llhttp ends the message earlier"
            refusal = listener.feed(extent[-1:])
        if refusal is not None:
            assert refusal in REFUSALS, (refusal, extent)
            assert REFUSALS[refusal].applies(extent), (refusal, extent)
            return REFUSALS[refusal]
        assert len(listener.opinions) == number + 1, "llhttp ends the message later"
        theirs = listener.opinions[number]
        if theirs.upgrade:
            theirs = theirs._replace(keep_alive=False)
        if theirs != opinion:
            # Fields and content are never excused.
            assert theirs[:4] == opinion[:4]
            return next(one for one in DIFFERENCES if one.applies(extent))
    return None


CASES = [case for case in read_cases() if case.rules == Rules()]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_corpus(twin: Twin, case: Case) -> None:
    compare(twin, case.data, case.limits, case.rules)


def test_the_exemptions_are_needed(twin: Twin) -> None:
    found = [compare(twin, case.data, case.limits, case.rules) for case in CASES]
    needed = {one.reason for one in found if one is not None}
    assert needed == {one.reason for one in (*REFUSALS.values(), *DIFFERENCES)}


@fuzz(1000)
@given(data=REQUESTS)
def test_requests(twin: Twin, data: bytes) -> None:
    compare(twin, data, Limits(), Rules())
