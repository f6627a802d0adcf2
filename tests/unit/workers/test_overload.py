"""Who is turned away, who is served first, and what the log says of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.http.types import AGAIN, HANDOFF, HEAD, IDLE, LINGER
from monoceros.workers.overload import Overload
from monoceros.workers.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping


class FakeConn:
    """A unix socket's connection, for which ``collect`` finds what it is told to."""

    def __init__(self, code: int = HANDOFF, state: int = HEAD, since: float = 0.0) -> None:
        self.code, self.state, self.since = code, state, since
        self.local, self.pending, self.trusted = "/run/a", 0, False
        self.request = None
        self.rejected = 0

    def reject(self, status: int, core: object) -> int:
        assert status == 503
        self.rejected += 1
        return LINGER


class FakeReactor:
    """Those who wait, by when they came, and what became of them."""

    def __init__(self, since: Mapping[int, float], code: int = HANDOFF) -> None:
        self.conns = {fd: FakeConn(code) for fd in since}
        self.waiting = {
            fd: Waiting(came, may_move=True, hops=0, keep_until=0.0) for fd, came in since.items()
        }
        self.more = self.waiting
        self.followed: dict[int, int] = {}

    def bring_back(self, fd: int) -> FakeConn:
        del self.waiting[fd]
        return self.conns[fd]

    def collect(self, core: object, fd: int, conn: FakeConn) -> int:
        return conn.code

    def follow(self, fd: int, code: int) -> None:
        self.followed[fd] = code

    def write_log(self, core: object) -> None:
        """Nothing is there."""


def make(
    since: Mapping[int, float],
    limit_s: float = 0,
    most: int = 0,
    code: int = HANDOFF,
    patience_s: float = 0.0,
) -> tuple[Overload, Any, list[str]]:
    reactor: Any = FakeReactor(since, code)
    said: list[str] = []
    overload = Overload(reactor, limit_s, most, said.append, patience_s)
    for came in since.values():
        overload.expect(came)
    return overload, reactor, said


def at(now: float) -> Any:
    return SimpleNamespace(now=now)


def nobody() -> bool:
    """Whether somebody elsewhere would take what waits."""
    return False


def test_who_has_waited_too_long_goes() -> None:
    overload, reactor, said = make({5: 100.0, 6: 100.4, 7: 100.0}, limit_s=1)
    assert overload.turn_away(at(100.9), nobody) == pytest.approx(0.1)
    assert not reactor.followed
    assert overload.turn_away(at(101.0), nobody) == pytest.approx(0.4)
    assert reactor.followed == {5: LINGER, 7: LINGER}
    assert list(reactor.waiting) == [6]
    overload.tell(101.0)
    assert said == [
        "Answered 503 to 2 requests that no thread was free for: 2 had waited for queue_timeout "
        "(1 s); more workers or threads would serve more of them"
    ]


def test_newest_go_where_there_are_too_many() -> None:
    overload, reactor, said = make({5: 100.0, 6: 100.1, 7: 100.2}, most=2)
    overload.turn_away(at(200.0), nobody)
    assert reactor.followed == {7: LINGER}
    overload.tell(200.0)
    assert "1 found max_queue (2) others waiting" in said[0]


def test_what_others_are_about_to_take_is_no_surplus() -> None:
    overload, reactor, _ = make({5: 100.0, 6: 100.1, 7: 100.2}, most=2)
    overload.turn_away(at(200.0), lambda: True)
    assert not reactor.followed
    assert len(reactor.waiting) == 3


def test_others_get_a_moment_to_take_what_is_too_much() -> None:
    overload, reactor, _ = make({5: 100.0, 6: 100.0, 7: 100.0}, most=2, patience_s=0.02)
    overload.turn_away(at(100.01), nobody)
    assert not reactor.followed
    overload.turn_away(at(100.03), nobody)
    assert reactor.followed == {7: LINGER}


def test_what_is_no_whole_request_after_all_goes_on() -> None:
    overload, reactor, said = make({5: 100.0}, limit_s=1, code=AGAIN)
    overload.turn_away(at(102.0), nobody)
    assert reactor.followed == {5: AGAIN}
    assert not reactor.conns[5].rejected
    overload.tell(102.0)
    assert not said


def test_log_is_not_flooded() -> None:
    overload, _reactor, said = make({}, limit_s=1)
    conn: Any = FakeConn()
    for now in (100.0, 101.0, 104.9, 105.1, 111.0):
        overload.refuse(conn, at(now), now)
        overload.tell(now)
    assert [line.split()[3] for line in said] == ["1", "3", "1"]


def test_newest_is_first_in_a_queue_that_stays() -> None:
    overload, reactor, _ = make({5: 100.0, 6: 100.1, 7: 100.2}, limit_s=1)
    assert overload.pick(100.4) == 5
    assert overload.pick(100.6) == 7
    del reactor.more[5], reactor.more[6]
    assert overload.pick(100.6) == 7


def test_order_is_kept_without_a_limit_of_time() -> None:
    overload, _, _ = make({5: 100.0, 6: 100.1}, most=5)
    assert overload.pick(1e9) == 5


def test_a_connection_at_rest_has_not_waited() -> None:
    overload, _, _ = make({}, limit_s=1)
    conn: Any = FakeConn(state=IDLE, since=99.0)
    assert overload.arrival(5, conn, 100.0) == 100.0
    conn.since = 100.5  # a Core that is ahead of this one
    assert overload.arrival(5, conn, 100.0) == 100.0


@pytest.mark.parametrize(("limit_s", "most", "pause_s"), [(1, 0, 0.125), (1, 5, 0.01)])
def test_looks_are_rare_where_nobody_waits_for_long(
    limit_s: float, most: int, pause_s: float
) -> None:
    overload, _, _ = make({}, limit_s=limit_s, most=most)
    assert overload.wants_look(100.0)
    assert not overload.wants_look(100.0 + 0.9 * pause_s)
    assert overload.wants_look(100.0 + 1.1 * pause_s)


def test_looks_are_frequent_in_an_overload() -> None:
    overload, _, _ = make({5: 99.4}, limit_s=1)
    overload.turn_away(at(100.0), nobody)
    assert overload.wants_look(100.0)
    assert overload.wants_look(100.006)
