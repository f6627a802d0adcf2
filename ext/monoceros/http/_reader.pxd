"""From the heads of a connection to scopes."""

from libc.stdint cimport int64_t

from monoceros.http._core cimport Core
from monoceros.http._exchange cimport Exchange
from monoceros.http._head cimport HeadScan

cdef class HeadReader:
    cdef Core core
    cdef dict template
    cdef bint trusted
    cdef bint has_state
    cdef bint has_root
    cdef bytes end_of_kept_head
    cdef object buffer  # a bytearray, or None
    cdef bint scanning
    cdef HeadScan scan

    cdef Exchange _feed(self, bytes data)
    cdef Exchange _next(self, const char *data, Py_ssize_t size)
    cdef bint has_pending(self) noexcept
    cdef bytes _take_content(self, int64_t size)
    cdef int _drop(self, Py_ssize_t size) except -1
