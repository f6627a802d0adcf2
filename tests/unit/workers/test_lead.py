"""Who leads a worker's reactor, and what becomes of connections when that changes."""

from __future__ import annotations

import os
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.http import Core
from monoceros.http.environ import base_environ
from monoceros.http.types import (
    AGAIN,
    CLOSE,
    HANDOFF,
    LINGER,
    MORE,
    UPGRADE,
    WANT_WRITE,
    Limits,
    Policy,
    Rules,
)
from monoceros.net.wakeup import Wakeup
from monoceros.scoreboard import Scoreboard
from monoceros.workers.monitor import Monitor
from monoceros.workers.serving import WsgiWorker
from monoceros.workers.siblings import Siblings
from tests.unit.test_reactor import REQUEST, FailingLog, Rig, hello, is_readable

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNKED = (
    b"POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
)


def make_core() -> Core:
    environ = base_environ("monoceros/test", sys.stderr, multithread=True, multiprocess=False)
    return Core(hello, environ, Limits(), Rules(), "", Policy(), FailingLog(), None)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


def lone(rig: Rig) -> int:
    """Return the descriptor of the only connection."""
    (fd,) = rig.reactor.conns
    return fd


def watch_over(rig: Rig) -> Monitor:
    """Return a monitor without siblings or other threads."""
    siblings = Siblings(Scoreboard(1), range(1), os.getppid())
    return Monitor(rig.reactor, make_core(), Wakeup(), siblings, None)


def test_a_wish_that_was_for_the_leader_is_not_taken_by_another(rig: Rig) -> None:
    reactor, late, leader = rig.reactor, rig.core, make_core()
    watch_over(rig)
    with rig.connect():
        rig.turn(lambda: len(reactor) == 1)
        reactor._current = fd = lone(rig)
        reactor.lift()
        reactor.lead(leader)
        reactor.leader = None
        assert not reactor._come_back(late, fd, 0, iter(()))
        assert reactor.leader is None
        assert reactor.led_by is leader


def test_a_wish_that_comes_too_late_does_not_stop_the_leader(rig: Rig) -> None:
    reactor = rig.reactor
    watch_over(rig)
    reactor.leader = None
    assert not reactor.regain(make_core())
    assert reactor.regain(rig.core)
    assert reactor.leader is rig.core


def test_a_request_that_was_read_is_not_lost_by_a_move(rig: Rig) -> None:
    reactor, monitor = rig.reactor, watch_over(rig)
    with rig.connect() as client:
        rig.turn(lambda: len(reactor) == 1)
        fd = lone(rig)
        client.sendall(CHUNKED)
        assert reactor.collect(rig.core, fd, reactor.conns[fd]) == HANDOFF
        reactor.follow(fd, MORE)
        # The next one has come whole as well, and nothing of it was used.
        client.sendall(REQUEST)
        monitor._step(fd)
        assert not reactor.waiting[fd].may_move


def test_a_fault_costs_the_monitor_one_connection(rig: Rig) -> None:
    reactor, monitor = rig.reactor, watch_over(rig)
    with rig.connect() as broken, rig.connect() as healthy:
        rig.turn(lambda: len(reactor) == 2)
        broken.sendall(b"GET / HTTP/1.1\r\n\r\n")
        healthy.sendall(REQUEST)
        assert monitor._turn(list(reactor.conns)) >= 0
        assert rig.reports == ["Unexpected error on a connection"]
        assert len(reactor.waiting) == len(reactor) == 1
        reactor.lead(rig.core)
        rig.turn(lambda: is_readable(healthy))
        assert healthy.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_a_descriptor_of_an_upgrade_may_be_somebody_elses_soon(rig: Rig) -> None:
    reactor, core, leader = rig.reactor, rig.core, make_core()
    with rig.connect():
        rig.turn(lambda: len(reactor) == 1)
        fd = lone(rig)
        reactor._current = fd
        conn = reactor.conns[fd]
        conn.ready(core)  # for this Core from now on
        reactor.lift()
        reactor.lead(leader)
        # The application has closed the socket that it took, and the next one has its number.
        taken, _ = conn.detach()
        with rig.connect() as client:
            os.close(taken)
            while not reactor.conns:
                reactor.run_once(leader, 0.01)
            assert lone(rig) == fd
            assert not reactor._come_back(core, fd, UPGRADE, iter(()))
            assert len(reactor) == 1
            client.sendall(REQUEST)
            rig.core = leader
            rig.turn(lambda: is_readable(client))


