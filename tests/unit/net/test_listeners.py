"""Making and closing listeners."""

from __future__ import annotations

import errno
import itertools
import os
import socket
import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from monoceros.errors import BindError
from monoceros.net import listeners
from monoceros.net.hints import explain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monoceros.config import Config
    from monoceros.config.addresses import Address
    from monoceros.log.logger import Logger


class Log:
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, msg: str, *args: object) -> None:
        self.lines.append(msg % args)

    info = error


def make_config(*address: Address, umask: int = 0) -> Config:
    """Return what listeners read of a configuration."""
    cfg = SimpleNamespace(
        address=list(address),
        backlog=16,
        reuse_port=False,
        umask=umask,
        uid=os.geteuid(),
        gid=os.getegid(),
        origin=lambda name: "command line",
    )
    return cast("Config", cfg)


def create(
    *address: Address,
    umask: int = 0,
    pause: Callable[[float], object] = lambda s: None,
    log: Log | None = None,
) -> list[socket.socket]:
    """Make listeners; nothing sleeps."""
    cfg = make_config(*address, umask=umask)
    return listeners.create(cfg, cast("Logger", log or Log()), pause)


def test_tcp_options() -> None:
    (sock,) = create(("127.0.0.1", 0))
    with sock:
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        port = sock.getsockname()[1]
        assert listeners.format_address(sock) == f"http://127.0.0.1:{port}"
        assert listeners.get_address(sock) == ("127.0.0.1", port)


def test_accepted_sockets_inherit_no_delay_and_probes() -> None:
    (sock,) = create(("127.0.0.1", 0))
    with sock, socket.create_connection(sock.getsockname()):
        sock.setblocking(True)
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_ipv6() -> None:
    try:
        (sock,) = create(("::1", 0))
    except BindError:
        pytest.skip("no IPv6 here")
    with sock:
        assert sock.family == socket.AF_INET6
        assert listeners.format_address(sock) == f"http://[::1]:{sock.getsockname()[1]}"


def test_all_interfaces_of_both_families() -> None:
    sockets = []
    # Outside of the range that the kernel chooses from, so that no other test comes between.
    for port in itertools.count(20_000 + os.getpid() % 10_000):
        try:
            sockets = create(("0.0.0.0", port), ("::", port))
            break
        except BindError as error:
            if "in use" not in str(error.__cause__):
                pytest.skip("no IPv6 here")
    assert [sock.family for sock in sockets] == [socket.AF_INET, socket.AF_INET6]
    listeners.close(sockets)


def test_host_name() -> None:
    (sock,) = create(("localhost", 0))
    with sock:
        assert sock.getsockname()[0] == "127.0.0.1"


def test_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    (sock,) = create(str(path), umask=0o027)

    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert listeners.format_address(sock) == f"unix:{path}"
    listeners.close([sock])
    assert not path.exists()
    assert sock.fileno() == -1


def test_umask_is_put_back(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        listeners.close(create(str(tmp_path / "socket"), umask=0o077))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_unix_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    listeners.close(create(str(path)))


def test_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")

    with pytest.raises(BindError, match="not a socket"):
        create(str(path))
    assert path.read_text() == "precious"


def test_close_can_leave_the_file(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listeners.close(create(str(path)), unlink=False)

    assert path.exists()


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    sockets = create(str(tmp_path / "socket"), ("127.0.0.1", 0))
    listeners.close(sockets)
    listeners.close(sockets)


def test_abstract_unix_name() -> None:
    if os.uname().sysname != "Linux":
        pytest.skip("Linux only")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("\0monoceros-test-" + str(os.getpid()))
        listeners.close([sock])


def test_address_in_use_is_tried_again() -> None:
    log = Log()
    pauses: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = other.getsockname()
        with pytest.raises(BindError, match=r"Can't connect to \('127.0.0.1', \d+\): "):
            create(address, pause=pauses.append, log=log)

    assert log.lines.count(f"Connection in use: {address}") == 5
    assert pauses == [1.0] * 4


def test_address_that_becomes_free() -> None:
    other = socket.create_server(("127.0.0.1", 0))
    address = other.getsockname()
    (sock,) = create(address, pause=lambda s: other.close())
    with sock:
        assert sock.getsockname() == address


def test_pause_may_give_up() -> None:
    class Enough(Exception):
        """Raised in place of waiting."""

    def give_up(seconds: float) -> None:
        raise Enough

    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(Enough):
        create(other.getsockname(), pause=give_up)


def test_other_errors_are_not_tried_again() -> None:
    with pytest.raises(BindError, match=r"192\.0\.2\.1") as caught:
        create(("192.0.2.1", 0), pause=lambda s: pytest.fail("it waited"))
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EADDRNOTAVAIL


def test_close_survives_a_file_that_cannot_be_removed(tmp_path: Path) -> None:
    directory = tmp_path / "there"
    directory.mkdir()
    sockets = create(str(directory / "socket"))
    (directory / "socket").unlink()
    directory.rmdir()
    directory.touch()
    listeners.close(sockets)
    assert sockets[0].fileno() < 0


def test_failure_closes_what_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with pytest.raises(BindError):
        create(str(path), ("192.0.2.1", 0))

    assert not path.exists()


LONG = "/tmp/" + "x" * 110


@pytest.mark.parametrize(
    ("address", "number", "hint"),
    [
        (("127.0.0.1", 80), errno.EACCES, "Ports below 1024 need root"),
        (("127.0.0.1", 8000), errno.EACCES, ""),
        (("127.0.0.1", 8000), errno.EADDRINUSE, "Another process listens there"),
        (("192.0.2.1", 8000), errno.EADDRNOTAVAIL, "0.0.0.0 means all"),
        ("/nowhere/socket", errno.ENOENT, "directory of the socket does not exist"),
        ("/srv/socket", errno.EACCES, "has to be writable"),
        (LONG, None, f"The path has {len(LONG)} bytes, and 107 are allowed."),
    ],
)
def test_hints(address: tuple[str, int] | str, number: int | None, hint: str) -> None:
    error = OSError(number, "text") if number else OSError("AF_UNIX path too long")
    given = explain(address, error)

    assert hint in given
    assert bool(hint) == bool(given)


@pytest.mark.parametrize(
    ("path", "hint"), [("nowhere/socket", "does not exist"), ("x" * 110, "107 are allowed")]
)
def test_failure_names_address_hint_and_origin(tmp_path: Path, path: str, hint: str) -> None:
    address = str(tmp_path / path)
    with pytest.raises(BindError) as caught:
        create(address)

    message = str(caught.value)
    assert message.startswith(f"Can't connect to {address}: ")
    assert hint in message
    assert message.endswith(" Set in: command line.")
