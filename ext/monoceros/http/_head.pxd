"""A request head as spans of the octets that it came in."""

from libc.stdint cimport int64_t, uint32_t

from cpython.ref cimport PyObject

from monoceros.http._names cimport Name, NameTable

cdef enum:
    HOST_SIZE = 64

ctypedef struct FieldSpan:
    Name *known  # NULL for a name that was not learned
    uint32_t name
    uint32_t name_size
    uint32_t value
    uint32_t value_size
    unsigned char id
    unsigned char high  # the value has an octet above 0x7f

ctypedef struct HeadSpans:
    const char *data
    uint32_t size
    # What the lines say.
    uint32_t method
    uint32_t method_size
    uint32_t target
    uint32_t target_size
    int major
    int minor
    int count
    uint32_t length
    # What they mean together.
    int64_t content_length  # -1 where it is chunked
    bint keep_alive
    bint expect_continue
    bint upgrade
    bint has_underscore
    bint has_scheme
    unsigned char atoms  # which fields the access log may be asked for are there
    PyObject *last_key  # the last one that a field added to the environ; NULL for none

ctypedef struct HeadLimits:
    uint32_t line
    uint32_t fields
    uint32_t field
    uint32_t head
    int64_t body

cdef class HeadParser:
    cdef HeadSpans head
    cdef HeadLimits limits
    cdef FieldSpan *fields
    cdef int capacity
    cdef NameTable names
    cdef object limits_object
    cdef object rules
    cdef object lenient_data  # keeps rewritten octets alive
    cdef object authority
    cdef char last_host[HOST_SIZE]  # the last valid Host, which the next most likely repeats
    cdef uint32_t last_host_size
    cdef object target_parts  # path, query, authority of a target that is not in origin-form
    cdef bint casefold
    cdef bint any_method
    cdef bint any_version
    cdef bint may_miss_host
    cdef bint lenient

    cdef bint parse(self, const char *data, Py_ssize_t size) except -1
    cdef int _tokenise(self, const char *data, Py_ssize_t size) except -2
    cdef int _diagnose(
        self,
        const char *start,
        const char *end,
        const char *line_end,
        const char *head_end,
        int count,
        int fault,
    ) noexcept
    cdef int _grow(self) except -1
    cdef int _judge(self) except -1
    cdef int _check_host(self, int hosts, int index) except -1
    cdef list _values(self, int id)
    cdef str method(self)
    cdef str target(self)
    cdef int _frame(self, int lengths, int index, int codings) except -1
    cdef bint _has_token(self, int index, const char *token, Py_ssize_t size) noexcept

# Watches an incomplete head grow, looking at each octet once.
ctypedef struct HeadScan:
    Py_ssize_t offset
    Py_ssize_t line_start
    Py_ssize_t lines

cdef bint is_decided(HeadScan *scan, const char *data, Py_ssize_t size, HeadLimits *limits) noexcept
