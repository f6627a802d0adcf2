"""Lines of the access log."""

from libc.stdint cimport int64_t

cdef class AccessLines:
    cdef object format
    cdef bint is_json
    cdef bint has_skips
    cdef public object when  # the present time, as ``format_time`` gives it
    cdef list literals
    cdef list keys
    cdef bytes kinds
    cdef char *data
    cdef size_t size
    cdef size_t capacity

    cdef int add(
        self, dict environ, object status, object headers, int64_t sent, int64_t elapsed_us
    ) except -1
    cdef int _fill_in(
        self, dict environ, object status, int64_t sent, int64_t elapsed_us
    ) except -1
    cdef int _put(self, const char *data, size_t size) except -1
    cdef int _put_json(self, object value) except -1
    cdef int _put_missing(self) except -1
    cdef int _put_text(self, object text) except -1
    cdef int _put_value(self, object value) except -1
    cdef int _put_request_line(self, dict environ) except -1
