"""A client's socket in an event loop."""

from monoceros.http._core cimport Core

cdef class Wire:
    cdef readonly Core core
    cdef readonly object socket
    cdef readonly object held
    cdef public object take
    cdef public bint is_warm
    cdef public bint is_shut
    cdef public bint reads
    cdef int fd

    cdef int take_in(self) except -1
    cdef int _write(self, bytes data) except -1
    cdef int _write_last(self, bytes data) except -1
    cdef int _send(self, bytes data) except -1
