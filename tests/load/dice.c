/* dice.c - splitmix64, because its whole state is one counter and any two seeds are unrelated;
 * gamma by Marsaglia and Tsang's squeeze (2000), exact for every shape.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/dice.h"

#include <assert.h>
#include <math.h>

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

struct dice dice_seed(uint64_t seed, uint64_t stream)
{
    return (struct dice){.state = mix(mix(seed + UINT64_C(0x9e3779b97f4a7c15)) ^ mix(stream))};
}

uint64_t dice_u64(struct dice *dice)
{
    dice->state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(dice->state);
}

uint64_t dice_below(struct dice *dice, uint64_t count)
{
    assert(count > 0);
    /* Numbers above the last whole multiple would favour the small remainders. */
    uint64_t usable = UINT64_MAX - UINT64_MAX % count;
    uint64_t number = dice_u64(dice);
    while (number >= usable) {
        number = dice_u64(dice);
    }
    return number % count;
}

double dice_uniform(struct dice *dice)
{
    return ((double)(dice_u64(dice) >> 11) + 0.5) * 0x1p-53;
}

double dice_exponential(struct dice *dice)
{
    return -log(dice_uniform(dice));
}

static double normal(struct dice *dice)
{
    double radius = sqrt(2 * dice_exponential(dice));
    return radius * cos(2 * 3.14159265358979323846 * dice_uniform(dice));
}

double dice_gamma(struct dice *dice, double shape)
{
    assert(shape > 0);
    /* Below 1 the squeeze does not hold: draw at shape + 1 and scale down. */
    double boost = 1;
    if (shape < 1) {
        boost = pow(dice_uniform(dice), 1 / shape);
        shape += 1;
    }
    double d = shape - 1.0 / 3;
    double c = 1 / sqrt(9 * d);
    for (;;) {
        double x = normal(dice);
        double v = 1 + c * x;
        if (v <= 0) {
            continue;
        }
        v = v * v * v;
        if (log(dice_uniform(dice)) < 0.5 * x * x + d - d * v + d * log(v)) {
            return d * v * boost;
        }
    }
}
