/* dice.h - random numbers that are the same on every machine for the same seed.
 *
 * Streams with different `stream` numbers are independent: request 17 gets the same prompt whether
 * or not request 16 was asked for.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_DICE_H
#define TESTS_LOAD_DICE_H

#include <stdint.h>

struct dice {
    uint64_t state;
};

struct dice dice_seed(uint64_t seed, uint64_t stream);

uint64_t dice_u64(struct dice *dice);

/* Each of 0..count-1 alike; count > 0. */
uint64_t dice_below(struct dice *dice, uint64_t count);

/* In (0, 1): neither end, so that its logarithm is finite. */
double dice_uniform(struct dice *dice);

/* Mean 1. */
double dice_exponential(struct dice *dice);

/* Mean `shape`, variance `shape`; shape > 0. */
double dice_gamma(struct dice *dice, double shape);

#endif
