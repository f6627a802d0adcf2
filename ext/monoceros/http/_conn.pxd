"""One HTTP/1.1 connection."""

from monoceros.http._channel cimport Channel
from monoceros.http._core cimport Core
from monoceros.http._head cimport HeadScan
from monoceros.http._request cimport Request

cdef class Conn(Channel):
    cdef readonly object received
    cdef readonly object remote
    cdef readonly object local
    cdef readonly object scheme
    cdef readonly bint trusted
    cdef dict template
    # Octets that were received and not used: in the Core's buffer while ``ready`` or ``feed``
    # is at work, in ``buffer`` in between.
    cdef const char *position
    cdef const char *end
    cdef object buffer
    cdef HeadScan scan
    cdef bint scanning
    cdef readonly Request request
    cdef readonly bint has_request
    cdef Request answering
    cdef object body
    cdef bint streamed
    cdef bint expect
    cdef int after

    cdef int _receive(self) except -1
    cdef int _take_in(self, const char *data, Py_ssize_t size) except -1
    cdef int _receive_body(self) except -1
    cdef int _take_body(self, const char *data, Py_ssize_t size) except -1
    cdef int _open_buffer(self) except -1
    cdef int _save(self) except -1
    cdef int _advance(self) except -1
    cdef int _next_head(self) except -1
    cdef int _begin_body(self) except -1
    cdef int _check_body(self) except -1
    cdef dict _connection_environ(self)
    cdef int _run(self, Request request, bint is_fresh) except -1
    cdef Core _rebind(self, Core core)
    cdef int _refuse(self, object error) except -1
    cdef int _answer_error(self, int status) except -1
    cdef int _settle(self, int code) except -1
    cdef int _leave(self, int code) except -1
    cdef void _enter(self, int state) noexcept
    cdef int _drop_body(self) except -1
