"""Requests and responses of applications that await, compiled; see ``_exchange_py``."""

cimport cython
from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from monoceros.http._core cimport Core, put
from monoceros.http._ready cimport Ready, Whole
from monoceros.http._request cimport put_field
from monoceros.http._scan cimport mono_same_caseless

from monoceros.http.answers import error_response
from monoceros.http.errors import ClientDisconnected, InvalidResponse
from monoceros.http.fields import encode_fields, without_length
from monoceros.http.scope import decode_fields, encode_trailers, is_event_stream, status_line

cdef extern from "Python.h":
    bint PyBytes_CheckExact(object data) noexcept
    bint PyDict_CheckExact(object mapping) noexcept
    bint PyTuple_CheckExact(object pair) noexcept
    bint PyList_CheckExact(object pairs) noexcept
    bint PyLong_CheckExact(object number) noexcept
    unsigned long PyThread_get_thread_ident() noexcept

cdef enum:
    UNKNOWN = -1

cdef object DONE = Ready(None)


cdef class Owner:
    """The connection that an exchange belongs to; see ``http.protocols.Owner``."""

    cdef int _write_in_turn(self, bytes data, bint is_last) except -1:
        """``write_in_turn``."""
        raise NotImplementedError

    cdef int _end(self, Exchange exchange) except -1:
        """``end``."""
        raise NotImplementedError

    cdef int _forget(self, Exchange exchange) except -1:
        """``forget``."""
        raise NotImplementedError


