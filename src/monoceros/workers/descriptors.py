"""Keeping the low descriptors free for the application.

select(2), which applications and their libraries still call, breaks above descriptor 1024.
Connections need none of that, so once a worker has many of them they live above it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import socket
from typing import TYPE_CHECKING

from monoceros.unpatched import socket as Socket

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_HIGH = 1024
_KEPT_LOW = 256  # connections up to here may stay low: moving one costs two system calls
_RESERVE = 1024  # descriptors for everything that is not a connection
_APPLICATIONS = 256  # at least so many of them, where the limit is low


def raise_limit(connections: int, warn: Callable[[str], None]) -> int:
    """Raise the soft limit on descriptors, as far as it may be, to what the settings ask for.

    Returns how many connections there can be, so that some are left to the application, and warns
    where these are fewer.
    """
    possible = _raise_limit(connections)
    if possible < connections:
        warn(f"The system's limit of descriptors allows for {possible} connections only")
    return possible


def _raise_limit(connections: int) -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FIRST_HIGH + _RESERVE + connections
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft == resource.RLIM_INFINITY:
        return connections
    return min(connections, soft - min(_APPLICATIONS, soft // 4))


def shut_sending(fd: int) -> None:
    """Tell the peer of a connection that nothing more will come."""
    sock = Socket(socket.AF_INET, socket.SOCK_STREAM, 0, fd)  # whatever its family
    try:
        with contextlib.suppress(OSError):  # the peer was first
            sock.shutdown(socket.SHUT_WR)
    finally:
        sock.detach()


def move_up(fd: int) -> int:
    """Return a descriptor for the same connection that leaves the low ones to the application."""
    if not _KEPT_LOW <= fd < FIRST_HIGH:
        return fd
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_HIGH)
    except OSError:
        return fd  # the hard limit is low; the application shares what there is
    os.close(fd)
    return high
