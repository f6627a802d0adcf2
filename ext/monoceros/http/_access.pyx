"""Lines of the access log, compiled; ``access`` has the format and the general way to fill it in.

The atoms of the usual formats are written straight into a buffer. A line with any other atom,
or with a value that is not plain latin-1 text (for JSON: ASCII text), is left to
``AccessFormat.line``, so that both twins write the same octets.
"""

cimport cython
from libc.stdint cimport uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport PyObject

from monoceros.http._names cimport ATOM_AUTHORIZATION, ATOM_REFERER, ATOM_USER_AGENT

import re

from monoceros.http.access import VALUE_KEYS
from monoceros.http.environ import environ_key

cdef extern from "Python.h":
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject *text) noexcept
    void *PyUnicode_DATA(PyObject *text) noexcept
    bint PyUnicode_IS_ASCII(PyObject *text) noexcept
    int PyDict_Next(
        PyObject *environ, Py_ssize_t *position, PyObject **key, PyObject **value
    ) noexcept
    PyObject *PyDict_GetItemWithError(PyObject *environ, PyObject *key) noexcept
    void PyErr_Clear() noexcept

cdef extern from "access.h":
    size_t mono_copy_plain(char *to, const char *from_, size_t size) noexcept
    char *mono_put_number(char *to, uint64_t number) noexcept
    bint mono_is_latin(PyObject *value) noexcept

cdef str AUTHORIZATION = "HTTP_AUTHORIZATION"
_COMPUTED = frozenset("lutrsBbTDML")
_TIMES = frozenset("TDML")
_ATOMS = {"f": ATOM_REFERER, "a": ATOM_USER_AGENT, "u": ATOM_AUTHORIZATION}

cdef enum:
    ROOM = 32768  # for one line; a longer one is left to the general way
    SLACK = 128  # of it for numbers and for what stands around the last value
    LONGEST_ESCAPE = 4


@cython.final
cdef class AccessLines:
    """Gathers whole lines until they are taken."""

    def __cinit__(self, access_format):
        self.format = access_format
        self.is_json = access_format.is_json
        self.set_time("")
        self.literals = [text.encode("utf-8") for text in access_format.pieces[::2]]
        self.first = self.literals[0]
        names = access_format.pieces[1::2]
        self.keys = [_environ_key(name) for name in names]
        self.needs_time = True
        is_short = len(names) <= MOST_ATOMS and sum(map(len, self.literals)) < ROOM // 4
        if is_short and all(text.isascii() for text in self.literals):
            self._compile(names)

    def __dealloc__(self):
        free(self.data)

    def _compile(self, names):
        cdef Piece *piece
        cdef bytes literal
        cdef int i
        kinds = ["v" if key else name for name, key in zip(names, self.keys, strict=True)]
        # One atom that is not known here leaves all lines to the general way.
        if not kinds or not all(kind == "v" or kind in _COMPUTED for kind in kinds):
            return
        for i in range(len(kinds)):
            piece = &self.pieces[i]
            literal = self.literals[i + 1]
            piece.kind = <char><int>ord(kinds[i])
            piece.key = <PyObject *>self.keys[i]
            piece.atom = _ATOMS.get(names[i], 0)
            piece.literal = PyBytes_AS_STRING(literal)
            piece.size = PyBytes_GET_SIZE(literal)
            memcpy(piece.short_literal, PyBytes_AS_STRING(literal), min(piece.size, SHORT))
        self.count = len(kinds)
        self.needs_time = not _TIMES.isdisjoint(kinds)

    def set_time(self, str when):
        """Take over the present time, as the format writes it."""
        self.when = when
        self.when_text = <PyObject *>self.when

    def take(self):
        """Return and forget the lines so far."""
        lines = PyBytes_FromStringAndSize(self.data, self.size)
        self.size = 0
        return lines

    cdef int add(self, dict environ, object status, Facts *facts) except -1:
        """Write a line if it is a usual one; 0 where it is not."""
        cdef char *p
        if not self.count:
            return 0
        self._reserve(ROOM)
        p = self.data + self.size
        memcpy(p, PyBytes_AS_STRING(self.first), PyBytes_GET_SIZE(self.first))
        p += PyBytes_GET_SIZE(self.first)
        p = fill_in(self, p, <PyObject *>environ, <PyObject *>status, facts)
        if p == NULL:
            return 0
        self.size = p - self.data
        return 1

    cdef int append(self, bytes line) except -1:
        """Add a line that was made elsewhere."""
        self._reserve(PyBytes_GET_SIZE(line))
        memcpy(self.data + self.size, PyBytes_AS_STRING(line), PyBytes_GET_SIZE(line))
        self.size += PyBytes_GET_SIZE(line)
        return 0

    cdef int _reserve(self, size_t more) except -1:
        """Make room for so many octets."""
        cdef size_t capacity = self.capacity
        cdef char *room
        if capacity - self.size >= more:
            return 0
        capacity = 2 * (self.size + more)
        room = <char *>realloc(self.data, capacity)
        if room == NULL:
            raise MemoryError
        self.data = room
        self.capacity = capacity
        return 0


