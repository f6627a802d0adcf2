"""What counts as a sign of life."""

from __future__ import annotations

import pytest

from monoceros.arbiter.children import Child, Phase
from monoceros.arbiter.heartbeat import (
    MOST_NAMED,
    TORN_READS,
    TORN_S,
    Verdict,
    describe,
    describe_in_hand,
    judge,
    judge_boot,
    name_others,
)
from monoceros.scoreboard import Record, State

NOW = 1000.0


def make(**changes: object) -> Child:
    """Return a ready child."""
    child = Child(7, 1, 1, 0, born=NOW - 500)
    child.phase, child.ready_at = Phase.READY, NOW - 400
    for name, value in changes.items():
        setattr(child, name, value)
    return child


def record(state: State, beat: float = 0.0, started: float = 0.0, **texts: str) -> Record:
    """Return a reading with times in seconds before now."""
    beat_ns, started_ns = int((NOW - beat) * 1e9), int((NOW - started) * 1e9)
    request = texts.get("request", "GET /x")
    return Record(7, state, beat_ns, started_ns, 3, 1, texts.get("peer", "::1"), request)


@pytest.mark.parametrize(
    ("reading", "verdict"),
    [
        (record(State.IDLE, beat=10), Verdict(False, NOW + 20)),
        (record(State.IDLE, beat=29.5), Verdict(False, NOW + 0.5)),
        (record(State.IDLE, beat=30), Verdict(True, None)),
        (record(State.RUNNING, beat=200, started=10), Verdict(False, NOW + 20)),
        (record(State.RUNNING, beat=0, started=31), Verdict(True, None)),
    ],
)
def test_ready_worker(reading: Record, verdict: Verdict) -> None:
    assert judge(make(), [reading], 30, NOW) == verdict


def test_time_before_readiness_does_not_count() -> None:
    child = make(ready_at=NOW - 5)

    assert judge(child, [record(State.IDLE, beat=100)], 30, NOW) == Verdict(False, NOW + 25)


@pytest.mark.parametrize("changes", [{"ready_at": None, "phase": Phase.BOOTING}, {"aborted": True}])
def test_booting_and_aborted_workers_are_left_alone(changes: dict[str, object]) -> None:
    assert judge(make(**changes), [record(State.RUNNING, started=99)], 30, NOW) == (False, None)


def test_idle_worker_may_miss_a_beat_whatever_the_timeout() -> None:
    assert not judge(make(), [record(State.IDLE, beat=2.5)], 1, NOW).overdue
    assert judge(make(), [record(State.IDLE, beat=3)], 1, NOW).overdue
    assert judge(make(), [record(State.RUNNING, started=1)], 1, NOW).overdue


def test_idle_worker_is_looked_at_in_time_for_a_request_that_begins_now() -> None:
    assert judge(make(), [record(State.IDLE, beat=0)], 1, NOW) == Verdict(False, NOW + 1)


def test_timeout_of_0_means_never() -> None:
    assert judge(make(), [record(State.RUNNING, started=9999)], 0, NOW) == (False, None)


def test_draining_worker_is_judged_by_its_request_only() -> None:
    child = make(phase=Phase.DRAINING)

    assert not judge(child, [record(State.IDLE, beat=300)], 30, NOW).overdue
    assert judge(child, [record(State.RUNNING, started=31)], 30, NOW).overdue


def test_call_may_be_long_where_the_process_gives_signs_of_life() -> None:
    child = make(timeout_is_per_call=False)

    assert judge(child, [record(State.RUNNING, beat=1, started=99)], 30, NOW) == (False, NOW + 29)
    assert judge(child, [record(State.RUNNING, beat=31, started=1)], 30, NOW).overdue
    child.phase = Phase.DRAINING
    assert judge(child, [record(State.RUNNING, beat=31, started=99)], 30, NOW) == (False, NOW + 30)


