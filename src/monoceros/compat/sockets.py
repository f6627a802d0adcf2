"""Listening sockets by Gunicorn's functions."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from monoceros.net import inherited, listeners

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.config import Config
    from monoceros.log.logger import Logger


class _Family(type):
    """Tells sockets apart by their family, whatever their class is."""

    FAMILIES: frozenset[int]

    def __instancecheck__(cls, sock: object) -> bool:
        return isinstance(sock, socket.socket) and sock.family in cls.FAMILIES

    def __call__(cls, *args: Any, **keywords: Any) -> NoReturn:
        raise TypeError(f"{cls.__name__} is for isinstance(); create_sockets() opens sockets")


class BaseSocket(metaclass=_Family):
    """Any listening socket."""

    FAMILIES: ClassVar = frozenset({socket.AF_INET, socket.AF_INET6, socket.AF_UNIX})


class TCPSocket(BaseSocket):
    """A listening socket with a port."""

    FAMILIES: ClassVar = frozenset({socket.AF_INET, socket.AF_INET6})


class TCP6Socket(TCPSocket):
    """A listening socket with a port, for IPv6."""

    FAMILIES: ClassVar = frozenset({socket.AF_INET6})


class UnixSocket(BaseSocket):
    """A listening socket with a path."""

    FAMILIES: ClassVar = frozenset({socket.AF_UNIX})


def create_sockets(
    conf: Config, log: Logger, fds: Iterable[int] | None = None
) -> list[socket.socket]:
    """Bind and listen on the addresses of a configuration, or on descriptors; raises BindError."""
    if fds:
        return [inherited.borrow(fd, conf.backlog) for fd in fds]
    return listeners.create(conf, log)


def close_sockets(sockets: Iterable[socket.socket], unlink: bool = True) -> None:
    """Close listening sockets, and remove the files of unix sockets too."""
    listeners.close(sockets, unlink=unlink)
