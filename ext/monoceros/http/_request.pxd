"""One request and its response."""

from libc.stdint cimport int64_t

from cpython.ref cimport PyObject

from monoceros.http._channel cimport Channel
from monoceros.http._core cimport Core

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
