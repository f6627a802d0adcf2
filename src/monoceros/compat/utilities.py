"""Small functions that others import from ``gunicorn.util``."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import sys
import time
import urllib.parse
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from monoceros.config import addresses, references
from monoceros.hosting import current_directory
from monoceros.http.dates import format_date
from monoceros.net import owner
from monoceros.workers.application import load_app
from monoceros.workers.callables import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

hop_headers = frozenset(
    {
        "connection",
        "date",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "server",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)

# -- finding things


def load_class(
    uri: Any,
    default: str = "gunicorn.workers.sync.SyncWorker",
    section: str = "gunicorn.workers",
) -> type[Any]:
    """Return the class that a name, an alias or an entry point stands for; raises RuntimeError."""
    from monoceros.config import Config

    if not isinstance(uri, str):
        return uri if isinstance(uri, type) else type(uri)
    name = uri or default
    aliases = {**Config.worker_class.aliases, **Config.logger_class.aliases}
    try:
        found = references.load(aliases.get(name, name), section)
    except (ImportError, AttributeError, LookupError, ValueError) as error:
        raise RuntimeError(f"class uri {uri!r} invalid or not found: {error}") from error
    if not isinstance(found, type):
        raise RuntimeError(f"class uri {uri!r} is no class")
    return found


def load_entry_point(distribution: str, group: str, name: str) -> Any:
    """Return what an entry point of an installed distribution stands for."""
    return references.load(f"egg:{distribution}#{name}", group)


def import_app(module: str) -> Callable[..., Any]:
    """Import the application that ``MODULE[:NAME]`` names; raises AppImportError."""
    return load_app(module, Wanted.ANY)


def get_arity(f: Callable[..., Any]) -> int:
    """Return with how many positional arguments a function is declared."""
    import inspect

    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in kinds for one in inspect.signature(f).parameters.values())


def is_glob_pattern(value: str) -> bool:
    """Whether a path has signs that stand for others."""
    return any(sign in value for sign in "*?[")


def getcwd() -> str:
    """Return the working directory by the name that the shell knows it by."""
    return current_directory()


# -- addresses


def is_ipv6(addr: str) -> bool:
    """Whether a text is an IPv6 address."""
    try:
        socket.inet_pton(socket.AF_INET6, addr)
    except (OSError, ValueError):
        return False
    return True


def parse_address(netloc: str, default_port: str = "8000") -> Any:
    """Return ``(host, port)``, the path of a unix socket, or the number of a descriptor."""
    address = addresses.parse_address(netloc)
    is_bare = isinstance(address, tuple) and not netloc.rstrip("/").endswith(f":{address[1]}")
    return (address[0], int(default_port)) if isinstance(address, tuple) and is_bare else address


# -- files and processes


def chown(path: str, uid: int, gid: int) -> None:
    """Give a file to a user and a group."""
    os.chown(path, uid, gid)


def unlink(filename: str) -> None:
    """Remove a file; one that is not there is no error."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        Path(filename).unlink()


def check_is_writable(path: str) -> None:
    """Raise RuntimeError unless a file can be opened for appending."""
    try:
        Path(path).open("a").close()
    except OSError as error:
        raise RuntimeError(f"Error: {path!r} isn't writable [{error!r}]") from error


def close_on_exec(fd: int) -> None:
    """Keep a descriptor from programs that this process becomes."""
    os.set_inheritable(fd, False)


def set_non_blocking(fd: int) -> None:
    """Have a descriptor never wait."""
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)


def get_username(uid: int) -> str:
    """Return the name of a user; KeyError for one that is not in the user database."""
    import pwd

    return pwd.getpwuid(uid).pw_name


def set_owner_process(uid: int, gid: int, initgroups: bool = False) -> None:
    """Become another user and group for good."""
    owner.become(uid, gid, initgroups=initgroups)


def seed() -> None:
    """Have this process draw other random numbers than those it was forked from."""
    random.seed()


def warn(msg: str) -> None:
    """Print a warning on the standard error."""
    for line in f"WARNING: {msg}".splitlines():
        print(f"!!! {line}", file=sys.stderr)


def has_fileno(obj: object) -> bool:
    """Whether an object stands for an open file."""
    try:
        obj.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return False
    return True


def reraise(
    tp: type[BaseException], value: BaseException | None, tb: TracebackType | None = None
) -> NoReturn:
    """Raise an exception with a traceback."""
    error = tp() if value is None else value
    raise error.with_traceback(tb)


# -- HTTP


def http_date(timestamp: float | None = None) -> str:
    """Return a time, by default now, as HTTP has it."""
    return format_date(time.time() if timestamp is None else timestamp)


def is_hoppish(header: str) -> bool:
    """Whether a field is between the server and its peer."""
    return header.lower().strip() in hop_headers


def split_request_uri(uri: str) -> urllib.parse.SplitResult:
    """Take a request target apart; one that begins with two slashes is a path."""
    if not uri.startswith("//"):
        return urllib.parse.urlsplit(uri)
    return urllib.parse.urlsplit(f"x:{uri[1:]}")._replace(scheme="", path=uri.partition("?")[0])


def unquote_to_wsgi_str(string: str) -> str:
    """Decode a path as ``PATH_INFO`` has it."""
    return urllib.parse.unquote_to_bytes(string).decode("latin-1")


def to_bytestring(value: str | bytes, encoding: str = "utf8") -> bytes:
    """Return octets, of a text in an encoding."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value.encode(encoding)


def bytes_to_str(b: str | bytes) -> str:
    """Return text, of octets in Latin-1."""
    return b if isinstance(b, str) else b.decode("latin-1")


def close(sock: socket.socket) -> None:
    """Close a socket; never fails."""
    with contextlib.suppress(OSError):
        sock.close()


def write(sock: socket.socket, data: bytes, chunked: bool = False) -> None:
    """Send octets, perhaps as a chunk."""
    if chunked:
        write_chunk(sock, data)
    else:
        sock.sendall(data)


def write_chunk(sock: socket.socket, data: str | bytes) -> None:
    """Send octets as one chunk."""
    octets = to_bytestring(data)
    sock.sendall(b"%X\r\n%s\r\n" % (len(octets), octets))


def write_nonblock(sock: socket.socket, data: bytes, chunked: bool = False) -> None:
    """Send octets without waiting; raises BlockingIOError where that takes longer."""
    before = sock.gettimeout()
    sock.setblocking(False)
    try:
        write(sock, data, chunked)
    finally:
        sock.settimeout(before)


def write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    """Answer with a short text, and announce the end of the connection."""
    phrase = reason or HTTPStatus(status_int).phrase
    body = f"{phrase}\n{mesg}".rstrip().encode() + b"\n"
    head = (
        f"HTTP/1.1 {status_int} {phrase}\r\nConnection: close\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    write_nonblock(sock, head.encode("latin-1") + body)
