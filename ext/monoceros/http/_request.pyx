"""One request and its response, compiled (PEP 3333; RFC 9112 sections 6 and 7)."""

cimport cython
from libc.stdint cimport int64_t
from libc.stdio cimport snprintf

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Size
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from monoceros.http._access cimport Facts
from monoceros.http._channel cimport Channel
from monoceros.http._core cimport Core, monotonic_ns, put
from monoceros.http._names cimport ATOM_ANY
from monoceros.http._scan cimport mono_same_caseless, mono_scan_value

from monoceros.errors import StopWorker
from monoceros.http.access import Entry
from monoceros.http.answers import early_hints, error_response
from monoceros.http.errors import BodyError, ClientGone
from monoceros.http.expiry import ANSWERED as _ANSWERED
from monoceros.http.expiry import HAS_GIL, TOO_LATE
from monoceros.http.expiry import answer as answer_on
from monoceros.http.expiry import cut as cut_off
from monoceros.http.fields import encode_fields, without_length
from monoceros.http.files import FileWrapper, open_range
from monoceros.http.types import AGAIN as _AGAIN
from monoceros.http.types import CLOSE as _CLOSE
from monoceros.http.types import LINGER as _LINGER
from monoceros.http.types import UPGRADE as _UPGRADE

cdef extern from "Python.h":
    int PyUnicode_KIND(object text) noexcept
    int PyUnicode_1BYTE_KIND
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    unsigned char *PyUnicode_1BYTE_DATA(object text) noexcept
    bint PyUnicode_CheckExact(object text) noexcept
    bint PyBytes_CheckExact(object data) noexcept
    bint PyTuple_CheckExact(object pair) noexcept
    bint PyList_CheckExact(object items) noexcept
    int PyDict_Next(
        PyObject *environ, Py_ssize_t *position, PyObject **key, PyObject **value
    ) noexcept

cdef extern from *:
    """
    /* Without the GIL another thread may take an item off an application's list while it is looked
       at, so that lists are copied first. */
    #ifdef Py_GIL_DISABLED
    #define MONO_IS_FREE_THREADED 1
    #else
    #define MONO_IS_FREE_THREADED 0
    #endif
    """
    const bint MONO_IS_FREE_THREADED

cdef extern from *:
    """
    /* Changes a claim from one value to another; 0 where it has a third one. */
    static inline int mono_take(int *claim, int from, int to) {
        return __atomic_compare_exchange_n(
            claim, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    static inline int mono_swap(int *claim, int to) {
        return __atomic_exchange_n(claim, to, __ATOMIC_ACQ_REL);
    }
    """
    bint mono_take(int *claim, int before, int after) noexcept nogil
    int mono_swap(int *claim, int after) noexcept nogil

if ANSWERED != _ANSWERED:
    raise ImportError("the compiled HTTP modules were built for another expiry")

cdef enum:
    LARGE = 16384  # a chunk of this size is sent from where it is instead of being copied
    ENOUGH = 262144  # gathered output that is not held back any longer
    UNKNOWN = -1

cdef int AGAIN = _AGAIN
cdef int CLOSE = _CLOSE
cdef int LINGER = _LINGER
cdef int UPGRADE = _UPGRADE

cdef str NOT_BYTES = "the application's iterable has an item that is not bytes"


