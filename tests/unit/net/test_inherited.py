"""Sockets that come by descriptor: which variables tell of them, and whose address is whose."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monoceros.errors import BindError
from monoceros.net import inherited, listeners
from monoceros.net.inherited import Borrowed, borrow, collect, match, variables
from tests.unit.net.test_listeners import Log, make_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.config.addresses import Address
    from monoceros.log.logger import Logger

ME = os.getpid()


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """Close at the end what is entered."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def three(stack: contextlib.ExitStack) -> int:
    """Have one listener, with a queue of one, at a high number; returns the number."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as sock:
        fd = os.dup(sock.fileno())
    stack.callback(close, fd)
    return fd


def close(fd: int) -> None:
    """Close a descriptor that a socket object may have closed before."""
    with contextlib.suppress(OSError):
        os.close(fd)


def test_nothing_was_passed() -> None:
    for environ in ({}, {"LISTEN_PID": "1", "LISTEN_FDS": "2"}, {"LISTEN_PID": "x"}):
        assert collect(environ, ME, 9) == ([], False, 0)


def test_leaked_variables() -> None:
    # Each alone is what a worker of a server in the middle of an upgrade passes to its children.
    assert collect({"GUNICORN_PID": "1"}, ME, 9) == ([], False, 0)
    assert collect({"GUNICORN_FD": "7777"}, ME, 9) == ([], False, 0)


def test_from_a_master(
    monkeypatch: pytest.MonkeyPatch, stack: contextlib.ExitStack, three: int
) -> None:
    os.set_inheritable(three, True)
    environ = {"GUNICORN_PID": "4711", "GUNICORN_FD": str(three)}
    for name, text in environ.items():
        monkeypatch.setenv(name, text)

    (sock,), systemd, master_pid = collect(environ, ME, 64)
    stack.enter_context(sock)
    assert (systemd, master_pid) == (False, 4711)
    assert not isinstance(sock, Borrowed)
    assert not sock.get_inheritable()
    assert not sock.getblocking()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    # Kept until the promotion.
    assert os.environ.get("GUNICORN_PID") == "4711"
    assert "GUNICORN_FD" not in os.environ


def test_the_queue_is_as_long_as_ours(stack: contextlib.ExitStack, three: int) -> None:
    sock = stack.enter_context(borrow(three, 16))
    for _ in range(8):
        # With room for one the third would wait in vain.
        stack.enter_context(socket.create_connection(sock.getsockname(), 2))


def test_from_systemd(monkeypatch: pytest.MonkeyPatch, three: int) -> None:
    monkeypatch.setattr(inherited, "_FIRST", three)
    environ = {"LISTEN_PID": str(ME), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
    for name, text in environ.items():
        monkeypatch.setenv(name, text)

    (sock,), systemd, master_pid = collect(environ, ME, 64)
    with sock:
        assert isinstance(sock, Borrowed)
        assert (systemd, master_pid) == (True, 0)
    assert not [name for name in os.environ if name.startswith("LISTEN_")]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"LISTEN_PID": str(ME), "LISTEN_FDS": "one"}, "LISTEN_FDS is not a number: 'one'. Unset"),
        ({"GUNICORN_PID": "1", "GUNICORN_FD": "3;4"}, r"no list of numbers: '3;4'\. Unset GUNI"),
        ({"GUNICORN_PID": "1", "GUNICORN_FD": "7777"}, r"7777, of GUNICORN_FD, .* Unset GUNICORN"),
    ],
)
def test_variables_that_are_wrong(environ: dict[str, str], message: str) -> None:
    with pytest.raises(BindError, match=message):
        collect(environ, ME, 9)


def test_what_is_no_listener(stack: contextlib.ExitStack, tmp_path: Path) -> None:
    near, far = socket.socketpair()
    stack.enter_context(far)
    with Path(os.devnull).open() as file:
        cases = [
            (socket.socket(type=socket.SOCK_DGRAM).detach(), "no stream socket"),
            (socket.socket().detach(), "not bound"),
            (socket.socket(socket.AF_UNIX).detach(), "not bound"),
            (near.detach(), "a connection"),
            (os.dup(file.fileno()), "Socket operation on non-socket"),
            (7777, "Bad file descriptor"),
        ]
    for fd, reason in cases:
        stack.callback(close, fd)
        with pytest.raises((OSError, ValueError), match=reason):
            borrow(fd, 9)
        if fd < 7777:
            os.fstat(fd)  # is left to its owner


def test_the_environment_of_the_next_master() -> None:
    start = {
        "HOME": "/",
        "GUNICORN_FD": "9",
        "GUNICORN_PID": "8",
        "LISTEN_FDNAMES": "web",
        "LISTEN_PID": "1",
        "LISTEN_FDS": "1",
        "LISTEN_PIDFDID": "1",
        "WATCHDOG_PID": "10",
    }
    common = {"HOME": "/", "GUNICORN_PID": "10", "WATCHDOG_PID": "11"}
    of_systemd = {"LISTEN_PID": "11", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web"}

    assert variables(start, 10, 11, [5, 7], systemd=False) == {**common, "GUNICORN_FD": "5,7"}
    assert variables(start, 10, 11, [3, 4], systemd=True) == {**common, **of_systemd}
    assert variables({"WATCHDOG_PID": "3"}, 10, 11, [5], systemd=False)["WATCHDOG_PID"] == "3"


class Bound:
    """Listeners for matching, by their ports."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in "abc"]
        self.ports = [sock.getsockname()[1] for sock in self.sockets]

    def find(self, *addresses: Address) -> list[int | None]:
        """Return the indexes of the sockets that are found."""
        found = match(addresses, self.sockets)
        return [None if sock is None else self.sockets.index(sock) for sock in found]


