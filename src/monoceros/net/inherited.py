"""Sockets that were opened before the program ran, and the variables that tell about them.

Descriptors survive an exec. Those of systemd begin with 3, and LISTEN_FDS says how many there
are, to the process that LISTEN_PID names (sd_listen_fds(3)). GUNICORN_FD lists those of the master
that this one is to replace, which GUNICORN_PID names. ``fd://N`` among the addresses names one
that whoever started the server has opened. ``variables`` writes what ``collect`` reads.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from monoceros.errors import BindError
from monoceros.unpatched import socket as PlainSocket

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from monoceros.config.addresses import Address

Socket = TypeVar("Socket", bound=socket.socket)

MASTER = "GUNICORN_PID"
_FROM_MASTER = "GUNICORN_FD"
_FIRST = 3  # SD_LISTEN_FDS_START
_OF_SYSTEMD = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")

_ASK_SYSTEMD = "The socket unit needs ListenStream=, and Accept=no."
_NO_SYSTEMD = "Unset LISTEN_FDS and LISTEN_PID where no service manager has passed sockets."
_UNSET = f"Unset {_FROM_MASTER} and {MASTER} where no other master has started this one."


class Borrowed(PlainSocket):
    """A listener of somebody who will go on to use it: systemd, or whoever passed ``fd://``."""


class Inherited(NamedTuple):
    """What came with the environment; ``master_pid`` is 0 unless this is an upgrade."""

    sockets: list[socket.socket]
    systemd: bool
    master_pid: int


def collect(environ: Mapping[str, str], pid: int, backlog: int) -> Inherited:
    """Listen on the sockets that ``environ`` names for the process ``pid``; raises BindError.

    What told of them is removed from the environment of this process, GUNICORN_PID excepted.
    """
    master_pid = _number(environ.get(MASTER, "")) or 0
    if _number(environ.get("LISTEN_PID", "")) == pid and "LISTEN_FDS" in environ:
        count = _number(environ["LISTEN_FDS"])
        if count is None:
            raise BindError(f"LISTEN_FDS is not a number: {environ['LISTEN_FDS']!r}. {_NO_SYSTEMD}")
        _forget(_OF_SYSTEMD)
        if count:
            fds = range(_FIRST, _FIRST + count)
            sockets = _adopt(Borrowed, fds, backlog, "LISTEN_FDS", _ASK_SYSTEMD)
            return Inherited(sockets, True, master_pid)
    listed = environ.get(_FROM_MASTER)
    if not listed or not master_pid:
        return Inherited([], False, 0)
    _forget([_FROM_MASTER])
    parts = listed.split(",")
    if None in map(_number, parts):
        raise BindError(f"{_FROM_MASTER} is no list of numbers: {listed!r}. {_UNSET}")
    sockets = _adopt(PlainSocket, map(int, parts), backlog, _FROM_MASTER, _UNSET)
    return Inherited(sockets, False, master_pid)


def variables(
    environ: Mapping[str, str], old_pid: int, new_pid: int, fds: Sequence[int], *, systemd: bool
) -> dict[str, str]:
    """Return the environment of the process ``new_pid`` that takes over from ``old_pid``.

    ``fds`` are its sockets; those of systemd have to be the same ones that systemd has passed.
    """
    mine = (_FROM_MASTER, *_OF_SYSTEMD)
    given = {name: text for name, text in environ.items() if name not in mine}
    given[MASTER] = str(old_pid)
    if systemd:
        given |= {"LISTEN_PID": str(new_pid), "LISTEN_FDS": str(len(fds))}
        if "LISTEN_FDNAMES" in environ:
            given["LISTEN_FDNAMES"] = environ["LISTEN_FDNAMES"]
    else:
        given[_FROM_MASTER] = ",".join(map(str, fds))
    if given.get("WATCHDOG_PID") == str(old_pid):
        given["WATCHDOG_PID"] = str(new_pid)
    return given


def borrow(fd: int, backlog: int) -> Borrowed:
    """Listen on a descriptor; raises OSError and ValueError, and then leaves it as it is."""
    return _listen(Borrowed(fileno=fd), backlog)


def _listen(sock: Socket, backlog: int) -> Socket:
    try:
        _check(sock)
        sock.set_inheritable(False)
        sock.setblocking(False)
        sock.listen(backlog)
    except BaseException:
        sock.detach()
        raise
    if sock.family != socket.AF_UNIX:
        # Not every protocol beneath a stream has it.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def match(
    addresses: Iterable[Address], sockets: Iterable[socket.socket]
) -> list[socket.socket | None]:
    """Return for each address the socket that is bound to it, None where there is none.

    Port 0 takes what nobody else asks for, on the same host.
    """
    wanted, free = list(addresses), list(sockets)
    found = [_take(free, one) for one in wanted]
    for index, address in enumerate(wanted):
        if found[index] is None and isinstance(address, tuple) and address[1] == 0:
            found[index] = _take(free, address, any_port=True)
    return found


def _take(
    free: list[socket.socket], address: Address, any_port: bool = False
) -> socket.socket | None:
    # Names are resolved where there is something to compare them with: that may take long.
    names = _resolve(address) if free and isinstance(address, tuple) else set()
    for sock in free:
        if isinstance(address, int):
            fits = sock.fileno() == address
        elif isinstance(address, str):
            fits = _is_file(sock, address)
        else:
            fits = sock.family != socket.AF_UNIX and _name(sock, any_port) in names
        if fits:
            free.remove(sock)
            return Borrowed(fileno=sock.detach()) if isinstance(address, int) else sock
    return None


def _is_file(sock: socket.socket, path: str) -> bool:
    if sock.family != socket.AF_UNIX or os.fsdecode(sock.getsockname()) != path:
        return False
    # Where it was removed, or where a relative path now begins in another directory, no client
    # finds this socket any more.
    return Path(path).is_socket()


def _resolve(address: tuple[str, int]) -> set[tuple[str, int, int]]:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        infos = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except OSError:
        return set()  # an attempt to bind will tell
    return {_key(info[4]) for info in infos}


def _name(sock: socket.socket, any_port: bool) -> tuple[str, int, int]:
    host, port, scope = _key(sock.getsockname())
    return host, 0 if any_port else port, scope


def _key(name: Sequence[object]) -> tuple[str, int, int]:
    """Reduce the name of an inet or inet6 socket to host, port and interface."""
    return str(name[0]), int(str(name[1])), int(str(name[3])) if len(name) > 3 else 0


def _check(sock: socket.socket) -> None:
    if sock.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        raise ValueError("its family is neither inet, inet6 nor unix")
    if sock.type != socket.SOCK_STREAM:
        raise ValueError("it is no stream socket")
    with contextlib.suppress(OSError):
        sock.getpeername()
        raise ValueError("it is a connection, not a listening socket")
    name = sock.getsockname()
    # The system would listen on some port of its own choice.
    if not (name if sock.family == socket.AF_UNIX else name[1]):
        raise ValueError("it is not bound to an address")


def _adopt(
    kind: type[socket.socket], fds: Iterable[int], backlog: int, variable: str, remedy: str
) -> list[socket.socket]:
    sockets = []
    for fd in fds:
        try:
            sockets.append(_listen(kind(fileno=fd), backlog))
        except (OSError, ValueError) as error:
            what = f"Descriptor {fd}, of {variable}, cannot be listened on: {error}."
            raise BindError(f"{what} {remedy}") from error
    return sockets


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() else None


def _forget(names: Iterable[str]) -> None:
    for name in names:
        os.environ.pop(name, None)