@cython.freelist(8)
cdef class Request:
    """A request that the application answers; its output goes to the Core's buffer first."""

    def __cinit__(self):
        self.length = UNKNOWN
        self.mark = -1
        self.body_allowed = True

    def start_response(self, status, headers, exc_info=None, /):
        """PEP 3333's ``start_response``."""
        if exc_info is not None:
            try:
                if self.head_written:
                    with cython.boundscheck(True):
                        raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status is not None:
            raise AssertionError("start_response was called twice without exc_info")
        self.status = status
        self.headers = headers
        return self

    def __call__(self, data, /):
        """PEP 3333's ``write``."""
        self.write_now(data)

    def run(self, Core core not None, /):
        """Call the application, send what it answers, and return a code as ``Conn.ready`` does."""
        line = f"{self.environ['REQUEST_METHOD']} {self.environ['RAW_URI']}".encode("latin-1")
        core.begin(self.channel.peer, PyBytes_AS_STRING(line), PyBytes_GET_SIZE(line))
        return self.call(core)

    def abort(self, error, /):
        """End the request by an error: 500 where nothing was sent, else cut the connection."""
        return self.fail(error)

    cdef int call(self, Core core) except -1:
        """Run a request that is on the scoreboard already."""
        cdef int code
        cdef int claim = OURS
        self.keys = PyDict_Size(self.environ)
        try:
            code = self._call(core)
        finally:
            self.ended = True
            claim = mono_swap(&self.claim, OVER)
            if claim == ANSWERED or claim == CUT:
                self.yield_to_other(core, claim)
            try:
                if core.access is not None or core.finished is not None:
                    self.record(core, claim)
            finally:
                core.end(self.code if self.channel.taken is None else 0)
                self.channel.finish_request()
        return CLOSE if claim == ANSWERED or claim == CUT else code

    cdef int yield_to_other(self, Core core, int claim) except -1:
        """Drop what the application answered after its time."""
        self.channel.drop_output()
        if claim == ANSWERED:
            # Counted, and in the access log, since then.
            self.code = 0
            self.sent = 0
            self.status = "504"
            self.headers = []
        return 0

    cdef bint claims(self) noexcept:
        """Take the claim to the answer, unless another thread has it."""
        if self.claim == FREE and mono_take(&self.claim, FREE, OURS):
            return True
        return self.claim == OURS or self.claim == OVER

    cdef int commit(self) except -1:
        """Make sure that it is this thread that answers; raises ``ClientGone`` where it is not."""
        if self.claim != OURS and not self.claims():
            raise ClientGone(TOO_LATE)
        self.mark = -1
        return 0

    cdef bint is_too_late(self) noexcept:
        """Whether another thread has answered, or cut the connection."""
        return self.claim == ANSWERED or self.claim == CUT

    cdef int check_claim(self) except -1:
        """Raise ``ClientGone`` where it is too late."""
        if self.is_too_late():
            raise ClientGone(TOO_LATE)
        return 0

    cdef int give_up(self) except -1:
        """Leave the answer to the application, which takes the socket; raises ``ClientGone``."""
        if not mono_take(&self.claim, FREE, OVER) and not mono_take(&self.claim, OURS, OVER):
            self.check_claim()
        return 0

    cdef object expire(self, Core core):
        """Answer 504, or cut; see ``Conn.expire``."""
        cdef Channel channel = self.channel
        cdef Core own = channel.core
        cdef bytes earlier = b""
        if mono_take(&self.claim, FREE, ANSWERED):
            if own.out_before:
                if not HAS_GIL:
                    # The other thread may move its buffer at any time.
                    cut_off(channel.fd, False)
                    return False
                size = own.out_size if self.mark < 0 else <size_t>self.mark
                earlier = PyBytes_FromStringAndSize(own.out, size)
            return self.answer_late(core, earlier)
        if mono_take(&self.claim, OURS, CUT):
            cut_off(channel.fd, self.length == UNKNOWN and not self.chunked)
            return False
        return None

    cdef bint answer_late(self, Core core, bytes earlier) except -1:
        cdef Channel channel = self.channel
        cdef Core own = channel.core
        core.refresh_date()
        response = error_response(504, core.server_fields, not self.head_request)
        is_told = not channel.has_output() and answer_on(channel.fd, earlier + response)
        if not is_told:
            cut_off(channel.fd, False)
        core.errors += 1
        core.count_refusal(504)
        if core.access is not None and not core.access.format.skips(self.environ, "504"):
            elapsed_us = (monotonic_ns() - own.pulse.started_ns) // 1000
            line = own.request_line(self.minor)
            entry = Entry(self.environ, "504", [], 0, elapsed_us, core.access.when, line)
            core.access.append(core.access.format.line(entry))
        return is_told

    cdef int _call(self, Core core) except -1:
        try:
            result = core.app(self.environ, self.start_response)
            if PyList_CheckExact(result) and self.channel.taken is None:
                self.respond_at_once(list(result) if MONO_IS_FREE_THREADED else result)
            else:
                try:
                    if self.channel.taken is None:
                        self.respond(core, result)
                finally:
                    close = getattr(result, "close", None)
                    if close is not None:
                        close()
        except StopWorker as stop:
            self.fail(stop)
            # The caller gets no code that would make it send the rest.
            self.channel.flush_quietly()
            raise
        except BaseException as error:  # border: whatever an application raises ends its request
            return self.fail(error)
        if self.channel.taken is not None:
            return UPGRADE
        return self.finish()

    cdef int record(self, Core core, int claim) except -1:
        """Tell the access log, and who else wants to know, that a request is done."""
        cdef Facts facts
        # Nothing of a response that never began was ever looked at.
        cdef bint is_answered = self.code != 0 and self.channel.taken is None
        facts.elapsed_us = 0
        if core.finished is not None or core.access.needs_time:
            facts.elapsed_us = (monotonic_ns() - core.pulse.started_ns) // 1000
        if core.access is not None and is_answered:
            facts.line = core.start_of_line()
            facts.line_size = core.line_size
            facts.minor = self.minor
            # The application may have added what the client did not send.
            facts.atoms = self.atoms if self.has_same_keys() else ATOM_ANY
            facts.sent = self.sent
            if core.has_skips and core.access.format.skips(self.environ, self.status):
                pass
            elif not core.access.add(self.environ, self.status, &facts):
                entry = self.describe(core, self.status, facts.elapsed_us)
                core.access.append(core.access.format.line(entry))
        if core.finished is not None:
            status = self.status if is_answered or claim == ANSWERED else ""
            core.finished(self.describe(core, status, facts.elapsed_us))
        return 0

    cdef bint has_same_keys(self) noexcept:
        """Whether the application has left the environ's keys alone.

        Where it took some out and added as many, another one is the last, or stands beyond a gap.
        """
        cdef PyObject *environ = <PyObject *>self.environ
        cdef PyObject *key
        cdef Py_ssize_t position = self.keys - 1
        return (
            PyDict_Size(self.environ) == self.keys
            and PyDict_Next(environ, &position, &key, NULL)
            and key == self.last_key
            and not PyDict_Next(environ, &position, NULL, NULL)
        )

    cdef object describe(self, Core core, object status, int64_t elapsed_us):
        """Return the request and its response as an ``Entry``."""
        when = "" if core.access is None else core.access.when
        line = core.request_line(self.minor)
        return Entry(self.environ, status, self.headers, self.sent, elapsed_us, when, line)

    cdef int finish(self) except -1:
        """Decide what becomes of the connection."""
        cdef Channel channel = self.channel
        channel.core.responses += 1
        if not self.complete:
            return CLOSE
        if self.keep_alive and channel.body_is_read():
            return AGAIN
        if self.wants_close and channel.body_is_read() and not channel.has_unused():
            return CLOSE
        return LINGER

    cdef int fail(self, object error) except -1:
        """End the request because of an error."""
        cdef Channel channel = self.channel
        cdef Core core = channel.core
        if channel.taken is not None:
            if not isinstance(error, StopIteration):
                core.log.failed(self.environ, error)
            return UPGRADE
        if isinstance(error, ClientGone) or self.is_too_late():
            channel.drop_output()
            return CLOSE
        core.errors += 1
        if not isinstance(error, StopWorker):
            core.log.failed(self.environ, error)
        if self.complete:
            return self.finish()
        if not self.head_written or self.mark >= 0:
            return self.answer_error(error.status if isinstance(error, BodyError) else 500)
        if self.length == UNKNOWN and not self.chunked:
            # The client must not take an unfinished response for a whole one.
            channel.reset_on_close()
        return CLOSE

    cdef int answer_error(self, int status) except -1:
        cdef Core core = self.channel.core
        cdef bytes response
        if not self.claims():
            self.channel.drop_output()
            return CLOSE
        core.refresh_date()
        response = error_response(status, core.server_fields, not self.head_request)
        if self.mark >= 0:
            core.out_size = self.mark
        put(core, PyBytes_AS_STRING(response), PyBytes_GET_SIZE(response))
        self.status = str(status)
        self.code = status
        self.headers = []
        self.sent = 0
        self.complete = True
        self.keep_alive = self.wants_close = False
        self.finish()
        self.channel.flush_quietly()
        return LINGER

    cdef int respond(self, Core core, object result) except -1:
        kind = type(result)
        if kind is list or kind is tuple:
            self.respond_at_once(list(result))
        elif isinstance(result, FileWrapper):
            self.respond_file(result)
        else:
            for chunk in result:
                self.write_now(chunk)
            self.end_data(UNKNOWN)
            self.send()
        return 0

    cdef int respond_at_once(self, object chunks) except -1:
        """Send chunks that are all there already, so that their length is known."""
        cdef int64_t total = 0
        cdef Py_ssize_t i
        for i in range(PyList_GET_SIZE(chunks)):
            chunk = <object>PyList_GET_ITEM(chunks, i)
            if not isinstance(chunk, bytes):
                raise TypeError(NOT_BYTES)
            total += PyBytes_GET_SIZE(chunk)
        if not self.head_written:
            self.write_head(total)
        # Writing can run code of the application's, which may change the list.
        i = 0
        while i < PyList_GET_SIZE(chunks):
            chunk = <object>PyList_GET_ITEM(chunks, i)
            if not isinstance(chunk, bytes):
                raise TypeError(NOT_BYTES)
            self.write_data(chunk)
            i += 1
        self.end_data(total)
        return 0

    cdef int respond_file(self, object wrapper) except -1:
        cdef Channel channel = self.channel
        if not self.head_written and channel.core.policy.sendfile and channel.fd >= 0:
            file = open_range(wrapper)
            if file is not None:
                self.write_head(file.count)
                if not self.body_allowed:
                    file.close()
                else:
                    if self.length != UNKNOWN:
                        file.count = min(file.count, self.length)
                    try:
                        self.commit()
                    except ClientGone:
                        file.close()
                        raise
                    self.sent += file.count
                    channel.send_file(file)
                self.end_data(UNKNOWN)
                self.send()
                return 0
        for chunk in wrapper:
            self.write_now(chunk)
        self.end_data(UNKNOWN)
        self.send()
        return 0

    cdef int send(self) except -1:
        """Send what there is, which no error can take back any more."""
        self.commit()
        self.channel.flush()
        return 0

    cdef int write_now(self, object data) except -1:
        """Write and send: PEP 3333 wants nothing held back once it is yielded or written."""
        if not isinstance(data, bytes):
            raise TypeError(NOT_BYTES)
        if PyBytes_GET_SIZE(data) == 0:
            return 0
        if self.ended:
            raise AssertionError("write() was called after the response had ended")
        self.check_claim()
        if not self.head_written:
            self.write_head(UNKNOWN)
        self.write_data(data)
        self.send()
        return self.channel.wait_for_room()

    cdef int write_head(self, int64_t total) except -1:
        """Write the response's head; ``total`` is the content's length where it is known."""
        cdef Core core = self.channel.core
        cdef int code = 0
        cdef bint close = False
        cdef bint tunnel = False
        cdef bytes block
        cdef char line[48]
        cdef int size
        if self.status is None:
            raise AssertionError("the application did not call start_response")
        self.mark = core.out_size
        core.refresh_date()
        try:
            if self.connect:
                tunnel = self.write_odd_fields(core, &code, &close)
            elif not self.write_fields(core, &code, &close):
                core.out_size = self.mark
                self.write_odd_fields(core, &code, &close)
        except BaseException:
            core.out_size = min(<size_t>self.mark, core.out_size)
            self.mark = -1
            raise
        self.body_allowed = not (self.head_request or code < 200 or code == 204 or code == 304)
        if self.length == UNKNOWN and self.body_allowed and not tunnel:
            if total != UNKNOWN:
                self.length = total
                size = snprintf(line, sizeof(line), "Content-Length: %lld\r\n", <long long>total)
                put(core, line, size)
            elif self.minor:
                self.chunked = True
                put(core, b"Transfer-Encoding: chunked\r\n", 28)
            else:
                self.keep_alive = False
        if (
            close or code == 101 or not core.keepalive or not self.channel.body_is_read()
            or (core.closing and not self.channel.has_unused())
        ):
            self.keep_alive = False
        if code == 101:
            put(core, b"Connection: upgrade\r\n\r\n", 23)
        elif not self.keep_alive:
            put(core, b"Connection: close\r\n\r\n", 21)
        elif self.channel.end_of_kept_head is not None:
            block = self.channel.end_of_kept_head
            put(core, PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block))
        elif self.minor:
            put(core, b"\r\n", 2)
        else:
            put(core, b"Connection: keep-alive\r\n\r\n", 26)
        self.head_written = True
        self.code = code
        return 0

    cdef int write_fields(self, Core core, int *code, bint *close) except -1:
        """Write status and fields as nearly every application gives them; 0 where they are odd."""
        cdef Py_ssize_t i
        cdef Py_ssize_t size
        cdef Py_ssize_t value_size
        cdef const char *text
        cdef const char *value
        cdef object headers = self.headers
        if not PyList_CheckExact(headers):
            return 0
        if MONO_IS_FREE_THREADED:
            headers = list(headers)
        if self.status is not core.status and not _remember_status(core, self.status):
            return 0
        code[0] = core.status_code
        put(core, PyBytes_AS_STRING(core.status_block), PyBytes_GET_SIZE(core.status_block))
        for i in range(PyList_GET_SIZE(headers)):
            pair = <object>PyList_GET_ITEM(headers, i)
            if not PyTuple_CheckExact(pair) or PyTuple_GET_SIZE(pair) != 2:
                return 0
            name_object = <object>PyTuple_GET_ITEM(pair, 0)
            value_object = <object>PyTuple_GET_ITEM(pair, 1)
            if not PyUnicode_CheckExact(name_object) or not PyUnicode_CheckExact(value_object):
                return 0
            if (
                PyUnicode_KIND(name_object) != PyUnicode_1BYTE_KIND
                or PyUnicode_KIND(value_object) != PyUnicode_1BYTE_KIND
            ):
                return 0
            text = <const char *>PyUnicode_1BYTE_DATA(name_object)
            size = PyUnicode_GET_LENGTH(name_object)
            value = <const char *>PyUnicode_1BYTE_DATA(value_object)
            value_size = PyUnicode_GET_LENGTH(value_object)
            if not put_field(
                core, name_object, text, size, value, value_size, code[0], &self.length
            ):
                return 0
        return 1

    cdef int write_odd_fields(self, Core core, int *code, bint *close) except -1:
        """Write what ``write_fields`` leaves to the pure-Python code, which may refuse it.

        Returns 1 where the response opens a tunnel.
        """
        cdef bytes block
        self.length = UNKNOWN
        fields = encode_fields(self.status, self.headers)
        tunnel = self.connect and 200 <= fields.code < 300
        if tunnel:
            # RFC 9110 9.3.6: a tunnel has neither Content-Length nor Transfer-Encoding.
            fields = encode_fields(self.status, without_length(self.headers))
        block = b"".join(
            (b"HTTP/1.1 ", fields.status, b"\r\n", core.server_fields, fields.lines)
        )
        # Reading the fields can run code of the application's, which may have sent early hints.
        self.mark = core.out_size
        put(core, PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block))
        code[0] = fields.code
        close[0] = fields.close
        if fields.content_length is not None:
            self.length = fields.content_length
        return tunnel

    cdef int write_data(self, object data) except -1:
        """Write content, bytes or a subclass, in the response's framing."""
        cdef Core core = self.channel.core
        cdef size_t size = PyBytes_GET_SIZE(data)
        cdef char line[24]
        if not self.body_allowed:
            return 0
        if self.length != UNKNOWN and <int64_t>size > self.length - self.sent:
            # Never more than announced: what is over would be taken for the next response.
            size = self.length - self.sent
        if size == 0:
            return 0
        self.sent += size
        if self.chunked:
            put(core, line, snprintf(line, sizeof(line), "%zx\r\n", size))
        if size < LARGE:
            put(core, PyBytes_AS_STRING(data), size)
        else:
            self.commit()
            self.channel.flush_with(data, PyBytes_AS_STRING(data), size)
        if self.chunked:
            put(core, b"\r\n", 2)
        if core.out_size > ENOUGH:
            self.send()
        return 0

    cdef int end_data(self, int64_t total) except -1:
        """Write the end of the content."""
        cdef Core core = self.channel.core
        if not self.head_written:
            self.write_head(0 if total == UNKNOWN else total)
        self.ended = True
        if self.chunked:
            put(core, b"0\r\n\r\n", 5)
        elif self.body_allowed and self.length != UNKNOWN and self.sent < self.length:
            core.log.warning(
                f"Response of {self.sent} octets is shorter than its Content-Length "
                f"{self.length}; closing the connection"
            )
            return 0
        self.complete = True
        return 0

    cdef int send_early_hints(self, object headers) except -1:
        """Send 103 Early Hints, unless the response has begun or the client speaks HTTP/1.0."""
        cdef bytes hints
        if not self.head_written and self.minor:
            hints = early_hints(headers)
            self.check_claim()
            put(self.channel.core, PyBytes_AS_STRING(hints), PyBytes_GET_SIZE(hints))
            self.channel.flush()
        return 0


