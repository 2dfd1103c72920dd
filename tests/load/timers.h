/* timers.h - what is due next: a binary heap of (time, number). Equal times come out in the order
 * they went in. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_TIMERS_H
#define TESTS_LOAD_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
    uint64_t due;
    uint64_t order;
    uint32_t number;
};

struct timers {
    struct timer *heap;
    size_t count;
    size_t room;
    uint64_t next_order;
};

/* False when there is no memory. */
bool timers_add(struct timers *timers, uint64_t due, uint32_t number);

/* TICKS_NEVER where nothing is. */
uint64_t timers_next(const struct timers *timers);

/* Takes the earliest if it is due by `now`. */
bool timers_take(struct timers *timers, uint64_t now, struct timer *out);

void timers_release(struct timers *timers);

#endif
