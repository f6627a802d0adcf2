"""What all connections of a worker keep together, and what becomes of output without room."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest

from monoceros.http.budget import Budget, Room
from monoceros.http.types import WANT_WRITE, Policy
from tests.http.apps import answer, returning
from tests.http.link import Link, open_descriptors
from tests.http.support import GET, read_response, room_left

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.http.types import Twin

CLOSING = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SMALL_BUFFER = 1 << 14


@pytest.fixture
def hasty_switches() -> Iterator[None]:
    """Threads that give way to each other as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_switches")
def test_threads_lose_no_octet() -> None:
    """Whoever gives back what another has taken."""
    room = Room(1000)
    taken = 20_000

    def take() -> None:
        for _ in range(taken):
            room.take(3)

    def give() -> None:
        for _ in range(taken):
            room.give(3)
            assert room.left <= 1000 + 3 * taken * 3

    threads = [threading.Thread(target=target) for target in (take, give) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert room.left == 1000


class Chunks:
    """An iterable that tells when it is asked for its chunk of a certain number."""

    def __init__(self, count: int, size: int, told: int) -> None:
        self.count = count
        self.size = size
        self.told = told
        self.asked = 0
        self.is_far = threading.Event()
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.count):
            self.asked += 1
            if self.asked == self.told:
                self.is_far.set()
            yield b"x" * self.size

    def close(self) -> None:
        self.closed.set()


def test_an_iterator_waits_where_files_have_no_room(twin: Twin) -> None:
    """Others hold all of it: memory takes what is there, and the application has to wait."""
    budget = Budget(output=1 << 20, output_spool=100_000)
    policy = Policy(budget=budget, output_memory=20_000, output_spool=1 << 20)
    chunks = Chunks(100, 10_000, 12)
    before = room_left(budget)
    others = Link(twin, answer(*[b"y" * 60_000] * 3), "unix", policy=policy, buffer=4096)
    with others, Link(twin, returning(chunks), "unix", policy=policy, buffer=4096) as link:
        assert others.ask(GET) == WANT_WRITE
        assert budget.output_spool.left <= 0
        link.send(CLOSING)
        link.start()
        # It is stopped by its own client only, and goes on as soon as that reads.
        assert not chunks.is_far.wait(0.2)
        assert chunks.asked < 12
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"x" * 1_000_000
        link.join()
        others.conn.close()
    assert room_left(budget) == before


def test_an_iterator_goes_on_where_others_give_room_back(twin: Twin) -> None:
    """Although its own client takes nothing."""
    budget = Budget(output=1 << 20, output_spool=100_000)
    policy = Policy(budget=budget, output_memory=20_000, output_spool=1 << 20)
    chunks = Chunks(20, 10_000, 9)
    others = Link(twin, answer(*[b"y" * 60_000] * 3), "unix", policy=policy, buffer=4096)
    with others, Link(twin, returning(chunks), "unix", policy=policy, buffer=4096) as link:
        assert others.ask(GET) == WANT_WRITE
        link.send(CLOSING)
        link.start()
        assert not chunks.is_far.wait(0.1)
        others.conn.close()
        assert chunks.is_far.wait(20)
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"x" * 200_000
        link.join()


def test_no_room_at_all_lets_every_client_get_on(twin: Twin) -> None:
    """Nobody waits for anybody else: no deadlock where all are over the limits."""
    budget = Budget(output=1, output_spool=1)
    policy = Policy(budget=budget)
    descriptors = open_descriptors()
    links = [
        Link(twin, returning(iter([b"x" * 30_000] * 20)), policy=policy, buffer=SMALL_BUFFER)
        for _ in range(3)
    ]
    for link in links:
        link.send(CLOSING)
        link.start()
    for link in reversed(links):
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"x" * 600_000
        link.join()
    for link in links:
        link.client.close()
    assert room_left(budget) == room_left(Budget(output=1, output_spool=1))
    assert open_descriptors() == descriptors


def test_a_short_disk_takes_no_output(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application waits then, as it does where the budget is used up."""
    monkeypatch.setattr("monoceros.http.outbox.is_disk_short", lambda fd: True)
    policy = Policy(output_memory=20_000, output_spool=1 << 20)
    chunks = Chunks(100, 10_000, 12)
    with Link(twin, returning(chunks), "unix", policy=policy, buffer=4096) as link:
        before = room_left(link.budget)
        link.send(CLOSING)
        link.start()
        assert not chunks.is_far.wait(0.2)
        descriptors = open_descriptors()
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"x" * 1_000_000
        assert open_descriptors() <= descriptors
        link.join()
        assert room_left(link.budget) == before


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("is_reading", [True, False])
def test_an_iterable_is_closed_once_its_client_has_gone(
    twin: Twin, kind: str, is_reading: bool
) -> None:
    """At the next send, also where older output waits for the client."""
    chunks = Chunks(1 << 30, 1000 if is_reading else 30_000, 10)
    with Link(twin, returning(chunks), kind, buffer=SMALL_BUFFER) as link:
        link.send(GET)
        link.start()
        if is_reading:
            link.client.recv(1000)
        assert chunks.is_far.wait(20)
        link.client.close()
        assert chunks.closed.wait(20)
        link.join()
        assert link.log.failures == []
    assert chunks.asked < 1 << 29


def test_output_that_waits_leaves_while_the_application_goes_on(twin: Twin) -> None:
    """A client that was slow for a moment does not wait for the end of the answer."""
    is_seen = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"a" * 200_000
        for _ in range(2000):
            yield b"b"
            if is_seen.wait(0.01):
                break
        yield b"c"

    with Link(twin, returning(chunks()), "unix", buffer=4096) as link:
        link.send(CLOSING.replace(b"1.1", b"1.0"))
        link.start()
        received = b""
        while not received.endswith(b"b"):
            received += link.client.recv(1 << 20)
        is_seen.set()
        assert received.endswith(b"b")
        assert link.receive_to_end().endswith(b"c")
        link.join()
