#include "timing.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_US = 1 << 21 };

static uint32_t batches[MAX_US]; /* by microseconds taken */

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void count_batch(int64_t since_ns)
{
    int64_t us = (now_ns() - since_ns) / 1000;
    batches[us < MAX_US ? us : MAX_US - 1]++;
}

unsigned quantile_us(double q)
{
    uint64_t total = 0, seen = 0;
    for (unsigned i = 0; i < MAX_US; i++)
        total += batches[i];
    for (unsigned i = 0; i < MAX_US; i++)
        if ((seen += batches[i]) >= (uint64_t)((double)total * q))
            return i;
    return MAX_US;
}

void fail(const char *what)
{
    perror(what);
    exit(1);
}
