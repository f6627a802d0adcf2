"""The sending half of a connection."""

from monoceros.http._core cimport Core

cdef class Channel:
    cdef readonly Core core
    cdef readonly int fd
    cdef readonly int state
    cdef readonly double since
    cdef readonly object taken
    cdef bytes peer
    cdef object outbox
    cdef bint reset
    cdef readonly bint expires
    cdef bytes end_of_kept_head  # None where the peer is not told how long it is kept

    cdef int flush(self) except -1
    cdef int flush_with(self, object data, const char *start, size_t size) except -1
    cdef int flush_quietly(self) except -1
    cdef int keep(self, object data) except -1
    cdef int send_file(self, object file) except -1
    cdef int wait_for_room(self) except -1
    cdef int wait(self, object limit) except -1
    cdef int reset_on_close(self) except -1
    cdef int drop_output(self) except -1
    cdef bint has_output(self)
    cdef bint body_is_read(self)
    cdef bint has_unused(self) noexcept
    cdef int finish_request(self) except -1
