"""Which connections are late, by what their clients have done."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from monoceros.http.types import BODY, HEAD, IDLE, LINGERING, WRITE
from monoceros.workers.lateness import Lateness, ready_among, undelivered
from monoceros.workers.timeouts import Timeouts, is_idle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.http.types import Conn

FD = 7


@dataclass
class State:
    """What is looked at of a connection."""

    state: int
    since: float = 0.0
    received: int = 0
    pending: int = 0
    has_request: bool = False
    expires: bool = True


def find(lateness: Lateness, state: State, now: float, fd: int = FD) -> bool:
    """Whether a sweep finds the connection late."""
    return bool(lateness.find({fd: cast("Conn", state)}, now))


@pytest.fixture
def lateness() -> Lateness:
    return Lateness(Timeouts(keepalive=75, header=30, body=20, min_rate=500, write=60))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    server, client = socket.socketpair()
    server.setblocking(False)
    with server, client:
        yield server, client


@pytest.mark.parametrize(("state", "limit"), [(IDLE, 77), (HEAD, 30), (LINGERING, 2)])
def test_states_have_their_time(lateness: Lateness, state: int, limit: float) -> None:
    assert not find(lateness, State(state), limit)
    assert find(lateness, State(state), limit + 1)


def test_a_peer_that_may_stay_is_never_late_between_requests(lateness: Lateness) -> None:
    new, begun = State(HEAD, expires=False), State(HEAD, pending=1, expires=False)
    idle = State(IDLE, expires=False)
    assert not find(lateness, idle, 1e9)
    assert not find(lateness, new, 1e9)
    assert find(lateness, begun, 31)
    assert is_idle(cast("Conn", idle))
    assert is_idle(cast("Conn", new))
    assert not is_idle(cast("Conn", begun))
    assert not is_idle(cast("Conn", State(HEAD)))


def test_body_that_stalls_is_late_however_much_has_come(lateness: Lateness) -> None:
    body = State(BODY, received=1 << 30)
    assert not find(lateness, body, 1)
    assert not find(lateness, body, 21)
    assert find(lateness, body, 22)


def test_body_that_goes_on_is_late_only_below_the_minimum_rate(lateness: Lateness) -> None:
    fast, slow = State(BODY), State(BODY)
    late = {0: 0, 1: 0}
    for now in range(60):
        fast.received += 600
        slow.received += 300
        for fd, state in enumerate((fast, slow)):
            late[fd] += find(lateness, state, now, fd)
            lateness.is_late(fd, cast("Conn", state), now)
    assert late[0] == 0
    assert late[1] > 0


def test_second_look_sees_what_came_since(lateness: Lateness) -> None:
    body = State(BODY, received=100_000)
    assert not find(lateness, body, 1)
    assert find(lateness, body, 22)
    assert lateness.is_late(FD, cast("Conn", body), 22)
    body.received += 1
    assert not lateness.is_late(FD, cast("Conn", body), 22)


def test_reader_that_takes_what_the_kernel_has_is_not_late(
    lateness: Lateness, pair: tuple[socket.socket, socket.socket]
) -> None:
    server, client = pair
    for _ in range(20):
        server.send(b"x" * 5000)
    for now in range(0, 600, 50):
        client.recv(5000)
        assert not find(lateness, State(WRITE), now, server.fileno())
    assert find(lateness, State(WRITE), now + 61, server.fileno())


def test_no_limit_means_never(pair: tuple[socket.socket, socket.socket]) -> None:
    lateness = Lateness(Timeouts(keepalive=75, header=0, body=0, min_rate=500, write=0))
    for state in (HEAD, BODY, WRITE):
        assert not find(lateness, State(state), 1)
        assert not find(lateness, State(state), 1e9)


def test_undelivered_octets_are_counted(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    assert undelivered(server.fileno()) == 0
    server.send(b"x" * 100)
    before = undelivered(server.fileno())
    client.recv(100)
    assert undelivered(server.fileno()) < before
    with Path(os.devnull).open("rb") as no_socket:
        assert undelivered(no_socket.fileno()) == 0


def test_ready_is_who_did_what_is_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    fd = server.fileno()
    waiting = [(fd, cast("Conn", State(state))) for state in (IDLE, WRITE, LINGERING)]
    assert ready_among(waiting[:1]) == []
    assert ready_among(waiting[1:2]) == [fd]
    client.send(b"x")
    assert ready_among(waiting[:1]) == [fd]
    assert ready_among(waiting[2:]) == []
