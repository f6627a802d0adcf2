"""One connection's requests as long as all is usual."""

from libc.stdint cimport int64_t

from monoceros.http._calls cimport Calls
from monoceros.http._exchange cimport Exchange, Owner
from monoceros.http._reader cimport HeadReader
from monoceros.http._wire cimport Wire

cdef class Dialogue(Owner):
    cdef readonly Calls calls
    cdef public Exchange exchange
    cdef public int unfinished
    cdef public bint has_ended
    cdef public bint is_full
    cdef public bint is_due
    cdef public bint is_turn_over
    cdef public int64_t turn
    cdef public object successor
    cdef public int state
    cdef public double since
    cdef public int64_t taken
    cdef readonly object transport
    cdef Wire wire  # the transport, where it is one
    cdef readonly bytes peer
    cdef readonly bint trusted
    cdef readonly bint expires
    cdef readonly HeadReader reader

    cdef int _advance(self, bytes data) except -1
    cdef int _write(self, bytes data, bint is_last) except -1
    cdef void _enter(self, int state) noexcept
