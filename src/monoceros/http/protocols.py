"""What the twins provide and ask for, for type checkers; nothing imports it at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import socket
    from collections import deque
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from monoceros.http.access import AccessFormat, Entry
    from monoceros.http.errors import BadRequest
    from monoceros.http.types import Environ, ExcInfo, Field, Head, Limits, OctetField, Rules, Scope


class CoreLog(Protocol):
    """Where a Core reports what went wrong, and what is done.

    ``access`` is the access log's format, or None; ``finished`` is called at the end of each
    request, or None. The status is empty where no response began, or none that is HTTP.
    """

    access: AccessFormat | None
    finished: Callable[[Entry], object] | None

    def refused(self, peer: str, error: BadRequest) -> None:
        """Report a request that was refused before the application was called."""

    def failed(self, environ: Environ, error: BaseException) -> None:
        """Report an application that raised, or broke PEP 3333."""

    def warning(self, message: str) -> None:
        """Report something that an operator should know."""


class StartResponse(Protocol):
    """PEP 3333's ``start_response``."""

    def __call__(
        self, status: str, headers: list[Field], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]: ...


class FileLike(Protocol):
    """What an application may wrap."""

    def read(self, size: int, /) -> bytes: ...


class Request(Protocol):
    """A complete request, ready for the application."""

    environ: Environ
    keep_alive: bool

    def start_response(
        self, status: str, headers: list[Field], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """PEP 3333's ``start_response``."""

    def run(self, core: Any, /) -> int:  # a Core of the same twin
        """Call the application, send what it answers, and return a code as ``Conn.ready`` does."""

    def abort(self, error: BaseException, /) -> int:
        """End the request by an error: 500 where nothing was sent, else cut the connection."""


class Core(Protocol):
    """What the connections of one thread share: buffers, the Date line, the access log's lines.

    With ``closing`` an answer after which nothing else has come is the last on its connection.
    ``flush_log`` is called where lines would have to wait for further calls of the application
    after one that took a while.
    """

    closing: bool
    now: float
    requests: int
    running: bool
    base_environ: Environ
    limits: Limits
    rules: Rules
    policy: Any
    scoreboard_record: memoryview | None
    responses: int
    received: int
    sent: int
    errors: int
    log: Any
    server_fields: bytes
    flush_log: Callable[[], object] | None

    def tick(self, now: float, /) -> None:
        """Take over the time of a wake-up (``time.monotonic()``) and refresh Date."""

    def drain_log(self) -> bytes:
        """Return and forget the access log's whole lines so far."""

    def add_line(self, line: bytes, /) -> None:
        """Append to the access log's lines."""

    def record_exchange(
        self,
        environ: Environ,
        status: str,
        headers: list[Field],
        sent: int,
        elapsed_us: int,
        line: str,
        /,
    ) -> None:
        """Tell the access log, and who else wants to know, that a request of ASGI is done."""

    def count_refusal(self, code: int, /) -> None:
        """Count a response that no application gave."""

    def refresh_date(self) -> None:
        """Have Date and the access log's time tell this second."""

    def abandon(self) -> None:
        """Leave log, hooks and scoreboard to the process that this one was forked from."""

    def drop_output(self) -> None:
        """Forget what a connection that failed has not sent."""

    def counters(self) -> dict[str, int]:
        """Return requests, responses, received and sent octets, and errors so far."""


class Conn(Protocol):
    """One HTTP/1.1 connection; see DESIGN of the steps in ``http/_conn_py.py``.

    ``fd`` of -1 means that the caller owns the transport and uses ``feed`` and ``data_to_send``.
    ``since`` is the ``tick`` time at which the present state began or, in ``WRITE``, at which
    the client last took something. ``received`` counts the octets of the present body.

    The steps that work with buffers take the Core of the thread that calls, of the same twin,
    which stays the connection's from then on; without one they go on with the last. A request
    that ``read`` has found complete (``has_request``) is answered by the next ``ready``.
    ``expires`` is False where the server leaves it to the peer to end the idle connection.
    """

    fd: int
    state: int
    since: float
    received: int
    has_request: bool
    remote: Any
    local: Any
    scheme: str
    trusted: bool
    expires: bool

    @property
    def pending(self) -> int:
        """Octets that were received and not used."""

    @property
    def request(self) -> Request | None:
        """The request whose head has come, until the application is called for it."""

    def ready(self, core: Any = None, /) -> int:
        """Receive, parse, call the application and send, for all requests that have come."""

    def read(self, core: Any = None, /) -> int:
        """Receive and parse only; HANDOFF when a request is complete."""

    def collect(self, core: Any = None, /) -> int:
        """Do what ``ready`` does, but for the application; HANDOFF when a request is complete."""

    def peek(self, core: Any = None, /) -> bytes | None:
        """Return what has come and was not used, and leave it where it is; None at the end."""

    def unread(self, data: bytes, /) -> None:
        """Put octets in front that another process received and did not use."""

    def feed(self, data: bytes, /) -> int:
        """Parse what the caller received; an empty ``data`` is the end of the input."""

    def take(self) -> Request | None:
        """Return the next complete request."""

    def writable(self, core: Any = None, /) -> int:
        """Send what is waiting."""

    def data_to_send(self) -> bytes:
        """Return and forget what is waiting, where the caller owns the transport."""

    def reject(self, status: int, core: Any = None, /) -> int:
        """Answer with an error and close; used for timeouts and overload."""

    @property
    def deadline(self) -> float | None:
        """When the time of the request in flight is up; None where none is, or it has no limit."""

    def expire(self, core: Any, /) -> bool | None:
        """Answer 504 for the request in flight, or cut the connection where more than that is sent.

        From another thread, whose Core is given, while nobody can close the connection. Returns
        whether the client was told, None where the call is over. ``ready`` answers CLOSE then,
        and drops what the application still gives it.
        """

    def is_gone(self) -> bool:
        """Whether nobody is left to answer; a half-close is a farewell only from a proxy."""

    def discard(self, core: Any = None, /) -> int:
        """Throw away input of a lingering connection; CLOSE at its end."""

    def detach(self) -> tuple[int, bytes]:
        """Give up the descriptor; returns it with the octets that were received and not used."""

    def close(self) -> None:
        """Shut the connection down, close the descriptor, and drop what the request held."""


class HeadReader(Protocol):
    """The heads of one connection whose transport is the caller's, for ASGI.

    ``template`` is the scope that all requests of the connection begin with, see
    ``scope.base_scope``.
    """

    def __init__(self, core: Any, template: Scope, trusted: bool, /) -> None: ...

    @property
    def pending(self) -> int:
        """Octets that were received and not used."""

    def feed(self, data: bytes, /) -> Exchange | None:
        """Return the next request once its head has come whole; raises ``BadRequest``."""

    def keep(self, data: bytes, /) -> None:
        """Put octets behind what has come, to be looked at with the next ``feed``."""

    def take_content(self, size: int, /) -> bytes | None:
        """Return so many octets of what came behind the last head; None where fewer have."""

    def take_rest(self) -> bytes:
        """Return and forget what came behind the last head."""

    def is_for_head(self) -> bool:
        """Whether what has come begins a HEAD request, whose answer has no content."""


class Owner(Protocol):
    """What an exchange belongs to: its connection."""

    thread: int  # which it belongs to
    is_paused: bool  # the client takes less than is sent

    @property
    def pending(self) -> int:
        """Octets of a next request that has come already."""

    def receive(self, exchange: Any, /) -> Awaitable[Any]:
        """Return the next piece of content once it is there, or that the client has gone."""

    def send_other(self, exchange: Any, event: dict[str, Any], /) -> Awaitable[None]:
        """Take an event that is not of the usual ones, or not at its place."""

    def send_later(self, exchange: Any, event: dict[str, Any], /) -> Awaitable[None]:
        """Take an event once that is awaited, which was sent on another thread."""

    def wait_for_room(self, exchange: Any, /) -> Awaitable[None]:
        """Wait until the client has taken enough."""

    def write_in_turn(self, data: bytes, is_last: bool, /) -> None:
        """Send octets of a response, and let others have a turn after so many."""

    def end(self, exchange: Any, /) -> None:
        """Go on after a complete response."""

    def forget(self, exchange: Any, /) -> None:
        """Hear that the call is over, with all that it did in the background."""

    def cut(self, exchange: Any, /) -> None:
        """End a response that is not whole, so that the client can tell."""


class Exchange(Protocol):
    """One request, and the response to it as octets; see ``http/_exchange_py.py``."""

    scope: Scope
    line: bytes
    minor: int
    content_length: int
    expect_continue: bool
    upgrade: bool
    is_head: bool
    keep_alive: bool
    wants_close: bool
    headers: Iterable[OctetField]
    code: int
    sent: int
    started: bool
    complete: bool
    owner: Any  # an Owner
    promises_trailers: bool
    awaits_trailers: bool
    started_ns: int
    content: Any
    whole: bytes
    record: Any
    task: Any
    news: Any
    is_taken: bool
    is_over: bool
    is_told: bool
    is_stream: bool

    def receive(self) -> Awaitable[Any]:
        """Return the next piece of content, or that the client has gone (ASGI)."""

    def take_back(self, event: dict[str, Any], /) -> None:
        """Take back what ``receive`` has given, because nobody took it."""

    def send(self, event: dict[str, Any], /) -> Awaitable[None]:
        """Take an event of the application; what is returned waits for the client (ASGI)."""

    @property
    def is_chunked(self) -> bool:
        """Whether the content has begun, in chunks, so that it can be ended at any time."""

    @property
    def is_delimited(self) -> bool:
        """Whether a client can tell that a response was cut off."""

    def take(self, event: dict[str, Any], /) -> Awaitable[None]:
        """Do what ``send`` does, on the connection's thread."""

    def start(self, status: int, headers: Iterable[OctetField], trailers: bool = False) -> None:
        """Begin the response; raises ``InvalidResponse``."""

    def body(self, data: bytes, more: bool) -> bytes:
        """Return the octets that the next piece of content comes to, with the head before them."""

    def file(self, size: int, /) -> tuple[bytes, int]:
        """Return the head of a response whose content is a file, and how much of that goes out."""

    def count(self, octets: int, /) -> None:
        """Count what went out of a file."""

    def end_file(self, count: int, /) -> bytes:
        """Return what follows a file of which so many octets went out."""

    def trailers(self, headers: Iterable[OctetField], more: bool, /) -> bytes:
        """Return the octets of trailer fields, and of the end unless there are more."""

    def error(self, status: int, /) -> bytes:
        """Return a whole response of the server's own, in the place of one that is not begun."""


class Record(Protocol):
    """A scoreboard record that one request after the other is put on."""

    started_ns: int
    has_slot: bool

    def __init__(self, slot: memoryview | None, /) -> None: ...

    def begin(self, peer: bytes, request: bytes, /) -> None:
        """Put a request in flight there; without a slot only its time is taken."""

    def end(self, code: int, /) -> None:
        """Take it off, and count it by the status that it was answered with; 0 for none."""


class Watch(Protocol):
    """One thread's look at how long the Core of another one has been at work."""

    def __init__(self, fd: int, /) -> None:
        """Waits end when ``fd`` is readable, which the caller has to change."""

    def follow(self, core: Any, /) -> None:
        """Look at this Core from now on, of the same twin; from any thread."""

    def wait(self, tick_s: float, patience: int, looks: int = 1024, /) -> int:
        """Look once each tick, without the GIL where possible, until there is something to say.

        The codes are in ``http.types``; QUIET comes after so many ticks without any batch, and
        after so many ``looks``, so that the caller can choose another tick.
        """

    def judge(self, tick_s: float, /) -> int:
        """Look once and now: LATE_CALL, LATE_BATCH or QUIET."""

    def is_unchanged(self) -> bool:
        """Whether no batch has begun since the last look of ``wait``, and none is under way."""


class Wire(Protocol):
    """A client's socket in an event loop, for subclasses; see ``http/_wire_py.py``."""

    core: Any
    socket: Any  # a socket.socket
    held: deque[bytes | memoryview]
    take: Callable[[bytes], object]
    reads: bool
    is_warm: bool
    is_shut: bool

    def __init__(self, core: Any, sock: socket.socket, /) -> None: ...

    def write(self, data: Any, /) -> None:
        """Send octets, or keep what the client does not take at once."""

    def write_last(self, data: bytes, /) -> None:
        """Send octets that are not followed by others soon."""


class Twin(Protocol):
    """The names that each twin's module provides."""

    IMPL: str
    Core: type[Core]
    Conn: type[Conn]
    Watch: type[Watch]
    HeadReader: type[HeadReader]
    Record: type[Record]
    Wire: type[Wire]

    def parse_head(self, data: bytes, limits: Limits, rules: Rules, /) -> Head | None:
        """Return the head at the start of ``data``, or None while it is incomplete."""

    def accept(self, listener: socket.socket, /) -> tuple[int, Any] | None:
        """Accept one connection as a non-blocking descriptor and its peer's address."""

    def look(
        self,
        wires: Mapping[int, Any],
        events: list[tuple[int, int]],
        output: int,
        report: Callable[[Any, Exception], object],
        /,
    ) -> None:
        """Have wires read and send that can; ``report`` hears of what they raise."""
