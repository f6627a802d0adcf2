"""Ending a listener without losing what has come to it.

Theory of operation. Closing a listener resets every connection in its queue, so that the queue
has to be emptied first, and that never ends while clients keep coming. So newcomers are turned
away before the queue is emptied, by the best means there is:

- A unix socket is shut down for input: connect(2) is refused at once, accept(2) goes on until
  the queue is empty. Only poll(2) tells no more when that is.
- A TCP socket on Linux is bound to a network interface that does not exist. Nothing that arrives
  matches it any more, so that newcomers are refused at once, while handshakes that were begun
  are completed, because these are looked up apart. It needs no privilege since Linux 5.7.
- Where several sockets share a port, the kernel chooses among them by a hash and looks at no
  interface. There, and where the above is not allowed, a filter drops SYNs: newcomers try again
  after a second and are refused then. It needs CAP_NET_RAW or so.
- Elsewhere the queue is made as short as can be. One connection still finds room in it at a
  time; the last one may be reset.

All of it changes the socket for every process that has it: only its last user may do this, see
``has_open``.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.unpatched import poll

if TYPE_CHECKING:
    from collections.abc import Callable

SO_BINDTOIFINDEX = 62  # not in the socket module
SO_ATTACH_FILTER = 26
NO_INTERFACE = (1 << 31) - 1  # no system has so many
# tcpi_sacked in struct tcp_info of linux/tcp.h: of a listening socket, the size of its queue.
_SACKED = struct.Struct("@28xI")

# Classic BPF: the packet begins with the TCP header here, and its flags are in octet 13. What
# has SYN without ACK is dropped, all else passes whole.
_DROP_SYN = (
    (0x30, 0, 0, 13),  # ld octet 13
    (0x54, 0, 0, 0x12),  # and SYN | ACK
    (0x15, 0, 1, 0x02),  # is it SYN alone?
    (0x06, 0, 0, 0),  # ret 0
    (0x06, 0, 0, 0xFFFFFFFF),  # ret all
)


def refuse_newcomers(listener: socket.socket) -> str:
    """Let no more connections come to a listener; those that have come can be accepted.

    Returns the means that was found: ``shutdown``, ``interface``, ``filter`` or ``backlog``, and
    nothing where the socket does not listen. Never raises: it is called on the way out.
    """
    if not listens(listener):
        return ""
    for means, apply in (*_list_means(listener), ("backlog", _shorten)):
        with contextlib.suppress(OSError):
            apply(listener)
            return means
    return ""


def listens(sock: socket.socket) -> bool:
    """Whether connections can come to a socket."""
    with contextlib.suppress(OSError):
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    return False


def _list_means(listener: socket.socket) -> list[tuple[str, Callable[[socket.socket], None]]]:
    """Return what may be tried, the best first."""
    if sys.platform != "linux":
        return []
    if listener.family == socket.AF_UNIX:
        return [("shutdown", _shut_input)]
    with contextlib.suppress(OSError):
        if listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
            return [("filter", drop_syn)]
    return [("interface", leave_interfaces), ("filter", drop_syn)]


def _shorten(listener: socket.socket) -> None:
    listener.listen(0)


def _shut_input(listener: socket.socket) -> None:
    listener.shutdown(socket.SHUT_RD)


def leave_interfaces(listener: socket.socket) -> None:
    """Bind a TCP listener to no interface; raises OSError where that is not possible."""
    listener.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, NO_INTERFACE)


def drop_syn(listener: socket.socket) -> None:
    """Have the kernel drop what would begin a connection; raises OSError where it may not."""
    code = array.array("B", b"".join(struct.pack("=HBBI", *one) for one in _DROP_SYN))
    address, _ = code.buffer_info()
    program = struct.pack("@HP", len(_DROP_SYN), address)  # struct sock_fprog
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def has_open(pid: int, listener: socket.socket) -> bool:
    """Whether a process has a listener open; True as well where the system does not tell."""
    wanted = f"socket:[{os.fstat(listener.fileno()).st_ino}]"
    try:
        return any(_read_link(path) == wanted for path in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return True


def _read_link(path: Path) -> str:
    with contextlib.suppress(OSError):
        return str(path.readlink())
    return ""  # it was closed meanwhile


def is_ending(listener: socket.socket) -> bool:
    """Whether newcomers are refused, so that whoever leaves the listener empties its queue first.

    True as well where the system does not tell: others may empty it then, too.
    """
    if sys.platform != "linux":
        return True
    if listener.family == socket.AF_UNIX:
        return is_shut(listener)
    return _has_left_interfaces(listener) or _drops_syn(listener) or _keeps_none(listener)


def is_shut(listener: socket.socket) -> bool:
    """Whether a unix socket was shut down for input; it is readable for ever then."""
    if sys.platform != "linux" or listener.family != socket.AF_UNIX:
        return False
    poller = poll()
    poller.register(listener, select.POLLRDHUP)
    return bool(poller.poll(0))


def _has_left_interfaces(listener: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        return listener.getsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX) == NO_INTERFACE
    return False


def _drops_syn(listener: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        # The kernel answers with the number of instructions for a length in octets.
        found = listener.getsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, 1024)
        return len(found) == len(_DROP_SYN)
    return False


def _keeps_none(listener: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SACKED.size)
        return not _SACKED.unpack(info)[0]
    return False
