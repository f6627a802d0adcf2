"""Requests and responses of applications that await, compiled; see ``_exchange_py``."""

cimport cython
from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from libc.string cimport memchr, memcmp, memcpy, memset

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Copy, PyDict_SetItem
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport Py_INCREF, PyObject
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from monoceros.http._core cimport Core, put
from monoceros.http._coroutine cimport PYGEN_ERROR, PYGEN_RETURN, PySendResult, PyTypeObject
from monoceros.http._head cimport FieldSpan, HeadSpans, is_decided
from monoceros.http._names cimport NAME_GUESSES, Name
from monoceros.http._request cimport put_field
from monoceros.http._scan cimport mono_same_caseless

from urllib.parse import unquote

from monoceros.http.answers import error_response
from monoceros.http.environ import environ_key, is_script_name, may_pass
from monoceros.http.errors import ClientDisconnected, InvalidResponse
from monoceros.http.fields import encode_fields, without_length
from monoceros.http.grammar import split_target
from monoceros.http.refusals import Refusal, refusal
from monoceros.http.scope import (
    apply_scheme,
    decode_fields,
    encode_trailers,
    is_event_stream,
    put_root_in_front,
    status_line,
)

cdef extern from "Python.h":
    bint PyBytes_CheckExact(object data) noexcept
    bint PyDict_CheckExact(object mapping) noexcept
    void PyErr_SetObject(object kind, object error) noexcept
    bint PyTuple_CheckExact(object pair) noexcept
    bint PyList_CheckExact(object pairs) noexcept
    bint PyLong_CheckExact(object number) noexcept

cdef enum:
    UNKNOWN = -1


@cython.freelist(8)
cdef class Ready:
    """An awaitable whose value is there; ``asyncio.create_task`` takes it for a coroutine."""

    cdef object value

    def __cinit__(self, value, /):
        self.value = value

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration(self.value)

    def send(self, value, /):
        """Return the value, as a coroutine does."""
        raise StopIteration(self.value)

    def throw(self, kind, value=None, traceback=None, /):
        """Raise what was thrown in."""
        raise kind if value is None else value

    def close(self):
        """Do nothing: nothing was begun."""


cdef PySendResult _ready_send(
    PyObject *self, PyObject *_value, PyObject **result
) except? PYGEN_ERROR:
    cdef object value = (<Ready>self).value
    Py_INCREF(value)
    result[0] = <PyObject *>value
    return PYGEN_RETURN


cdef PyObject *_ready_next(PyObject *self) noexcept:
    cdef object value = (<Ready>self).value
    if value is not None:
        PyErr_SetObject(StopIteration, StopIteration(value))
    return NULL


# Raising in ``__next__`` would make a traceback each time.
(<PyTypeObject *>Ready).tp_iternext = _ready_next
(<PyTypeObject *>Ready).tp_as_async.am_send = _ready_send


cdef object DONE = Ready(None)


