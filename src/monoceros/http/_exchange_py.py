"""Requests and responses of applications that await, in pure Python (ASGI 3.0; RFC 9112).

No socket is read or written here, and no application called: octets go in, and come out. What an
application is given as ``send`` and ``receive`` is here too, as far as nothing has to be waited
for; the ``owner`` of an exchange does the rest.
"""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any

from monoceros.http._ready_py import Ready, Whole
from monoceros.http.answers import error_response
from monoceros.http.errors import ClientDisconnected, InvalidResponse
from monoceros.http.fields import ResponseFields, encode_fields, without_length
from monoceros.http.scope import (
    decode_fields,
    encode_trailers,
    is_event_stream,
    status_line,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from monoceros.http._core_py import Core
    from monoceros.http.types import Head, OctetField, Scope

DONE: Awaitable[Any] = Ready(None)


class Exchange:
    """One request, and the response to it as octets.

    ``start`` and ``body`` are told what the application sends. ``keep_alive`` may be taken back
    before the response's head is made, which the first ``body`` does. ``owner`` and ``content``
    are set before the application is called.

    ``is_over`` tells the application that nothing more will come, and nothing more will be taken:
    the client has gone, or was answered in the application's place. ``is_told`` tells it the first
    half only, so that it can end its response by itself.
    """

    __slots__ = (
        "__weakref__",
        "_body_allowed",
        "_chunked",
        "_core",
        "_end_of_kept_head",
        "_fields",
        "_is_connect",
        "_length",
        "_names_trailers",
        "awaits_trailers",
        "code",
        "complete",
        "content",
        "content_length",
        "expect_continue",
        "headers",
        "is_head",
        "is_over",
        "is_stream",
        "is_taken",
        "is_told",
        "keep_alive",
        "line",
        "minor",
        "news",
        "owner",
        "promises_trailers",
        "record",
        "scope",
        "sent",
        "started",
        "started_ns",
        "task",
        "upgrade",
        "wants_close",
        "whole",
    )

    owner: Any  # an Owner

    def __init__(self, core: Core, scope: Scope, head: Head, end_of_kept_head: bytes) -> None:
        self._core = core
        self._end_of_kept_head = end_of_kept_head
        self.scope = scope
        self.line = f"{head.method} {head.target}".encode("latin-1")
        self.minor = 1 if head.version == "HTTP/1.1" else 0
        self.content_length = -1 if head.content_length is None else head.content_length
        self.expect_continue = head.expect_continue
        self.upgrade = head.upgrade
        self.is_head = head.method == "HEAD"
        self._is_connect = head.method == "CONNECT"
        # What follows CONNECT, or a request for another protocol, may be no HTTP.
        self.keep_alive = head.keep_alive and not head.upgrade
        self.wants_close = not head.keep_alive
        self.headers: Iterable[OctetField] = ()
        self.code = 0  # of the response that was begun
        self.sent = 0  # octets of content
        self.started = False  # the head of the response is made
        self.complete = False
        self._fields: ResponseFields | None = None
        self._body_allowed = True
        self.promises_trailers = False  # the application has yet to send some
        self._names_trailers = False  # they are to end the response
        self.awaits_trailers = False  # its content has ended, and they are next
        self._chunked = False
        self._length: int | None = None
        self.content: Any = None  # None where there is none, and once all of it was given away
        self.whole = b""  # content that came with the head
        self.record: Any = None
        self.started_ns = 0  # what was on the record, once that was given back
        self.task: Any = None
        self.news: Any = None  # what ``receive`` waits for
        self.is_taken = False  # all content was given to the application
        self.is_over = False
        self.is_told = False
        self.is_stream = False  # of events, which has no end of its own

    # -- what the application is given -------------------------------------------------------

    def receive(self) -> Awaitable[Any]:
        """Return the next piece of content, or that the client has gone (ASGI)."""
        if self.content is None and not self.is_taken:
            self.is_taken = True
            body, self.whole = self.whole, b""
            return Whole({"type": "http.request", "body": body, "more_body": False}, self)
        return self.owner.receive(self)  # type: ignore[no-any-return]

    def take_back(self, event: dict[str, Any], /) -> None:
        """Take back what ``receive`` has given, because nobody took it."""
        self.whole = event["body"]
        self.is_taken = False

    def send(self, event: dict[str, Any]) -> Awaitable[None]:
        """Take an event of the application; what is returned waits for the client (ASGI)."""
        if self.owner.thread != get_ident():
            return self.owner.send_later(self, event)  # type: ignore[no-any-return]
        return self.take(event)

    def take(self, event: dict[str, Any], /) -> Awaitable[None]:
        """Do what ``send`` does, on the connection's thread."""
        kind = event["type"]
        if self.is_over:
            raise ClientDisconnected("the client has gone")
        if kind == "http.response.body" and not self.complete:
            data = event.get("body", b"")
            if type(data) is bytes:
                more = event.get("more_body", False)
                owner = self.owner
                data = self.body(data, more)
                owner.write_in_turn(data, self.complete)
                if self.complete:
                    owner.end(self)
                elif not (more or self.awaits_trailers):
                    owner.cut(self)
                return owner.wait_for_room(self) if owner.is_paused else DONE
        elif kind == "http.response.start":
            self.start(event["status"], event.get("headers", ()), event.get("trailers", False))
            if self._ends_connection():
                self.keep_alive = False
            return DONE
        return self.owner.send_other(self, event)  # type: ignore[no-any-return]

    def _ends_connection(self) -> bool:
        """Whether it is known when the response begins that nothing can follow."""
        content = self.content
        if content is not None and not content.is_complete:
            return True
        return self._core.closing and not self.owner.pending

    # -- the response ------------------------------------------------------------------------

    def start(self, status: int, headers: Iterable[OctetField], trailers: bool = False) -> None:
        """Begin the response; raises ``InvalidResponse``.

        With ``trailers`` the content is chunked, and the last ``body`` leaves its end to
        ``trailers``.
        """
        if self._fields is not None:
            raise InvalidResponse("the response was begun before")
        fields = headers if type(headers) is list else list(headers)
        pairs = decode_fields(fields)
        encoded = encode_fields(status_line(status), pairs)
        # RFC 9110 9.3.6: a tunnel has neither Content-Length nor Transfer-Encoding.
        if self._is_connect and 200 <= encoded.code < 300:
            encoded = encode_fields(status_line(status), without_length(pairs))
        self._fields = encoded
        self.headers = fields
        self.is_stream = is_event_stream(pairs)
        self.code = encoded.code
        self._length = encoded.content_length
        self.promises_trailers = trailers
        self._names_trailers = trailers and self.minor == 1

    def body(self, data: bytes, more: bool) -> bytes:
        """Return the octets that the next piece of content comes to, with the head before them."""
        self._check_end()
        head = b""
        if not self.started:
            head = self._make_head(None if more or self._names_trailers else len(data))
        data = self._cut(data)
        self.sent += len(data)
        end = b"" if more else self._end()
        if not data:
            return head + end
        if self._chunked:
            return b"%b%x\r\n%b\r\n%b" % (head, len(data), data, end)
        return head + data + end

    def file(self, size: int, /) -> tuple[bytes, int]:
        """Return the head of a response whose content is a file, and how much of that goes out."""
        self._check_end()
        head = b"" if self.started else self._make_head(size)
        count = 0
        if self._body_allowed:
            count = size if self._length is None else max(0, min(size, self._length - self.sent))
        if self._chunked and count:
            head += b"%x\r\n" % count
        return head, count

    def count(self, octets: int, /) -> None:
        """Count what went out of a file."""
        self.sent += octets

    def end_file(self, count: int, /) -> bytes:
        """Return what follows a file of which so many octets went out."""
        return (b"\r\n" if self._chunked and count else b"") + self._end()

    def trailers(self, headers: Iterable[OctetField], more: bool, /) -> bytes:
        """Return the octets of trailer fields, and of the end unless there are more."""
        if not self.awaits_trailers:
            raise InvalidResponse("trailers were sent before the content had ended")
        lines = encode_trailers(headers)
        if more:
            return lines
        self.awaits_trailers = False
        self.complete = True
        return lines + b"\r\n"

    def error(self, status: int, /) -> bytes:
        """Return a whole response of the server's own, in the place of one that is not begun."""
        core = self._core
        core.refresh_date()
        self.code = status
        self.headers = ()
        self.sent = 0
        self.started = self.complete = True
        self.keep_alive = self.wants_close = False
        return error_response(status, core.server_fields, not self.is_head)

    @property
    def is_chunked(self) -> bool:
        """Whether the content has begun, in chunks, so that it can be ended at any time."""
        return self._chunked and not self.complete

    @property
    def is_delimited(self) -> bool:
        """Whether a client can tell that a response was cut off."""
        return self._chunked or self._length is not None

    def _make_head(self, total: int | None) -> bytes:
        fields = self._fields
        if fields is None:
            raise InvalidResponse("the response was not begun")
        core = self._core
        code = fields.code
        tunnel = self._is_connect and 200 <= code < 300
        self._body_allowed = not self.is_head and code >= 200 and code not in (204, 304)
        framing = b""
        if self._length is None and self._body_allowed and not tunnel:
            if total is not None:
                self._length = total
                framing = b"Content-Length: %d\r\n" % total
            elif self.minor:
                self._chunked = True
                framing = b"Transfer-Encoding: chunked\r\n"
            else:
                self.keep_alive = False
        if fields.close or code == 101 or not core.policy.keepalive:
            self.keep_alive = False
        self.started = True
        core.refresh_date()
        return b"HTTP/1.1 %b\r\n%b%b%b%b" % (
            fields.status,
            core.server_fields,
            fields.lines,
            framing,
            self._connection_line(code),
        )

    def _connection_line(self, code: int) -> bytes:
        """Return the Connection field, where one is needed, and the end of the head."""
        if code == 101:
            return b"Connection: upgrade\r\n\r\n"
        if not self.keep_alive:
            return b"Connection: close\r\n\r\n"
        if self._end_of_kept_head:
            return self._end_of_kept_head
        return b"\r\n" if self.minor else b"Connection: keep-alive\r\n\r\n"

    def _check_end(self) -> None:
        if self.awaits_trailers:
            raise InvalidResponse("content was sent after it had ended")

    def _cut(self, data: bytes) -> bytes:
        """Return what of the data may go out."""
        if not self._body_allowed:
            return b""
        if self._length is not None and self.sent + len(data) > self._length:
            # Never more than announced: what is over would be taken for the next response.
            return data[: self._length - self.sent]
        return data

    def _end(self) -> bytes:
        """Return the end of the content; the response is incomplete where some is missing."""
        if self._chunked:
            if self._names_trailers:
                self.awaits_trailers = True
                return b"0\r\n"  # the last chunk; its trailer section follows
            self.complete = True
            return b"0\r\n\r\n"
        if self._body_allowed and self._length is not None and self.sent < self._length:
            self._core.log.warning(
                f"Response of {self.sent} octets is shorter than its Content-Length "
                f"{self._length}; closing the connection"
            )
        else:
            self.complete = True
        return b""
