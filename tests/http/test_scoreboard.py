"""What both twins count on the scoreboard."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from bisect import bisect_left
from typing import TYPE_CHECKING

import pytest

from monoceros.errors import StopWorker
from monoceros.http.types import LINGER, UPGRADE
from monoceros.scoreboard import (
    BUCKETS_NS,
    Counters,
    Scoreboard,
    SlotPhase,
    State,
    count_connections,
    count_moves,
)
from tests.http.apps import answer
from tests.http.link import Link
from tests.http.support import GET, Recorder, make_conn, make_core, serve, serve_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.http.types import Environ, StartResponse, Twin

SPIN_NS = 1_300_000


@pytest.fixture
def board() -> Scoreboard:
    """A board with one owner."""
    board = Scoreboard(1)
    board.claim(0, os.getpid(), 0)
    board.set_phase(0, SlotPhase.READY)
    return board


def counters(board: Scoreboard) -> Counters:
    """Return what the only owner has counted."""
    (thread,) = board.threads()
    return thread.counters


def state(board: Scoreboard) -> State:
    """Return what the only owner does."""
    record = board.read(0)
    assert record is not None
    return record.state


def spin() -> int:
    """Take a while that clocks of some milliseconds cannot tell; returns how long it was."""
    began = time.monotonic_ns()
    while (elapsed := time.monotonic_ns() - began) < SPIN_NS:
        pass
    return elapsed


def test_a_call_is_in_the_bucket_of_its_duration(twin: Twin, board: Scoreboard) -> None:
    inner = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        inner.append(spin())
        start_response("200 OK", [])
        return [b"hello"]

    for _ in range(20):
        board.claim(0, os.getpid(), 0)
        began = time.monotonic_ns()
        serve(twin, app, GET, slot=board.slot(0))
        outer = time.monotonic_ns() - began
        now = counters(board)

        assert inner.pop() <= now.duration_ns <= outer
        assert now.histogram[bisect_left(BUCKETS_NS, now.duration_ns)] == now.finished == 1


def test_short_calls_are_in_the_first_bucket(twin: Twin, board: Scoreboard) -> None:
    for _ in range(20):
        serve(twin, answer(b"hello"), GET * 50, slot=board.slot(0))
    now = counters(board)

    assert now.finished == 1000
    assert now.histogram[0] > 950  # the processor may be taken away from some
    assert now.duration_ns > 0


@pytest.mark.parametrize(
    ("status", "place"),
    [
        ("200 OK", 1),
        ("299 x", 1),
        ("304 Not Modified", 2),
        ("404 Not Found", 3),
        ("500 x", 4),
        ("599 x", 4),
        ("600 x", 4),
        ("999 x", 4),
    ],
)
def test_responses_by_class(twin: Twin, board: Scoreboard, status: str, place: int) -> None:
    serve(twin, answer(b"", status=status), GET + GET, slot=board.slot(0))
    expected = [0] * 5
    expected[place] = 2

    assert list(counters(board).responses) == expected


def test_another_protocol(twin: Twin, board: Scoreboard) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    app = answer(status="101 Switching Protocols", fields=[("Upgrade", "x")])
    served = serve(twin, app, request, slot=board.slot(0))

    assert served.output.startswith(b"HTTP/1.1 101 ")
    assert counters(board).responses == (1, 0, 0, 0, 0)


def test_early_hints_are_no_response(twin: Twin, board: Scoreboard) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>")])
        start_response("200 OK", [])
        return []

    assert b"HTTP/1.1 103 " in serve(twin, app, GET, slot=board.slot(0)).output
    assert counters(board).responses == (0, 1, 0, 0, 0)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("has_begun", [False, True])
def test_a_failed_call_is_an_answer_too(
    twin: Twin, board: Scoreboard, error: BaseException, has_begun: bool
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        if has_begun:
            start_response("200 OK", [])
        raise error

    served = serve(twin, app, GET, slot=board.slot(0))

    assert served.response.status == 500
    assert counters(board).responses == (0, 0, 0, 0, 1)
    assert counters(board).finished == 1
    assert state(board) is State.IDLE


def test_a_worker_that_leaves_in_a_call_runs_nothing(twin: Twin, board: Scoreboard) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        raise StopWorker(0)

    with pytest.raises(StopWorker):
        serve(twin, app, GET, slot=board.slot(0))

    assert state(board) is State.IDLE
    assert counters(board).responses == (0, 0, 0, 0, 1)


def test_a_failing_observer_leaves_nothing_in_flight(twin: Twin, board: Scoreboard) -> None:
    log = Recorder()

    def fail(entry: object) -> None:
        raise LookupError

    log.finished = fail
    core = make_core(twin, answer(b"hello"), log=log, slot=board.slot(0))
    conn = make_conn(twin, core)
    with pytest.raises(LookupError):
        serve_on(conn, core, GET)

    assert state(board) is State.IDLE
    assert counters(board).responses == (0, 1, 0, 0, 0)
    core.drop_output()
    log.finished = None  # the compiled twin has looked at it before
    with contextlib.suppress(LookupError):
        serve_on(make_conn(twin, core), core, GET)
    assert counters(board).finished == 2


def test_a_stream_counts_once_it_has_ended(twin: Twin, board: Scoreboard) -> None:
    seen: list[tuple[State, Counters]] = []
    inner = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        inner.append(spin())
        seen.append((state(board), counters(board)))
        yield b"two"

    serve(twin, app, GET, slot=board.slot(0))
    after = counters(board)

    assert seen == [(State.RUNNING, Counters(1, 0, (0,) * 5, (0,) * 17))]
    assert (after.requests, after.finished, after.responses) == (1, 1, (0, 1, 0, 0, 0))
    assert after.duration_ns >= inner[0]


def test_a_response_that_was_cut_short_keeps_its_status(twin: Twin, board: Scoreboard) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "9")])
        yield b"one"
        raise ValueError

    serve(twin, app, GET, slot=board.slot(0))

    assert counters(board).responses == (0, 1, 0, 0, 0)


def test_a_taken_connection_has_no_status(twin: Twin, board: Scoreboard) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["gunicorn.socket"].sendall(b"anything")
        return []

    with Link(twin, app, slot=board.slot(0)) as link:
        link.client.sendall(GET)
        assert link.conn.ready() == UPGRADE
        assert link.client.recv(100) == b"anything"

    assert counters(board).responses == (0,) * 5
    assert counters(board).finished == 1


def test_refusals_count_without_a_call(twin: Twin, board: Scoreboard) -> None:
    served = serve(twin, answer(b"hello"), b"GET / HTTP/1.1\r\n\r\n", slot=board.slot(0))
    assert served.response.status == 400
    conn = make_conn(twin, served.core)
    assert conn.reject(503) == LINGER

    assert counters(board) == Counters(0, 0, (0, 0, 0, 1, 1), (0,) * 17)
    assert state(board) is State.IDLE


def test_a_call_leaves_alone_what_is_not_its_own(twin: Twin, board: Scoreboard) -> None:
    count_moves(board.slot(0), 3, 4)
    count_connections(board.slot(0), 5)
    serve(twin, answer(b"hello"), GET, slot=board.slot(0))
    record, now = board.read(0), counters(board)

    assert (now.finished, now.given, now.taken) == (1, 3, 4)
    assert record is not None
    assert record.connections == 5


@pytest.mark.parametrize("sequence", [5, 0xFFFF_FFFF])
def test_a_call_heals_a_write_that_was_cut_short(
    twin: Twin, board: Scoreboard, sequence: int
) -> None:
    struct.pack_into("=Q", board.slot(0), 0, sequence)
    assert board.read(0) is None
    serve(twin, answer(b"hello"), GET, slot=board.slot(0))

    assert state(board) is State.IDLE
    assert counters(board).finished == 1


def test_cores_do_not_touch_the_records_of_others(twin: Twin) -> None:
    board = Scoreboard(3)
    before = bytes(board.slot(0)), bytes(board.slot(2))
    serve(twin, answer(b"hello"), GET, b"x", slot=board.slot(1))

    assert (bytes(board.slot(0)), bytes(board.slot(2))) == before


def test_without_a_scoreboard(twin: Twin) -> None:
    served = serve(twin, answer(b"hello"), GET, b"\0", b"x")

    assert [response.status for response in served.responses] == [200, 400]
