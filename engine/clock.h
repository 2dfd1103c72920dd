/* clock.h - monotonic time in microseconds. Logic uses nothing else; wall time is for display.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_CLOCK_H
#define ENGINE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* The moment timeout_us from now, as pthread_cond_timedwait on the monotonic clock wants it. */
static inline struct timespec clock_deadline(uint64_t timeout_us)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    uint64_t nanoseconds = (uint64_t)at.tv_nsec + (timeout_us % 1000000u) * 1000u;
    at.tv_sec += (time_t)(timeout_us / 1000000u + nanoseconds / 1000000000u);
    at.tv_nsec = (long)(nanoseconds % 1000000000u);
    return at;
}

/* Seconds since 1970, for `created` fields and log lines. */
static inline int64_t clock_wall_seconds(void)
{
    return (int64_t)time(NULL);
}

#endif
