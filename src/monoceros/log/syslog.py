"""Both logs to syslog, in the manner of the standard library's handler, but never waiting.

Each process has a socket of its own, so that lines of several cannot mix in one stream. It does not
block: what syslog does not take at once is dropped. Only the first connection of a process
to a stream is waited for, because nothing is served yet then.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import time
from logging.handlers import SysLogHandler
from typing import TYPE_CHECKING, NamedTuple

from monoceros.errors import ConfigError
from monoceros.unpatched import poll
from monoceros.unpatched import socket as Socket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.config import Config
    from monoceros.log.logger import Logger

PORT = 514

_FIRST_WAIT_S = 1.0
_RETRY_S = 1.0  # between attempts at a stream that is not there
_ALLOWED = {
    "syslog_addr": "udp://HOST:PORT, tcp://HOST:PORT, unix://PATH, unix://PATH#dgram or "
    "unix://PATH#stream",
    "syslog_facility": ", ".join(sorted(SysLogHandler.facility_names)),
}
_KINDS = {
    "udp": (socket.SOCK_DGRAM,),
    "tcp": (socket.SOCK_STREAM,),
    "dgram": (socket.SOCK_DGRAM,),
    "stream": (socket.SOCK_STREAM,),
    "": (socket.SOCK_DGRAM, socket.SOCK_STREAM),
}


class Target(NamedTuple):
    """One way of reaching syslog."""

    family: int
    kind: int
    address: str | tuple[object, ...]


def open_handlers(logger: Logger, cfg: Config) -> Iterator[tuple[logging.Logger, logging.Handler]]:
    """Yield a handler for each log that goes to syslog; raises ConfigError."""
    names = [(logger.error_log, "error")]
    if not cfg.disable_redirect_access_to_syslog:
        names.append((logger.access_log, "access"))
    facility = SysLogHandler.facility_names.get(cfg.syslog_facility.lower())
    if facility is None:
        raise _refuse(cfg, "syslog_facility", cfg.syslog_facility)
    targets = find_targets(cfg)
    prefix = cfg.syslog_prefix or cfg.proc_name or ""
    for log, name in names:
        handler = SyslogHandler(targets, facility)
        # A colon ends the program's name.
        handler.ident = f"gunicorn.{prefix.replace(':', '.')}.{name}: "
        handler.setFormatter(logging.Formatter(logger.syslog_fmt))
        yield log, handler


def find_targets(cfg: Config) -> list[Target]:
    """Return what ``syslog_addr`` means, the first choice first; raises ConfigError."""
    scheme, separator, rest = cfg.syslog_addr.partition("://")
    if separator and scheme == "unix":
        path, _, kind = rest.partition("#")
        if path and kind in _KINDS and kind not in ("udp", "tcp"):
            return [Target(socket.AF_UNIX, one, path) for one in _KINDS[kind]]
    elif separator and scheme in ("udp", "tcp"):
        host, port = _split(rest)
        if host and 0 < port < 65536:
            return _resolve(cfg, host, port, _KINDS[scheme][0])
    raise _refuse(cfg, "syslog_addr", cfg.syslog_addr)


def _split(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        separator, port = rest[:1], rest[1:]
        if not bracket or separator not in ("", ":"):
            return "", 0
    else:
        host, separator, port = text.partition(":")
    host = host or "localhost"
    if not separator:
        return host, PORT
    return host, int(port) if port.isascii() and port.isdigit() else 0


def _resolve(cfg: Config, host: str, port: int, kind: int) -> list[Target]:
    try:
        found = socket.getaddrinfo(host, port, 0, kind)
    except (OSError, UnicodeError) as error:
        raise _refuse(cfg, "syslog_addr", cfg.syslog_addr, str(error)) from error
    return [Target(family, kind, address) for family, _, _, _, address in found]


def _refuse(cfg: Config, name: str, value: str, reason: str = "") -> ConfigError:
    because = f" ({reason})" if reason else ""
    return ConfigError(
        f"Invalid value for {name}: {value!r}{because}. Allowed: {_ALLOWED[name]}. "
        f"Set in: {cfg.origin(name)}."
    )


class SyslogHandler(SysLogHandler):
    """Sends records without ever waiting; what cannot be sent now is dropped."""

    _gunicorn = True

    def __init__(self, targets: list[Target], facility: int) -> None:
        """Connect to nothing yet."""
        logging.Handler.__init__(self)  # the standard one would connect at once, and wait
        self.facility = facility
        self.address = targets[0].address  # type: ignore[assignment]
        self._targets = targets
        self._socket: socket.socket | None = None
        self._pid = 0
        self._next = 0  # which target comes next
        self._retry_at = 0.0  # time.monotonic()
        self._rest = b""  # what a stream has not taken of the last message

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, or drop it."""
        try:
            priority = self.encodePriority(self.facility, self.mapPriority(record.levelname))
            text = self.ident + self.format(record)
        except Exception:
            self.handleError(record)
            return
        message = f"<{priority}>{text}".encode("utf-8", "backslashreplace")
        for _ in self._targets:
            if self._try_to_send(message):
                break

    def close(self) -> None:
        """Close the socket; the next record opens another one."""
        self._drop_socket()
        logging.Handler.close(self)

    def _try_to_send(self, message: bytes) -> bool:
        """Send or drop; False where another target may take the message."""
        try:
            sock = self._connected()
            if sock is not None:
                self._send(sock, message)
        except BlockingIOError:
            return True
        except OSError:
            # A datagram that nobody received is only told of with the next one.
            self._give_up()
            return False
        return True

    def _send(self, sock: socket.socket, message: bytes) -> None:
        if sock.type == socket.SOCK_DGRAM:
            sock.send(message + b"\0")
            return
        if self._rest:
            self._rest = self._rest[sock.send(self._rest) :]
        if not self._rest:
            # RFC 6587 section 3.4.2: a line feed ends a message on a stream. Those inside are
            # written as receivers write them that get them in a datagram.
            self._rest = message.replace(b"\n", b"#012") + b"\n"
            self._rest = self._rest[sock.send(self._rest) :]

    def _connected(self) -> socket.socket | None:
        is_first = self._pid != os.getpid()
        if is_first:
            # The one before belongs to the process that this one was forked from.
            self._drop_socket()
            self._pid = os.getpid()
            self._retry_at = 0.0
        if self._socket is None and time.monotonic() >= self._retry_at:
            attempts = len(self._targets) if is_first else 1
            for _ in range(attempts):
                self._socket = self._connect(_FIRST_WAIT_S if is_first else 0.0)
                if self._socket is not None:
                    break
        return self._socket

    def _connect(self, wait_s: float) -> socket.socket | None:
        target = self._targets[self._next % len(self._targets)]
        sock = Socket(target.family, target.kind)
        sock.setblocking(False)
        try:
            with contextlib.suppress(BlockingIOError):
                sock.connect(target.address)
            if wait_s and target.kind == socket.SOCK_STREAM:
                poller = poll()
                poller.register(sock, select.POLLOUT)
                poller.poll(wait_s * 1000)
                if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(code, os.strerror(code))
        except OSError:
            sock.close()
            self._plan_retry()
            return None
        return sock

    def _give_up(self) -> None:
        self._drop_socket()
        self._plan_retry()

    def _plan_retry(self) -> None:
        target = self._targets[self._next % len(self._targets)]
        self._next += 1
        # Only opening a stream costs the other side anything.
        is_stream = target.kind == socket.SOCK_STREAM
        self._retry_at = time.monotonic() + (_RETRY_S if is_stream else 0.0)

    def _drop_socket(self) -> None:
        self._rest = b""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
