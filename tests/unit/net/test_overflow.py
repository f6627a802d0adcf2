"""The queue by which workers give connections away: real sockets and processes."""

from __future__ import annotations

import array
import contextlib
import marshal
import os
import resource
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from monoceros.net import overflow as module
from monoceros.net.overflow import LARGEST, Moved, Overflow, is_supported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(not is_supported(), reason="needs Linux")

DEADLINE_S = 10.0
NOBODY = 65534


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def queue(warnings: list[str]) -> Iterator[Overflow]:
    made = Overflow(warnings.append)
    yield made
    made.discard()
    made.close()


@pytest.fixture
def client() -> Iterator[socket.socket]:
    """A client's end; the other one is ``connection``."""
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE_S)
    OTHER_ENDS[ours] = theirs
    yield ours
    ours.close()
    OTHER_ENDS.pop(ours).close()


OTHER_ENDS: dict[socket.socket, socket.socket] = {}


@pytest.fixture
def connection(client: socket.socket) -> socket.socket:
    return OTHER_ENDS[client]


def make_moved(connection: socket.socket, **changes: object) -> Moved:
    """Return a message about a connection."""
    peer = ("127.0.0.1", 4711)
    plain = Moved(connection.fileno(), b"GET /", 0, 12.5, peer, ("::1", 80, 0, 0), "http", False)
    return plain._replace(**changes)  # type: ignore[arg-type]


def is_readable(queue: Overflow) -> bool:
    return bool(select.select([queue], [], [], 0)[0])


def run_in_child(act: Callable[[], object]) -> int:
    """Call something in a child process; return its exit status as waitpid gives it."""
    pid = os.fork()
    if not pid:
        _become(act)
    return os.waitpid(pid, 0)[1]


def _become(act: Callable[[], object]) -> NoReturn:
    code = 1
    try:
        act()
        code = 0
    except BaseException as error:  # the border of the process
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def list_descriptors() -> set[int]:
    listed = list(Path("/proc/self/fd").iterdir())
    # The one that lists the directory is gone by now.
    return {int(path.name) for path in listed if path.exists() or path.is_symlink()}


def count_descriptors() -> int:
    return len(list_descriptors())


