"""Field names that a Core has met."""

# What a field name means to the server; ``field_id`` tells.
cdef enum:
    FIELD_OTHER = 0
    FIELD_HOST = 1
    FIELD_CONTENT_TYPE = 2
    FIELD_CONTENT_LENGTH = 3
    FIELD_TRANSFER_ENCODING = 4
    FIELD_CONNECTION = 5
    FIELD_EXPECT = 6
    FIELD_UPGRADE = 7

    # Fields of a request that the access log is asked for, and that need not be there.
    ATOM_REFERER = 1
    ATOM_USER_AGENT = 2
    ATOM_AUTHORIZATION = 4
    ATOM_ANY = 7

    NAME_SIZE = 32   # longest name that is learned, with its colon
    NAME_SLOTS = 1024
    NAME_LIMIT = 512  # names learned at most: clients choose them
    NAME_GUESSES = 64  # field lines of the last head that the next one is expected to repeat

# A name exactly as some request spelled it, so that equal octets need no further check.
ctypedef struct Name:
    char raw[NAME_SIZE]  # with its colon
    unsigned char size  # of ``raw``; 0 in a free slot
    unsigned char id
    unsigned char underscore
    unsigned char scheme  # one of secure_scheme_headers
    unsigned char atom  # of ATOM_...
    void *key  # the environ's key, a str that the table owns
    void *octets  # the name in lower case, bytes that the table owns

cdef int field_id(const char *name, Py_ssize_t size) noexcept nogil

cdef class NameTable:
    cdef Name names[NAME_SLOTS]
    cdef Name *guesses[NAME_GUESSES]
    cdef int count
    cdef object scheme_keys

    cdef Name *find(self, const char *name, Py_ssize_t size) noexcept
    cdef Name *learn(self, const char *name, Py_ssize_t size)
