"""A scoreboard record that requests are put on one after the other."""

from libc.stdint cimport int64_t, uint64_t

from monoceros.http._core cimport Slot

cdef class Record:
    cdef public uint64_t requests
    cdef readonly int64_t started_ns
    cdef object view
    cdef Slot *slot
