"""The event loop of a WSGI worker, on connections within this process."""

from __future__ import annotations

import socket
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.http import Core
from monoceros.http.environ import base_environ
from monoceros.http.types import Limits, Policy, Rules
from monoceros.net.trust import Trusted
from monoceros.net.wakeup import Wakeup
from monoceros.workers.lateness import Lateness
from monoceros.workers.reactor import Reactor
from monoceros.workers.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monoceros.http.access import AccessFormat, Entry
    from monoceros.http.errors import BadRequest
    from monoceros.http.types import Environ, StartResponse

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TIMEOUTS = Timeouts(keepalive=75, header=30, body=30, min_rate=500, write=60)


class FailingLog:
    """A log that raises where a request is refused."""

    access: AccessFormat | None = None
    finished: Callable[[Entry], object] | None = None

    def refused(self, peer: str, error: BadRequest) -> None:
        raise RuntimeError("log is broken")

    def failed(self, environ: Environ, error: BaseException) -> None:
        raise AssertionError("the application did not fail") from error

    def warning(self, message: str) -> None:
        raise AssertionError(message)


def hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


class Rig:
    """A reactor with its listener, and what it reported."""

    def __init__(self, *, policy: Policy | None = None, trusted: str = "", **options: Any) -> None:
        self.reports: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.listener.setblocking(False)
        self.core = core = Core(
            hello,
            base_environ("monoceros/test", sys.stderr, multithread=False, multiprocess=False),
            Limits(),
            Rules(),
            "monoceros",
            policy or Policy(),
            FailingLog(),
            None,
        )
        settings: dict[str, Any] = {"limit": 100, "burst": 1, **options}
        self.wakeup = Wakeup()
        self.reactor = Reactor(
            core,
            [self.listener],
            lateness=Lateness(TIMEOUTS),
            trusted=Trusted(trusted),
            access=None,
            wakeup=self.wakeup,
            warn=self.reports.append,
            report=self.reports.append,
            note=self.reports.append,
            **settings,
        )

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), timeout=5)

    def turn(self, until: Callable[[], bool]) -> None:
        for _ in range(1000):
            if until():
                return
            self.reactor.run_once(self.core, 0.01)
        pytest.fail("the reactor did not get there")

    def close(self) -> None:
        self.reactor.close()
        self.listener.close()
        self.wakeup.release()


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


def is_readable(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return bool(client.recv(1, socket.MSG_PEEK)) or True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_a_fault_costs_one_connection_and_leaks_nothing(rig: Rig) -> None:
    with rig.connect() as broken, rig.connect() as healthy:
        # The answer to the first request is in the buffer when the second one fails.
        broken.sendall(REQUEST + b"GET / HTTP/1.1\r\n\r\n")
        rig.turn(lambda: is_readable(broken))
        assert rig.reports == ["Unexpected error on a connection"]
        healthy.sendall(REQUEST)
        rig.turn(lambda: is_readable(healthy))
        answer = healthy.recv(65536)
        assert answer.count(b"HTTP/1.1 200 OK") == 1
        assert len(rig.reactor) == 1


def test_a_crowd_is_accepted_in_bursts() -> None:
    rig = Rig(burst=16)
    clients = [rig.connect() for _ in range(20)]
    rig.reactor.run_once(rig.core, 1)
    assert len(rig.reactor) == 16
    rig.turn(lambda: len(rig.reactor) == 20)
    for client in clients:
        client.close()
    rig.turn(lambda: len(rig.reactor) == 0)
    rig.close()


def test_idle_connections_make_room(rig: Rig) -> None:
    small = Rig(limit=2)
    clients = []
    for _ in range(2):
        client = small.connect()
        client.sendall(REQUEST)
        small.turn(partial(is_readable, client))
        clients.append(client)
    late = small.connect()
    late.sendall(REQUEST)
    small.turn(lambda: is_readable(late))
    assert late.recv(65536).startswith(b"HTTP/1.1 200 OK")
    assert len(small.reactor) <= 2
    for client in (*clients, late):
        client.close()
    small.close()


@pytest.fixture
def kept(rig: Rig) -> Iterator[socket.socket]:
    """A client whose connection waits for its next request."""
    with rig.connect() as client:
        client.sendall(REQUEST)
        rig.turn(lambda: is_readable(client))
        client.recv(65536)
        yield client


def test_a_request_that_came_in_time_is_answered(rig: Rig, kept: socket.socket) -> None:
    kept.sendall(REQUEST)
    rig.reactor.sweeper.sweep(rig.core, time.monotonic() + 1000)
    rig.turn(lambda: is_readable(kept))
    assert kept.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_a_request_that_crosses_with_the_end_meets_no_reset(rig: Rig, kept: socket.socket) -> None:
    late = time.monotonic() + 1000
    rig.reactor.sweeper.sweep(rig.core, late)
    for _ in range(3):
        kept.sendall(REQUEST)
        rig.reactor.run_once(rig.core, 0)
        assert len(rig.reactor) == 1
    assert is_readable(kept)
    assert kept.recv(65536) == b""
    rig.reactor.sweeper.sweep(rig.core, late + 1)
    assert len(rig.reactor) == 0


def test_trusted_peers_may_stay_until_there_is_no_room() -> None:
    policy = Policy(spares_trusted=True)
    rig = Rig(policy=policy, trusted="127.0.0.1", limit=3)
    silent, used, begun = clients = [rig.connect() for _ in range(3)]
    used.sendall(REQUEST)
    begun.sendall(b"GET")
    rig.turn(lambda: is_readable(used) and rig.reactor.unfinished() == (1, 0))
    used.recv(65536)
    rig.reactor.sweeper.sweep(rig.core, time.monotonic() + 1000)
    rig.turn(lambda: is_readable(begun))
    assert begun.recv(65536).startswith(b"HTTP/1.1 408 ")
    assert len(rig.reactor) == 3
    for _ in range(2):
        clients.append(rig.connect())
        clients[-1].sendall(REQUEST)
        rig.turn(partial(is_readable, clients[-1]))
    assert is_readable(silent)
    assert is_readable(used)
    for client in clients:
        client.close()
    rig.close()


def test_a_connection_with_much_input_lets_others_in(rig: Rig) -> None:
    with rig.connect() as greedy, rig.connect() as modest:
        rig.turn(lambda: len(rig.reactor) == 2)
        greedy.sendall(REQUEST * 500)
        modest.sendall(REQUEST)
        rig.turn(lambda: is_readable(modest))
        received = bytearray()

        def is_done() -> bool:
            while is_readable(greedy):
                received.extend(greedy.recv(65536))
            return received.count(b"HTTP/1.1 200 OK") == 500

        rig.turn(is_done)