cdef class HeadReader:
    """Collects the heads of one connection, and makes an ``Exchange`` of each."""

    def __cinit__(self, Core core not None, dict template not None, bint trusted, /):
        self.core = core
        self.template = template
        self.trusted = trusted
        self.has_state = "state" in template
        self.has_root = bool(template["root_path"])
        self.end_of_kept_head = None if trusted else core.end_of_kept_head

    @property
    def pending(self):
        """Octets that were received and not used."""
        return 0 if self.buffer is None else PyByteArray_GET_SIZE(self.buffer)

    cdef bint has_pending(self) noexcept:
        return self.buffer is not None and PyByteArray_GET_SIZE(self.buffer) > 0

    def feed(self, bytes data not None, /):
        """Return the next request once its head has come whole; raises ``BadRequest``."""
        return self.next_exchange(data)

    cdef Exchange next_exchange(self, bytes data):
        cdef Exchange exchange
        cdef Py_ssize_t used
        if self.buffer is None:
            if not data:
                return None
            try:
                exchange = self._next(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
            except BaseException:
                self.buffer = bytearray(data)
                raise
            if exchange is None:
                self.buffer = bytearray(data)
            else:
                used = self.core.parser.head.length
                if used != PyBytes_GET_SIZE(data):
                    self.buffer = bytearray(data[used:])
            return exchange
        self.buffer += data
        exchange = self._next(PyByteArray_AS_STRING(self.buffer), PyByteArray_GET_SIZE(self.buffer))
        if exchange is not None:
            self._drop(self.core.parser.head.length)
        return exchange

    cdef Exchange _next(self, const char *data, Py_ssize_t size):
        cdef Core core = self.core
        cdef HeadSpans *head = &core.parser.head
        cdef Exchange exchange
        if self.scanning and not is_decided(&self.scan, data, size, &core.parser.limits):
            return None
        if not core.parser.parse(data, size):
            if not self.scanning:
                self.scanning = True
                memset(&self.scan, 0, sizeof(self.scan))
                is_decided(&self.scan, data, size, &core.parser.limits)
            return None
        self.scanning = False
        exchange = Exchange.__new__(Exchange)
        exchange.core = core
        exchange.end_of_kept_head = self.end_of_kept_head
        exchange.scope = _build_scope(
            core, self.template, self.trusted, self.has_state, self.has_root
        )
        if core.parser.casefold:
            line = f"{core.parser.method()} {core.parser.target()}"
            exchange.line = line.encode("latin-1")
        else:
            # Method and target stand side by side.
            exchange.line = PyBytes_FromStringAndSize(
                head.data + head.method, head.method_size + 1 + head.target_size
            )
        exchange.minor = 1 if head.minor else 0
        exchange.content_length = head.content_length
        exchange.expect_continue = head.expect_continue
        exchange.upgrade = head.upgrade
        exchange.is_head = head.method_size == 4 and exchange.scope["method"] == "HEAD"
        exchange.is_connect = head.method_size == 7 and exchange.scope["method"] == "CONNECT"
        # What follows CONNECT, or a request for another protocol, may be no HTTP.
        exchange.keep_alive = head.keep_alive and not head.upgrade
        exchange.wants_close = not head.keep_alive
        return exchange

    def keep(self, bytes data not None, /):
        """Put octets behind what has come, to be looked at with the next ``feed``."""
        if self.buffer is None:
            if data:
                self.buffer = bytearray(data)
        else:
            self.buffer += data

    def take_content(self, int64_t size, /):
        """Return so many octets of what came behind the last head; None where fewer have."""
        return self.next_content(size)

    cdef bytes next_content(self, int64_t size):
        cdef bytes content
        if self.buffer is None or size < 0 or size > PyByteArray_GET_SIZE(self.buffer):
            return None
        content = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(self.buffer), size)
        self._drop(size)
        return content

    cdef int _drop(self, Py_ssize_t size) except -1:
        """Forget octets that were used."""
        if size == PyByteArray_GET_SIZE(self.buffer):
            self.buffer = None
        else:
            # Does not move the rest, which may be much where requests are pipelined.
            del self.buffer[:size]
        return 0

    def take_rest(self):
        """Return and forget what came behind the last head."""
        rest = b"" if self.buffer is None else bytes(self.buffer)
        self.buffer = None
        return rest

    def is_for_head(self):
        """Whether what has come begins a HEAD request, whose answer has no content."""
        return self.buffer is not None and self.buffer.startswith((b"HEAD ", b"\r\nHEAD "))


cdef dict _build_scope(Core core, dict template, bint trusted, bint has_state, bint has_root):
    cdef HeadSpans *head = &core.parser.head
    cdef dict scope = PyDict_Copy(template)
    cdef str script_name = ""
    cdef list fields = []
    if not (head.method_size == 3 and (head.data + head.method)[:3] == b"GET"):
        PyDict_SetItem(scope, "method", core.parser.method())
    if head.minor == 0:
        PyDict_SetItem(scope, "http_version", "1.0")
    script_name = _read_fields(core, fields, trusted)
    _add_target(core, scope, fields)
    PyDict_SetItem(scope, "headers", fields)
    if trusted and head.has_scheme:
        apply_scheme(scope, fields, core.rules)
    if has_root:
        put_root_in_front(scope)
    if script_name and scope["path"]:
        if not scope["path"].startswith(script_name):
            raise refusal(Refusal.SCRIPT_NAME)
        scope["root_path"] = script_name
    if has_state:
        PyDict_SetItem(scope, "state", scope["state"].copy())
    PyDict_SetItem(scope, "extensions", PyDict_Copy(scope["extensions"]))
    return scope


