/* thread_switches.h - how often threads of this process came to run, by the kernel's count.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_THREAD_SWITCHES_H
#define TESTS_SUPPORT_THREAD_SWITCHES_H

#include <stdint.h>

struct thread_switches {
    uint32_t thread_count;
    uint64_t switch_count; /* given up or taken away, of all of them since they began */
};

/* Of the threads whose name begins so. */
struct thread_switches thread_switches_count(const char *name);

/* Do those threads, `thread_count` of them, sleep through 1.2 seconds? They get `settle_ms` to fall
 * asleep first. */
int thread_switches_stay(const char *name, uint32_t thread_count, uint32_t settle_ms);

#endif
