/* arrivals.c - gaps are drawn at rate one and their sum is scaled to the count, which makes the
 * rate exact (for Poisson this is the process given its number of arrivals). The ramp then bends
 * time: an arrival belongs where that many arrivals are expected by then.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/arrivals.h"

#include "tests/load/dice.h"
#include "tests/load/ticks.h"

#include <math.h>
#include <stdlib.h>

double arrivals_expected(const struct arrivals *arrivals, double seconds)
{
    double in_ramp = seconds < arrivals->ramp ? seconds : arrivals->ramp;
    double expected = 0;
    if (arrivals->ramp > 0) {
        double slope = (arrivals->rate - arrivals->ramp_rate) / arrivals->ramp;
        expected = arrivals->ramp_rate * in_ramp + slope * in_ramp * in_ramp / 2;
    }
    return expected + arrivals->rate * (seconds - in_ramp);
}

/* The time by which `expected` arrivals are expected: the inverse of the above. */
static double time_of(const struct arrivals *arrivals, double expected)
{
    double of_ramp = arrivals_expected(arrivals, arrivals->ramp);
    if (expected >= of_ramp) {
        return arrivals->ramp + (expected - of_ramp) / arrivals->rate;
    }
    /* Written so that a slope of zero is no special case: 2e / (r + sqrt(r^2 + 2se)). */
    double start = arrivals->ramp_rate;
    double slope = (arrivals->rate - start) / arrivals->ramp;
    double root = sqrt(fmax(start * start + 2 * slope * expected, 0));
    return start + root > 0 ? 2 * expected / (start + root) : 0;
}

static double gap(const struct arrivals *arrivals, struct dice *dice)
{
    switch (arrivals->kind) {
    case ARRIVAL_POISSON:
        return dice_exponential(dice);
    case ARRIVAL_GAMMA:
        return dice_gamma(dice, arrivals->shape) / arrivals->shape;
    default:
        return 1;
    }
}

void arrivals_plan(const struct arrivals *arrivals, uint64_t *times, uint32_t count)
{
    /* Drawn twice rather than kept: the same seed gives the same gaps. */
    struct dice dice = dice_seed(arrivals->seed, 0);
    double total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += gap(arrivals, &dice);
    }
    dice = dice_seed(arrivals->seed, 0);
    double scale = total > 0 ? (double)count / total : 0;
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        times[i] = ticks_from_seconds(time_of(arrivals, sum * scale));
        sum += gap(arrivals, &dice);
    }
}
