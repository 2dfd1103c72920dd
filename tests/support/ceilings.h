/* ceilings.h - what this machine could do at best, measured where and when a benchmark runs.
 * Thread: any; uses threads of its own. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_CEILINGS_H
#define TESTS_SUPPORT_CEILINGS_H

#include <stdint.h>

/* All but round_trip a second, the best of several turns; 0 where the processor has no such
 * instruction. */
struct ceilings {
    uint32_t thread_count;
    double read_of_one; /* bytes read from memory by one thread */
    double read;        /* by all */
    double round_trip;  /* seconds for a word to go to another core and back; 0 of one thread */
    double fma;         /* float operations of 512-bit FMAs; an FMA counts as two */
    double dot;         /* operations of vpdpbusd: bytes multiplied and added */
};

/* Takes about half a second. A single thread is timed by its processor time, which a busy machine
 * does not lengthen. */
struct ceilings ceilings_measure(uint32_t thread_count);

/* One line a ceiling, as "ceiling.NAME value unit". */
void ceilings_print(const struct ceilings *ceilings);

#endif
