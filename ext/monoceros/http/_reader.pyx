"""From the heads of a connection to scopes, compiled; see ``_reader_py``."""

from libc.stdint cimport int64_t
from libc.string cimport memchr, memset

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Copy, PyDict_SetItem

from monoceros.http._core cimport Core
from monoceros.http._exchange cimport Exchange
from monoceros.http._head cimport FieldSpan, HeadSpans, is_decided
from monoceros.http._names cimport NAME_GUESSES, Name

from urllib.parse import unquote

from monoceros.http.environ import environ_key, is_script_name, may_pass
from monoceros.http.grammar import split_target
from monoceros.http.refusals import Refusal, refusal
from monoceros.http.scope import apply_scheme, put_root_in_front


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
        return self._feed(data)

    cdef Exchange _feed(self, bytes data):
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
        return self._take_content(size)

    cdef bytes _take_content(self, int64_t size):
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
        scope["root_path"] = script_name.rstrip("/")
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
