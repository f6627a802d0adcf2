"""Which worker has which sockets, without a process."""

from __future__ import annotations

import contextlib
import socket
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from monoceros.arbiter.children import Child, Children
from monoceros.arbiter.places import Places
from monoceros.net.closing import listens
from monoceros.net.inherited import Borrowed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monoceros.arbiter.loop import Arbiter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the workers share the sockets")


class Server:
    """What places see of an arbiter; its children are ready as soon as they are forked."""

    def __init__(self, listeners: list[socket.socket], wanted: int) -> None:
        self.LISTENERS = listeners
        self.num_workers = wanted
        self.cfg = SimpleNamespace(reuse_port=True)
        self.current = SimpleNamespace(number=1)
        self.reload = SimpleNamespace(previous=None)
        self.log = SimpleNamespace(warning=lambda msg, *args: self.warnings.append(msg % args))
        self.warnings: list[str] = []
        self.children = Children()
        self.places = Places(cast("Arbiter", self))
        self._pid = 0

    def fork(self) -> Child:
        """Take in a worker at the place that is its."""
        self._pid += 1
        child = Child(self._pid, self._pid, self.current.number, 0, 0.0, place=self.places.choose())
        self.places.equip(child.place)
        self.children.add(child)
        self.children.mark_ready(child, 0.0)
        return child

    def close_listeners(self, sockets: Iterable[socket.socket]) -> None:
        """Close, and nothing else."""
        for sock in sockets:
            sock.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a server on one port that wants three workers and has them."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(bind())
        first.listen()
        server = Server([first], 3)
        for _ in range(3):
            server.fork()
        yield server
        server.close_listeners(server.places.sockets)


def bind(reuse: bool = True) -> socket.socket:
    """Return a socket that is bound to some port."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuse)
    sock.bind(("127.0.0.1", 0))
    return sock


def test_each_place_has_its_own(server: Server) -> None:
    (first,) = server.LISTENERS
    sockets = [first, *server.places.sockets]

    assert [child.place for child in server.children] == [0, 1, 2]
    assert [server.places.equip(place) for place in range(3)] == [[sock] for sock in sockets]
    assert len({sock.getsockname() for sock in sockets}) == 1
    assert [listens(sock) for sock in sockets] == [True, False, False]


def test_successors_have_the_places_of_those_before_them(server: Server) -> None:
    before = server.places.sockets
    _, second, third = server.children
    third.is_replaced = True
    assert server.fork().place == third.place
    server.children.remove(second)
    assert server.fork().place == second.place
    server.current.number = 2
    assert [server.fork().place for _ in range(3)] == [0, 1, 2]
    assert server.places.sockets == before


def test_places_are_kept_while_workers_are_there(server: Server) -> None:
    server.num_workers = 1
    _, second, third = server.children
    server.places.tidy([third])
    assert len(server.places.sockets) == 1
    server.places.tidy([second, third])
    assert not server.places.sockets


def test_place_of_a_dead_worker_is_kept(server: Server) -> None:
    *_, third = server.children
    server.children.remove(third)
    server.places.tidy([])
    assert len(server.places.sockets) == 2


def test_workers_move_down_to_what_is_wanted(server: Server) -> None:
    _, second, third = server.children
    server.children.remove(second)
    server.num_workers = 2
    server.places.tidy([])

    assert third.is_replaced
    assert server.fork().place == 1
    server.places.tidy([third])
    assert len(server.places.sockets) == 1


def test_without_the_setting_only_the_first_is_kept(server: Server) -> None:
    server.cfg.reuse_port = False
    server.current.number = 2
    leavers = list(server.children)

    assert [server.fork().place for _ in range(2)] == [0, 0]
    server.places.tidy(leavers)
    assert not server.places.sockets


def test_adopts_what_is_bound_to_the_same(server: Server) -> None:
    (first,) = server.LISTENERS
    given = server.places.release(first)
    other = bind()
    server.places.adopt([*given, other])

    assert server.places.sockets == given
    assert other.fileno() < 0


def test_shared_where_there_can_be_no_other() -> None:
    with bind(reuse=False) as plain, bind() as borrowed, socket.socket(socket.AF_UNIX) as unix:
        listeners = [plain, Borrowed(fileno=borrowed.detach()), unix]
        server = Server(listeners, 2)

        assert [server.fork().place for _ in range(2)] == [0, 0]
        assert server.places.equip(1) == listeners
        listeners[1].close()


def test_shared_where_the_system_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(other: socket.socket) -> socket.socket:
        raise OSError("no more")

    monkeypatch.setattr("monoceros.net.listeners.join", refuse)
    with bind() as first:
        server = Server([first], 2)
        assert server.places.equip(1) == [first]
        (warning,) = server.warnings
        assert warning.endswith("with others: no more")
