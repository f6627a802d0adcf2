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
    Py_ssize_t place  # where the key was among the items of the last environ
    const char *literal
    size_t size
    char short_literal[SHORT]

cdef class AccessLines:
    cdef object format
    cdef readonly str when  # the present time, as the format writes it
    cdef readonly bint needs_time  # whether lines say how long a request took
    cdef bint is_json
    cdef bint has_skips
    cdef list keys
    cdef list literals
    cdef bytes first
    cdef Piece pieces[MOST_ATOMS]
    cdef int count  # 0 where all lines are left to the format
    cdef PyObject *line_keys[3]  # the parts of the request line, and their places
    cdef Py_ssize_t line_places[3]
    cdef PyObject *when_text
    cdef char *data
    cdef size_t size
    cdef size_t capacity

    cdef int add(
        self, dict environ, object status, object headers, int64_t sent, int64_t elapsed_us
    ) except -1
    cdef int _fill_in(
        self, dict environ, object status, int64_t sent, int64_t elapsed_us
    ) except -1
    cdef int _reserve(self, size_t more) except -1
    cdef int _append(self, bytes line) except -1
