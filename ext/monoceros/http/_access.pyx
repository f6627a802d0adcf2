"""Lines of the access log, compiled; ``access`` has the format and the general way to fill it in.

The atoms of the usual formats are written straight into a buffer. A line with any other atom,
or with a value that is not plain latin-1 text, is left to ``AccessFormat.line``, so that both
twins write the same octets.
"""

from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem

from monoceros.http._scan cimport mono_scan_plain

import re

from monoceros.http.access import VALUE_KEYS, Entry
from monoceros.http.environ import environ_key

cdef extern from "Python.h":
    int PyUnicode_KIND(object text) noexcept
    int PyUnicode_1BYTE_KIND
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    unsigned char *PyUnicode_1BYTE_DATA(object text) noexcept
    bint PyUnicode_CheckExact(object text) noexcept
    bint PyUnicode_IS_ASCII(object text) noexcept

_COMPUTED = frozenset("lutrsBbTDML")


cdef class AccessLines:
    """Gathers whole lines until they are taken."""

    def __cinit__(self, access_format):
        cdef list kinds = []
        self.format = access_format
        self.is_json = access_format.is_json
        self.has_skips = access_format.has_skips
        self.when = ""
        self.literals = [text.encode("utf-8") for text in access_format.pieces[::2]]
        if not all(text.isascii() for text in self.literals):
            kinds.append("?")
        self.keys = []
        for name in access_format.pieces[1::2]:
            key = _environ_key(name)
            self.keys.append(key)
            kinds.append("v" if key else name if name in _COMPUTED else "?")
        # One atom that is not known here leaves all lines to the general way.
        self.kinds = b"" if "?" in kinds else "".join(kinds).encode("ascii")
        if not self.kinds:
            self.kinds = b"?"

    def __dealloc__(self):
        free(self.data)

    def take(self):
        """Return and forget the lines so far."""
        lines = PyBytes_FromStringAndSize(self.data, self.size)
        self.size = 0
        return lines

    cdef int add(
        self, dict environ, object status, object headers, int64_t sent, int64_t elapsed_us
    ) except -1:
        """Add a line; ``sent`` counts octets of content."""
        cdef size_t mark = self.size
        cdef bytes line
        if self.has_skips and self.format.skips(environ, status):
            return 0
        if not self._fill_in(environ, status, sent, elapsed_us):
            self.size = mark
            line = self.format.line(Entry(environ, status, headers, sent, elapsed_us, self.when))
            self._put(PyBytes_AS_STRING(line), PyBytes_GET_SIZE(line))
        return 0

    # One branch per atom: the table of what ``access`` calls by name.
    cdef int _fill_in(
        self, dict environ, object status, int64_t sent, int64_t elapsed_us
    ) except -1:
        """Write the line if it is a usual one; 0 where it is not, with part of it written."""
        cdef Py_ssize_t i
        cdef char kind
        cdef char number[32]
        cdef int size
        cdef bytes literal = self.literals[0]
        self._put(PyBytes_AS_STRING(literal), PyBytes_GET_SIZE(literal))
        for i in range(PyBytes_GET_SIZE(self.kinds)):
            kind = PyBytes_AS_STRING(self.kinds)[i]
            size = 0
            if kind == c"v":
                value = PyDict_GetItem(environ, self.keys[i])
                if value == NULL:
                    self._put_missing()
                elif self.is_json:
                    if not self._put_json(<object>value):
                        return 0
                elif not self._put_value(<object>value):
                    return 0
            elif kind == c"t":
                if not self._put_text(self.when):
                    return 0
            elif kind == c"r":
                if not self._put_request_line(environ):
                    return 0
            elif kind == c"s":
                if not self._put_text(status[:3]):
                    return 0
            elif kind == c"l":
                self._put(b"-", 1)
            elif kind == c"u":
                if "HTTP_AUTHORIZATION" in environ:
                    return 0
                self._put_missing()
            elif kind == c"B" or (kind == c"b" and sent):
                size = snprintf(number, sizeof(number), "%lld", <long long>sent)
            elif kind == c"b":
                self._put(b"-", 1)
            elif kind == c"D":
                size = snprintf(number, sizeof(number), "%lld", <long long>elapsed_us)
            elif kind == c"M":
                size = snprintf(number, sizeof(number), "%lld", <long long>(elapsed_us // 1000))
            elif kind == c"T":
                size = snprintf(number, sizeof(number), "%lld", <long long>(elapsed_us // 1000000))
            elif kind == c"L":
                size = snprintf(
                    number, sizeof(number), "%lld.%06lld",
                    <long long>(elapsed_us // 1000000), <long long>(elapsed_us % 1000000),
                )
            else:
                return 0
            if size:
                self._put(number, size)
            literal = self.literals[i + 1]
            self._put(PyBytes_AS_STRING(literal), PyBytes_GET_SIZE(literal))
        self._put(b"\n", 1)
        return 1

    cdef int _put_request_line(self, dict environ) except -1:
        """Write method, target and version; 0 where one of them is odd."""
        method = PyDict_GetItem(environ, "REQUEST_METHOD")
        target = PyDict_GetItem(environ, "RAW_URI")
        version = PyDict_GetItem(environ, "SERVER_PROTOCOL")
        if method == NULL or target == NULL or version == NULL:
            return 0
        if not self._put_value(<object>method):
            return 0
        self._put(b" ", 1)
        if not self._put_value(<object>target):
            return 0
        self._put(b" ", 1)
        return self._put_value(<object>version)

    cdef int _put_text(self, object text) except -1:
        """Write a str as it is; 0 where it is not latin-1."""
        if not PyUnicode_CheckExact(text) or PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND:
            return 0
        self._put(<const char *>PyUnicode_1BYTE_DATA(text), PyUnicode_GET_LENGTH(text))
        return 1

    cdef int _put_value(self, object value) except -1:
        """Write a str, escaped; 0 where it is not latin-1."""
        cdef const char *p
        cdef const char *end
        cdef const char *stop
        cdef char escaped[8]
        if not PyUnicode_CheckExact(value) or PyUnicode_KIND(value) != PyUnicode_1BYTE_KIND:
            return 0
        p = <const char *>PyUnicode_1BYTE_DATA(value)
        end = p + PyUnicode_GET_LENGTH(value)
        while True:
            stop = mono_scan_plain(p, end)
            self._put(p, stop - p)
            if stop == end:
                return 1
            if stop[0] == c'"' or stop[0] == c"\\":
                escaped[0] = c"\\"
                escaped[1] = stop[0]
                self._put(escaped, 2)
            else:
                snprintf(escaped, sizeof(escaped), "\\x%02x", <int><unsigned char>stop[0])
                self._put(escaped, 4)
            p = stop + 1

    cdef int _put_json(self, object value) except -1:
        """Write a str as JSON; 0 where it has anything but printable ASCII."""
        cdef const char *p
        cdef const char *end
        cdef const char *stop
        if not PyUnicode_CheckExact(value) or not PyUnicode_IS_ASCII(value):
            return 0
        p = <const char *>PyUnicode_1BYTE_DATA(value)
        end = p + PyUnicode_GET_LENGTH(value)
        self._put(b'"', 1)
        while True:
            stop = mono_scan_plain(p, end)
            self._put(p, stop - p)
            if stop == end:
                self._put(b'"', 1)
                return 1
            if stop[0] != c'"' and stop[0] != c"\\":
                return 0
            self._put(b"\\", 1)
            self._put(stop, 1)
            p = stop + 1

    cdef int _put_missing(self) except -1:
        """Write what stands for a value that is not there."""
        if self.is_json:
            self._put(b"null", 4)
        else:
            self._put(b"-", 1)
        return 0

    cdef int _put(self, const char *data, size_t size) except -1:
        cdef size_t capacity
        cdef char *room
        if size == 0:
            return 0
        if self.size + size > self.capacity:
            capacity = max(<size_t>4096, 2 * (self.size + size))
            room = <char *>realloc(self.data, capacity)
            if room == NULL:
                raise MemoryError
            self.data = room
            self.capacity = capacity
        memcpy(self.data + self.size, data, size)
        self.size += size
        return 0


def _environ_key(str name):
    """Return the environ's key of an atom that is a value of it, else None."""
    match = re.fullmatch(r"\{([^}]+)\}([ie])", name)
    if match is None:
        return VALUE_KEYS.get(name)
    key, kind = match.groups()
    return environ_key(key.replace("_", "-")) if kind == "i" else key
