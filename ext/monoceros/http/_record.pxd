"""A scoreboard record that requests are put on one after the other."""

from libc.stdint cimport int64_t, uint64_t

from monoceros.http._core cimport Slot

cdef class Record:
    cdef public uint64_t requests
    cdef readonly int64_t started_ns
    cdef readonly bint has_slot
    cdef object view
    cdef Slot *slot

    cpdef int begin(self, bytes peer, bytes request) except -1
    cpdef int end(self, int code) except -1
    cdef void end_at(self, int64_t now, int code) noexcept