@cython.freelist(8)
cdef class Exchange:
    """One request, and the response to it as octets."""

    def __cinit__(self):
        self.headers = ()
        self.whole = b""
        self.body_allowed = True
        self.length = UNKNOWN

    # -- what the application is given -------------------------------------------------------

    def receive(self):
        """Return the next piece of content, or that the client has gone (ASGI)."""
        cdef Whole whole
        if self.content is None and not self.is_taken:
            self.is_taken = True
            whole = Whole.__new__(Whole)
            whole.value = {"type": "http.request", "body": self.whole, "more_body": False}
            whole.giver = self
            self.whole = b""
            return whole
        return self.owner.receive(self)

    def take_back(self, dict event not None, /):
        """Take back what ``receive`` has given, because nobody took it."""
        self.whole = event["body"]
        self.is_taken = False

    def send(self, event):
        """Take an event of the application; what is returned waits for the client (ASGI)."""
        if self.owner.thread != PyThread_get_thread_ident():
            return self.owner.send_later(self, event)
        return self._take_event(event)

    def take(self, event, /):
        """Do what ``send`` does, on the connection's thread."""
        return self._take_event(event)

    cdef object _take_event(self, object event):
        cdef Owner owner
        cdef dict fields = event if PyDict_CheckExact(event) else dict(event)
        kind = fields["type"]
        if self.is_over:
            raise ClientDisconnected("the client has gone")
        if kind == "http.response.body" and not self.complete:
            data = fields.get("body", b"")
            if PyBytes_CheckExact(data):
                more = fields.get("more_body", False)
                owner = self.owner
                data = self.body(data, more)
                owner._write_in_turn(data, self.complete)
                if self.complete:
                    owner._end(self)
                elif not (more or self.awaits_trailers):
                    owner.cut(self)
                return owner.wait_for_room(self) if owner.is_paused else DONE
        elif kind == "http.response.start":
            self.start(fields["status"], fields.get("headers", ()), fields.get("trailers", False))
            if self.content is not None and not self.content.is_complete:
                self.keep_alive = False
            elif self.core.closing and not self.owner.pending:
                self.keep_alive = False
            return DONE
        return self.owner.send_other(self, event)

    # -- the response ------------------------------------------------------------------------

    cpdef start(self, status, headers, bint trailers=False):
        """Begin the response; raises ``InvalidResponse``."""
        cdef list fields
        cdef bytes block = None
        if self.block is not None:
            raise InvalidResponse("the response was begun before")
        fields = headers if PyList_CheckExact(headers) else list(headers)
        if PyLong_CheckExact(status) and 200 <= status <= 999 and not self.is_connect:
            block = self._encode(status, fields)
        if block is None:
            block = self._encode_odd(status, fields)
        self.block = block
        self.headers = fields
        self.promises_trailers = trailers
        self.names_trailers = trailers and self.minor

    def _encode_odd(self, status, fields):
        """Encode by the general code, which may refuse."""
        self.length = UNKNOWN
        self.close = False
        pairs = decode_fields(fields)
        self.is_stream = is_event_stream(pairs)
        encoded = encode_fields(status_line(status), pairs)
        if self.is_connect and 200 <= encoded.code < 300:
            # RFC 9110 9.3.6: a tunnel has neither Content-Length nor Transfer-Encoding.
            encoded = encode_fields(status_line(status), without_length(pairs))
        self.code = encoded.code
        self.close = encoded.close
        if encoded.content_length is not None:
            self.length = encoded.content_length
        self.core.refresh_date()
        return b"HTTP/1.1 %b\r\n%b%b" % (encoded.status, self.core.server_fields, encoded.lines)

    cdef bytes _encode(self, int status, list headers):
        """Encode what nearly every application sends; None where it is odd."""
        cdef Core core = self.core
        cdef Py_ssize_t i
        cdef Py_ssize_t size
        cdef Py_ssize_t value_size
        cdef const char *text
        cdef const char *value
        core.refresh_date()
        if core.number != status:
            line = status_line(status).encode("latin-1")
            core.number_block = b"HTTP/1.1 %b\r\n%b" % (line, core.server_fields)
            core.number = status
        core.out_size = 0
        self.is_stream = False
        put(core, PyBytes_AS_STRING(core.number_block), PyBytes_GET_SIZE(core.number_block))
        for i in range(PyList_GET_SIZE(headers)):
            pair = <object>PyList_GET_ITEM(headers, i)
            if PyTuple_CheckExact(pair) and PyTuple_GET_SIZE(pair) == 2:
                name_object = <object>PyTuple_GET_ITEM(pair, 0)
                value_object = <object>PyTuple_GET_ITEM(pair, 1)
            elif type(pair) is list and PyList_GET_SIZE(pair) == 2:
                name_object = <object>PyList_GET_ITEM(pair, 0)
                value_object = <object>PyList_GET_ITEM(pair, 1)
            else:
                return None
            if not PyBytes_CheckExact(name_object) or not PyBytes_CheckExact(value_object):
                return None
            text = PyBytes_AS_STRING(name_object)
            size = PyBytes_GET_SIZE(name_object)
            value = PyBytes_AS_STRING(value_object)
            value_size = PyBytes_GET_SIZE(value_object)
            if size == 12 and value_size >= 17 and value[4] == c"/":
                self.is_stream = self.is_stream or (
                    mono_same_caseless(value, b"text/event-stream", 17)
                    and mono_same_caseless(text, b"content-type", 12)
                )
            if not put_field(
                core, name_object, text, size, value, value_size, status, &self.length
            ):
                return None
        self.code = status
        return PyBytes_FromStringAndSize(core.out, core.out_size)

    cpdef bytes body(self, bytes data, bint more):
        """Return the octets that the next piece of content comes to, with the head before them."""
        cdef Core core = self.core
        cdef Py_ssize_t size
        if data is None:
            raise TypeError("content is bytes")
        self._check_end()
        size = PyBytes_GET_SIZE(data)
        core.out_size = 0
        if not self.started:
            self._make_head(UNKNOWN if more or self.names_trailers else size)
        if not self.body_allowed:
            size = 0
        elif self.length != UNKNOWN and size > self.length - self.sent:
            # Never more than announced: what is over would be taken for the next response.
            size = self.length - self.sent
        self.sent += size
        return self._take(data, size, more)

    cdef bytes _take(self, object data, Py_ssize_t size, bint more):
        """Return what has gathered with the data, in its framing."""
        cdef Core core = self.core
        cdef char line[24]
        cdef size_t before
        cdef bytes whole
        cdef char *out
        if self.chunked and size:
            put(core, line, snprintf(line, sizeof(line), "%zx\r\n", size))
        before = core.out_size
        if self.chunked and size:
            put(core, b"\r\n", 2)
        if not more:
            self._put_end()
        whole = PyBytes_FromStringAndSize(NULL, core.out_size + size)
        out = PyBytes_AS_STRING(whole)
        memcpy(out, core.out, before)
        memcpy(out + before, PyBytes_AS_STRING(data), size)
        memcpy(out + before + size, core.out + before, core.out_size - before)
        return whole

    def file(self, int64_t size, /):
        """Return the head of a response whose content is a file, and how much of that goes out."""
        cdef Core core = self.core
        cdef int64_t count = 0
        cdef char line[24]
        self._check_end()
        core.out_size = 0
        if not self.started:
            self._make_head(size)
        if self.body_allowed:
            count = size
            if self.length != UNKNOWN:
                count = max(0, min(size, self.length - self.sent))
        if self.chunked and count:
            put(core, line, snprintf(line, sizeof(line), "%llx\r\n", <long long>count))
        return PyBytes_FromStringAndSize(core.out, core.out_size), count

    def count(self, int64_t octets, /):
        """Count what went out of a file."""
        self.sent += octets

    def end_file(self, int64_t count, /):
        """Return what follows a file of which so many octets went out."""
        cdef Core core = self.core
        core.out_size = 0
        if self.chunked and count:
            put(core, b"\r\n", 2)
        self._put_end()
        return PyBytes_FromStringAndSize(core.out, core.out_size)

    def trailers(self, headers, bint more, /):
        """Return the octets of trailer fields, and of the end unless there are more."""
        if not self.awaits_trailers:
            raise InvalidResponse("trailers were sent before the content had ended")
        lines = encode_trailers(headers)
        if more:
            return lines
        self.awaits_trailers = False
        self.complete = True
        return lines + b"\r\n"

    def error(self, int status, /):
        """Return a whole response of the server's own, in the place of one that is not begun."""
        self.core.refresh_date()
        self.code = status
        self.headers = ()
        self.sent = 0
        self.started = self.complete = True
        self.keep_alive = self.wants_close = False
        return error_response(status, self.core.server_fields, not self.is_head)

    @property
    def is_chunked(self):
        """Whether the content has begun, in chunks, so that it can be ended at any time."""
        return self.chunked and not self.complete

    @property
    def is_delimited(self):
        """Whether a client can tell that a response was cut off."""
        return self.chunked or self.length != UNKNOWN

    cdef int _check_end(self) except -1:
        if self.awaits_trailers:
            raise InvalidResponse("content was sent after it had ended")
        return 0

    cdef int _make_head(self, int64_t total) except -1:
        """Put the head into the Core's buffer; ``total`` is the content's length where known."""
        cdef Core core = self.core
        cdef bytes block = self.block
        cdef int code = self.code
        cdef char line[48]
        if block is None:
            raise InvalidResponse("the response was not begun")
        put(core, PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block))
        self.block = b""
        self.body_allowed = not (self.is_head or code < 200 or code == 204 or code == 304)
        if self.length == UNKNOWN and self.body_allowed:
            if self.is_connect and code < 300:
                pass
            elif total != UNKNOWN:
                self.length = total
                put(core, line, snprintf(
                    line, sizeof(line), "Content-Length: %lld\r\n", <long long>total
                ))
            elif self.minor:
                self.chunked = True
                put(core, b"Transfer-Encoding: chunked\r\n", 28)
            else:
                self.keep_alive = False
        if self.close or code == 101 or not core.keepalive:
            self.keep_alive = False
        self.started = True
        if code == 101:
            put(core, b"Connection: upgrade\r\n\r\n", 23)
        elif not self.keep_alive:
            put(core, b"Connection: close\r\n\r\n", 21)
        elif self.end_of_kept_head is not None:
            block = self.end_of_kept_head
            put(core, PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block))
        elif self.minor:
            put(core, b"\r\n", 2)
        else:
            put(core, b"Connection: keep-alive\r\n\r\n", 26)
        return 0

    cdef int _put_end(self) except -1:
        """Put the end of the content; the response is incomplete where some is missing."""
        cdef Core core = self.core
        if self.chunked:
            if self.names_trailers:
                self.awaits_trailers = True
                put(core, b"0\r\n", 3)  # the last chunk; its trailer section follows
            else:
                put(core, b"0\r\n\r\n", 5)
                self.complete = True
        elif self.body_allowed and self.length != UNKNOWN and self.sent < self.length:
            core.log.warning(
                f"Response of {self.sent} octets is shorter than its Content-Length "
                f"{self.length}; closing the connection"
            )
        else:
            self.complete = True
        return 0
