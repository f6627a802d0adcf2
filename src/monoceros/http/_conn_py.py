"""One HTTP/1.1 connection in pure Python.

A connection goes through its requests one after the other: a head is collected and judged
(``HEAD``), its content is collected (``BODY``), the application answers, and what the client
does not take at once waits in the outbox (``WRITE``). Responses to pipelined requests gather
in the Core's buffer and leave in one send. Only ``close`` closes the descriptor.
"""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from monoceros.http._channel_py import Channel
from monoceros.http._environ_py import build_environ
from monoceros.http._head_py import HeadScan, parse_head
from monoceros.http._request_py import Request
from monoceros.http.answers import CONTINUE, error_response
from monoceros.http.body import RECEIVE_SIZE, Body
from monoceros.http.environ import peer_environ
from monoceros.http.errors import BadRequest, ClientGone
from monoceros.http.expiry import check_limit
from monoceros.http.presence import GONE, look
from monoceros.http.rawsocket import ClientSocket, adopt, finish
from monoceros.http.refusals import Refusal, refusal
from monoceros.http.stream import open_stream
from monoceros.http.types import (
    AGAIN,
    BODY,
    CLOSE,
    HANDOFF,
    HEAD,
    IDLE,
    LINGER,
    LINGERING,
    MORE,
    WANT_WRITE,
    WRITE,
    Environ,
    Field,
    Head,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.http._core_py import Core

_BATCH_REQUESTS = 64  # pipelined requests that are answered before others get their turn
_BATCH_OCTETS = 1 << 16
_DISCARDS = 16  # receives of unwanted input before others get their turn
_SLOW_CALL_NS = 1_000_000  # after a call this long, finished answers do not wait for the next
_RESET = struct.pack("ii", 1, 0)


class Conn(Channel):
    """The state of one connection; see ``monoceros.http.types.Conn`` for the contract."""

    __slots__ = (
        "_after",
        "_body",
        "_buffer",
        "_expect",
        "_request",
        "_running",
        "_scan",
        "_streamed",
        "_template",
        "has_request",
        "local",
        "peer",
        "received",
        "remote",
        "scheme",
        "since",
        "state",
        "taken",
        "trusted",
    )

    def __init__(
        self, core: Core, fd: int, remote: Any, local: Any, scheme: str, trusted: bool = False, /
    ) -> None:
        super().__init__(core, fd, remote)
        self.expires = not (trusted and core.policy.spares_trusted)
        self.end_of_kept_head = b"" if trusted else core.end_of_kept_head
        self.state = HEAD
        self.since = core.now
        self.received = 0
        self.taken: socket.socket | None = None
        self.peer = remote[0].encode("latin-1") if isinstance(remote, tuple) else b"unix"
        self.remote = remote
        self.local = local
        self.scheme = scheme
        self.trusted = trusted
        self._buffer: bytes | bytearray = b""
        self._scan: HeadScan | None = None
        self._request: Request | None = None
        self.has_request = False
        self._running: Request | None = None
        self._body: Body | None = None
        self._streamed = False
        self._expect = False
        self._after = AGAIN
        self._template: Environ | None = None

    @property
    def pending(self) -> int:
        """Octets that were received and not used."""
        return len(self._buffer)

    @property
    def request(self) -> Request | None:
        """The request whose head has come, until the application is called for it."""
        return self._request

    # -- input -------------------------------------------------------------------------------

    def _rebind(self, core: Core | None) -> Core:
        """Work with the Core of the thread that calls, from now on."""
        if core is not None:
            self.core = core
        self.core.check_idle()
        return self.core

    def ready(self, core: Core | None = None, /) -> int:
        """Receive, parse, call the application and send, for all requests that have come."""
        core = self._rebind(core)
        code = self.read()
        batch = 0
        while code == HANDOFF:
            if core.out and time.monotonic_ns() - core.started_ns > _SLOW_CALL_NS:
                self.flush_quietly()
            code = self._run()
            batch += 1
            if code != AGAIN or not self._buffer:
                break
            if self._outbox or batch == _BATCH_REQUESTS or len(core.out) > _BATCH_OCTETS:
                code = MORE
                break
            code = self._advance()
        return self._settle(code)

    def _run(self) -> int:
        request = self.take()
        if request is None:
            return AGAIN
        return request.run(self.core)

    def read(self, core: Core | None = None, /) -> int:
        """Receive and parse only; HANDOFF when a request is complete."""
        self._rebind(core)
        code = HANDOFF if self.has_request else self._receive()
        self.has_request = code == HANDOFF
        return code

    def _receive(self) -> int:
        if self._buffer and self._scan is None:
            # What a batch of requests, or a body, left behind comes first.
            return self._advance()
        if self._socket is None:
            return AGAIN
        if self._body is not None:
            return self._receive_body(self._body)
        try:
            data = self._socket.recv(RECEIVE_SIZE // 4)
        except (BlockingIOError, InterruptedError):
            return AGAIN
        except OSError:
            return CLOSE
        return self.feed(data)

    def collect(self, core: Core | None = None, /) -> int:
        """Do what ``ready`` does, but for the application; HANDOFF when a request is complete."""
        code = self.read(core)
        return code if code == HANDOFF else self._settle(code)

    def peek(self, core: Core | None = None, /) -> bytes | None:
        """Return what has come and was not used, and leave it where it is; None at the end."""
        self._rebind(core)
        kept = bytes(self._buffer)
        try:
            data = self._socket.recv(RECEIVE_SIZE, socket.MSG_PEEK) if self._socket else b""
        except (BlockingIOError, InterruptedError):
            return kept
        except OSError:
            return None
        return kept + data if data else None

    def unread(self, data: bytes, /) -> None:
        """Put octets in front that another process received and did not use."""
        self._buffer = data

    def feed(self, data: bytes, /) -> int:
        """Parse what the caller received; an empty ``data`` is the end of the input."""
        self.core.check_idle()
        self.core.received += len(data)
        try:
            if not data:
                return self._end_input()
            if self._body is not None:
                self._body.feed(data)
                return self._check_body(self._body)
            if self._buffer:
                self._buffer += data  # in place while a head is incomplete
            else:
                self._buffer = data
            return self._next_head()
        except BadRequest as error:
            return self._refuse(error)

    def _advance(self) -> int:
        try:
            return self._next_head()
        except BadRequest as error:
            return self._refuse(error)

    def _end_input(self) -> int:
        if self._body is not None:
            raise refusal(Refusal.CONTENT_CUT_SHORT)
        return CLOSE

    def _next_head(self) -> int:
        core = self.core
        data = self._buffer
        if self._scan is not None and not self._scan.is_decided(data, core.limits):
            return AGAIN
        head = parse_head(bytes(data), core.limits, core.rules)
        if head is None:
            return self._wait_for_head()
        self._scan = None
        unix = not isinstance(self.local, tuple)
        environ = build_environ(core, self._connection_environ(), head, self.trusted, unix)
        self._request = Request(self, environ, head)
        self._buffer = bytes(data[head.length :])
        if head.content_length == 0:
            return HANDOFF
        return self._begin_body(head)

    def _wait_for_head(self) -> int:
        if self._scan is None:
            self._scan = HeadScan()
            self._scan.is_decided(self._buffer, self.core.limits)
            self._buffer = bytearray(self._buffer)
        self._enter(HEAD)
        return AGAIN

    def _begin_body(self, head: Head) -> int:
        core = self.core
        request = self._request
        length = head.content_length
        data = bytes(self._buffer)
        assert request is not None
        if length is not None and length <= min(len(data), core.limits.body_memory):
            request.environ["wsgi.input"] = io.BytesIO(data[:length])
            self._buffer = data[length:]
            return HANDOFF
        self._body = body = Body(length, core.limits, core.budget, core.policy.tmp_upload_dir)
        self._buffer = b""
        self._expect = head.expect_continue and not data
        self._streamed = self.fd >= 0 and (head.upgrade or not core.policy.request_buffering)
        self.received = 0
        if data:
            body.feed(data)
        return self._check_body(body)

    def _receive_body(self, body: Body) -> int:
        """Take what has come of a body straight to where it is kept."""
        try:
            count = body.receive(self.fd, self.core.scratch())
            if count is None:
                return AGAIN
            self.core.received += count
            return self._check_body(body) if count else self._end_input()
        except BadRequest as error:
            return self._refuse(error)
        except OSError:
            return CLOSE

    def _check_body(self, body: Body) -> int:
        """Hand the request over once its content is complete, or as much as may be kept."""
        request = self._request
        assert request is not None
        self.received = body.size
        if body.complete:
            self._streamed = False
            self._buffer = body.rest
            request.environ["wsgi.input"] = body.stored()
            # A coding that was taken off leaves content of known length, and frameworks
            # read none without it.
            request.environ.setdefault("CONTENT_LENGTH", str(body.size))
            return HANDOFF
        if self._streamed or (body.full and self.fd >= 0):
            self._streamed = True
            stream = open_stream(body, self.fd, self.core.policy, self._invite)
            request.environ["wsgi.input"] = stream
            return HANDOFF
        if self._expect:
            self._expect = False
            self.core.out += CONTINUE
        self._enter(BODY)
        return AGAIN

    def _invite(self) -> None:
        """Send what the client may be waiting for before it sends (more of) a streamed body."""
        data = b""
        if self._expect:
            self._expect = False
            data = CONTINUE
        if self._running is not None:
            self._running.send_ahead(data)

    def take(self) -> Request | None:
        """Return the next complete request."""
        request, self._request = self._request, None
        self.has_request = False
        self._running = request
        return request

    def _connection_environ(self) -> Environ:
        if self._template is None:
            self._template = {
                **self.core.template(self.local, self.scheme),
                **peer_environ(self.remote),
                "gunicorn.socket": ClientSocket(self._take_socket),
                "wsgi.early_hints": self._send_early_hints,
                "monoceros.client_disconnected": self._is_disconnected,
                "monoceros.set_timeout": self._set_timeout,
            }
        return self._template

    # -- the client's presence ---------------------------------------------------------------

    def is_gone(self) -> bool:
        """Whether nobody is left to answer; a half-close is a farewell only from a proxy."""
        found = look(self.fd) if self.fd >= 0 else 0
        return bool(found & GONE) or (self.trusted and bool(found))

    def _is_disconnected(self) -> bool:
        """Whether the client has closed its side, or the connection is not ours any more."""
        if self.taken is not None:
            fd = self.taken.fileno()
            return fd < 0 or bool(look(fd))
        fd = self.fd
        if fd < 0:
            return self._running is None
        if self._running is not None and self._running.is_too_late:
            return True
        # Closed in the meantime by another thread, it may have become somebody else's.
        return bool(look(fd)) or self.fd != fd

    # -- requests that take too long -----------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When the time of the request in flight is up; None where none is, or it has no limit."""
        running = self._running
        return None if running is None or running.is_settled else self.core.deadline()

    def _set_timeout(self, seconds: float) -> None:
        """Let the request in flight take so many seconds from its start; 0 means no limit."""
        self.core.limit_call(check_limit(seconds))

    def expire(self, core: Core, /) -> bool | None:
        """Answer 504 for the request in flight, or cut the connection; from another thread."""
        running = self._running
        if running is None or not self.core.running:
            return None
        told = running.expire(core)
        if told is not None and self._body is not None:
            self._body.closed = True
        return told

    # -- errors ------------------------------------------------------------------------------

    def reject(self, status: int, core: Core | None = None, /) -> int:
        """Answer with an error and close; used for timeouts and overload."""
        self._rebind(core)
        return self._settle(self._answer_error(status))

    def _refuse(self, error: BadRequest) -> int:
        self.core.errors += 1
        self.core.log.refused(self.peer.decode("latin-1"), error)
        return self._answer_error(error.status)

    def _answer_error(self, status: int) -> int:
        request = self._request
        is_head = (
            request.environ["REQUEST_METHOD"] == "HEAD"
            if request is not None
            else self._buffer.startswith((b"HEAD ", b"\r\nHEAD "))
        )
        self.core.out += error_response(status, self.core.server_fields, not is_head)
        self.core.count_refusal(status)
        self._request = None
        self.has_request = False
        self._buffer = b""
        self._scan = None
        self._drop_body()
        return LINGER

    # -- output ------------------------------------------------------------------------------

    def writable(self, core: Core | None = None, /) -> int:
        """Send what is waiting."""
        self._rebind(core)
        outbox = self._outbox
        before = outbox.size if outbox else 0
        try:
            done = outbox is None or self.fd < 0 or outbox.send(self.fd)
        except OSError:
            self.drop_output()
            return CLOSE
        if outbox is not None:
            self.core.sent += before - outbox.size
            if outbox.size < before:
                self.since = self.core.now
        return self._leave(self._after) if done else WANT_WRITE

    def data_to_send(self) -> bytes:
        """Return and forget what is waiting, where the caller owns the transport."""
        self.flush()
        return self._outbox.take() if self._outbox else b""

    def _settle(self, code: int) -> int:
        """Send what has gathered, and put off ``code`` until the client has taken it."""
        try:
            self.flush()
        except ClientGone:
            return CLOSE
        if self._outbox and self.fd >= 0:
            self._after = code
            self._enter(WRITE)
            return WANT_WRITE
        return self._leave(code)

    def _leave(self, code: int) -> int:
        if code == LINGER:
            self._enter(LINGERING)
            self._shut_down(socket.SHUT_WR)
        elif code == AGAIN:
            self._enter(BODY if self._body else HEAD if self._buffer else IDLE)
        return code

    def _enter(self, state: int) -> None:
        if state != self.state or state == IDLE:
            self.state = state
            self.since = self.core.now

    # -- the end of a request, and of the connection ------------------------------------------

    def body_is_read(self) -> bool:
        """Whether nothing of the present request's content is left on the wire."""
        return not self._streamed or self._body is None or self._body.complete

    def finish_request(self) -> None:
        """Drop what the request held; what came behind its content is the next request."""
        self._running = None
        # What has come of a next head is not the present one's, whose time began earlier.
        self._enter(IDLE)
        if self._body is not None:
            if self._streamed and self._body.complete:
                self._buffer = self._body.rest
            self._drop_body()
        self._streamed = False
        if self.taken is not None:
            finish(self.taken)

    def _drop_body(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def _send_early_hints(self, headers: Iterable[Field]) -> None:
        if self._running is not None:
            self._running.send_early_hints(headers)

    def _take_socket(self) -> socket.socket:
        if self._running is None:
            raise OSError("the request that this socket came with has ended")
        self._running.send_ahead(b"")
        self._wait(0)
        self._running.give_up()
        self.core.policy.release(self.fd)
        self.taken = adopt(*self.detach())
        return self.taken

    def detach(self) -> tuple[int, bytes]:
        """Give up the descriptor; returns it with the octets that were received and not used."""
        unread = bytes(self._buffer)
        self._buffer = b""
        fd = self.fd
        if self._socket is not None:
            self._socket.detach()
            self._socket = None
        self.fd = -1
        return fd, unread

    def discard(self, core: Core | None = None, /) -> int:
        """Throw away input of a lingering connection; CLOSE at its end."""
        self._rebind(core)
        if self._socket is None:
            return CLOSE
        try:
            for _ in range(_DISCARDS):
                if not self._socket.recv(RECEIVE_SIZE):
                    return CLOSE
        except BlockingIOError:
            return LINGER
        except OSError:
            return CLOSE
        return LINGER

    def _shut_down(self, how: int) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # the client was first
                self._socket.shutdown(how)

    def close(self) -> None:
        """Shut the connection down, close the descriptor, and drop what the request held."""
        self._drop_body()
        if self._outbox is not None:
            self._outbox.close()
        self._request = None
        self.has_request = False
        self._template = None
        self._buffer = b""
        self.fd = -1
        if self._socket is not None:
            if self._reset:
                # No shutdown before: the client would take it for the end of the content.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            else:
                self._shut_down(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
