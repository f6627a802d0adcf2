"""Declarations of scan.h."""

cdef extern from "scan.h" nogil:
    const int MONO_TOKEN
    const int MONO_HOST
    bint mono_is(unsigned char octet, int wanted) noexcept
    const char *mono_scan_class(const char *p, const char *end, int wanted) noexcept
    const char *mono_scan_target(const char *p, const char *end) noexcept
    const char *mono_scan_value(const char *p, const char *end, int *high) noexcept
    bint mono_same(const char *p, const char *end, const char *known, size_t size) noexcept
    bint mono_same_caseless(const char *p, const char *lower, size_t size) noexcept