cdef str _read_fields(Core core, list fields, bint trusted):
    """Fill the list with lower-case names and values; returns a trusted proxy's SCRIPT_NAME."""
    cdef HeadSpans *head = &core.parser.head
    cdef FieldSpan *span
    cdef Name *known
    cdef const char *data = head.data
    cdef str script_name = ""
    cdef str text
    cdef int i
    for i in range(head.count):
        span = &core.parser.fields[i]
        known = span.known
        if known == NULL:
            known = core.names.learn(data + span.name, span.name_size)
        if known != NULL and i < NAME_GUESSES:
            core.names.guesses[i] = known
        value = PyBytes_FromStringAndSize(data + span.value, span.value_size)
        if known != NULL and not known.underscore:
            head.has_scheme = head.has_scheme or known.scheme
            name = <object>known.octets
        else:
            text = (data + span.name)[:span.name_size].decode("ascii")
            if "_" in text:
                if not may_pass(text, trusted, core.rules):
                    continue
                if is_script_name(text, trusted, core.rules):
                    script_name = value.decode("latin-1")
            head.has_scheme = head.has_scheme or environ_key(text) in core.scheme_keys
            name = text.lower().encode("ascii")
        fields.append((name, value))
    return script_name


cdef int _add_target(Core core, dict scope, list fields) except -1:
    """Set path and query; the template has those of ``/`` already."""
    cdef HeadSpans *head = &core.parser.head
    cdef const char *target = head.data + head.target
    cdef const char *mark
    cdef Py_ssize_t size = head.target_size
    cdef Py_ssize_t path_size = size
    cdef str path
    cdef str query
    if size == 1 and target[0] == c"/":
        return 0
    if core.parser.target_parts is not None or memchr(target, c"#", size) != NULL:
        path, query, authority = split_target(core.parser.method(), core.parser.target())
        if authority is not None:
            _set_host(fields, authority)
        PyDict_SetItem(scope, "raw_path", path.encode("latin-1"))
        PyDict_SetItem(scope, "query_string", query.encode("latin-1"))
    else:
        mark = <const char *>memchr(target, c"?", size)
        if mark != NULL:
            path_size = mark - target
            PyDict_SetItem(
                scope, "query_string", PyBytes_FromStringAndSize(mark + 1, size - path_size - 1)
            )
        PyDict_SetItem(scope, "raw_path", PyBytes_FromStringAndSize(target, path_size))
        path = target[:path_size].decode("ascii")
    if memchr(target, c"%", size) != NULL and "%" in path:
        path = unquote(path)
    PyDict_SetItem(scope, "path", path)
    return 0


cdef int _set_host(list fields, str authority) except -1:
    """Let the host of an absolute-form target override Host (RFC 9112 3.2.2)."""
    fields[:] = [field for field in fields if field[0] != b"host"]
    fields.insert(0, (b"host", authority.encode("latin-1")))
    return 0


cdef class Owner:
    """The connection that an exchange belongs to; see ``http.protocols.Owner``."""

    cdef int send_in_turn(self, bytes data, bint is_last) except -1:
        """``write_in_turn``."""
        raise NotImplementedError

    cdef int finish(self, Exchange exchange) except -1:
        """``end``."""
        raise NotImplementedError

    cdef int release(self, Exchange exchange) except -1:
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
        if self.content is None and not self.is_taken:
            self.is_taken = True
            body = self.whole
            self.whole = b""
            return Ready({"type": "http.request", "body": body, "more_body": False})
        return self.owner.receive(self)

    def send(self, event):
        """Take an event of the application; what is returned waits for the client (ASGI)."""
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
                owner.send_in_turn(data, self.complete)
                if self.complete:
                    owner.finish(self)
                elif not (more or self.names_trailers):
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
            if size == 12 and value_size >= 17 and memcmp(value, b"text/event-stream", 17) == 0:
                self.is_stream = self.is_stream or mono_same_caseless(text, b"content-type", 12)
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
        core.out_size = 0
        if not self.started:
            self._make_head(size)
        if self.body_allowed:
            count = size
            if self.length != UNKNOWN:
                count = max(0, min(size, self.length - self.sent))
        if self.chunked and count:
            put(core, line, snprintf(line, sizeof(line), "%llx\r\n", <long long>count))
        self.sent += count
        return PyBytes_FromStringAndSize(core.out, core.out_size), count

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
        lines = encode_trailers(headers)
        if not self.chunked or not self.names_trailers:
            return b""
        if more:
            return lines
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
    def awaits_trailers(self):
        """Whether trailer fields are to end the response."""
        return self.names_trailers and not self.complete

    @property
    def is_chunked(self):
        """Whether the content has begun, in chunks, so that it can be ended at any time."""
        return self.chunked and not self.complete

    @property
    def is_delimited(self):
        """Whether a client can tell that a response was cut off."""
        return self.chunked or self.length != UNKNOWN

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
