"""Field names that a Core has met, so that each is validated and translated once."""

from libc.string cimport memcmp, memcpy, memset

from cpython.ref cimport Py_INCREF, Py_XDECREF

from monoceros.http._scan cimport mono_same_caseless

from monoceros.http.environ import environ_key

cdef extern from "Python.h":
    void PyUnicode_InternInPlace(PyObject **text)
    ctypedef struct PyObject

_ATOMS = {
    "HTTP_REFERER": ATOM_REFERER,
    "HTTP_USER_AGENT": ATOM_USER_AGENT,
    "HTTP_AUTHORIZATION": ATOM_AUTHORIZATION,
}


cdef int field_id(const char *name, Py_ssize_t size) noexcept nogil:
    """Tell what a name means to the server, whatever its case."""
    if size == 4:
        return FIELD_HOST if mono_same_caseless(name, b"host", 4) else FIELD_OTHER
    if size == 6:
        return FIELD_EXPECT if mono_same_caseless(name, b"expect", 6) else FIELD_OTHER
    if size == 7:
        return FIELD_UPGRADE if mono_same_caseless(name, b"upgrade", 7) else FIELD_OTHER
    if size == 10:
        return FIELD_CONNECTION if mono_same_caseless(name, b"connection", 10) else FIELD_OTHER
    if size == 12:
        return FIELD_CONTENT_TYPE if mono_same_caseless(name, b"content-type", 12) else FIELD_OTHER
    if size == 14:
        if mono_same_caseless(name, b"content-length", 14):
            return FIELD_CONTENT_LENGTH
    if size == 17:
        if mono_same_caseless(name, b"transfer-encoding", 17):
            return FIELD_TRANSFER_ENCODING
    return FIELD_OTHER


cdef inline unsigned int _hash(const char *name, Py_ssize_t size) noexcept nogil:
    # Names differ most in length, ends and middle; whoever forces collisions only makes the
    # search of a table of bounded size longer.
    cdef unsigned int value = <unsigned int>size * 0x9E3779B1u
    value ^= <unsigned char>name[0] * 0x85EBCA6Bu
    value ^= <unsigned char>name[size - 1] * 0xC2B2AE35u
    value ^= <unsigned char>name[size >> 1] * 0x27D4EB2Fu
    return value >> 7


cdef class NameTable:
    """An open-addressing table from a name's octets to what it means."""

    def __cinit__(self, scheme_keys):
        memset(self.names, 0, sizeof(self.names))
        memset(self.guesses, 0, sizeof(self.guesses))
        self.count = 0
        self.scheme_keys = scheme_keys

    def __dealloc__(self):
        cdef int i
        for i in range(NAME_SLOTS):
            Py_XDECREF(<PyObject *>self.names[i].key)
            Py_XDECREF(<PyObject *>self.names[i].octets)

    cdef Name *find(self, const char *name, Py_ssize_t size) noexcept:
        """Return what was learned of a name, or NULL; ``size`` does not count its colon."""
        cdef unsigned int slot
        cdef Name *entry
        if size >= NAME_SIZE or size == 0:
            return NULL
        slot = _hash(name, size) & (NAME_SLOTS - 1)
        while True:
            entry = &self.names[slot]
            if entry.size == 0:
                return NULL
            if entry.size == size + 1 and memcmp(entry.raw, name, size) == 0:
                return entry
            slot = (slot + 1) & (NAME_SLOTS - 1)

    cdef Name *learn(self, const char *name, Py_ssize_t size):
        """Add a valid name that ``find`` did not know; NULL where there is no room for it."""
        cdef unsigned int slot
        cdef Name *entry
        cdef PyObject *key
        if size >= NAME_SIZE or self.count >= NAME_LIMIT:
            return NULL
        text = name[:size].decode("ascii")
        interned = environ_key(text)
        slot = _hash(name, size) & (NAME_SLOTS - 1)
        while self.names[slot].size:
            slot = (slot + 1) & (NAME_SLOTS - 1)
        entry = &self.names[slot]
        Py_INCREF(interned)
        key = <PyObject *>interned
        PyUnicode_InternInPlace(&key)
        entry.key = key
        octets = text.lower().encode("ascii")
        Py_INCREF(octets)
        entry.octets = <void *>octets
        memcpy(entry.raw, name, size)
        entry.raw[size] = b":"
        entry.id = field_id(name, size)
        entry.underscore = "_" in text
        entry.scheme = interned in self.scheme_keys
        entry.atom = _ATOMS.get(interned, 0)
        entry.size = size + 1
        self.count += 1
        return entry
