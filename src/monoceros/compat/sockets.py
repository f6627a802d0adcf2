"""Listening sockets by Gunicorn's functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.net import inherited, listeners

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from monoceros.config import Config
    from monoceros.log.logger import Logger


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
