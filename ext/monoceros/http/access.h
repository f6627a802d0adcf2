/* Copying text into lines of the access log.

   Nothing is ever read at or beyond the end of the source. The target has room for all of it. */

#ifndef MONOCEROS_ACCESS_H
#define MONOCEROS_ACCESS_H

#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* What may not stand inside a quoted part as it is: controls, DEL, the quote, the backslash. */
static inline int mono_is_plain(unsigned char octet) {
    return octet >= 0x20 && octet != 0x7f && octet != '"' && octet != '\\';
}

static inline int mono_are_plain_8(uint64_t octets) {
#if defined(__SSE2__)
    const __m128i found = _mm_cvtsi64_si128((long long)octets);
    const __m128i bad = _mm_or_si128(
        _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(found, _mm_set1_epi8(0x1f)), found),
                     _mm_cmpeq_epi8(found, _mm_set1_epi8(0x7f))),
        _mm_or_si128(_mm_cmpeq_epi8(found, _mm_set1_epi8('"')),
                     _mm_cmpeq_epi8(found, _mm_set1_epi8('\\'))));
    return (_mm_movemask_epi8(bad) & 0xff) == 0;
#else
    const uint64_t ones = ~(uint64_t)0 / 255;
    uint64_t del = octets ^ (ones * 0x7f);
    uint64_t quote = octets ^ (ones * '"');
    uint64_t backslash = octets ^ (ones * '\\');
    uint64_t bad = ((octets - ones * 0x20) & ~octets) | ((del - ones) & ~del) |
                   ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash);
    return !(bad & (ones * 0x80));
#endif
}

/* Copies a run of plain octets; returns how many, which is fewer than `size` at one that is not.
   The last block is copied again together with octets before it, instead of one by one. */
static inline size_t mono_copy_plain(char *to, const char *from, size_t size) {
    size_t done = 0;
#if defined(__SSE2__)
    if (size >= 16) {
        const __m128i limit = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f);
        const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
        for (;;) {
            __m128i octets = _mm_loadu_si128((const __m128i *)(from + done));
            __m128i bad = _mm_or_si128(
                _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(octets, limit), octets),
                             _mm_cmpeq_epi8(octets, del)),
                _mm_or_si128(_mm_cmpeq_epi8(octets, quote), _mm_cmpeq_epi8(octets, backslash)));
            int mask = _mm_movemask_epi8(bad);
            _mm_storeu_si128((__m128i *)(to + done), octets);
            if (mask) return done + (size_t)__builtin_ctz((unsigned)mask);
            done += 16;
            if (done == size) return size;
            if (size - done < 16) done = size - 16;
        }
    }
#endif
    if (size >= 8 && size < 16) {
        uint64_t head, tail;
        memcpy(&head, from, 8);
        memcpy(&tail, from + size - 8, 8);
        if (mono_are_plain_8(head) && mono_are_plain_8(tail)) {
            memcpy(to, &head, 8);
            memcpy(to + size - 8, &tail, 8);
            return size;
        }
    } else if (size >= 4 && size < 8) {
        uint32_t head, tail;
        memcpy(&head, from, 4);
        memcpy(&tail, from + size - 4, 4);
        if (mono_are_plain_8((uint64_t)head << 32 | tail)) {
            memcpy(to, &head, 4);
            memcpy(to + size - 4, &tail, 4);
            return size;
        }
    }
    while (done < size && mono_is_plain((unsigned char)from[done])) {
        to[done] = from[done];
        done++;
    }
    return done;
}

/* Whether an object is a str of one octet per character: latin-1, of which ASCII is a part. */
static inline int mono_is_latin(PyObject *value) {
    return PyUnicode_CheckExact(value) && PyUnicode_KIND(value) == PyUnicode_1BYTE_KIND;
}

/* Writes a number in decimal; returns the end of what was written, at most 20 octets on. */
static inline char *mono_put_number(char *to, uint64_t number) {
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    while (count) *to++ = digits[--count];
    return to;
}

#endif
