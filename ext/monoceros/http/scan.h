/* Scanning octets of HTTP messages: which octets a token, a target, a value, a host may have.

   Each function returns a pointer to the first octet that does not belong, or `end`. Nothing
   is ever read at or beyond `end`. SSE2 where the processor has it by definition, eight octets
   at a time elsewhere: wider registers gained nothing on the short runs that heads consist of. */

#ifndef MONOCEROS_SCAN_H
#define MONOCEROS_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Bits of `mono_class`. */
#define MONO_TOKEN 1    /* RFC 9110 5.6.2: tchar */
#define MONO_HOST 2     /* RFC 3986 3.2.2: unreserved and sub-delims, without pct-encoded */
#define MONO_CONTROL 4  /* controls but HTAB, and DEL: RFC 9110 5.5 keeps them out of values */

static const unsigned char mono_class[256] = {
    4, 4, 4, 4, 4, 4, 4, 4, 4, 0, 4, 4, 4, 4, 4, 4,
    4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4,
    0, 3, 0, 1, 3, 1, 3, 3, 2, 2, 3, 3, 2, 3, 3, 0,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 2, 0, 2, 0, 0,
    0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 1, 3,
    1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 1, 0, 3, 4,
};

static inline int mono_is(unsigned char octet, int wanted) {
    return mono_class[octet] & wanted;
}

static inline const char *mono_scan_class(const char *p, const char *end, int wanted) {
    while (p < end && (mono_class[(unsigned char)*p] & wanted)) p++;
    return p;
}

/* The end of a run of 0x21 to 0x7e: a request target (RFC 9112 3.2). */
static inline const char *mono_scan_target(const char *p, const char *end) {
#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(0x20), del = _mm_set1_epi8(0x7f);
    while (end - p >= 16) {
        __m128i octets = _mm_loadu_si128((const __m128i *)p);
        /* As signed numbers, octets from 0x80 on are below the space too. */
        __m128i good = _mm_andnot_si128(_mm_cmpeq_epi8(octets, del), _mm_cmpgt_epi8(octets, space));
        int bad = ~_mm_movemask_epi8(good) & 0xffff;
        if (bad) return p + __builtin_ctz((unsigned)bad);
        p += 16;
    }
#endif
    while (p < end && (unsigned char)(*p - 0x21) < 0x5e) p++;
    return p;
}

/* The end of a field value (RFC 9110 5.5); `*high` gets a bit set if an octet is above 0x7f. */
static inline const char *mono_scan_value(const char *p, const char *end, int *high) {
#if defined(__SSE2__)
    const __m128i limit = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8(0x09), del = _mm_set1_epi8(0x7f);
    while (end - p >= 16) {
        __m128i octets = _mm_loadu_si128((const __m128i *)p);
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(octets, limit), octets);
        __m128i bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(octets, tab), low),
                                   _mm_cmpeq_epi8(octets, del));
        int mask = _mm_movemask_epi8(bad);
        int upper = _mm_movemask_epi8(octets);
        if (mask) {
            int count = __builtin_ctz((unsigned)mask);
            *high |= upper & ((1 << count) - 1);
            return p + count;
        }
        *high |= upper;
        p += 16;
    }
#endif
    const uint64_t ones = ~(uint64_t)0 / 255;
    while (end - p >= 8) {
        uint64_t octets, differs;
        memcpy(&octets, p, 8);
        differs = octets ^ (ones * 0x7f);
        /* Some octet is below 0x20, or is DEL: look at them one by one. */
        if ((((octets - ones * 0x20) & ~octets) | ((differs - ones) & ~differs)) & (ones * 0x80)) break;
        *high |= (octets & (ones * 0x80)) != 0;
        p += 8;
    }
    for (; p < end; p++) {
        unsigned char octet = (unsigned char)*p;
        if (mono_class[octet] & MONO_CONTROL) break;
        *high |= octet & 0x80;
    }
    return p;
}

/* Whether `size` octets at `p` are `known`, which has room for 32; `end - p` is at least `size`. */
static inline int mono_same(const char *p, const char *end, const char *known, size_t size) {
#if defined(__SSE2__)
    if (size <= 32 && end - p >= 32) {
        uint32_t low = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(
            _mm_loadu_si128((const __m128i *)p), _mm_loadu_si128((const __m128i *)known)));
        uint32_t wanted;
        if (size <= 16) {
            wanted = (uint32_t)((1ull << size) - 1);
            return (low & wanted) == wanted;
        }
        low |= (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(
            _mm_loadu_si128((const __m128i *)(p + 16)),
            _mm_loadu_si128((const __m128i *)(known + 16)))) << 16;
        wanted = (uint32_t)((1ull << size) - 1);
        return (low & wanted) == wanted;
    }
#endif
    (void)end;
    return memcmp(p, known, size) == 0;
}

/* Whether `size` octets are `lower`, which is in lower case, but for case. */
static inline int mono_same_caseless(const char *p, const char *lower, size_t size) {
    size_t i;
    for (i = 0; i < size; i++) {
        unsigned char octet = (unsigned char)p[i];
        if (octet >= 'A' && octet <= 'Z') octet |= 0x20;
        if (octet != (unsigned char)lower[i]) return 0;
    }
    return 1;
}

#endif