cdef bint _remember_status(Core core, object status) except -1:
    """Check a status and keep the block that begins its responses; False where it is odd."""
    cdef const char *text
    cdef Py_ssize_t size
    cdef int high = 0
    if core.status is not None and type(status) is str and core.status == status:
        core.status = status
        return True
    if not PyUnicode_CheckExact(status) or PyUnicode_KIND(status) != PyUnicode_1BYTE_KIND:
        return False
    text = <const char *>PyUnicode_1BYTE_DATA(status)
    size = PyUnicode_GET_LENGTH(status)
    if (
        size < 4 or not c"2" <= text[0] <= c"9" or not c"0" <= text[1] <= c"9"
        or not c"0" <= text[2] <= c"9" or text[3] != c" "
        or mono_scan_value(text, text + size, &high) != text + size
    ):
        return False
    core.status = status
    core.status_code = (text[0] - c"0") * 100 + (text[1] - c"0") * 10 + (text[2] - c"0")
    core.status_block = b"HTTP/1.1 %b\r\n%b" % (text[:size], core.server_fields)
    return True


cdef void remember_name(Core core, object name, size_t slot, int meaning) noexcept:
    """Keep a valid name; the reference makes sure that its identity is not used again."""
    Py_INCREF(name)
    Py_XDECREF(core.known_names[slot])
    core.known_names[slot] = <PyObject *>name
    core.known_meanings[slot] = meaning


