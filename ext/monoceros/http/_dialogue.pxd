"""One connection's requests and calls as long as all is usual."""

from libc.stdint cimport int64_t

from cpython.ref cimport PyObject

from monoceros.http._core cimport Core
from monoceros.http._coroutine cimport PYGEN_ERROR, PySendResult
from monoceros.http._exchange cimport Exchange, Owner
from monoceros.http._exchange_log cimport ExchangeLog
from monoceros.http._reader cimport HeadReader
from monoceros.http._record cimport Record
from monoceros.http._wire cimport Wire

cdef class Calls:
    cdef public object app
    cdef readonly Core core
    cdef readonly list records
    cdef readonly set calls
    cdef public bint observes_begin
    cdef public bint observes_end
    cdef object task
    cdef dict options
    cdef ExchangeLog log
    cdef int64_t ended_ns  # when the last response was complete

    cdef Record _take_record(self)
    cdef int _begin(self, Exchange exchange) except -1
    cdef int _end(self, Exchange exchange) except -1
    cdef int _give_back(self, Record record) except -1

cdef class Call:
    cdef Calls calls
    cdef Exchange exchange
    cdef object inner  # what the application has returned
    cdef bint is_running

    cdef PySendResult step(self, object value, PyObject **result) except? PYGEN_ERROR
    cdef Exchange enter(self)
    cdef int finish(self, Exchange exchange) except -1

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
