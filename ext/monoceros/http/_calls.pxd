"""The calls of an application that awaits."""

from libc.stdint cimport int64_t

from cpython.ref cimport PyObject

from monoceros.http._core cimport Core
from monoceros.http._coroutine cimport PYGEN_ERROR, PySendResult
from monoceros.http._exchange cimport Exchange
from monoceros.http._exchange_log cimport ExchangeLog
from monoceros.http._record cimport Record

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
    cdef int fail(self, Exchange exchange, object error) except -1
    cdef int finish(self, Exchange exchange) except -1
