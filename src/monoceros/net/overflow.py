"""The queue by which busy workers give connections to idle ones.

Theory of operation. The arbiter makes one pair of AF_UNIX SOCK_SEQPACKET sockets before the first
fork, and every process of the server has both ends: whoever is busy sends, whoever is idle takes.
A message is one connection: its descriptor (SCM_RIGHTS) and what its next owner has to know. While
any process has the receiving end open, a message outlives its sender, also one that was killed.
Closed by the last process, the queue closes the connections that are still in it.

What Linux does, as tried on 6.18:

- A message that was sent wakes one of those that wait with EPOLLEXCLUSIVE. Where nobody waits it
  wakes nobody and is not lost: whoever polls next finds it, and of several only one can take it.
- How many messages fit depends on SO_SNDBUF of the sending end, which all senders share: with 416
  KiB, what most systems allow, 333 of 200 octets or 7 of 64 KiB. Then ``EAGAIN`` is the answer.
- A user's descriptors on their way are limited to the sender's RLIMIT_NOFILE, unless it has
  CAP_SYS_RESOURCE or CAP_SYS_ADMIN. Then ``ETOOMANYREFS`` is the answer.
- A receiver without a free descriptor gets the message without the connection, which is closed
  (MSG_CTRUNC). To look with MSG_PEEK first would lose nothing, but the message may be a sibling's
  by then. So each process keeps a descriptor in reserve and gives it up for the one that comes;
  until it has another one it takes nothing. What remains is another thread that takes this very
  descriptor in that moment, when no other is free: that is logged.

``marshal`` is the fastest way there is, and must not read what a stranger has written. Both ends
belong to processes forked from one arbiter, so they are of one interpreter and one release.
"""

from __future__ import annotations

import array
import contextlib
import errno
import marshal
import os
import socket
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from monoceros.unpatched import allocate_lock, socketpair
from monoceros.unpatched import socket as Socket

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST = 1 << 17  # octets of a message
BUFFER_SIZE = 1 << 20  # octets of all messages together, where the system allows for it
_MARK = b"monoceros moved 1\n"
_MARSHAL_VERSION = 2  # without the search for repeated objects
_NO_ROOM = frozenset(
    {
        errno.EAGAIN,
        errno.EWOULDBLOCK,
        errno.EMSGSIZE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.ETOOMANYREFS,
    }
)
_CLOEXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_CONTROL_SIZE = socket.CMSG_SPACE(array.array("i").itemsize) if hasattr(socket, "CMSG_SPACE") else 0


class Moved(NamedTuple):
    """A connection on its way from one worker to another, between two requests."""

    fd: int
    data: bytes  # received already, not used yet
    hops: int  # how often it has been given away since its last request
    since: float  # time.monotonic(), the same clock in all processes: how long its request waits
    remote: Any  # addresses as accept() and getsockname() return them
    local: Any
    scheme: str
    trusted: bool


def is_supported() -> bool:
    """Whether this system has what the queue is made of."""
    return sys.platform == "linux"


def _ignore(message: str) -> None:
    pass