def lift_lone(rig: Rig, leader: Core) -> int:
    """Have another one lead while the only connection is in a call; returns its descriptor."""
    reactor, fd = rig.reactor, lone(rig)
    reactor._current = fd
    reactor.lift()
    reactor.lead(leader)
    return fd


@pytest.mark.parametrize("code", [AGAIN, LINGER, MORE, WANT_WRITE])
def test_who_leads_meets_a_connection_as_it_is_to_be(rig: Rig, code: int) -> None:
    """As soon as it is in the poller the leader may deal with it."""
    reactor, watched = rig.reactor, []

    def add(fd: int) -> None:
        watched.append((fd in reactor.conns, reactor.handlers[fd]))

    with rig.connect():
        rig.turn(lambda: len(reactor) == 1)
        fd = lift_lone(rig, make_core())
        conn = reactor.away[rig.core]
        reactor.poller.add = reactor.poller.add_output = add  # type: ignore[method-assign]
        assert not reactor._come_back(rig.core, fd, code, iter(()))
        assert [is_there for is_there, _ in watched] == [True]
        handler = watched[0][1]
        assert (handler == conn.discard) == (code == LINGER)
        assert (handler == conn.ready) == (code in (AGAIN, MORE))
        assert reactor.handlers[fd] is handler
        assert (fd in reactor.more) == (code == MORE)
        reactor.poller.remove = lambda fd: None  # type: ignore[method-assign]


def test_a_connection_that_ends_is_not_put_back(rig: Rig) -> None:
    reactor = rig.reactor
    with rig.connect() as client:
        rig.turn(lambda: len(reactor) == 1)
        fd = lift_lone(rig, make_core())
        reactor.poller.add = lambda fd: pytest.fail("put back")  # type: ignore[method-assign]
        assert not reactor._come_back(rig.core, fd, CLOSE, iter(()))
        assert client.recv(1) == b""
        assert len(reactor) == 0


def test_who_comes_back_with_input_at_hand_wakes_the_leader(rig: Rig) -> None:
    reactor = rig.reactor
    with rig.connect():
        rig.turn(lambda: len(reactor) == 1)
        fd = lift_lone(rig, make_core())
        reactor._come_back(rig.core, fd, MORE, iter(()))
        assert rig.wakeup.fileno() in [one for one, _ in reactor.poller.poll(0)]


def test_who_has_lost_the_lead_leaves_the_way_out_to_others(rig: Rig) -> None:
    worker: Any = SimpleNamespace(alive=False, _leave=lambda *_: pytest.fail("it does not lead"))
    rig.reactor.lead(make_core())
    assert WsgiWorker.serve(worker, rig.reactor, rig.core, time.monotonic() + 1)


def test_a_wish_that_comes_too_late_stops_nobody(rig: Rig) -> None:
    reactor = rig.reactor
    watch_over(rig)
    worker: Any = SimpleNamespace(alive=True, max_requests=sys.maxsize)
    with rig.connect() as client:
        rig.turn(lambda: len(reactor) == 1)
        client.sendall(REQUEST)
        reactor.leader = None
        for _ in range(10):
            assert reactor.regain(rig.core)
            assert WsgiWorker.serve(worker, reactor, rig.core, time.monotonic() + 0.01)
        assert is_readable(client)
