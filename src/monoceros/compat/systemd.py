"""What systemd passes to a service, and what it is told, as functions."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monoceros.log.logger import Logger

SD_LISTEN_FDS_START = 3


def listen_fds(unset_environment: bool = True) -> int:
    """Return how many sockets were passed to this process, from descriptor 3 on."""
    count = 0
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        with contextlib.suppress(ValueError):
            count = max(0, int(os.environ.get("LISTEN_FDS", "")))
        if unset_environment:
            for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
                os.environ.pop(name, None)
    return count


def sd_notify(state: str, logger: Logger, unset_environment: bool = False) -> None:
    """Tell the service manager; a failure is logged."""
    where = os.environ.get("NOTIFY_SOCKET")
    if not where:
        return
    # A name in Linux's abstract namespace is written with @.
    address = "\0" + where[1:] if where.startswith("@") else where
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(state.encode(), address)
    except OSError as error:
        logger.debug("The service manager at %s hears nothing: %s", where, error)
    finally:
        if unset_environment:
            os.environ.pop("NOTIFY_SOCKET", None)
