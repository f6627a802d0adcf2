"""``wsgi.input``: what is read of a body that came whole, and what a faulty body does."""

from __future__ import annotations

import tempfile
import time
from typing import TYPE_CHECKING

import pytest

from monoceros.http.budget import Budget
from monoceros.http.types import AGAIN, HANDOFF, LINGER, Limits, Policy
from tests.http.link import Link
from tests.http.support import (
    GET,
    Recorder,
    make_conn,
    make_core,
    read_response,
    read_responses,
    serve,
    serve_on,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monoceros.http.types import Environ, StartResponse, Twin, WsgiApp

LINES = b"one\ntwo\n\nfour"
SMALL = Limits(body_memory=64, body_spool=1 << 20)


def post(content: bytes, *fields: bytes) -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    length = b"Content-Length: %d\r\n" % len(content)
    return b"POST / HTTP/1.1\r\nHost: a\r\n" + lines + length + b"\r\n" + content


def post_chunks(*chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


def reading(read: Callable[[Environ], object]) -> tuple[WsgiApp, list[object]]:
    """An application that keeps what ``read`` makes of the environ."""
    seen: list[object] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append(read(environ))
        start_response("200 OK", [])
        return []

    return app, seen


def parts(data: bytes, count: int) -> list[bytes]:
    size = -(-len(data) // count)
    return [data[start : start + size] for start in range(0, len(data), size)]


READERS: dict[str, tuple[Callable[[Environ], object], object]] = {
    "read": (lambda environ: environ["wsgi.input"].read(), LINES),
    "read(-1)": (lambda environ: environ["wsgi.input"].read(-1), LINES),
    "read(None)": (lambda environ: environ["wsgi.input"].read(None), LINES),
    "read(3)": (lambda environ: environ["wsgi.input"].read(3), b"one"),
    "read(0)": (lambda environ: environ["wsgi.input"].read(0), b""),
    "read(1000)": (lambda environ: environ["wsgi.input"].read(1000), LINES),
    "readline": (lambda environ: environ["wsgi.input"].readline(), b"one\n"),
    "readline(2)": (lambda environ: environ["wsgi.input"].readline(2), b"on"),
    "readline(-1)": (lambda environ: environ["wsgi.input"].readline(-1), b"one\n"),
    "readlines": (
        lambda environ: environ["wsgi.input"].readlines(),
        [b"one\n", b"two\n", b"\n", b"four"],
    ),
    "readlines(5)": (lambda environ: environ["wsgi.input"].readlines(5), [b"one\n", b"two\n"]),
    "iteration": (
        lambda environ: list(environ["wsgi.input"]),
        [b"one\n", b"two\n", b"\n", b"four"],
    ),
    "a loop of read": (
        lambda environ: list(iter(lambda: environ["wsgi.input"].read(4), b"")),
        [b"one\n", b"two\n", b"\nfou", b"r"],
    ),
    "past the end": (
        lambda environ: [environ["wsgi.input"].read() for _ in range(3)],
        [LINES, b"", b""],
    ),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("limits", [Limits(), Limits(body_memory=4)], ids=["memory", "file"])
@pytest.mark.parametrize("pieces", [1, 3, 40])
def test_readers(twin: Twin, name: str, limits: Limits, pieces: int) -> None:
    """PEP 3333, in memory and in a file, whole and in pieces, by length and in chunks."""
    read, expected = READERS[name]
    for request in (post(LINES), post_chunks(LINES), post_chunks(LINES[:5], LINES[5:])):
        app, seen = reading(read)
        served = serve(twin, app, *parts(request, pieces), limits=limits)
        assert seen == [expected]
        assert served.response.status == 200
        assert served.code == AGAIN


def test_readers_without_content(twin: Twin) -> None:
    empty: tuple[object, ...] = (b"", b"", b"", b"", [], [], [])

    def read(environ: Environ) -> object:
        body = environ["wsgi.input"]
        return (
            *(body.read(), body.read(5), body.readline(), body.readline(3)),
            *(body.readlines(), body.readlines(7), list(body)),
        )

    for request in (GET, post(b""), post_chunks()):
        app, seen = reading(read)
        serve(twin, app, request)
        assert seen == [empty]


def test_what_the_application_leaves_is_skipped(twin: Twin) -> None:
    """The next request is found behind the content, read or not."""
    for request in (post(LINES), post_chunks(LINES), post(b"GET /evil HTTP/1.1\r\n\r\n")):
        for limits in (Limits(), SMALL):
            app, seen = reading(lambda environ: environ["PATH_INFO"])
            served = serve(twin, app, request + GET, limits=limits)
            assert [response.status for response in served.responses] == [200, 200]
            assert seen == ["/", "/"]


def test_closing_the_input_changes_nothing(twin: Twin) -> None:
    """PEP 3333 forbids it; an application that does it leaks nothing of the budget."""
    budget = Budget(memory=1000, spool=1 << 20)
    for limits in (Limits(), Limits(body_memory=4)):
        app, _ = reading(lambda environ: environ["wsgi.input"].close())
        data = post(LINES) + GET + post(LINES)
        served = serve(twin, app, *parts(data, 9), limits=limits, policy=Policy(budget=budget))
        assert [response.status for response in served.responses] == [200, 200, 200]
    assert (budget.memory.left, budget.spool.left) == (1000, 1 << 20)


def test_content_length_of_chunks(twin: Twin) -> None:
    """Frameworks read nothing without it."""
    app, seen = reading(lambda environ: environ["CONTENT_LENGTH"])
    serve(twin, app, post_chunks(b"abc", b"de"))
    assert seen == ["5"]


def test_trailers_are_not_merged(twin: Twin) -> None:
    app, seen = reading(lambda environ: [key for key in environ if key.startswith("HTTP_")])
    serve(twin, app, post_chunks(b"a")[:-2] + b"X-Secret: 1\r\nY: 2\r\n\r\n")
    assert seen == [["HTTP_HOST", "HTTP_TRANSFER_ENCODING"]]


def test_many_lines_in_linear_time(twin: Twin) -> None:
    """A megabyte of empty lines, and one of chunks of one octet, in a fraction of a second."""
    content = b"\n" * (1 << 20)
    app, seen = reading(lambda environ: sum(1 for _ in environ["wsgi.input"]))
    started = time.perf_counter()
    serve(twin, app, post(content))
    serve(twin, app, *parts(post(content), 100))
    serve(twin, app, *parts(post_chunks(*[b"\n"] * 100_000), 50))
    assert seen == [1 << 20, 1 << 20, 100_000]
    assert time.perf_counter() - started < 10


# -- content that is cut short, or faulty ------------------------------------------------------


@pytest.mark.parametrize("request_head", [post(LINES), post_chunks(LINES)])
def test_content_cut_short(twin: Twin, request_head: bytes) -> None:
    """The application is not called; the client gets a 400."""
    app, seen = reading(lambda environ: None)
    for end in (1, 3, 8):
        served = serve(twin, app, request_head[:-end], b"", log=Recorder())
        assert served.response.status == 400
        assert served.response.get("Connection") == "close"
        assert served.code == LINGER
        ((_, error),) = served.log.refusals
        assert error.reason == "content ended before its announced length"
    assert seen == []


def test_the_end_between_requests_is_quiet(twin: Twin) -> None:
    app, _ = reading(lambda environ: None)
    for data in ([b""], [GET, b""], [b"GET / HT", b""]):
        served = serve(twin, app, *data)
        assert served.log.refusals == []
        assert served.code != AGAIN


def test_faulty_chunks_reach_no_application(twin: Twin) -> None:
    app, seen = reading(lambda environ: None)
    request = post_chunks(b"a" * 1000)[:-5] + b"x\r\n\r\n"
    served = serve(twin, app, *parts(request, 7), limits=SMALL)
    assert served.response.status == 400
    assert seen == []


# -- limits, and the budget --------------------------------------------------------------------


def test_the_limit_of_chunked_content(twin: Twin) -> None:
    """Refused as soon as a size line passes it, whatever was kept until then."""
    limits = Limits(body=100, body_memory=10)
    budget = Budget(memory=1000, spool=1 << 20)
    app, seen = reading(lambda environ: len(environ["wsgi.input"].read()))
    policy = Policy(budget=budget)
    assert serve(twin, app, post_chunks(b"a" * 100), limits=limits, policy=policy).code == AGAIN
    assert seen == [100]
    request = post_chunks(b"a" * 50, b"b" * 51)
    served = serve(twin, app, *parts(request, 20), limits=limits, policy=policy)
    assert served.response.status == 413
    assert (budget.memory.left, budget.spool.left) == (1000, 1 << 20)


def test_the_limit_comes_before_100_continue(twin: Twin) -> None:
    app, _ = reading(lambda environ: None)
    head = post(b"a" * 10, b"Expect: 100-continue")[:-10]
    served = serve(twin, app, head, limits=Limits(body=9))
    assert served.response.status == 413


@pytest.mark.parametrize("size", [1, 63, 64, 65, 5000])
def test_the_budget_is_given_back(twin: Twin, size: int) -> None:
    """By requests that were answered, and by connections that ended in their midst."""
    budget = Budget(memory=10_000, spool=1 << 20)
    policy = Policy(budget=budget)
    held: list[tuple[int, int]] = []
    app, seen = reading(lambda environ: len(environ["wsgi.input"].read()))
    for request in (post(b"a" * size), post_chunks(b"a" * size)):
        served = serve(twin, app, *parts(request, 9), limits=SMALL, policy=policy)
        assert served.code == AGAIN
        assert (budget.memory.left, budget.spool.left) == (10_000, 1 << 20)
        core = make_core(twin, app, limits=SMALL, policy=policy)
        conn = make_conn(twin, core)
        serve_on(conn, core, request[: len(request) - size // 2 - 5])
        held.append((budget.memory.left, budget.spool.left))
        conn.close()
        assert (budget.memory.left, budget.spool.left) == (10_000, 1 << 20)
    assert seen == [size, size]
    assert size < 64 or all(pair != (10_000, 1 << 20) for pair in held)


def test_two_connections_share_the_budget(twin: Twin) -> None:
    """What one holds in memory, the other has to put into a file, and the third is refused."""
    budget = Budget(memory=100, spool=1 << 17)
    app, _ = reading(lambda environ: None)
    core = make_core(twin, app, policy=Policy(budget=budget))
    first, second, third = (make_conn(twin, core) for _ in range(3))
    serve_on(first, core, post(b"a" * 90)[:-1])
    assert (budget.memory.left, budget.spool.left) == (11, 1 << 17)
    serve_on(second, core, post(b"a" * 80_000)[:-1])
    assert (budget.memory.left, budget.spool.left) == (11, (1 << 17) - 79_999)
    assert serve_on(third, core, post(b"a" * 50)[:-1]) == LINGER
    response, _ = read_response(third.data_to_send())
    assert response.status == 503
    for conn in (first, second, third):
        conn.close()
    assert (budget.memory.left, budget.spool.left) == (100, 1 << 17)


def test_the_spool_is_in_its_folder(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[object] = []
    real = tempfile.TemporaryFile

    def temporary_file(buffering: int, dir: str) -> object:
        folders.append(dir)
        return real(buffering=buffering, dir=dir)

    monkeypatch.setattr("tempfile.TemporaryFile", temporary_file)
    app, _ = reading(lambda environ: environ["wsgi.input"].read())
    policy = Policy(tmp_upload_dir=str(tmp_path))
    serve(twin, app, post(b"a" * 1000), limits=SMALL, policy=policy)
    assert folders == [str(tmp_path)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1000, 300_000])
def test_without_a_folder_the_application_reads_the_rest(twin: Twin, size: int) -> None:
    app, seen = reading(lambda environ: len(environ["wsgi.input"].read()))
    budget = Budget(memory=1 << 20, spool=1 << 20)
    policy = Policy(tmp_upload_dir="/nonexistent", budget=budget)
    with Link(twin, app, limits=SMALL, policy=policy) as link:
        link.start()
        link.send(post(b"a" * size))
        assert link.receive_exactly(15) == b"HTTP/1.1 200 OK"
    assert seen == [size]
    assert (budget.memory.left, budget.spool.left) == (1 << 20, 1 << 20)


def test_without_a_folder_a_transport_of_the_callers_has_no_room(twin: Twin) -> None:
    app, _ = reading(lambda environ: None)
    policy = Policy(tmp_upload_dir="/nonexistent")
    served = serve(twin, app, *parts(post(b"a" * 1000), 3), limits=SMALL, policy=policy)
    assert served.response.status == 503


def test_a_disk_that_is_full(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(buffering: int, dir: str | None) -> object:
        return open("/dev/full", "w+b", buffering)  # noqa: PTH123

    monkeypatch.setattr("tempfile.TemporaryFile", full_disk)
    budget = Budget(memory=1000, spool=1 << 20)
    app, seen = reading(lambda environ: None)
    policy = Policy(budget=budget)
    served = serve(twin, app, *parts(post(b"a" * 1000), 3), limits=SMALL, policy=policy)
    assert served.response.status == 503
    assert seen == []
    assert (budget.memory.left, budget.spool.left) == (1000, 1 << 20)


# -- 100 Continue ------------------------------------------------------------------------------


def test_100_continue(twin: Twin) -> None:
    """Once the head passed every check, and before the content has come."""
    app, seen = reading(lambda environ: environ["wsgi.input"].read())
    request = post(b"hello", b"Expect: 100-continue")
    served = serve(twin, app, request[:-5])
    assert served.output == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert seen == []
    assert serve_on(served.conn, served.core, b"hello") == AGAIN
    assert [response.status for response in read_responses(served.conn.data_to_send())] == [200]
    assert seen == [b"hello"]


def test_100_continue_is_sent_once(twin: Twin) -> None:
    app, _ = reading(lambda environ: None)
    request = post(b"hello", b"Expect: 100-continue")
    served = serve(twin, app, request[:-5], b"he", b"l", b"lo")
    assert [response.status for response in served.responses] == [100, 200]


def test_no_100_continue_where_content_has_come(twin: Twin) -> None:
    """RFC 9110 10.1.1 permits leaving it out."""
    app, _ = reading(lambda environ: None)
    request = post(b"hello", b"Expect: 100-continue")
    for data in ([request], [request[:-2], request[-2:]]):
        assert serve(twin, app, *data).response.status == 200


def test_no_100_continue_without_content(twin: Twin) -> None:
    app, _ = reading(lambda environ: None)
    assert serve(twin, app, post(b"", b"Expect: 100-continue")).response.status == 200


def test_no_100_continue_to_http_1_0(twin: Twin) -> None:
    app, _ = reading(lambda environ: None)
    request = post(b"hello", b"Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert serve(twin, app, request[:-5]).output == b""
    assert serve(twin, app, request[:-5], b"hello").response.status == 200


def test_100_continue_of_chunks(twin: Twin) -> None:
    app, seen = reading(lambda environ: environ["wsgi.input"].read())
    head, separator, body = post_chunks(b"hello").partition(b"\r\n\r\n")
    served = serve(twin, app, head + b"\r\nExpect: 100-continue" + separator, body)
    assert [response.status for response in served.responses] == [100, 200]
    assert seen == [b"hello"]


def test_a_request_behind_the_content_waits_for_the_first(twin: Twin) -> None:
    app, seen = reading(lambda environ: environ["wsgi.input"].read())
    core = make_core(twin, app)
    conn = make_conn(twin, core)
    assert conn.feed(post(b"hello")[:-2]) == AGAIN
    assert conn.feed(b"lo" + post(b"two")) == HANDOFF
    request = conn.take()
    assert request is not None
    assert conn.take() is None
    assert seen == []
    assert request.run(core) == AGAIN
    assert conn.read() == HANDOFF