@contextlib.contextmanager
def descriptors_used_up() -> Iterator[list[int]]:
    """Leave no descriptor free; those of the list may be closed."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(int(path.name) for path in Path("/proc/self/fd").iterdir()) + 1
    used: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                used.append(os.dup(0))
        yield used
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in used:
            os.close(fd)


# -- one connection


def test_what_is_given_is_taken(
    queue: Overflow, client: socket.socket, connection: socket.socket
) -> None:
    given = make_moved(connection)
    assert not is_readable(queue)
    assert queue.take() is None

    assert queue.give(given)
    connection.close()
    assert is_readable(queue)
    taken = queue.take()

    assert taken is not None
    assert taken == given._replace(fd=taken.fd)
    os.write(taken.fd, b"hello")
    assert client.recv(10) == b"hello"
    os.close(taken.fd)
    assert client.recv(10) == b""
    assert queue.take() is None


@pytest.mark.parametrize(
    ("remote", "local"),
    [
        (("10.0.0.1", 1), ("10.0.0.2", 2)),
        (("fe80::1%lo", 1, 2, 3), ("::1", 80, 0, 0)),
        ("", "/run/a.sock"),
        (b"\0abstract", b"\0\xff"),
        ("", "/run/\udcff"),
        (None, None),
    ],
)
def test_addresses(
    queue: Overflow, connection: socket.socket, remote: object, local: object
) -> None:
    given = make_moved(connection, remote=remote, local=local, scheme="https", trusted=True, hops=7)
    queue.give(given)
    taken = queue.take()

    assert taken is not None
    assert taken == given._replace(fd=taken.fd)
    os.close(taken.fd)


def test_first_come_first_served(queue: Overflow, connection: socket.socket) -> None:
    for number in range(20):
        assert queue.give(make_moved(connection, data=b"%d" % number))
    taken = [queue.take() for _ in range(20)]

    assert [one and one.data for one in taken] == [b"%d" % number for number in range(20)]
    for one in taken:
        assert one is not None
        os.close(one.fd)


def test_descriptor_is_not_inherited_and_stays_non_blocking(
    queue: Overflow, connection: socket.socket
) -> None:
    connection.setblocking(False)
    queue.give(make_moved(connection))
    taken = queue.take()

    assert taken is not None
    assert not os.get_inheritable(taken.fd)
    assert not os.get_blocking(taken.fd)
    os.close(taken.fd)


def test_nothing_of_the_queue_is_inherited() -> None:
    before = list_descriptors()
    queue = Overflow()
    ours = list_descriptors() - before

    assert len(ours) == 3
    assert not any(os.get_inheritable(fd) for fd in ours)
    queue.close()


def test_nothing_leaks(queue: Overflow, connection: socket.socket) -> None:
    before = count_descriptors()
    for _ in range(300):
        queue.give(make_moved(connection))
        taken = queue.take()
        assert taken is not None
        os.close(taken.fd)
        assert queue.take() is None

    assert count_descriptors() == before


# -- limits


def test_full_queue(queue: Overflow, connection: socket.socket) -> None:
    given = 0
    while given < 100_000 and queue.give(make_moved(connection)):
        given += 1
    assert 100 < given < 100_000

    assert queue.discard() == given
    assert queue.give(make_moved(connection))


def test_largest_message(queue: Overflow, connection: socket.socket) -> None:
    assert not queue.give(make_moved(connection, data=b"x" * LARGEST))
    most = LARGEST - 200
    assert queue.give(make_moved(connection, data=b"x" * most))
    taken = queue.take()

    assert taken is not None
    assert taken.data == b"x" * most
    os.close(taken.fd)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_too_many_on_their_way(queue: Overflow, connection: socket.socket) -> None:
    def give_many() -> None:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
        given = 0
        while given < 1000 and queue.give(make_moved(connection)):
            given += 1
        assert 20 <= given < 100, given

    assert run_in_child(give_many) == 0
    assert queue.discard() > 0


def test_other_errors_are_raised(queue: Overflow, connection: socket.socket) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        queue.give(make_moved(connection, fd=-1))


def test_reserve_is_used_for_the_last_one(queue: Overflow, connection: socket.socket) -> None:
    queue.give(make_moved(connection))
    with descriptors_used_up():
        taken = queue.take()
        assert taken is not None
        assert not queue.lacks_descriptors
    os.close(taken.fd)


def test_without_descriptors_connections_are_left_in_the_queue(
    queue: Overflow, client: socket.socket, connection: socket.socket, warnings: list[str]
) -> None:
    for text in (b"1", b"2"):
        queue.give(make_moved(connection, data=text))
    with descriptors_used_up() as used:
        first = queue.take()
        assert queue.take() is None
        assert queue.lacks_descriptors
        assert is_readable(queue)

        os.close(used.pop())
        second = queue.take()
        assert queue.take() is None
        assert queue.lacks_descriptors
        assert first
        assert second
        assert (first.data, second.data) == (b"1", b"2")
        os.write(second.fd, b"alive")
    assert queue.take() is None
    assert not queue.lacks_descriptors
    os.close(first.fd)
    os.close(second.fd)

    assert client.recv(10) == b"alive"
    assert warnings == []


def test_connection_that_was_lost_is_told(
    queue: Overflow,
    connection: socket.socket,
    warnings: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue.give(make_moved(connection))
    close = os.close

    def take_the_place(fd: int) -> None:
        close(fd)
        used.append(os.dup(0))

    with descriptors_used_up() as used:
        monkeypatch.setattr(os, "close", take_the_place)
        assert queue.take() is None
        monkeypatch.undo()

    assert len(warnings) == 1
    assert "('127.0.0.1', 4711) was lost" in warnings[0]


# -- several processes


def test_message_outlives_its_sender(
    queue: Overflow, client: socket.socket, connection: socket.socket
) -> None:
    def give_and_die() -> None:
        queue.give(make_moved(connection))
        os.kill(os.getpid(), signal.SIGKILL)

    assert run_in_child(give_and_die) == signal.SIGKILL
    connection.close()
    taken = queue.take()

    assert taken is not None
    os.write(taken.fd, b"still here")
    os.close(taken.fd)
    assert client.recv(20) == b"still here"


def test_last_one_to_leave_ends_what_is_there(
    client: socket.socket, connection: socket.socket
) -> None:
    queue = Overflow()
    queue.give(make_moved(connection))
    connection.close()
    queue.close()

    assert client.recv(10) == b""


def test_each_is_taken_once(queue: Overflow, connection: socket.socket) -> None:
    results, told = os.pipe()
    begin, go = os.pipe()
    count = 100

    def take_all() -> None:
        os.read(begin, 1)
        while (taken := queue.take()) is not None:
            os.close(taken.fd)
            os.write(told, taken.data + b"\n")

    pids = []
    for _ in range(3):
        pid = os.fork()
        if not pid:
            _become(take_all)
        pids.append(pid)
    for number in range(count):
        assert queue.give(make_moved(connection, data=b"%d" % number))
    os.write(go, b"123")
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    os.close(told)
    with os.fdopen(results, "rb") as stream:
        numbers = sorted(map(int, stream.read().split()))
    os.close(begin)
    os.close(go)

    assert numbers == list(range(count))


def test_one_message_wakes_one(queue: Overflow, connection: socket.socket) -> None:
    """Whoever is woken says so, and takes the message only when it is told to."""
    woken, tell = os.pipe()
    begin, go = os.pipe()
    finish, end = os.pipe()

    def wait() -> None:
        epoll = select.epoll()
        epoll.register(queue, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        epoll.register(finish, select.EPOLLIN)
        os.write(tell, b"r")
        if dict(epoll.poll(DEADLINE_S)).get(queue.fileno()):
            os.write(tell, b"w")
            os.read(begin, 1)
            taken = queue.take()
            assert taken is not None
            os.close(taken.fd)
            os.write(tell, b"t")

    pids = []
    for _ in range(4):
        pid = os.fork()
        if not pid:
            _become(wait)
        pids.append(pid)
    for _ in pids:
        assert os.read(woken, 1) == b"r"
    for pid in pids:
        _wait_until_asleep(pid)
    queue.give(make_moved(connection))
    assert os.read(woken, 1) == b"w"
    os.write(go, b"1")
    # Had others been woken, they would have told before it had taken the message.
    assert os.read(woken, 1) == b"t"
    os.write(end, b"1")
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
    os.set_blocking(woken, False)
    with pytest.raises(BlockingIOError):
        os.read(woken, 1)
    for fd in (woken, tell, begin, go, finish, end):
        os.close(fd)


def _wait_until_asleep(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        os.sched_yield()


def test_two_threads(queue: Overflow, connection: socket.socket) -> None:
    found: list[bytes] = []

    def take_all() -> None:
        while is_readable(queue):
            taken = queue.take()
            if taken is not None:
                os.close(taken.fd)
                found.append(taken.data)

    for number in range(100):
        queue.give(make_moved(connection, data=b"%d" % number))
    threads = [threading.Thread(target=take_all) for _ in range(3)]
    before = count_descriptors()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)

    assert sorted(map(int, found)) == list(range(100))
    assert count_descriptors() == before


# -- bad messages


def send(queue: Overflow, data: bytes, *fds: int) -> None:
    """Put anything into the queue."""
    with socket.socket(fileno=os.dup(queue._sending.fileno())) as sock:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        sock.sendmsg([data], [rights] if fds else [])


def encode(*fields: object) -> bytes:
    return module._MARK + bytes(marshal.dumps(fields, 2))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"monoceros moved 0\n",
        module._MARK,
        module._MARK + b"\xff\xff",
        encode(1, 2),
        encode(*range(8)),
        encode(*range(7))[:-3],
        module._MARK + marshal.dumps([1] * 7, 2),
        b"x" * (LARGEST + 1),
    ],
)
def test_senseless_message_is_refused(
    queue: Overflow,
    client: socket.socket,
    connection: socket.socket,
    warnings: list[str],
    data: bytes,
) -> None:
    send(queue, data, connection.fileno())
    connection.close()
    ours, theirs = socket.socketpair()
    queue.give(make_moved(ours, data=b"good"))
    ours.close()
    before = count_descriptors()
    taken = queue.take()

    assert taken is not None
    assert taken.data == b"good"
    assert client.recv(10) == b""
    assert len(warnings) == 1
    assert "makes no sense" in warnings[0]
    assert count_descriptors() == before + 1
    os.close(taken.fd)
    theirs.close()


@pytest.mark.parametrize("count", [0, 2, 3])
def test_wrong_number_of_descriptors(
    queue: Overflow, connection: socket.socket, warnings: list[str], count: int
) -> None:
    data = encode(*make_moved(connection)[1:])
    before = count_descriptors()
    send(queue, data, *[connection.fileno()] * count)

    assert queue.take() is None
    assert count_descriptors() == before
    assert len(warnings) == 1


# -- the end


def test_discard_ends_connections(
    queue: Overflow, client: socket.socket, connection: socket.socket
) -> None:
    """Although somebody else has a descriptor of the connection too."""
    queue.give(make_moved(connection))

    assert queue.discard() == 1
    assert client.recv(10) == b""
    assert queue.discard() == 0


def test_closed_queue(connection: socket.socket) -> None:
    before = count_descriptors()
    queue = Overflow()
    queue.close()
    queue.close()

    assert count_descriptors() == before
    assert queue.fileno() == -1
    assert queue.take() is None
    assert not queue.give(make_moved(connection))


def test_systems_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert not is_supported()
