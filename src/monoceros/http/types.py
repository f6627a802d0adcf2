"""The seam between the twins: what both the compiled and the pure-Python HTTP layer provide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from monoceros.http.waiting import wait_for

if TYPE_CHECKING:
    from monoceros.http.budget import Budget
    from monoceros.http.protocols import Conn as Conn
    from monoceros.http.protocols import Core as Core
    from monoceros.http.protocols import CoreLog as CoreLog
    from monoceros.http.protocols import Exchange as Exchange
    from monoceros.http.protocols import HeadReader as HeadReader
    from monoceros.http.protocols import Record as Record
    from monoceros.http.protocols import Request as Request
    from monoceros.http.protocols import StartResponse as StartResponse
    from monoceros.http.protocols import Twin as Twin
    from monoceros.http.protocols import Watch as Watch

Environ = dict[str, Any]
Field = tuple[str, str]
Scope = dict[str, Any]
OctetField = tuple[bytes, bytes]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType]
WsgiApp = Callable[[Environ, "StartResponse"], Iterable[bytes]]

# What ``Conn.ready`` and its single steps answer.
AGAIN = 0  # nothing more to do until the descriptor is readable
CLOSE = 1  # done: take the descriptor out of the poller and close it
WANT_WRITE = 2  # output is waiting: poll for writing, and for nothing else
HANDOFF = 3  # a request is complete: take() it
LINGER = 4  # answered and shut down for writing: discard input for a while, then close
UPGRADE = 5  # the application took the socket; the descriptor is no longer the server's
MORE = 6  # input is waiting in the connection's own buffer: call ready() again soon

# What ``Watch.wait`` answers.
QUIET = 0  # nothing has happened for a while
LATE_CALL = 1  # the present call of the application has lasted for longer than a tick
LATE_BATCH = 2  # the present call is young, but others wait behind it for longer than a tick
WOKEN = 3  # the descriptor has become readable

# ``Conn.state``, for the sweep of timeouts.
IDLE = 0  # between requests
HEAD = 1  # part of a head has come
BODY = 2  # part of a body has come
WRITE = 3  # output is waiting for the client
LINGERING = 4  # discarding input before closing

# Calls of a connection that go on behind their responses before requests sent ahead have to wait.
MOST_UNFINISHED = 16
TURN = 1 << 16  # octets that an ASGI application may send before the loop goes on


class Limits(NamedTuple):
    """How large a request may be, in bytes unless said otherwise; 0 means no limit for ``body``."""

    line: int = 4094  # request line without CRLF: 414
    fields: int = 100  # number of field lines: 431
    field: int = 8190  # one field line with CRLF: 431
    head: int = 65536  # the whole head: 431
    body: int = 0  # the content: 413
    body_memory: int = 1 << 20  # content kept in memory; more goes to a file
    body_spool: int = 64 << 20  # content kept in a file; more is streamed


_USUAL_SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "X-FORWARDED-PROTOCOL": "ssl",
        "X-FORWARDED-PROTO": "https",
        "X-FORWARDED-SSL": "on",
    }
)


class Rules(NamedTuple):
    """Head policies, named after the settings that carry them."""

    header_map: str = "drop"  # drop, refuse or dangerous: field names with "_"
    forwarder_headers: frozenset[str] = frozenset({"SCRIPT_NAME", "PATH_INFO"})
    secure_scheme_headers: Mapping[str, str] = _USUAL_SCHEMES
    permit_obsolete_folding: bool = False
    permit_unconventional_http_method: bool = False
    permit_unconventional_http_version: bool = False
    permit_missing_host: bool = False
    casefold_http_method: bool = False
    strip_header_spaces: bool = False


def _ignore(fd: int) -> None:
    pass


class Policy:
    """What the worker decides for the connections of a Core.

    ``keepalive_timeout`` is how many seconds clients are told that their idle connection is kept,
    0 where they are told nothing; trusted peers never are. With ``spares_trusted`` these close
    their idle connections themselves.

    ``body_timeout`` is how many seconds a streamed body may stall, or fall behind
    ``body_min_rate`` octets per second, ``write_timeout`` how many a client may take nothing
    while the application waits. ``output_memory`` and ``output_spool`` are how many octets of
    unsent output one connection may keep in memory and in files; past these the application
    waits. ``request_timeout`` is how many seconds a call of the application may take where it does
    not say so itself, 0 for no limit. ``release`` is called with a descriptor that leaves the
    worker's poller because the application takes it over. ``budget`` bounds what all connections of
    the worker may keep. ``wait`` is called inside a call of the application that has to wait for
    its client: with a descriptor, events of poll(2) and seconds; False where time was up first.
    ``turn`` is called between two pieces of content that have not to wait, so that others get
    their turn, where they do not by themselves.
    """

    __slots__ = (
        "body_min_rate",
        "body_timeout",
        "budget",
        "keepalive",
        "keepalive_timeout",
        "output_memory",
        "output_spool",
        "release",
        "request_buffering",
        "request_timeout",
        "sendfile",
        "spares_trusted",
        "tmp_upload_dir",
        "turn",
        "wait",
        "write_timeout",
    )

    def __init__(
        self,
        *,
        keepalive: bool = True,
        keepalive_timeout: int = 0,
        spares_trusted: bool = False,
        request_buffering: bool = True,
        sendfile: bool = True,
        tmp_upload_dir: str | None = None,
        body_timeout: float = 30.0,
        body_min_rate: float = 0.0,
        write_timeout: float = 60.0,
        output_memory: int = 1 << 20,
        output_spool: int = 64 << 20,
        request_timeout: float = 0.0,
        release: Callable[[int], None] = _ignore,
        budget: Budget | None = None,
        wait: Callable[[int, int, float], bool] = wait_for,
        turn: Callable[[], object] | None = None,
    ) -> None:
        self.keepalive = keepalive
        self.keepalive_timeout = keepalive_timeout
        self.spares_trusted = spares_trusted
        self.request_buffering = request_buffering
        self.sendfile = sendfile
        self.tmp_upload_dir = tmp_upload_dir
        self.body_timeout = body_timeout
        self.body_min_rate = body_min_rate
        self.write_timeout = write_timeout
        self.output_memory = output_memory
        self.output_spool = output_spool
        self.request_timeout = request_timeout
        self.release = release
        self.budget = budget
        self.wait = wait
        self.turn = turn


class Head(NamedTuple):
    """An accepted request head (RFC 9112 sections 2 to 6).

    ``fields`` are all field lines in order, names as sent, values without the blanks around
    them, decoded as latin-1. ``length`` is the number of octets that the head took up,
    ``content_length`` the announced content (0 without any, None where it is chunked).
    ``authority`` is the host of an absolute-form target, which overrides Host.
    """

    method: str
    target: str
    version: str
    fields: tuple[Field, ...]
    length: int
    keep_alive: bool
    content_length: int | None
    expect_continue: bool
    upgrade: bool
    authority: str | None = None

    @property
    def chunked(self) -> bool:
        """Whether the content comes in chunks."""
        return self.content_length is None
