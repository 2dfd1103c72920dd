/* arrivals.h - when requests start: the whole plan of an open loop, made before it begins.
 *
 * The plan is exact in count and rate: `count` arrivals take as long as `count` arrivals take at
 * the asked rate, whatever the seed; the seed moves them about inside.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_ARRIVALS_H
#define TESTS_LOAD_ARRIVALS_H

#include "configs/error.h"

#include <stdint.h>

enum arrival_kind {
    ARRIVAL_CONSTANT,
    ARRIVAL_POISSON,
    ARRIVAL_GAMMA,
};

struct arrivals {
    enum arrival_kind kind;
    double rate;  /* requests per second, after the ramp */
    double shape; /* gamma: 1 is Poisson, below is burstier, above more even */
    double ramp;  /* seconds from ramp_rate to rate, linearly; 0: none */
    double ramp_rate;
    uint64_t seed;
};

/* Arrivals that start within `seconds` of the run. */
double arrivals_expected(const struct arrivals *arrivals, double seconds);

/* Fills times[0..count-1] with nanoseconds from the start, ascending. */
void arrivals_plan(const struct arrivals *arrivals, uint64_t *times, uint32_t count);

#endif