# Nothing from here on makes or keeps an object, so that no reference is counted. NULL means that
# something is odd, and the line is left to the general way.

# One branch per atom: the table of what ``access`` calls by name.
cdef char *fill_in(
    AccessLines self, char *p, PyObject *environ, PyObject *status, const Facts *facts
) noexcept:
    cdef const char *limit = self.data + self.size + ROOM - SLACK
    cdef Piece *piece = self.pieces
    cdef Piece *end = piece + self.count
    while piece != end:
        if piece.atom and not piece.atom & facts.atoms:
            p = _put_missing(self, p)
        elif piece.kind == c"v":
            p = _put_key(self, p, limit, environ, piece)
        elif piece.kind == c"r":
            p = _put_request_line(p, limit, facts)
        elif piece.kind == c"t":
            p = _put_start(p, limit, self.when_text, PyUnicode_GET_LENGTH(self.when_text))
        elif piece.kind == c"s":
            p = _put_start(p, limit, status, 3)
        elif piece.kind == c"u":
            if _look_up(environ, <PyObject *>AUTHORIZATION) != NULL:
                return NULL
            p = _put_missing(self, p)
        elif piece.kind == c"l":
            p = _put_missing(self, p)
        elif piece.kind == c"b" or piece.kind == c"B":
            p = mono_put_number(p, facts.sent)
        elif piece.kind == c"D":
            p = mono_put_number(p, facts.elapsed_us)
        elif piece.kind == c"M":
            p = mono_put_number(p, facts.elapsed_us // 1000)
        elif piece.kind == c"T":
            p = mono_put_number(p, facts.elapsed_us // 1000000)
        else:
            p += snprintf(
                p, SLACK, "%lld.%06lld",
                <long long>(facts.elapsed_us // 1000000), <long long>(facts.elapsed_us % 1000000),
            )
        if p == NULL or p > limit:
            return NULL
        if piece.size <= SHORT:
            # Within the slack; a whole block costs less than a part of one.
            memcpy(p, piece.short_literal, SHORT)
        elif piece.size <= <size_t>(limit - p):
            memcpy(p, piece.literal, piece.size)
        else:
            return NULL
        p += piece.size
        piece += 1
    p[0] = c"\n"
    return p + 1


cdef inline char *_put_key(
    AccessLines self, char *p, const char *limit, PyObject *environ, Piece *piece
) noexcept:
    """Write a value of the environ."""
    cdef PyObject *value = _find(environ, piece.key, &piece.place)
    if value == NULL:
        return _put_missing(self, p)
    if not self.is_json:
        return _put_value(p, limit, value)
    if not mono_is_latin(value) or not PyUnicode_IS_ASCII(value):
        return NULL
    p[0] = c'"'
    p = _put_text(
        p + 1, limit, <const char *>PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value), True
    )
    if p != NULL:
        p[0] = c'"'
        p += 1
    return p


cdef inline char *_put_request_line(char *p, const char *limit, const Facts *facts) noexcept:
    """Write method, target and version."""
    p = _put_text(p, limit, facts.line, facts.line_size, False)
    if p != NULL:
        memcpy(p, b" HTTP/1.1" if facts.minor else b" HTTP/1.0", 9)
        p += 9
    return p


cdef inline char *_put_start(
    char *p, const char *limit, PyObject *text, Py_ssize_t size
) noexcept:
    """Write the first octets of a str as they are."""
    if not mono_is_latin(text) or size > PyUnicode_GET_LENGTH(text) or size > limit - p:
        return NULL
    memcpy(p, PyUnicode_DATA(text), size)
    return p + size


cdef inline char *_put_value(char *p, const char *limit, PyObject *value) noexcept:
    """Write a str, escaped."""
    if not mono_is_latin(value):
        return NULL
    return _put_text(
        p, limit, <const char *>PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value), False
    )


cdef inline char *_put_text(
    char *p, const char *limit, const char *text, size_t size, bint is_json
) noexcept:
    """Write octets, escaped."""
    cdef size_t plain
    if limit - p < <Py_ssize_t>(LONGEST_ESCAPE * size):
        return NULL
    plain = mono_copy_plain(p, text, size)
    if plain == size:
        return p + size
    return _put_escaped(p + plain, text + plain, size - plain, is_json)


cdef char *_put_escaped(char *p, const char *text, size_t size, bint is_json) noexcept:
    """Write text that begins with an octet to be escaped; there is room for all of it."""
    cdef size_t plain
    while size:
        if text[0] == c'"' or text[0] == c"\\":
            p[0] = c"\\"
            p[1] = text[0]
            p += 2
        elif is_json:
            return NULL
        else:
            p += snprintf(p, 5, "\\x%02x", <int><unsigned char>text[0])
        plain = mono_copy_plain(p, text + 1, size - 1)
        p += plain
        text += plain + 1
        size -= plain + 1
    return p


cdef inline char *_put_missing(AccessLines self, char *p) noexcept:
    """Write what stands for a value that is not there."""
    if self.is_json:
        memcpy(p, b"null", 4)
        return p + 4
    p[0] = c"-"
    return p + 1


cdef inline PyObject *_find(PyObject *environ, PyObject *key, Py_ssize_t *place) noexcept:
    """Look a key up, first of all at the place among the items where it was the last time.

    The environs of a server begin alike, so that this saves most of the price of looking up.
    """
    cdef PyObject *found
    cdef PyObject *value
    cdef Py_ssize_t position = place[0]
    if PyDict_Next(environ, &position, &found, &value) and found == key:
        return value
    value = _look_up(environ, key)
    if value != NULL:
        _learn_place(environ, key, place)
    return value


cdef inline PyObject *_look_up(PyObject *environ, PyObject *key) noexcept:
    cdef PyObject *value = PyDict_GetItemWithError(environ, key)
    if value == NULL:
        # The application may have put keys there whose comparison raises.
        PyErr_Clear()
    return value


cdef void _learn_place(PyObject *environ, PyObject *key, Py_ssize_t *place) noexcept:
    cdef PyObject *found
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t before = 0
    while PyDict_Next(environ, &position, &found, NULL):
        if found == key:
            place[0] = before
            return
        before = position


def _environ_key(str name):
    """Return the environ's key of an atom that is a value of it, else None."""
    match = re.fullmatch(r"\{([^}]+)\}([ie])", name)
    if match is None:
        return VALUE_KEYS.get(name)
    key, kind = match.groups()
    return environ_key(key.replace("_", "-")) if kind == "i" else key
