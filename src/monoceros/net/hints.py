"""What to do about an address that cannot be listened on."""

from __future__ import annotations

import errno
import os

UNPRIVILEGED = 1024
_LONGEST_PATH = 107  # sun_path of Linux without its end mark; the BSDs have four less

_OF_PATHS = {
    errno.ENOENT: "The directory of the socket does not exist.",
    errno.ENOTDIR: "The directory of the socket is not a directory.",
    errno.EACCES: "The directory of the socket has to be writable for the user of the server.",
    errno.EPERM: "The socket cannot be given to the user and group of the settings.",
    errno.EROFS: "The directory of the socket is on a file system that is read-only.",
}
_OF_PORTS = {
    errno.EADDRINUSE: "Another process listens there: stop it, or bind to another port.",
    errno.EADDRNOTAVAIL: "No network interface here has that address; 0.0.0.0 means all of them.",
}
_PRIVILEGED = (
    f"Ports below {UNPRIVILEGED} need root or CAP_NET_BIND_SERVICE: bind to a higher one behind a "
    "proxy, or give the capability."
)


def explain(address: tuple[str, int] | str, error: OSError) -> str:
    """Return a hint, empty where the error says it all."""
    if not isinstance(address, str):
        if error.errno == errno.EACCES and address[1] < UNPRIVILEGED:
            return _PRIVILEGED
        return _OF_PORTS.get(error.errno or 0, "")
    size = len(os.fsencode(address))
    if error.errno is None and size > _LONGEST_PATH:
        return f"The path has {size} bytes, and {_LONGEST_PATH} are allowed."
    return _OF_PATHS.get(error.errno or 0, "")
