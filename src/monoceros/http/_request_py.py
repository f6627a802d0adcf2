"""One request and its response, in pure Python (PEP 3333; RFC 9112 sections 6 and 7)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monoceros.errors import StopWorker
from monoceros.http.access import Entry
from monoceros.http.answers import early_hints, error_response
from monoceros.http.errors import BodyError, ClientGone
from monoceros.http.expiry import (
    ANSWERED,
    CUT,
    FREE,
    OURS,
    OVER,
    TOO_LATE,
    answer,
    cut,
)
from monoceros.http.fields import ResponseFields, encode_fields, without_length
from monoceros.http.files import FileRange, FileWrapper, open_range
from monoceros.http.types import AGAIN, CLOSE, LINGER, UPGRADE, Environ, ExcInfo, Field, Head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monoceros.http._conn_py import Conn
    from monoceros.http._core_py import Core

_LARGE = 16384  # a chunk of this size is sent from where it is instead of being copied
_ENOUGH = 262144  # gathered output that is not held back any longer


class Request:
    """A request that the application answers; its output goes to the Core's buffer first."""

    __slots__ = (
        "_body_allowed",
        "_chunked",
        "_claim",
        "_code",
        "_complete",
        "_conn",
        "_connect",
        "_ended",
        "_fields",
        "_head_request",
        "_headers",
        "_length",
        "_mark",
        "_minor",
        "_sent",
        "_status",
        "environ",
        "keep_alive",
        "version",
        "wants_close",
    )

    def __init__(self, conn: Conn, environ: Environ, head: Head) -> None:
        self._conn = conn
        self.environ = environ
        # What follows CONNECT, or a request for another protocol, may be no HTTP.
        self.keep_alive = head.keep_alive and not head.upgrade
        self.wants_close = not head.keep_alive
        self.version = head.version
        self._minor = 1 if head.version == "HTTP/1.1" else 0
        self._head_request = head.method == "HEAD"
        self._connect = head.method == "CONNECT"
        self._status: str | None = None
        self._code = 0  # of the response that was begun
        self._headers: list[Field] = []
        self._fields: ResponseFields | None = None  # set once the response's head is written
        self._body_allowed = True
        self._chunked = False
        self._complete = False
        self._ended = False  # nothing may be written any more
        self._length: int | None = None
        self._sent = 0  # octets of content
        self._claim = FREE  # see ``expiry``
        self._mark = -1  # where this response begins in the buffer, while none of it is sent

    def start_response(
        self, status: str, headers: list[Field], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """PEP 3333's ``start_response``."""
        if exc_info is not None:
            try:
                if self._fields is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status is not None:
            raise AssertionError("start_response was called twice without exc_info")
        self._status = status
        self._headers = headers
        return self._write_now

    def run(self, core: Core, /) -> int:
        """Call the application, send what it answers, and return a code as ``Conn.ready`` does."""
        conn = self._conn
        environ = self.environ
        core.begin(conn.peer, f"{environ['REQUEST_METHOD']} {environ['RAW_URI']}".encode("latin-1"))
        try:
            code = self._call(core)
        finally:
            self._ended = True
            with core.guard:
                claim, self._claim = self._claim, OVER
            answered = self._code if conn.taken is None else 0
            status = self._status or "" if answered else ""
            if claim in (ANSWERED, CUT):
                code = CLOSE
                conn.drop_output()
            if claim == ANSWERED:
                answered = self._sent = 0
                status, self._headers = "504", []
            try:
                core.record(self, status, self._headers, self._sent, claim != ANSWERED)
            finally:
                core.end(answered)
                conn.finish_request()
        return code

    def _call(self, core: Core) -> int:
        try:
            result = core.app(self.environ, self.start_response)
            try:
                if self._conn.taken is None:
                    self._respond(core, result)
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except StopWorker as stop:
            self.abort(stop)
            # The caller gets no code that would make it send the rest.
            self._conn.flush_quietly()
            raise
        except BaseException as error:  # border: whatever an application raises ends its request
            return self.abort(error)
        if self._conn.taken is not None:
            return UPGRADE
        return self._end()

    def _end(self) -> int:
        """Decide what becomes of the connection."""
        conn = self._conn
        core = conn.core
        core.responses += 1
        if not self._complete:
            return CLOSE
        if self.keep_alive and conn.body_is_read():
            return AGAIN
        return CLOSE if self.wants_close and conn.body_is_read() and not conn.pending else LINGER

    def abort(self, error: BaseException, /) -> int:
        """End the request by an error: 500 where nothing was sent, else cut the connection."""
        conn = self._conn
        core = conn.core
        if conn.taken is not None:
            if not isinstance(error, StopIteration):
                core.log.failed(self.environ, error)
            return UPGRADE
        if isinstance(error, ClientGone) or self.is_too_late:
            conn.drop_output()
            return CLOSE
        core.errors += 1
        if not isinstance(error, StopWorker):
            core.log.failed(self.environ, error)
        if self._complete:
            return self._end()
        if self._fields is None or self._mark >= 0:
            return self._answer_error(error.status if isinstance(error, BodyError) else 500)
        self._cut()
        return CLOSE

    def _answer_error(self, status: int) -> int:
        conn = self._conn
        core = conn.core
        if not self._claims():
            conn.drop_output()
            return CLOSE
        if self._mark >= 0:
            del core.out[self._mark :]
        core.refresh_date()
        core.out += error_response(status, core.server_fields, not self._head_request)
        self._status, self._headers, self._sent = str(status), [], 0
        self._code = status
        self._complete = True
        self.keep_alive = self.wants_close = False
        self._end()
        conn.flush_quietly()
        return LINGER

    def _cut(self) -> None:
        """Make sure that the client cannot take an unfinished response for a whole one."""
        if self._length is None and not self._chunked:
            self._conn.reset_on_close()

    def _respond(self, core: Core, result: Iterable[bytes]) -> None:
        kind = type(result)
        if kind is list or kind is tuple:
            self._respond_at_once(result)  # type: ignore[arg-type]
        elif isinstance(result, FileWrapper):
            self._respond_file(result)
        else:
            for chunk in result:
                self._write_now(chunk)
            self._finish(None)
            self._flush()

    def _respond_at_once(self, chunks: list[bytes] | tuple[bytes, ...]) -> None:
        """Send chunks that are all there already, so that their length is known."""
        for chunk in chunks:
            if type(chunk) is not bytes and not isinstance(chunk, bytes):
                raise TypeError("the application's iterable has an item that is not bytes")
        total = sum(map(len, chunks))
        if self._fields is None:
            self._write_head(total)
        for chunk in chunks:
            if chunk:
                self._write(chunk)
        self._finish(total)

    def _respond_file(self, wrapper: FileWrapper) -> None:
        conn = self._conn
        if self._fields is None and conn.core.policy.sendfile and conn.fd >= 0:
            file = open_range(wrapper)
            if file is not None:
                self._write_head(file.count)
                self._send_file(file)
                return
        for chunk in wrapper:
            self._write_now(chunk)
        self._finish(None)
        self._flush()

    def _send_file(self, file: FileRange) -> None:
        conn = self._conn
        if not self._body_allowed:
            file.close()
        else:
            if self._length is not None:
                file.count = min(file.count, self._length)
            try:
                self._commit()
            except ClientGone:
                file.close()
                raise
            self._sent += file.count
            conn.send_file(file)
        self._finish(None)
        self._flush()

    def _flush(self) -> None:
        """Send what there is, which no error can take back any more."""
        self._commit()
        self._conn.flush()

    def _commit(self) -> None:
        """Make sure that it is this thread that answers; raises ``ClientGone`` where it is not."""
        if not self._claims():
            raise ClientGone(TOO_LATE)
        self._mark = -1

    def _claims(self) -> bool:
        """Take the claim to the answer, unless another thread has it."""
        if self._claim == FREE:
            with self._conn.core.guard:
                if self._claim == FREE:
                    self._claim = OURS
        return not self.is_too_late

    @property
    def is_too_late(self) -> bool:
        """Whether another thread has answered, or cut the connection."""
        return self._claim in (ANSWERED, CUT)

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing left to answer."""
        return self._claim > OURS

    def give_up(self) -> None:
        """Leave the answer to the application, which takes the socket; raises ``OSError``."""
        with self._conn.core.guard:
            if self.is_too_late:
                raise ClientGone(TOO_LATE)
            self._claim = OVER

    def expire(self, core: Core, /) -> bool | None:
        """Answer 504, or cut; see ``Conn.expire``."""
        conn = self._conn
        with conn.core.guard:
            if self._claim == FREE:
                self._claim = ANSWERED
                # In this order: whoever adds the head has set the mark before.
                earlier, mark = bytes(conn.core.out), self._mark
                return self._answer_late(core, earlier[:mark] if mark >= 0 else earlier)
            if self._claim == OURS:
                self._claim = CUT
                cut(conn.fd, self._length is None and not self._chunked)
                return False
        return None

    def _answer_late(self, core: Core, earlier: bytes) -> bool:
        conn = self._conn
        core.refresh_date()
        response = error_response(504, core.server_fields, not self._head_request)
        is_told = not conn.has_output() and answer(conn.fd, earlier + response)
        if not is_told:
            cut(conn.fd, False)
        core.errors += 1
        core.count_refusal(504)
        access = core.log.access
        if access is not None and not access.skips(self.environ, "504"):
            elapsed_us = (time.monotonic_ns() - conn.core.started_ns) // 1000
            line = conn.core.request_line(self.version)
            entry = Entry(self.environ, "504", [], 0, elapsed_us, core.when, line)
            core.add_line(access.line(entry))
        return is_told

    def _write_now(self, data: bytes) -> None:
        """Write and send: PEP 3333 wants nothing held back once it is yielded or written."""
        if not isinstance(data, bytes):
            raise TypeError("the application's iterable has an item that is not bytes")
        if not data:
            return
        if self._ended:
            raise AssertionError("write() was called after the response had ended")
        if self.is_too_late:
            raise ClientGone(TOO_LATE)
        if self._fields is None:
            self._write_head(None)
        self._write(data)
        self._flush()
        self._conn.wait_for_room()

    def _write_head(self, total: int | None) -> None:
        """Write the response's head; ``total`` is the content's length where it is known."""
        conn = self._conn
        core = conn.core
        if self._status is None:
            raise AssertionError("the application did not call start_response")
        fields = encode_fields(self._status, self._headers)
        code = fields.code
        # RFC 9110 9.3.6: a tunnel has neither Content-Length nor Transfer-Encoding.
        tunnel = self._connect and 200 <= code < 300
        if tunnel:
            fields = encode_fields(self._status, without_length(self._headers))
        self._body_allowed = not self._head_request and code >= 200 and code not in (204, 304)
        self._length = fields.content_length
        framing = b""
        if self._length is None and self._body_allowed and not tunnel:
            if total is not None:
                self._length = total
                framing = b"Content-Length: %d\r\n" % total
            elif self._minor:
                self._chunked = True
                framing = b"Transfer-Encoding: chunked\r\n"
            else:
                self.keep_alive = False
        self._decide_keep_alive(fields, code)
        self._mark = len(core.out)
        core.refresh_date()
        core.out += b"".join(
            (
                b"HTTP/1.1 ",
                fields.status,
                b"\r\n",
                core.server_fields,
                fields.lines,
                framing,
                self._connection_line(code),
            )
        )
        self._fields = fields
        self._code = code

    def _connection_line(self, code: int) -> bytes:
        """Return the Connection field, where one is needed, and the end of the head."""
        if code == 101:
            return b"Connection: upgrade\r\n\r\n"
        if not self.keep_alive:
            return b"Connection: close\r\n\r\n"
        if self._conn.end_of_kept_head:
            return self._conn.end_of_kept_head
        return b"\r\n" if self._minor else b"Connection: keep-alive\r\n\r\n"

    def _decide_keep_alive(self, fields: ResponseFields, code: int) -> None:
        core = self._conn.core
        if (
            fields.close
            or code == 101
            or not core.policy.keepalive
            or not self._conn.body_is_read()
            or (core.closing and not self._conn.pending)
        ):
            self.keep_alive = False

    def _write(self, data: bytes) -> None:
        if not self._body_allowed:
            return
        if self._length is not None:
            # Never more than announced: what is over would be taken for the next response.
            data = data[: self._length - self._sent]
        if not data:
            return
        self._sent += len(data)
        out = self._conn.core.out
        if self._chunked:
            out += b"%x\r\n" % len(data)
        if len(data) < _LARGE:
            out += data
        else:
            self._commit()
            self._conn.flush_with(data)
        if self._chunked:
            out += b"\r\n"
        if len(out) > _ENOUGH:
            self._flush()

    def _finish(self, total: int | None) -> None:
        if self._fields is None:
            self._write_head(0 if total is None else total)
        self._ended = True
        if self._chunked:
            self._conn.core.out += b"0\r\n\r\n"
        elif self._body_allowed and self._length is not None and self._sent < self._length:
            self._conn.core.log.warning(
                f"Response of {self._sent} octets is shorter than its Content-Length "
                f"{self._length}; closing the connection"
            )
            return
        self._complete = True

    def send_early_hints(self, headers: Iterable[Field]) -> None:
        """Send 103 Early Hints, unless the response has begun or the client speaks HTTP/1.0."""
        if self._fields is None and self._minor:
            self.send_ahead(early_hints(headers))

    def send_ahead(self, data: bytes) -> None:
        """Send what comes before the response; raises ``ClientGone``."""
        conn = self._conn
        # Together, so that whoever answers instead finds it unsent or sent.
        with conn.core.guard:
            if self.is_too_late:
                raise ClientGone(TOO_LATE)
            conn.core.out += data
            conn.flush()
