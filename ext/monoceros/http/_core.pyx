"""What the connections of one thread share, compiled."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_XDECREF

from monoceros.http._access cimport AccessLines
from monoceros.http._head cimport HeadParser
from monoceros.http._names cimport NameTable

import time

from monoceros.http.access import Entry
from monoceros.http.answers import end_of_kept_head
from monoceros.http.body import SCRATCH_SIZE
from monoceros.http.budget import Budget
from monoceros.http.dates import format_date
from monoceros.http.environ import listener_environ, scheme_keys
from monoceros.http.input import EmptyInput
from monoceros.scoreboard import BUCKETS_NS, RECORD_SIZE

cdef extern from "time.h" nogil:
    ctypedef long time_t
    struct timespec:
        time_t tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec *now)
    time_t c_time "time" (time_t *now)

cdef extern from *:
    """
    static inline void mono_publish(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
    """
    void mono_publish() noexcept nogil

cdef size_t OUT_CAPACITY = 1 << 16
cdef double SLOW_S = 0.001  # lines do not wait for the next call after one as long as this
cdef object LARGEST_BODY = (1 << 63) - 1

cdef int64_t bounds_ns[BUCKETS]
for index, bound in enumerate(BUCKETS_NS):
    bounds_ns[index] = bound
if sizeof(Slot) != RECORD_SIZE or len(BUCKETS_NS) != BUCKETS:
    raise ImportError("the compiled HTTP modules were built for another scoreboard")

cdef enum:
    STATE_IDLE = 1
    STATE_RUNNING = 2

cdef enum:
    # A dict of as many keys as an environ has without them grows while these are added, which
    # takes longer than to copy one that has room.
    MANY_FIELDS = 16
    ROOM = 43  # keys, one more than a dict of the size below takes

cdef object EMPTY_INPUT = EmptyInput()


cdef int64_t monotonic_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef inline uint64_t _open_slot(Slot *slot) noexcept nogil:
    """Begin to write a record; whatever interrupted the last write is healed by this one."""
    cdef uint64_t odd = slot.sequence | 1
    slot.sequence = odd
    mono_publish()
    return odd


cdef inline void _close_slot(Slot *slot, uint64_t odd) noexcept nogil:
    mono_publish()
    slot.sequence = odd + 1


cdef inline void _count_response(Slot *slot, int code) noexcept nogil:
    # RFC 9110 15: what is no valid status code is to be processed as one of 5xx.
    if code:
        slot.responses[(code // 100 if code < 600 else 5) - 1] += 1


cdef inline void _count_call(Slot *slot, int64_t elapsed_ns) noexcept nogil:
    cdef int bucket = 0
    while bucket < BUCKETS and elapsed_ns > bounds_ns[bucket]:
        bucket += 1
    slot.histogram[bucket] += 1
    slot.duration_ns += elapsed_ns


cdef void begin_slot(
    Slot *slot, int64_t now, uint64_t requests, bytes peer, const char *request, size_t size
) noexcept:
    """Put a request in flight on a record."""
    cdef size_t peer_size = min(<size_t>PyBytes_GET_SIZE(peer), <size_t>PEER_SIZE)
    cdef uint64_t odd = _open_slot(slot)
    size = min(size, <size_t>REQUEST_SIZE)
    slot.state = STATE_RUNNING
    slot.beat_ns = slot.started_ns = now
    slot.requests = requests
    slot.request_size = <uint16_t>size
    slot.peer_size = <uint16_t>peer_size
    memcpy(slot.peer, PyBytes_AS_STRING(peer), peer_size)
    memcpy(slot.request, request, size)
    _close_slot(slot, odd)


cdef void end_slot(Slot *slot, int64_t now, int64_t elapsed_ns, int code) noexcept:
    """Take the request in flight off a record, and count it."""
    cdef uint64_t odd = _open_slot(slot)
    slot.state = STATE_IDLE
    slot.beat_ns = now
    slot.started_ns = 0
    _count_response(slot, code)
    _count_call(slot, elapsed_ns)
    _close_slot(slot, odd)


cdef int _make_room(dict environ) except -1:
    """Let a dict, and each copy of it, take more keys without growing."""
    cdef Py_ssize_t size = len(environ)
    for number in range(ROOM - size):
        environ[f"room {number}"] = None
    # The last come off without a trace but the room.
    while len(environ) > size:
        environ.popitem()
    return 0


cdef class Core:
    """Buffers, Date line, access lines and scoreboard record of one thread that runs apps."""

    def __cinit__(
        self, app, dict base_environ, limits, rules, str server, policy, log, slot, /
    ):
        cdef Py_buffer view
        self.app = app
        self.base_environ = base_environ
        self.limits = limits
        self.rules = rules
        self.policy = policy
        self.log = log
        self.access = None if log.access is None else AccessLines(log.access)
        self.finished = log.finished
        self.budget = policy.budget or Budget()
        self.scheme_keys = scheme_keys(rules)
        self.names = NameTable(self.scheme_keys)
        self.parser = HeadParser(limits, rules, self.names)
        self.keepalive = policy.keepalive
        self.spares_trusted = policy.spares_trusted
        self.end_of_kept_head = end_of_kept_head(policy.keepalive_timeout) or None
        self.buffering = policy.request_buffering
        self.body_memory = min(limits.body_memory, LARGEST_BODY)
        self.has_script_name = bool(base_environ.get("SCRIPT_NAME"))
        self.templates = {}
        self.methods = {}
        self.server_line = f"Server: {server}\r\n".encode("latin-1") if server else b""
        self.second = -1
        self.limited_ns = -1
        self.input = <char *>malloc(IN_SIZE + IN_SLACK)
        self.out_capacity = OUT_CAPACITY
        self.out = <char *>malloc(self.out_capacity)
        self.own_line = <char *>malloc(REQUEST_SIZE)
        if self.input == NULL or self.out == NULL or self.own_line == NULL:
            raise MemoryError
        self.line = self.own_line
        self.has_skips = log.access is not None and log.access.has_skips
        if slot is not None:
            # The mapping lives as long as the process; only the address is kept.
            PyObject_GetBuffer(slot, &view, PyBUF_WRITABLE)
            if <size_t>view.len < sizeof(Slot):
                PyBuffer_Release(&view)
                raise ValueError("slot is smaller than a scoreboard record")
            self.slot = <Slot *>view.buf
            self.line = self.slot.request
            self.scoreboard_record = slot
            PyBuffer_Release(&view)
        self.tick(time.monotonic())

    def __dealloc__(self):
        cdef int i
        for i in range(KNOWN_NAMES):
            Py_XDECREF(self.known_names[i])
        free(self.input)
        free(self.out)
        free(self.own_line)

    @property
    def running(self):
        """Whether a request is in flight."""
        return self.pulse.running

    cpdef tick(self, double now):
        """Take over the time of a wake-up (``time.monotonic()``) and refresh Date."""
        self.now = self.pulse.ticked = self.flushed = now
        self.refresh_date()

    cpdef int refresh_date(self) except -1:
        """Have Date and the access log's time tell this second, also after a slow call."""
        cdef int64_t seconds = c_time(NULL)
        if seconds == self.second:
            return 0
        self.second = seconds
        date = format_date(seconds).encode("ascii")
        self.server_fields = b"%bDate: %b\r\n" % (self.server_line, date)
        self.status = None
        self.number = 0
        if self.access is not None:
            self.access.set_time(self.log.access.format_time(seconds))
        return 0

    def drain_log(self):
        """Return and forget the access log's whole lines so far."""
        self.flushed = self.now
        return b"" if self.access is None else self.access.take()

    def add_line(self, bytes line not None, /):
        """Append to the access log's lines."""
        if self.access is not None:
            self.access.append(line)

    def abandon(self):
        """Leave log, hooks and scoreboard to the process that this one was forked from."""
        if self.slot != NULL:
            memcpy(self.own_line, self.line, REQUEST_SIZE)
        self.line = self.own_line
        self.slot = NULL
        self.scoreboard_record = self.access = self.finished = None

    def drop_output(self):
        """Forget what a connection that failed has not sent."""
        self.out_size = 0

    cdef object scratch(self):
        """Return room for one large receive, whose content is gone with the next."""
        if self.large_input is None:
            self.large_input = memoryview(bytearray(SCRATCH_SIZE))
        return self.large_input

    def counters(self):
        """Return requests, responses, received and sent octets, and errors so far."""
        return {
            "requests": self.requests,
            "responses": self.responses,
            "received": self.received,
            "sent": self.sent,
            "errors": self.errors,
        }

    cdef dict template(self, object local, object scheme, uint32_t fields):
        """Return the environ that all requests to one listener begin with.

        Where as many ``fields`` are expected as browsers and proxies send, it has room for them.
        """
        cdef bint is_roomy = fields >= MANY_FIELDS
        key = (local, scheme, is_roomy)
        found = self.templates.get(key)
        if found is None:
            found = listener_environ(self.base_environ, local, scheme)
            found["wsgi.input"] = EMPTY_INPUT
            if is_roomy:
                _make_room(found)
            self.templates[key] = found
        return found

    cdef int reserve(self, size_t more) except -1:
        """Make room in the output buffer."""
        cdef size_t capacity = self.out_capacity
        cdef char *out
        if self.out_size + more <= capacity:
            return 0
        while capacity < self.out_size + more:
            capacity *= 2
        out = <char *>realloc(self.out, capacity)
        if out == NULL:
            raise MemoryError
        self.out = out
        self.out_capacity = capacity
        return 0

    cdef int begin(self, bytes peer, const char *request, size_t size) except -1:
        """Put a request in flight on the scoreboard."""
        cdef Slot *slot = self.slot
        check_idle(self)
        self.pulse.started_ns = monotonic_ns()
        self.pulse.running = True
        self.out_before = self.out_size
        self.requests += 1
        self.line_size = size
        if size > REQUEST_SIZE:
            self.long_line = PyBytes_FromStringAndSize(request, size)
            size = REQUEST_SIZE
        if slot == NULL:
            memcpy(self.line, request, size)
            return 0
        begin_slot(slot, self.pulse.started_ns, self.requests, peer, request, size)
        return 0

    cdef str request_line(self, bint minor):
        """Return the whole line of the request in flight."""
        line = self.start_of_line()[:self.line_size].decode("latin-1")
        return f"{line} HTTP/1.{1 if minor else 0}"

    cdef const char *start_of_line(self) noexcept:
        """Return method and target of the request in flight, ``line_size`` octets."""
        return self.line if self.line_size <= REQUEST_SIZE else PyBytes_AS_STRING(self.long_line)

    cdef int end(self, int code) except -1:
        """Take the request in flight off the scoreboard and count it.

        ``code`` is the status that it was answered with, 0 where it was none of HTTP's.
        """
        cdef int64_t now = monotonic_ns()
        self.pulse.running = False
        self.now = now * 1e-9
        if self.slot != NULL:
            end_slot(self.slot, now, now - self.pulse.started_ns, code)
        if self.access is not None and self.now - self.flushed > SLOW_S:
            if self.flush_log is not None and self.access.size:
                self.flush_log()
        if self.now - self.pulse.ticked > 1:
            self.tick(self.now)
        return 0

    cdef object deadline(self):
        """Return when the time of the call in flight is up, None for never."""
        cdef int64_t started = self.pulse.started_ns
        cdef double limit = self.policy.request_timeout
        if self.limited_ns == started:
            limit = self.limit_s
        return started * 1e-9 + limit if self.pulse.running and limit else None

    cdef int limit_call(self, double seconds) except -1:
        """Let the call in flight take so long, 0 for as long as it likes."""
        self.limit_s = seconds
        self.limited_ns = self.pulse.started_ns
        return 0

    cpdef int count_refusal(self, int code) except -1:
        """Count a response that no application gave."""
        cdef uint64_t odd
        if self.slot != NULL:
            odd = _open_slot(self.slot)
            _count_response(self.slot, code)
            _close_slot(self.slot, odd)
        return 0

    def record_exchange(
        self, environ, status, headers, int64_t sent, int64_t elapsed_us, line, /
    ):
        """Tell the access log, and who else wants to know, that a request of ASGI is done."""
        when = "" if self.access is None else self.access.when
        entry = Entry(environ, status, headers, sent, elapsed_us, when, line)
        if self.access is not None and status and not self.access.format.skips(environ, status):
            self.access.append(self.access.format.line(entry))
        if self.finished is not None:
            self.finished(entry)
