"""Listening sockets: made by the arbiter before the first fork, shared by all workers."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.errors import BindError
from monoceros.net import closing, inherited, owner
from monoceros.net.hints import explain
from monoceros.unpatched import sleep
from monoceros.unpatched import socket as Socket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from monoceros.config import Config
    from monoceros.config.addresses import Address
    from monoceros.log.logger import Logger

FileId = tuple[int, int]  # device and number

ATTEMPTS = 5
RETRY_S = 1.0

# A proxy's idle connection is its own to close, so that one which vanished has to be found by TCP:
# after two minutes of silence and four probes (tcp(7)). They also keep an idle connection known to
# whatever tracks it on its way; AWS forgets after 350 seconds, Azure after 240.
_PROBES = (("TCP_KEEPIDLE", 120), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4))


def create(
    cfg: Config,
    log: Logger,
    pause: Callable[[float], object] = sleep,
    given: Sequence[socket.socket] = (),
) -> list[socket.socket]:
    """Bind and listen on every address in ``cfg.address``, in its order.

    An address in use is tried ``ATTEMPTS`` times; ``pause`` waits in between and may raise to
    give up. Raises BindError, with what it opened closed again. Of the sockets ``given``, which
    another server listens on too, one that is bound to an address serves for it; the others are
    left to the caller.
    """
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as undo:
        undo.callback(lambda: close(sock for sock in sockets if sock not in given))
        for address, sock in zip(cfg.address, inherited.match(cfg.address, given), strict=True):
            if sock is None:
                sock = create_one(address, cfg, log, ATTEMPTS, pause)
            sockets.append(sock)
        undo.pop_all()
    return sockets


def join(other: socket.socket) -> socket.socket:
    """Bind to where another socket with SO_REUSEPORT is bound; raises OSError.

    The new socket does not listen yet, so that nothing comes to it.
    """
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(Socket(other.family, socket.SOCK_STREAM))
        for level, option in _options(other):
            sock.setsockopt(level, option, other.getsockopt(level, option))
        sock.bind(other.getsockname())
        sock.setblocking(False)
        undo.pop_all()
    return sock


def _options(sock: socket.socket) -> list[tuple[int, int]]:
    """Return what ``_bind_tcp`` sets."""
    options = [
        (socket.SOL_SOCKET, socket.SO_REUSEADDR),
        (socket.SOL_SOCKET, socket.SO_REUSEPORT),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    ]
    if sock.family == socket.AF_INET6:
        options.append((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    return options


def begin(sockets: Iterable[socket.socket], backlog: int) -> None:
    """Listen where that has not begun yet."""
    for sock in sockets:
        if not closing.listens(sock):
            sock.listen(backlog)


def create_one(
    address: Address,
    cfg: Config,
    log: Logger,
    attempts: int = 1,
    pause: Callable[[float], object] = sleep,
) -> socket.socket:
    """Bind and listen on one address; raises BindError."""
    if isinstance(address, int):
        return _borrow(address, cfg)
    attempt = 1
    while True:
        try:
            return _open(address, cfg)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                log.error("Connection in use: %s", str(address))
            if error.errno != errno.EADDRINUSE or attempt == attempts:
                raise _refuse(address, cfg, error) from error
        log.info("Retrying in %g second.", RETRY_S)
        pause(RETRY_S)
        attempt += 1


def _borrow(fd: int, cfg: Config) -> socket.socket:
    try:
        return inherited.borrow(fd, cfg.backlog)
    except (OSError, ValueError) as error:
        raise BindError(
            f"Can't listen on fd://{fd}: {error}. Whoever starts the server has to pass a bound "
            f"stream socket under that number. Set in: {cfg.origin('bind')}."
        ) from error


def _refuse(address: tuple[str, int] | str, cfg: Config, error: OSError) -> BindError:
    parts = (f"Can't connect to {address}: {error}.", explain(address, error))
    return BindError(" ".join(filter(None, (*parts, f"Set in: {cfg.origin('bind')}."))))


def close(sockets: Iterable[socket.socket], unlink: bool = True) -> None:
    """Close listeners; ``unlink`` removes the files of unix sockets too, save of borrowed ones."""
    for sock in sockets:
        path = _find_path(sock) if unlink and not isinstance(sock, inherited.Borrowed) else ""
        sock.close()
        if path:
            # One that cannot be removed is in nobody's way: whoever binds there next removes it.
            with contextlib.suppress(OSError):
                Path(path).unlink()


def find_file(sock: socket.socket) -> FileId | None:
    """Return what tells the file at a unix socket's path from others, None where there is none.

    A file keeps its number for as long as a socket is bound to it, even when it was removed.
    """
    path = _find_path(sock)
    try:
        status = Path(path).lstat() if path else None
    except OSError:
        return None
    return status and (status.st_dev, status.st_ino)


def get_address(sock: socket.socket) -> tuple[str, int] | str:
    """Return where a listener is bound, in the form of ``cfg.address``."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return os.fsdecode(name)
    return name[0], name[1]


def format_address(sock: socket.socket) -> str:
    """Return a listener's address as the log shows it."""
    address = get_address(sock)
    if isinstance(address, str):
        # A name in Linux's abstract namespace, as it is usually written.
        return f"unix:@{address[1:]}" if address.startswith("\0") else f"unix:{address}"
    host, port = address
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _open(address: tuple[str, int] | str, cfg: Config) -> socket.socket:
    with contextlib.ExitStack() as undo:
        if isinstance(address, str):
            sock = undo.enter_context(Socket(socket.AF_UNIX, socket.SOCK_STREAM))
            _bind_unix(sock, address, cfg)
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            sock = undo.enter_context(Socket(family, socket.SOCK_STREAM))
            _bind_tcp(sock, address, cfg)
        sock.setblocking(False)
        sock.listen(cfg.backlog)
        undo.pop_all()
    return sock


def _bind_tcp(sock: socket.socket, address: tuple[str, int], cfg: Config) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if cfg.reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Accepted sockets inherit these on Linux and the BSDs, which saves system calls for each.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if address[0] == "::" and ("0.0.0.0", address[1]) in cfg.address:
        # Else it would take the IPv4 connections too, and the two would be in each other's way.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(address)


def _bind_unix(sock: socket.socket, path: str, cfg: Config) -> None:
    _remove_old(path)
    before = os.umask(cfg.umask)
    try:
        sock.bind(path)
    finally:
        os.umask(before)
    owner.change_owner(path, cfg.uid, cfg.gid)


def _remove_old(path: str) -> None:
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindError(f"Can't connect to {path}: the file exists and is not a socket.")
    Path(path).unlink()


def _find_path(sock: socket.socket) -> str:
    if sock.family != socket.AF_UNIX or sock.fileno() < 0:
        return ""
    path = sock.getsockname()
    # Names in Linux's abstract namespace begin with NUL and have no file.
    return path if isinstance(path, str) and not path.startswith("\0") else ""