@pytest.mark.parametrize(
    ("boot_timeout", "timeout", "age", "verdict"),
    [
        (0, 0, 99, Verdict(False, None)),
        (0, 30, 0, Verdict(False, NOW + 30)),
        (0, 30, 95, Verdict(False, NOW + 30)),
        (45, 30, 0, Verdict(False, NOW + 30)),
        (45, 30, 30, Verdict(False, NOW + 15)),
        (45, 30, 45, Verdict(True, None)),
        (45, 0, 1, Verdict(False, NOW + 44)),
        (5, 30, 5.5, Verdict(True, None)),
    ],
)
def test_boot(boot_timeout: int, timeout: int, age: float, verdict: Verdict) -> None:
    child = Child(7, 1, 1, 0, born=NOW - age)

    assert judge_boot(child, boot_timeout, timeout, NOW) == verdict


def test_record_that_cannot_be_read_gets_some_more_looks() -> None:
    assert judge(make(torn=1), [None], 30, NOW) == Verdict(False, NOW + TORN_S)
    assert judge(make(torn=TORN_READS), [None], 30, NOW) == Verdict(True, None)


@pytest.mark.parametrize(
    ("reading", "text"),
    [
        (record(State.RUNNING, started=2.04), "running GET /x from ::1 for 2.0s"),
        (record(State.RUNNING, started=1, peer=""), "running GET /x from unix socket for 1.0s"),
        (
            record(State.RUNNING, started=1, request="GET /\xe9\n\x1b["),
            r"running GET /\xe9\n\x1b[ from ::1 for 1.0s",
        ),
        (record(State.IDLE, beat=-0.04), "no request, no sign of life for 0.0s"),
        (record(State.IDLE, beat=31), "no request, no sign of life for 31.0s"),
        (
            record(State.RUNNING, started=1)._replace(connections=12),
            "running GET /x from ::1 for 1.0s, with 12 connections open",
        ),
        (None, "its scoreboard record cannot be read"),
    ],
)
def test_description(reading: Record | None, text: str) -> None:
    assert describe([reading], NOW) == text


def test_every_running_call_counts_by_itself() -> None:
    main, young, old = (
        record(State.IDLE, beat=1),
        record(State.RUNNING, started=10),
        record(State.RUNNING, started=29),
    )
    child = make()

    assert judge(child, [main, young, old], 30, NOW) == Verdict(False, NOW + 1)
    assert judge(child, [main, None, old], 29, NOW) == Verdict(True, None)
    child.phase = Phase.DRAINING
    assert judge(child, [main, young, old], 29, NOW) == Verdict(True, None)


def test_silence_is_that_of_the_main_thread() -> None:
    silent, busy = record(State.TENDING, beat=31), record(State.RUNNING, beat=0, started=0)
    child = make(timeout_is_per_call=False)

    assert judge(child, [silent, busy], 30, NOW).overdue
    assert not judge(child, [record(State.TENDING, beat=1), silent, None], 30, NOW).overdue
    text = "no request, no sign of life for 31.0s, with 2 connections open"
    assert describe([silent, record(State.IDLE)], NOW) == text
    assert describe([None, record(State.IDLE)], NOW) == "its scoreboard record cannot be read"


def test_in_hand_are_the_running_ones() -> None:
    idle, running = record(State.IDLE), record(State.RUNNING, started=2, request="GET /\n\xe9")
    two = [idle._replace(connections=12), running, running._replace(request="GET /b")]

    assert describe_in_hand([idle, None], NOW) == ""
    assert describe_in_hand([None, running], NOW) == r"running GET /\n\xe9 from ::1 for 2.0s"
    assert describe_in_hand(two, NOW) == describe(two, NOW)
    assert describe_in_hand(two, NOW) == (
        r"running GET /\n\xe9 from ::1 for 2.0s, running GET /b from ::1 for 2.0s,"
        " with 14 connections open"
    )


def test_many_requests_are_counted() -> None:
    running = record(State.RUNNING, request="GET /")._replace(connections=0)
    text = describe_in_hand([running] * (MOST_NAMED + 2), NOW)

    assert text.count("GET /") == MOST_NAMED
    assert text.endswith(", and 2 more")
    assert name_others([running] * MOST_NAMED, NOW) == []
    assert len(name_others([None, *[running] * (MOST_NAMED + 2)], NOW)) == 2