def test_match_by_port(stack: contextlib.ExitStack) -> None:
    bound = Bound(stack)
    a, b, c = bound.ports
    assert bound.find(("127.0.0.1", c), ("127.0.0.1", a), ("127.0.0.1", b)) == [2, 0, 1]
    assert bound.find(("localhost", b), ("127.0.0.2", c), ("0.0.0.0", c)) == [1, None, None]
    assert bound.find(("no.such.host.invalid", b), ("::1", b), "socket", 7777) == [None] * 4
    # One socket serves for one address.
    assert bound.find(("127.0.0.1", a), ("localhost", a)) == [0, None]


def test_port_0_takes_what_is_left(stack: contextlib.ExitStack) -> None:
    bound = Bound(stack)
    a, b, _ = bound.ports
    wanted = [("127.0.0.1", 0), ("127.0.0.1", a), ("0.0.0.0", 0), ("localhost", b)]
    assert bound.find(*wanted) == [2, 0, None, 1]


def test_names_are_not_resolved_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert match([("localhost", 80), ("localhost", 0)], []) == [None, None]


def test_match_by_number(stack: contextlib.ExitStack, three: int) -> None:
    given = stack.enter_context(socket.socket(fileno=three))
    (sock,) = match([three], [given])

    # The descriptor is the same one, and still not ours to unlink.
    assert isinstance(sock, Borrowed)
    assert (sock.fileno(), given.fileno()) == (three, -1)
    sock.close()


def test_match_by_path(
    stack: contextlib.ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    sock = stack.enter_context(socket.socket(socket.AF_UNIX))
    sock.bind("socket")
    sock.listen()

    assert match(["socket"], [sock]) == [sock]
    assert match([str(tmp_path / "socket")], [sock]) == [None]
    # A name that leads elsewhere by now, as after a link to a release was changed.
    monkeypatch.chdir(tmp_path / "other")
    assert match(["socket"], [sock]) == [None]


def test_create_with_what_was_given(stack: contextlib.ExitStack, tmp_path: Path) -> None:
    bound = Bound(stack)
    other = stack.enter_context(socket.socket(socket.AF_UNIX))
    other.bind(str(tmp_path / "old"))
    other.listen()
    address: list[Address] = [str(tmp_path / "new"), ("127.0.0.1", bound.ports[1])]
    log: Logger = Log()  # type: ignore[assignment]
    made = listeners.create(make_config(*address), log, given=[*bound.sockets, other])
    for sock in made:
        stack.enter_context(sock)

    assert made[1] is bound.sockets[1]
    assert made[0] not in (*bound.sockets, other)
    assert [sock.fileno() < 0 for sock in (*bound.sockets, other)] == [False] * 4
    assert (tmp_path / "old").exists()  # another master may use it
    assert (tmp_path / "new").is_socket()


def test_failure_leaves_what_was_given(stack: contextlib.ExitStack, tmp_path: Path) -> None:
    other = stack.enter_context(socket.socket(socket.AF_UNIX))
    other.bind(str(tmp_path / "old"))
    other.listen()
    address = [str(tmp_path / name) for name in ("old", "new", "nowhere/socket")]
    log: Logger = Log()  # type: ignore[assignment]
    with pytest.raises(BindError):
        listeners.create(make_config(*address), log, given=[other])

    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_borrowed_files_stay(stack: contextlib.ExitStack, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        mine = borrow(os.dup(sock.fileno()), 9)
    listeners.close([mine])

    assert mine.fileno() == -1
    assert (tmp_path / "socket").exists()
