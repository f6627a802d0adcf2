"""Lines of the access log."""

from libc.stdint cimport int64_t

from cpython.ref cimport PyObject

cdef enum:
    MOST_ATOMS = 32  # in a format that is written here
    SHORT = 32  # a literal of this size is copied as one block

# One atom, and the text that follows it; the lines' lists keep the objects alive.
cdef struct Piece:
    char kind
    PyObject *key
    unsigned char atom  # as ``_names`` counts fields; 0 for what is always there
    Py_ssize_t place  # where the key was among the items of the last environ
    const char *literal
    size_t size
    char short_literal[SHORT]

# What is known of a request and its response beside their objects.
cdef struct Facts:
    const char *line  # method and target
    size_t line_size
    bint minor  # the version is HTTP/1.1, else HTTP/1.0
    unsigned char atoms  # which fields may be in the environ, as ``_names`` counts them
    int64_t sent  # octets of content
    int64_t elapsed_us

cdef class AccessLines:
    cdef readonly object format
    cdef readonly str when  # the present time, as the format writes it
    cdef readonly bint needs_time  # whether lines say how long a request took
    cdef bint is_json
    cdef list keys
    cdef list literals
    cdef bytes first
    cdef Piece pieces[MOST_ATOMS]
    cdef int count  # 0 where all lines are left to the format
    cdef PyObject *when_text
    cdef char *data
    cdef size_t size
    cdef size_t capacity

    cdef int add(self, dict environ, object status, Facts *facts) except -1
    cdef int append(self, bytes line) except -1
    cdef int _reserve(self, size_t more) except -1
