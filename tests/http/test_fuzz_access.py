"""Both twins write the same access lines, whatever the format and the environ."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from monoceros.http.access import AccessFormat
from tests.http.both import Both, both, fuzz
from tests.http.support import Recorder, make_conn, make_core, serve_on

if TYPE_CHECKING:
    from monoceros.http.types import Environ, StartResponse, Twin

__all__ = ["both"]

# All but the durations, which differ; and names that mean nothing.
_ATOMS = [*"hlurtmUqHsBbfapv", "zz", "{x-id}i", "{X_Y}i", "{content-type}i", "{x-a}o", "{k}e"]
_SIZES = [0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 48, 127, 128, 129, 1000, 4000]
_LITERALS = st.one_of(
    st.sampled_from(["", " ", '"', "%%", "\u00e9", "\u20ac"]),
    st.builds(lambda size: "[" * size, st.sampled_from(_SIZES)),
)
_FORMATS = st.one_of(
    st.just("json"),
    st.lists(st.tuples(_LITERALS, st.sampled_from(_ATOMS)), max_size=40).map(
        lambda pairs: "".join(f"{literal}%({atom})s" for literal, atom in pairs) + "."
    ),
)
_TEXTS = st.builds(
    lambda size, odd, place: "x" * (size * place // 9) + odd + "x" * (size - size * place // 9),
    st.sampled_from([*_SIZES, 8100, 8190, 9000]),
    st.sampled_from(["", '"', "\\", "\n", "\0", "\x7f", "\xe9", "\u20ac", "\ud800", "\U0001f600"]),
    st.integers(0, 9),
)
_VALUES = st.one_of(_TEXTS, st.sampled_from([None, 7, b"x", ["a"], "-"]))
_KEYS = st.sampled_from(
    [
        *("HTTP_REFERER", "HTTP_USER_AGENT", "HTTP_AUTHORIZATION", "HTTP_X_ID", "CONTENT_TYPE"),
        *("REQUEST_METHOD", "RAW_URI", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR"),
        *("SERVER_PROTOCOL", "k"),
    ]
)
_CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), _KEYS, _VALUES),
        st.tuples(st.just("move"), _KEYS, _KEYS),
        st.tuples(st.just("take"), _KEYS, st.none()),
    ),
    max_size=4,
)
_FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"User-Agent", b"Referer", b"X-Id", b"Authorization", b"Content-Type"]),
        st.sampled_from(
            [b"", b"x", b'"\\', b"\xff", b"Basic eDp5", b"Basic IgrDqTp5", b"x" * 8000]
        ),
    ),
    max_size=4,
    unique_by=lambda field: field[0],
)


def lines(twin: Twin, text: str, head: bytes, changes: list[tuple[str, str, Any]]) -> bytes:
    """Serve two requests to an application that changes the environ."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        for action, key, value in changes:
            if action == "set":
                environ[key] = value
            elif action == "take":
                environ.pop(key, None)
            elif key in environ:
                environ[value] = environ.pop(key)
        start_response("200 OK", [("X-A", 'q"\\')])
        return [b"x"]

    log = Recorder()
    log.access = AccessFormat(text)
    log.access.format_time = lambda seconds: "now"
    core = make_core(twin, app, log=log)
    for _ in range(2):
        conn = make_conn(twin, core)
        serve_on(conn, core, head)
        conn.close()
    return re.sub(rb'"duration_us": \d+', b'"duration_us": 0', core.drain_log())


@fuzz(400)
@given(_FORMATS, st.sampled_from([1, 200, 379, 380, 381, 2000]), _FIELDS, _CHANGES)
def test_lines(
    both: Both,
    text: str,
    size: int,
    fields: list[tuple[bytes, bytes]],
    changes: list[tuple[str, str, Any]],
) -> None:
    head = b"".join(b"%b: %b\r\n" % field for field in fields)
    head = b"GET /%b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b'"' * (size - 1), head)
    compiled = lines(both.c, text, head, changes)
    assert compiled == lines(both.py, text, head, changes)
    assert compiled.count(b"\n") == 2
    if text == "json":
        for line in compiled.splitlines():
            json.loads(line)
