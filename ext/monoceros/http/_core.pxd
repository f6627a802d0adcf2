"""What the connections of one thread share."""

from libc.stdint cimport int64_t, uint64_t

from monoceros.http._head cimport HeadParser
from monoceros.http._names cimport NameTable

cdef enum:
    IN_SIZE = 65536  # octets that one recv(2) takes at most
    IN_SLACK = 64

cdef class Core:
    cdef readonly object app
    cdef readonly dict base_environ
    cdef readonly object limits
    cdef readonly object rules
    cdef readonly object policy
    cdef readonly object log
    cdef readonly object budget
    cdef readonly object scheme_keys
    cdef public bint closing
    cdef readonly bint running
    cdef public uint64_t requests
    cdef public uint64_t responses
    cdef public uint64_t received
    cdef public uint64_t sent
    cdef public uint64_t errors
    cdef readonly double now

    cdef HeadParser parser
    cdef NameTable names
    cdef bint keepalive
    cdef bint buffering
    cdef int64_t body_memory
    cdef bint has_script_name
    cdef object access
    cdef object when
    cdef list lines
    cdef dict templates
    cdef dict methods

    cdef char *input
    cdef char *out
    cdef size_t out_size
    cdef size_t out_capacity
    cdef bytes server_fields
    cdef bytes server_line
    cdef int64_t second
    cdef int64_t started_ns
    cdef object slot_owner
    cdef unsigned char *slot

    cpdef tick(self, double now)
    cdef dict template(self, object local, object scheme)
    cdef int reserve(self, size_t more) except -1
    cdef int write(self, const char *data, size_t size) except -1
    cdef int begin(self, bytes peer, const char *request, size_t size) except -1
    cdef void end(self) noexcept
    cdef int log_access(self, dict environ, object status, object headers, int64_t sent) except -1

cdef int64_t monotonic_ns() noexcept nogil
