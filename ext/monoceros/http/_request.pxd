"""One request and its response."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from cpython.ref cimport PyObject

from monoceros.http._channel cimport Channel
from monoceros.http._core cimport KNOWN_NAMES, Core, room
from monoceros.http._scan cimport MONO_TOKEN, mono_scan_class, mono_scan_value

# What became of a request's answer, with the numbers that ``expiry`` gives them.
cdef enum:
    FREE = 0
    OURS = 1
    ANSWERED = 2
    CUT = 3
    OVER = 4

cdef class Request:
    cdef readonly dict environ
    cdef public bint keep_alive
    cdef readonly bint wants_close
    cdef Channel channel
    cdef object status
    cdef int code  # of the response that was begun, 0 before
    cdef object headers
    cdef unsigned char atoms  # as ``_names`` counts them
    cdef Py_ssize_t keys  # of the environ, when the application is called
    cdef PyObject *last_key  # the last one that a field added; it may be gone
    cdef bint head_request
    cdef bint minor
    cdef bint connect
    cdef bint head_written
    cdef bint body_allowed
    cdef bint chunked
    cdef bint complete
    cdef int claim  # as ``expiry`` has it
    cdef bint ended  # nothing may be written any more
    cdef int64_t length  # announced octets of content, -1 where there is no announcement
    cdef int64_t sent
    cdef Py_ssize_t mark  # where the response begins in the buffer, while none of it is sent

    cdef int call(self, Core core) except -1
    cdef int _call(self, Core core) except -1
    cdef int record(self, Core core, int claim) except -1
    cdef bint has_same_keys(self) noexcept
    cdef object describe(self, Core core, object status, int64_t elapsed_us)
    cdef int finish(self) except -1
    cdef int fail(self, object error) except -1
    cdef int answer_error(self, int status) except -1
    cdef int respond(self, Core core, object result) except -1
    cdef int respond_at_once(self, object chunks) except -1
    cdef int respond_file(self, object wrapper) except -1
    cdef bint claims(self) noexcept
    cdef int commit(self) except -1
    cdef bint is_too_late(self) noexcept
    cdef int check_claim(self) except -1
    cdef int give_up(self) except -1
    cdef object expire(self, Core core)
    cdef bint answer_late(self, Core core, bytes earlier) except -1
    cdef int yield_to_other(self, Core core, int claim) except -1
    cdef int send(self) except -1
    cdef int write_now(self, object data) except -1
    cdef int write_head(self, int64_t total) except -1
    cdef int write_fields(self, Core core, int *code, bint *close) except -1
    cdef int write_odd_fields(self, Core core, int *code, bint *close) except -1
    cdef int write_data(self, object data) except -1
    cdef int end_data(self, int64_t total) except -1
    cdef int send_early_hints(self, object headers) except -1

cdef enum:
    # What a response's field name means to the server.
    PLAIN = 0
    SERVERS_OWN = 1
    LENGTH = 2
    CONNECTION = 3
    UPGRADE_FIELD = 4

cdef int response_field(const char *name, Py_ssize_t size) noexcept
cdef void remember_name(Core core, object name, size_t slot, int meaning) noexcept
cdef bint parse_length(const char *text, Py_ssize_t size, int64_t *length) noexcept


cdef inline int put_field(
    Core core,
    object name,
    const char *text,
    Py_ssize_t size,
    const char *value,
    Py_ssize_t value_size,
    int code,
    int64_t *length,
) except -1:
    """Write a field of a response unless it is the server's own; 0 where the field is odd.

    ``text`` is that of ``name``, ``length`` takes what Content-Length says, and is negative before.
    """
    cdef char *out
    cdef size_t slot = (<size_t><PyObject *>name >> 4) & (KNOWN_NAMES - 1)
    cdef int kind
    cdef int high = 0
    if core.known_names[slot] == <PyObject *>name:
        kind = core.known_meanings[slot]
    else:
        if size == 0 or mono_scan_class(text, text + size, MONO_TOKEN) != text + size:
            return 0
        kind = response_field(text, size)
        remember_name(core, name, slot, kind)
    if mono_scan_value(value, value + value_size, &high) != value + value_size:
        return 0
    if kind != PLAIN:
        if kind == LENGTH:
            if length[0] >= 0 or code == 204 or not parse_length(value, value_size, length):
                return 0
        elif kind == CONNECTION or (kind == UPGRADE_FIELD and code == 426):
            # They are read by the general code, and hardly ever come.
            return 0
        else:
            return 1
    out = room(core, size + value_size + 4)
    memcpy(out, text, size)
    out += size
    out[0] = c":"
    out[1] = c" "
    memcpy(out + 2, value, value_size)
    out += 2 + value_size
    out[0] = c"\r"
    out[1] = c"\n"
    core.out_size += size + value_size + 4
    return 1
