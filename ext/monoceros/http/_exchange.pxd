"""Requests and responses of applications that await."""

from libc.stdint cimport int64_t

from monoceros.http._core cimport Core

cdef class Owner:
    cdef readonly unsigned long thread  # which it belongs to
    cdef public bint is_paused  # the client takes less than is sent

    cdef int _write_in_turn(self, bytes data, bint is_last) except -1
    cdef int _end(self, Exchange exchange) except -1
    cdef int _forget(self, Exchange exchange) except -1

cdef class Exchange:
    cdef object __weakref__
    cdef Core core
    cdef bytes end_of_kept_head
    cdef public dict scope
    cdef readonly bytes line
    cdef readonly int minor
    cdef readonly int64_t content_length
    cdef public bint expect_continue
    cdef readonly bint upgrade
    cdef readonly bint is_head
    cdef public bint keep_alive
    cdef public bint wants_close
    cdef readonly object headers
    cdef readonly int code
    cdef readonly int64_t sent
    cdef readonly bint started
    cdef readonly bint complete
    cdef bint is_connect
    cdef bint body_allowed
    cdef bint names_trailers
    cdef readonly bint awaits_trailers
    cdef public bint promises_trailers
    cdef bint chunked
    cdef bint close  # the application asked for the end of the connection
    cdef int64_t length
    cdef public Owner owner
    cdef public object content
    cdef public bytes whole
    cdef public object record
    cdef public int64_t started_ns
    cdef public object task
    cdef public object news
    cdef public bint is_taken
    cdef public bint is_over
    cdef public bint is_told
    cdef public bint is_stream
    cdef bytes block  # status line and fields, from start on until they go out

    cdef object _take_event(self, object event)
    cpdef start(self, status, headers, bint trailers=*)
    cpdef bytes body(self, bytes data, bint more)
    cdef bytes _encode(self, int status, list headers)
    cdef int _check_end(self) except -1
    cdef int _make_head(self, int64_t total) except -1
    cdef int _put_end(self) except -1
    cdef bytes _take(self, object data, Py_ssize_t size, bint more)
