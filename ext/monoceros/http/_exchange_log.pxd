"""Access log lines of exchanges."""

from libc.stdint cimport int64_t

from monoceros.http._core cimport Core
from monoceros.http._exchange cimport Exchange

cdef class ExchangeLog:
    cdef Core core
    cdef list facts  # keys of the environ that are always there
    cdef dict names  # keys by names of fields
    cdef bint is_first  # the last line is the only one that is not taken

    cdef bint write(self, Exchange exchange, int64_t elapsed_us) except -1
    cdef dict _environ(self, Exchange exchange)

cdef ExchangeLog exchange_log(Core core)
