/* What load generators have in common: the clock, and how long what they did took. */
#ifndef TIMING_H
#define TIMING_H

#include <stdint.h>

int64_t now_ns(void);

/* Counts one batch that began at since_ns and is over now. */
void count_batch(int64_t since_ns);

/* Returns the microseconds within which the part q of all batches was over. */
unsigned quantile_us(double q);

/* Says why a system call failed, and exits. */
void fail(const char *what);

#endif
