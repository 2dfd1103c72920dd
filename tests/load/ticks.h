/* ticks.h - the one clock of a run: nanoseconds of CLOCK_MONOTONIC.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_TICKS_H
#define TESTS_LOAD_TICKS_H

#include <stdint.h>
#include <time.h>

#define TICKS_PER_SECOND UINT64_C(1000000000)
#define TICKS_PER_MS     UINT64_C(1000000)
#define TICKS_NEVER      UINT64_MAX

static inline uint64_t ticks_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * TICKS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static inline double ticks_ms(uint64_t ticks)
{
    return (double)ticks / 1e6;
}

static inline double ticks_seconds(uint64_t ticks)
{
    return (double)ticks / 1e9;
}

static inline uint64_t ticks_from_seconds(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

#endif
