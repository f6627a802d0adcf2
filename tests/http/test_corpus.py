"""The corpus: every case whole, byte by byte, and in two parts split at every offset."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from monoceros.http.errors import BadRequest
from monoceros.http.types import AGAIN, CLOSE, LINGER
from tests.http.corpus import Case, read_cases
from tests.http.support import Recorder, make_conn, make_core, read_response, serve_on

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.http.types import Environ, Head, StartResponse, Twin

CASES = read_cases()


class Seen(NamedTuple):
    """What came of a case: a comparable summary."""

    requests: list[tuple[Environ, bytes]]
    refusal: tuple[int, str] | None
    ended: bool


def run(twin: Twin, case: Case, parts: Iterable[bytes]) -> Seen:
    requests: list[tuple[Environ, bytes]] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        values = {key: value for key, value in environ.items() if isinstance(value, str)}
        requests.append((values, environ["wsgi.input"].read()))
        start_response("204 No Content", [])
        return []

    log = Recorder()
    core = make_core(twin, app, limits=case.limits, rules=case.rules, log=log)
    conn = make_conn(twin, core, trusted=case.trusted)
    code = AGAIN
    for part in parts:
        if part and code == AGAIN:
            code = serve_on(conn, core, part)
    check_output(conn.data_to_send(), len(requests), log)
    assert code in (AGAIN, CLOSE, LINGER)
    conn.close()
    return Seen(requests, refusal_of(log), code != AGAIN)


def refusal_of(log: Recorder) -> tuple[int, str] | None:
    if not log.refusals:
        return None
    ((_, error),) = log.refusals
    return error.status, error.reason


def check_output(output: bytes, answered: int, log: Recorder) -> None:
    """One 204 for each request, and at the end the error where there is one."""
    assert log.failures == []
    statuses = []
    while output:
        response, output = read_response(output)
        assert response.whole
        if response.status != 100:
            statuses.append(response.status)
    refusal = refusal_of(log)
    assert statuses == [204] * answered + ([refusal[0]] if refusal else [])
    if refusal:
        assert response.get("Connection") == "close"
        assert response.get("Date") is not None


def judge(twin: Twin, case: Case, data: bytes) -> Head | str | None:
    """The head, or the error's text, or None."""
    try:
        return twin.parse_head(data, case.limits, case.rules)
    except BadRequest as error:
        return str(error)


def split_outcome(case: Case) -> tuple[list[list[str]], str]:
    """The lines of each request, and the last line where it is no part of a request."""
    requests: list[list[str]] = []
    last = ""
    for line in case.outcome:
        word = line.partition(" ")[0]
        assert not last, case
        if word == "request":
            requests.append([line])
        elif word in ("refused", "incomplete"):
            last = line
        else:
            requests[-1].append(line)
    return requests, last


def check(case: Case, seen: Seen) -> None:
    requests, last = split_outcome(case)
    assert [environ["RAW_URI"] for environ, _ in seen.requests] == [
        lines[0].split(" ")[2] for lines in requests
    ]
    for lines, (environ, body) in zip(requests, seen.requests, strict=True):
        check_request(lines, environ, body)
    refusal = None if seen.refusal is None else f"refused {seen.refusal[0]} {seen.refusal[1]}"
    assert refusal == (last if last.startswith("refused") else None)
    ends = bool(requests) and not {"close", "upgrade"}.isdisjoint(requests[-1])
    assert seen.ended == (ends or last.startswith("refused"))


def check_request(lines: list[str], environ: Environ, body: bytes) -> None:
    line = f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}"
    assert f"request {line}" == lines[0]
    given = {word: rest for word, _, rest in (line.partition(" ") for line in lines[1:])}
    assert body == given.get("body", "").encode("latin-1")
    for word, key in (("path", "PATH_INFO"), ("query", "QUERY_STRING"), ("host", "HTTP_HOST")):
        if word in given:
            assert environ[key] == given[word]
    for word, _, rest in (line.partition(" ") for line in lines[1:]):
        if word == "environ":
            key, _, value = rest.partition(" ")
            assert environ[key] == value
        elif word == "without":
            assert rest not in environ
    if "content" in given:
        assert int(environ["CONTENT_LENGTH"]) == len(body)


def check_head(lines: list[str], head: Head) -> None:
    assert f"request {head.method} {head.target} {head.version}" == lines[0]
    framing = {None: "content chunked", 0: ""}.get(
        head.content_length, f"content length {head.content_length}"
    )
    assert framing == next((line for line in lines if line.startswith("content ")), "")
    assert head.chunked == (head.content_length is None)
    assert head.keep_alive == ("close" not in lines)
    assert head.upgrade == ("upgrade" in lines)
    assert head.expect_continue == ("expect" in lines)
    authority = None if head.authority is None else f"authority {head.authority}"
    assert authority == next((line for line in lines if line.startswith("authority ")), None)
    fields = [line for line in lines if line.startswith("field ")]
    if fields:
        assert [f"field {name}: {value}".rstrip(" ") for name, value in head.fields] == fields


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(twin: Twin, case: Case) -> None:
    requests, _ = split_outcome(case)
    verdict = judge(twin, case, case.data)
    if requests:
        assert verdict is not None
        assert not isinstance(verdict, str), verdict
        check_head(requests[0], verdict)
    whole = run(twin, case, [case.data])
    check(case, whole)
    assert run(twin, case, [bytes((octet,)) for octet in case.data]) == whole
    for offset in range(1, len(case.data)):
        parts = [case.data[:offset], case.data[offset:]]
        assert run(twin, case, parts) == whole, f"split at {offset}"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_head_is_judged_once(twin: Twin, case: Case) -> None:
    """Growing input is incomplete up to one point, and has one and the same verdict behind it."""
    verdict = judge(twin, case, case.data)
    decided = False
    for end in range(len(case.data) + 1):
        found = judge(twin, case, case.data[:end])
        decided = decided or found is not None
        assert found == (verdict if decided else None), f"first {end} octets"


def test_the_corpus_is_read() -> None:
    """A case that is lost to a slip of notation would never fail."""
    assert len(CASES) >= 400
    assert len({case.name for case in CASES}) == len(CASES)
    words = {line.partition(" ")[0] for case in CASES for line in case.outcome}
    assert words == {
        *("request", "close", "upgrade", "expect", "content", "body", "authority", "field"),
        *("path", "query", "host", "environ", "without", "refused", "incomplete"),
    }
