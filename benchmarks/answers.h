/* Counts complete HTTP/1.1 answers in what a load generator receives. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include <stdbool.h>
#include <stdint.h>

enum state { HEAD, LENGTH, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, UNTIL_EOF };

struct totals {
    uint64_t good, bad, body_bytes; /* good: complete answers with status 200 */
};

struct reader {
    struct totals *totals;
    enum state state;
    unsigned awaited; /* answers still to come */
    bool ok;          /* the answer being read is a 200 */
    bool closing;     /* the server is to close once the answers are in */
    uint64_t left;    /* octets of the body or chunk still to come */
};

/* Reads awaited answers from [at, end); returns where an incomplete head or line begins. */
const char *read_answers(struct reader *r, const char *at, const char *end);

/* Ends the answer being read: at its last octet, or at the end of the input. */
void finish_answer(struct reader *r);

#endif
