/* test_load_arrivals.c - arrivals: exact in count and rate, right in distribution.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/load/arrivals.h"
#include "tests/load/dice.h"
#include "tests/load/ticks.h"
#include "tests/load/timers.h"

#include <math.h>

enum {
    MANY = 200000
};

static uint64_t *plan(const struct arrivals *arrivals, uint32_t count)
{
    uint64_t *times = malloc(count * sizeof *times);
    assert_non_null(times);
    arrivals_plan(arrivals, times, count);
    for (uint32_t i = 1; i < count; i++) {
        assert_true(times[i] >= times[i - 1]);
    }
    return times;
}

/* Variance of the gaps over the square of their mean: 0 constant, 1 Poisson, 1/shape gamma. */
static double gap_variation(const uint64_t *times, uint32_t count)
{
    double mean = (double)(times[count - 1] - times[0]) / (count - 1);
    double squares = 0;
    for (uint32_t i = 1; i < count; i++) {
        double off = (double)(times[i] - times[i - 1]) - mean;
        squares += off * off;
    }
    return squares / (count - 1) / (mean * mean);
}

static void assert_near(double value, double wanted, double relative)
{
    if (!(fabs(value - wanted) <= relative * fabs(wanted))) {
        fail_msg("%.9g is not within %g of %.9g", value, relative, wanted);
    }
}

static void constant_arrivals_are_evenly_spaced(void **state)
{
    (void)state;
    struct arrivals arrivals = {.kind = ARRIVAL_CONSTANT, .rate = 50};
    uint64_t *times = plan(&arrivals, 101);
    assert_int_equal(times[0], 0);
    for (uint32_t i = 0; i < 101; i++) {
        assert_true(llabs((long long)times[i] - (long long)i * 20000000) <= 1);
    }
    free(times);
}

static void rate_is_exact_for_every_kind_and_seed(void **state)
{
    (void)state;
    for (int kind = ARRIVAL_CONSTANT; kind <= ARRIVAL_GAMMA; kind++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct arrivals arrivals = {
                .kind = (enum arrival_kind)kind, .rate = 2000, .shape = 0.5, .seed = seed};
            uint64_t *times = plan(&arrivals, 4000);
            /* All 4000 gaps, the one after the last included, take two seconds: the last arrival
             * comes a gap earlier. */
            assert_true(times[3999] < 2 * TICKS_PER_SECOND);
            assert_true(times[3999] > 2 * TICKS_PER_SECOND - TICKS_PER_SECOND / 40);
            free(times);
        }
    }
}

static void poisson_and_gamma_gaps_vary_as_they_should(void **state)
{
    (void)state;
    struct arrivals arrivals = {.kind = ARRIVAL_POISSON, .rate = 100, .seed = 7};
    uint64_t *times = plan(&arrivals, MANY);
    assert_near(gap_variation(times, MANY), 1, 0.02);
    uint32_t longer = 0;
    for (uint32_t i = 1; i < MANY; i++) {
        longer += times[i] - times[i - 1] > 10 * TICKS_PER_MS; /* the mean */
    }
    assert_near((double)longer / MANY, exp(-1), 0.01);
    free(times);

    static const double shapes[] = {0.25, 1, 4, 100};
    for (size_t i = 0; i < 4; i++) {
        arrivals.kind = ARRIVAL_GAMMA;
        arrivals.shape = shapes[i];
        times = plan(&arrivals, MANY);
        assert_near(gap_variation(times, MANY), 1 / shapes[i], 0.05);
        free(times);
    }
}

static void same_seed_same_plan_other_seed_other_plan(void **state)
{
    (void)state;
    struct arrivals arrivals = {.kind = ARRIVAL_POISSON, .rate = 10, .seed = 3};
    uint64_t *first = plan(&arrivals, 50);
    uint64_t *again = plan(&arrivals, 50);
    arrivals.seed = 4;
    uint64_t *other = plan(&arrivals, 50);
    assert_memory_equal(first, again, 50 * sizeof *first);
    assert_memory_not_equal(first, other, 50 * sizeof *first);
    free(first);
    free(again);
    free(other);
}

static void ramp_reaches_the_rate_and_keeps_it(void **state)
{
    (void)state;
    /* 0 to 100/s over 10 s: t^2 * 5 arrivals by t, 500 in the ramp, then 100 each second. */
    struct arrivals arrivals = {.kind = ARRIVAL_CONSTANT, .rate = 100, .ramp = 10};
    uint64_t *times = plan(&arrivals, 1000);
    assert_near(ticks_seconds(times[125]), 5, 1e-6);
    assert_near(ticks_seconds(times[500]), 10, 1e-6);
    assert_near(ticks_seconds(times[900]), 14, 1e-6);
    free(times);
    assert_near(arrivals_expected(&arrivals, 5), 125, 1e-9);
    assert_near(arrivals_expected(&arrivals, 14), 900, 1e-9);

    /* From the rate to the rate is no ramp at all. */
    arrivals.ramp_rate = 100;
    times = plan(&arrivals, 1000);
    assert_near(ticks_seconds(times[900]), 9, 1e-6);
    free(times);
}

static void gamma_has_its_mean_and_variance(void **state)
{
    (void)state;
    static const double shapes[] = {0.1, 0.9, 1, 2.5, 50};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct dice dice = dice_seed(11, i);
        double sum = 0;
        double squares = 0;
        for (int draw = 0; draw < MANY; draw++) {
            double value = dice_gamma(&dice, shapes[i]);
            sum += value;
            squares += value * value;
        }
        double mean = sum / MANY;
        assert_near(mean, shapes[i], 0.02);
        assert_near(squares / MANY - mean * mean, shapes[i], 0.05);
    }
}

static void dice_below_favours_no_one(void **state)
{
    (void)state;
    struct dice dice = dice_seed(5, 5);
    uint32_t seen[6] = {0};
    for (int i = 0; i < 60000; i++) {
        uint64_t number = dice_below(&dice, 6);
        assert_true(number < 6);
        seen[number]++;
    }
    for (int i = 0; i < 6; i++) {
        assert_near(seen[i], 10000, 0.04);
    }
}

static void timers_come_out_by_time_then_by_order(void **state)
{
    (void)state;
    struct timers timers = {0};
    struct dice dice = dice_seed(1, 1);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(timers_add(&timers, dice_below(&dice, 50), i));
    }
    struct timer before = {0};
    struct timer timer;
    assert_false(timers_take(&timers, timers_next(&timers) - 1, &timer) &&
                 timers_next(&timers) > 0);
    uint32_t count = 0;
    while (timers_take(&timers, 49, &timer)) {
        assert_true(count == 0 || timer.due > before.due ||
                    (timer.due == before.due && timer.number > before.number));
        before = timer;
        count++;
    }
    assert_true(timers_next(&timers) == TICKS_NEVER);
    assert_true(count >= 999);
    timers_release(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_arrivals_are_evenly_spaced),
        cmocka_unit_test(rate_is_exact_for_every_kind_and_seed),
        cmocka_unit_test(poisson_and_gamma_gaps_vary_as_they_should),
        cmocka_unit_test(same_seed_same_plan_other_seed_other_plan),
        cmocka_unit_test(ramp_reaches_the_rate_and_keeps_it),
        cmocka_unit_test(gamma_has_its_mean_and_variance),
        cmocka_unit_test(dice_below_favours_no_one),
        cmocka_unit_test(timers_come_out_by_time_then_by_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
