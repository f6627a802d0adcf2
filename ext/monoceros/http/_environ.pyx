"""From an accepted head to the environ of its request (PEP 3333), compiled."""

from libc.string cimport memchr, memcpy

from cpython.dict cimport PyDict_Copy, PyDict_SetItem
from cpython.ref cimport PyObject

from monoceros.http._core cimport Core
from monoceros.http._head cimport FieldSpan, HeadSpans
from monoceros.http._names cimport ATOM_ANY, NAME_GUESSES, Name, NameTable

from urllib.parse import unquote_to_bytes

from monoceros.http.environ import (
    apply_scheme,
    apply_script_name,
    environ_key,
    is_script_name,
    may_pass,
    name_server,
)

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, unsigned int maxchar)
    unsigned char *PyUnicode_1BYTE_DATA(object text) noexcept
    object PyUnicode_DecodeLatin1(const char *data, Py_ssize_t size, const char *errors)
    Py_ssize_t PyDict_GET_SIZE(object items) noexcept
    PyObject *PyDict_SetDefault(object items, object key, object value) except NULL


cdef dict build_environ(Core core, dict template, bint trusted, bint unix):
    """Return a copy of ``template`` with what the head says; raises ``BadRequest``.

    ``trusted`` tells whether the peer may speak for its client, ``unix`` whether the listener
    has no name of its own.
    """
    cdef HeadSpans *head = &core.parser.head
    cdef dict environ = PyDict_Copy(template)
    _add_fields(core, environ, trusted)
    _add_target(core, environ)
    if trusted and head.has_scheme:
        apply_scheme(environ, core.scheme_keys)
    if (core.has_script_name or head.has_underscore) and environ["SCRIPT_NAME"]:
        apply_script_name(environ)
    if unix:
        name_server(environ)
    return environ


cdef inline object _text(const char *data, Py_ssize_t size, bint high):
    """Make a str of latin-1 octets; ``high`` tells whether any is above 0x7f."""
    if high:
        return PyUnicode_DecodeLatin1(data, size, NULL)
    text = PyUnicode_New(size, 0x7F)
    # The empty string is shared, and not to be written to.
    if size:
        memcpy(PyUnicode_1BYTE_DATA(text), data, size)
    return text


cdef int _add_target(Core core, dict environ) except -1:
    """Set method, target and version; the template has those of ``GET / HTTP/1.1`` already."""
    cdef HeadSpans *head = &core.parser.head
    cdef const char *target = head.data + head.target
    cdef const char *mark
    cdef Py_ssize_t size = head.target_size
    if core.parser.authority is not None:
        environ["HTTP_HOST"] = core.parser.authority
    if head.minor == 0:
        environ["SERVER_PROTOCOL"] = "HTTP/1.0"
    if not (head.method_size == 3 and (head.data + head.method)[:3] == b"GET"):
        PyDict_SetItem(environ, "REQUEST_METHOD", core.parser.method())
    if size == 1 and target[0] == c"/":
        return 0
    whole = _text(target, size, False)
    PyDict_SetItem(environ, "RAW_URI", whole)
    if core.parser.target_parts is not None:
        path, query, _ = core.parser.target_parts
    elif memchr(target, c"#", size) != NULL:
        path, _, query = whole.partition("#")[0].partition("?")
    else:
        query = ""
        path = whole
        mark = <const char *>memchr(target, c"?", size)
        if mark != NULL:
            path = _text(target, mark - target, False)
            query = _text(mark + 1, size - (mark - target) - 1, False)
    if memchr(target, c"%", size) != NULL and "%" in path:
        path = unquote_to_bytes(path).decode("latin-1")
    PyDict_SetItem(environ, "PATH_INFO", path)
    if query:
        PyDict_SetItem(environ, "QUERY_STRING", query)
    return 0


cdef int _add_fields(Core core, dict environ, bint trusted) except -1:
    cdef HeadSpans *head = &core.parser.head
    cdef FieldSpan *span
    cdef Name *known
    cdef const char *data = head.data
    cdef Py_ssize_t before
    cdef int i
    cdef object key
    repeated = None
    head.atoms = 0
    head.last_key = NULL
    for i in range(head.count):
        span = &core.parser.fields[i]
        known = _know(core.names, span, data + span.name, i)
        value = _text(data + span.value, span.value_size, span.high)
        if known != NULL and not known.underscore:
            key = <object>known.key
            head.has_scheme = head.has_scheme or known.scheme
            head.atoms |= known.atom
        else:
            head.atoms = ATOM_ANY
            key = _judge_odd_name(core, environ, data + span.name, span.name_size, value, trusted)
            if key is None:
                continue
        before = PyDict_GET_SIZE(environ)
        PyDict_SetDefault(environ, key, value)
        head.last_key = <PyObject *>key
        if PyDict_GET_SIZE(environ) == before:
            # Equal strings may be one object, so only the size tells a repetition.
            if repeated is None:
                repeated = {}
            repeated.setdefault(key, [environ[key]]).append(value)
    if repeated is not None:
        for key, values in repeated.items():
            environ[key] = ("; " if key == "HTTP_COOKIE" else ",").join(values)
    return 0


cdef inline Name *_know(NameTable names, FieldSpan *span, const char *name, int i):
    """Return what is known of a field's name, learned now at the latest; NULL if it is too much."""
    cdef Name *known = span.known
    if known == NULL:
        known = names.learn(name, span.name_size)
    if known != NULL and i < NAME_GUESSES:
        names.guesses[i] = known
    return known


cdef object _judge_odd_name(
    Core core, dict environ, const char *data, Py_ssize_t size, object value, bint trusted
):
    """Return the key of a name that has ``_`` or was not learned, None where it is dropped."""
    cdef HeadSpans *head = &core.parser.head
    name = data[:size].decode("ascii")
    if "_" in name:
        head.has_underscore = True
        if not may_pass(name, trusted, core.rules):
            return None
        if is_script_name(name, trusted, core.rules):
            environ["SCRIPT_NAME"] = value
    key = environ_key(name)
    head.has_scheme = head.has_scheme or key in core.scheme_keys
    return key
