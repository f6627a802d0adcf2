#define _GNU_SOURCE
#include "answers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void finish_answer(struct reader *r)
{
    r->state = HEAD;
    r->awaited--;
    if (r->ok)
        r->totals->good++;
    else
        r->totals->bad++;
}

static bool names(const char *line, const char *end, const char *name, const char **value)
{
    size_t n = strlen(name);
    if ((size_t)(end - line) < n || strncasecmp(line, name, n) != 0)
        return false;
    *value = line + n;
    while (*value < end && **value == ' ')
        ++*value;
    return true;
}

/* Reads the head [at, end) and sets the state for the content (RFC 9112 section 6.3). */
static void read_head(struct reader *r, const char *at, const char *end)
{
    const char *value, *eol;
    bool old = strncmp(at, "HTTP/1.0", 8) == 0, keep = false;
    r->ok = end - at > 12 && memcmp(at + 8, " 200", 4) == 0;
    r->state = UNTIL_EOF;
    r->left = 0;
    while ((eol = memchr(at, '\n', (size_t)(end - at))) != NULL && (at = eol + 1) < end) {
        if ((*at | 0x20) != 'c' && (*at | 0x20) != 't')
            continue;
        if (names(at, end, "content-length:", &value)) {
            r->left = strtoull(value, NULL, 10);
            r->state = LENGTH;
        } else if (names(at, end, "transfer-encoding:", &value)) {
            r->state = CHUNK_SIZE;
        } else if (names(at, end, "connection:", &value)) {
            r->closing |= strncasecmp(value, "close", 5) == 0;
            keep |= strncasecmp(value, "keep-alive", 10) == 0;
        }
    }
    r->closing |= r->state == UNTIL_EOF || (old && !keep);
    if (r->state == LENGTH && r->left == 0)
        finish_answer(r);
}

/* Takes content from [at, end); returns the new position. */
static const char *take_content(struct reader *r, const char *at, const char *end)
{
    uint64_t have = (uint64_t)(end - at), n = have;
    if (r->state != UNTIL_EOF) {
        n = have < r->left ? have : r->left;
        r->left -= n;
        if (r->left == 0 && r->state == LENGTH)
            finish_answer(r);
        else if (r->left == 0)
            r->state = CHUNK_END;
    }
    r->totals->body_bytes += n;
    return at + n;
}

/* Takes a chunk's size line, the line end behind a chunk, or a trailer line (section 7.1). */
static const char *take_line(struct reader *r, const char *at, const char *end)
{
    const char *eol = memchr(at, '\n', (size_t)(end - at));
    if (eol == NULL)
        return NULL;
    if (r->state == CHUNK_SIZE) {
        r->left = strtoull(at, NULL, 16);
        r->state = r->left ? CHUNK : TRAILER;
    } else if (r->state == CHUNK_END) {
        r->state = CHUNK_SIZE;
    } else if (eol - at <= 1) {
        finish_answer(r);
    }
    return eol + 1;
}

const char *read_answers(struct reader *r, const char *at, const char *end)
{
    while (at < end && r->awaited > 0) {
        const char *next;
        if (r->state == HEAD) {
            next = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
            if (next != NULL) {
                read_head(r, at, next + 2);
                next += 4;
            }
        } else if (r->state == CHUNK_SIZE || r->state == CHUNK_END || r->state == TRAILER) {
            next = take_line(r, at, end);
        } else {
            next = take_content(r, at, end);
        }
        if (next == NULL)
            break;
        at = next;
    }
    return at;
}
