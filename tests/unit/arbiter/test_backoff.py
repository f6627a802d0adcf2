"""How long the places of crashed workers stay empty, under a clock of our own."""

from __future__ import annotations

import pytest

from monoceros.arbiter import backoff
from monoceros.arbiter.backoff import FIRST_S, LONGEST_S, QUIET_S, Backoff


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "JITTER", 0.0)


def crash_repeatedly(places: Backoff, times: int, *, was_ready: bool) -> list[float]:
    """Let one child crash right at its start, again and again; return the delays."""
    now, delays = 100.0, []
    for _ in range(times):
        delay = places.record_crash(now, now, was_ready=was_ready)
        delays.append(delay)
        now += delay + 0.001
    return delays


def test_delays_double_up_to_a_limit() -> None:
    delays = crash_repeatedly(Backoff(), 10, was_ready=False)

    assert delays[:4] == pytest.approx([FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S])
    assert delays[-2:] == [LONGEST_S, LONGEST_S]


def test_first_crash_after_readiness_costs_nothing() -> None:
    delays = crash_repeatedly(Backoff(), 3, was_ready=True)

    assert delays == pytest.approx([0.0, FIRST_S, 2 * FIRST_S])


def test_places_are_held_until_their_time() -> None:
    places = Backoff()
    places.record_crash(100.0, 100.0, was_ready=False)

    assert places.next_due() == pytest.approx(100.0 + FIRST_S)
    assert places.count_held(100.0) == 1
    assert places.count_held(100.0 + FIRST_S + 0.001) == 0
    assert places.next_due() is None


def test_crashes_of_one_age_count_once() -> None:
    places = Backoff()
    delays = [places.record_crash(99.0, 100.0 + n / 100, was_ready=False) for n in range(4)]

    assert delays == [FIRST_S] * 4
    assert places.count_held(100.05) == 4
    assert places.record_crash(100.2, 100.3, was_ready=False) == 2 * FIRST_S


def test_quiet_time_makes_a_crash_the_first_again() -> None:
    places = Backoff()
    crash_repeatedly(places, 5, was_ready=False)
    later = 100.0 + QUIET_S + 20

    assert places.record_crash(later, later, was_ready=False) == FIRST_S


def test_clear_forgets_everything() -> None:
    places = Backoff()
    crash_repeatedly(places, 5, was_ready=False)
    places.clear()

    assert places.next_due() is None
    assert places.record_crash(101.0, 101.0, was_ready=False) == FIRST_S


def test_hold_for_another_reason() -> None:
    places = Backoff()
    places.hold(101.0)

    assert places.count_held(100.0) == 1
    assert places.count_held(101.0) == 0


def test_jitter_only_shortens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "JITTER", 0.5)
    delays = {Backoff().record_crash(100.0, 100.0, was_ready=False) for _ in range(50)}

    assert len(delays) > 1
    assert all(FIRST_S / 2 <= delay <= FIRST_S for delay in delays)


def test_very_many_crashes_do_not_overflow() -> None:
    assert crash_repeatedly(Backoff(), 3000, was_ready=False)[-1] == LONGEST_S
