"""What the connections of one thread share."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from libc.string cimport memcpy

from cpython.ref cimport PyObject

from monoceros.http._access cimport AccessLines
from monoceros.http._head cimport HeadParser
from monoceros.http._names cimport NameTable

cdef enum:
    IN_SIZE = 65536  # octets that one recv(2) takes at most
    IN_SLACK = 64
    KNOWN_NAMES = 64  # response field names remembered by identity
    BUCKETS = 16  # bounds of the histogram, which has one number more
    PEER_SIZE = 64
    REQUEST_SIZE = 384

# A record as ``monoceros.scoreboard`` describes it.
cdef struct Slot:
    uint64_t sequence
    uint32_t pid
    uint32_t state
    int64_t beat_ns
    int64_t started_ns
    uint64_t requests
    uint64_t duration_ns
    uint64_t responses[5]
    uint64_t histogram[BUCKETS + 1]
    uint64_t connections
    uint16_t request_size
    uint16_t peer_size
    uint32_t unused
    uint64_t given  # both written by the worker
    uint64_t taken
    char peer[PEER_SIZE]
    char request[REQUEST_SIZE]

# What another thread looks at, without a lock, to see how long this one has been at work.
cdef struct Pulse:
    bint running  # a request is in flight
    int64_t started_ns  # since when
    double ticked  # when its batch began

cdef class Core:
    cdef readonly object app
    cdef readonly dict base_environ
    cdef readonly object limits
    cdef readonly object rules
    cdef readonly object policy
    cdef readonly object scoreboard_record
    cdef readonly object log
    cdef readonly object budget
    cdef readonly object scheme_keys
    cdef public bint closing
    cdef public uint64_t requests
    cdef public uint64_t responses
    cdef public uint64_t received
    cdef public uint64_t sent
    cdef public uint64_t errors
    cdef readonly double now
    cdef Pulse pulse

    cdef HeadParser parser
    cdef NameTable names
    cdef bint keepalive
    cdef bint spares_trusted
    cdef bytes end_of_kept_head
    cdef bint buffering
    cdef int64_t body_memory
    cdef bint has_script_name
    cdef AccessLines access
    cdef object finished
    cdef public object flush_log
    cdef double flushed
    cdef int64_t limited_ns  # the start of the call that has a limit of its own
    cdef double limit_s
    cdef dict templates
    cdef dict methods

    cdef char *input
    cdef char *out
    cdef size_t out_size
    cdef size_t out_before  # as much was there before the request in flight
    cdef size_t out_capacity
    cdef object large_input
    cdef readonly bytes server_fields
    # The status line and server fields of the last response, for the next one of its kind.
    cdef object status
    cdef int status_code
    cdef bytes status_block
    # The same for responses whose status is a number; 0 for none.
    cdef int number
    cdef bytes number_block
    cdef PyObject *known_names[KNOWN_NAMES]
    cdef unsigned char known_meanings[KNOWN_NAMES]
    cdef bytes server_line
    cdef int64_t second
    # Method and target of the request in flight: as much as there is room for on the scoreboard,
    # and how much it is. What is longer has a copy of its own.
    cdef char *line
    cdef char *own_line
    cdef size_t line_size
    cdef bytes long_line
    cdef bint has_skips
    cdef Slot *slot

    cpdef tick(self, double now)
    cpdef int refresh_date(self) except -1
    cdef dict template(self, object local, object scheme, uint32_t fields)
    cdef object scratch(self)
    cdef int reserve(self, size_t more) except -1
    cdef int begin(self, bytes peer, const char *request, size_t size) except -1
    cdef str request_line(self, bint minor)
    cdef const char *start_of_line(self) noexcept
    cdef int end(self, int code) except -1
    cdef object deadline(self)
    cdef int limit_call(self, double seconds) except -1
    cpdef int count_refusal(self, int code) except -1

cdef int64_t monotonic_ns() noexcept nogil
cdef void begin_slot(
    Slot *slot, int64_t now, uint64_t requests, bytes peer, const char *request, size_t size
) noexcept
cdef void end_slot(Slot *slot, int64_t now, int64_t elapsed_ns, int code) noexcept


cdef inline int check_idle(Core core) except -1:
    """Refuse what would overwrite the buffers of a request in flight."""
    if core.pulse.running:
        raise RuntimeError("a Core serves one request at a time")
    return 0


cdef inline char *room(Core core, size_t more) except NULL:
    """Return where the next ``more`` octets of output go; ``out_size`` is the caller's to raise."""
    if core.out_size + more > core.out_capacity:
        core.reserve(more)
    return core.out + core.out_size


cdef inline int put(Core core, const char *data, size_t size) except -1:
    """Append to the output buffer."""
    memcpy(room(core, size), data, size)
    core.out_size += size
    return 0