cdef int response_field(const char *name, Py_ssize_t size) noexcept:
    """Tell what a response's field name means to the server, whatever its case."""
    cdef char first = name[0] | 0x20
    if first == c"c":
        if size == 14 and mono_same_caseless(name, b"content-length", 14):
            return LENGTH
        if size == 10 and mono_same_caseless(name, b"connection", 10):
            return CONNECTION
    elif first == c"d":
        if size == 4 and mono_same_caseless(name, b"date", 4):
            return SERVERS_OWN
    elif first == c"k":
        if size == 10 and mono_same_caseless(name, b"keep-alive", 10):
            return SERVERS_OWN
    elif first == c"p":
        if size == 18 and mono_same_caseless(name, b"proxy-authenticate", 18):
            return SERVERS_OWN
        if size == 19 and mono_same_caseless(name, b"proxy-authorization", 19):
            return SERVERS_OWN
    elif first == c"s":
        if size == 6 and mono_same_caseless(name, b"server", 6):
            return SERVERS_OWN
    elif first == c"t":
        if size == 2 and mono_same_caseless(name, b"te", 2):
            return SERVERS_OWN
        if size == 7 and mono_same_caseless(name, b"trailer", 7):
            return SERVERS_OWN
        if size == 8 and mono_same_caseless(name, b"trailers", 8):
            return SERVERS_OWN
        if size == 17 and mono_same_caseless(name, b"transfer-encoding", 17):
            return SERVERS_OWN
    elif first == c"u":
        # Only a 101 lets it through, and that is written by the general code.
        if size == 7 and mono_same_caseless(name, b"upgrade", 7):
            return UPGRADE_FIELD
    return PLAIN


cdef bint parse_length(const char *text, Py_ssize_t size, int64_t *length) noexcept:
    cdef Py_ssize_t i
    if not 0 < size <= 18:
        return False
    length[0] = 0
    for i in range(size):
        if not c"0" <= text[i] <= c"9":
            return False
        length[0] = length[0] * 10 + (text[i] - c"0")
    return True