class Overflow:
    """The queue, as one process has it; its methods never block."""

    def __init__(self, warn: Callable[[str], object] = _ignore) -> None:
        """Make a new one; raises OSError. ``warn`` is told of connections that were lost."""
        self._warn = warn
        self._receiving, self._sending = socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._receiving.setblocking(False)
        self._sending.setblocking(False)
        with contextlib.suppress(OSError):
            # The kernel cuts it down to what is allowed, and then doubles it.
            self._sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_SIZE)
        self._buffer = bytearray(LARGEST)
        self._taking = allocate_lock()
        self._reserve = -1
        self._renew_reserve()
        self.lacks_descriptors = False  # why the last ``take`` returned None

    def fileno(self) -> int:
        """Return the descriptor to poll for reading; -1 once closed."""
        return self._receiving.fileno()

    def close(self) -> None:
        """Leave the queue to the other processes; nothing is given or taken any more."""
        self._receiving.close()
        self._sending.close()
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1

    # -- giving

    def give(self, moved: Moved) -> bool:
        """Send a connection away; False where there is no room and it stays with the caller.

        Either way the caller's descriptor is open still, and the caller's to close: without a
        shutdown where the connection has gone.
        """
        data = _MARK + marshal.dumps(moved[1:], _MARSHAL_VERSION)
        if len(data) > LARGEST or self._sending.fileno() < 0:
            return False
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", (moved.fd,)))
        try:
            self._sending.sendmsg((data,), (rights,))
        except OSError as error:
            if error.errno in _NO_ROOM:
                return False
            raise
        return True

    # -- taking

    def take(self) -> Moved | None:
        """Return a connection that somebody gave away, None where there is none to be had now.

        With ``lacks_descriptors`` one may be waiting, but this process has no descriptor free:
        the queue stays readable, so leave it to the siblings for a while.
        """
        if not self._taking.acquire(blocking=False):
            return None  # another thread takes it
        try:
            return self._take()
        finally:
            self._taking.release()

    def _take(self) -> Moved | None:
        while self.fileno() >= 0:
            if self._reserve < 0 and not self._renew_reserve():
                self.lacks_descriptors = True
                return None
            self.lacks_descriptors = False
            found = self._receive()
            if found is None:
                return None
            fds, data, is_cut = found
            moved = _decode(fds, data)
            if moved is not None:
                return moved
            self._refuse(fds, data, is_cut)
        return None

    def _receive(self) -> tuple[list[int], bytes, bool] | None:
        """Return descriptors, text and whether something was missing; None without a message."""
        os.close(self._reserve)
        self._reserve = -1
        try:
            size, control, flags, _ = self._receiving.recvmsg_into(
                [self._buffer], _CONTROL_SIZE, _CLOEXEC
            )
        except (BlockingIOError, InterruptedError):
            return None
        finally:
            self._renew_reserve()
        is_cut = bool(flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC))
        return _list_descriptors(control), bytes(memoryview(self._buffer)[:size]), is_cut

    def _renew_reserve(self) -> bool:
        # Of the end that nobody polls: epoll knows a socket until its last descriptor is closed.
        with contextlib.suppress(OSError):
            self._reserve = os.dup(self._sending.fileno())
        return self._reserve >= 0

    def _refuse(self, fds: list[int], data: bytes, is_cut: bool) -> None:
        for fd in fds:
            os.close(fd)
        if is_cut and not fds:
            peer = _peer_of(data)
            self._warn(f"No descriptor was free, and a connection{peer} was lost on its way here")
        else:
            self._warn(f"A message of {len(data)} bytes in the overflow queue makes no sense")

    # -- the end

    def discard(self) -> int:
        """End all connections that nobody has taken; returns how many they were."""
        count = 0
        while (moved := self.take()) is not None:
            sock = Socket(socket.AF_INET, socket.SOCK_STREAM, 0, moved.fd)
            with contextlib.suppress(OSError), sock:
                sock.shutdown(socket.SHUT_RDWR)
            count += 1
        return count


def _list_descriptors(control: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if not _CLOEXEC:
        for fd in fds:
            os.set_inheritable(fd, False)
    return fds.tolist()


def _decode(fds: list[int], data: bytes) -> Moved | None:
    fields = _decode_fields(data)
    if fields is None or len(fds) != 1:
        return None
    return Moved(fds[0], *fields)


def _decode_fields(data: bytes) -> tuple[Any, ...] | None:
    if not data.startswith(_MARK):
        return None
    try:
        fields = marshal.loads(memoryview(data)[len(_MARK) :])
    except (EOFError, ValueError, TypeError):
        return None
    if not isinstance(fields, tuple) or len(fields) != len(Moved._fields) - 1:
        return None
    return fields


def _peer_of(data: bytes) -> str:
    fields = _decode_fields(data)
    remote = None if fields is None else fields[Moved._fields.index("remote") - 1]
    return f" from {remote}" if remote else ""
