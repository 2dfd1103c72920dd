/* Passes over logits against plain loops, for every length around the blocks they work in.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/logit_scan.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    COUNT_MAX = 2100
};

static float logits[COUNT_MAX];

static void fill(uint32_t count, uint64_t seed)
{
    uint64_t state = seed + 1;
    for (uint32_t i = 0; i < count; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        logits[i] = (float)((double)(state >> 33) / 0x1p31 * 40.0 - 20.0);
    }
}

static const uint32_t counts[] = {1,  2,    3,    4,    5,    15,   16,   17,
                                  63, 1023, 1024, 1025, 2047, 2048, 2049, COUNT_MAX};

enum {
    COUNTS = sizeof counts / sizeof counts[0]
};

/* Wherever it stands, one bad value is seen, and one finite value is enough. */
static void every_place_is_looked_at(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNTS; c++) {
        uint32_t count = counts[c];
        for (uint32_t i = 0; i<count; i += count> 64 ? 7 : 1) {
            fill(count, i);
            assert_true(logit_scan_usable(logits, count));
            logits[i] = NAN;
            assert_false(logit_scan_usable(logits, count));
            logits[i] = INFINITY;
            assert_false(logit_scan_usable(logits, count));
            for (uint32_t j = 0; j < count; j++) {
                logits[j] = -INFINITY;
            }
            assert_false(logit_scan_usable(logits, count));
            logits[i] = -FLT_MAX;
            assert_true(logit_scan_usable(logits, count));
            assert_int_equal(logit_scan_argmax(logits, count), i);
        }
    }
}

static void the_lowest_of_equal_logits_is_best(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNTS; c++) {
        uint32_t count = counts[c];
        fill(count, c);
        for (uint32_t i = 0; i<count; i += count> 64 ? 11 : 1) {
            float kept = logits[i];
            logits[i] = 30.0f;
            float last = logits[count - 1];
            logits[count - 1] = 30.0f;
            assert_int_equal(logit_scan_argmax(logits, count), i);
            logits[count - 1] = last;
            logits[i] = kept;
        }
    }
    for (uint32_t i = 0; i < 5; i++) {
        logits[i] = -INFINITY;
    }
    assert_int_equal(logit_scan_argmax(logits, 5), 0);
}

static void weights_are_exponentials(void **state)
{
    (void)state;
    assert_true(logit_scan_weight(3.0f, 3.0f, 0.7f) == 1.0f);
    assert_true(logit_scan_weight(-INFINITY, 3.0f, 0.7f) == 0.0f);
    assert_true(logit_scan_weight(-200.0f, 3.0f, 1.0f) == 0.0f);
    for (int i = 0; i < 86000; i++) {
        float x = -(float)i / 1000.0f;
        double expected = exp((double)x);
        assert_true(fabs((double)logit_scan_weight(x, 0.0f, 1.0f) - expected) <= 2e-7 * expected);
    }
}

static void sums_and_walks_agree_with_the_weights(void **state)
{
    (void)state;
    static float weights[COUNT_MAX];
    for (size_t c = 0; c < COUNTS; c++) {
        uint32_t count = counts[c];
        fill(count, c + 100);
        float largest = logits[logit_scan_argmax(logits, count)];
        double expected = 0;
        double total = logit_scan_weights(weights, logits, count, largest, 5.0f, 0.01f);
        for (uint32_t i = 0; i < count; i++) {
            float weight = logit_scan_weight(logits[i], largest, 5.0f);
            assert_true(weights[i] == (weight < 0.01f ? 0.0f : weight));
            expected += (double)weights[i];
        }
        assert_true(fabs(total - expected) <= 1e-12 * expected);
        assert_true(total == logit_scan_weights(NULL, logits, count, largest, 5.0f, 0.01f));
        double passed = 0;
        for (uint32_t i = 0; i < count; i++) { /* in the middle of every weight's share */
            if (weights[i] > 0.0f) {
                double target = passed + (double)weights[i] / 2;
                assert_int_equal(logit_scan_walk(weights, count, target, 0), i);
            }
            passed += (double)weights[i];
        }
        assert_true(weights[logit_scan_walk(weights, count, nextafter(total, 0), 0)] > 0.0f);
    }
    memset(weights, 0, sizeof weights);
    assert_int_equal(logit_scan_walk(weights, 100, 0, 42), 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_place_is_looked_at),
        cmocka_unit_test(the_lowest_of_equal_logits_is_best),
        cmocka_unit_test(weights_are_exponentials),
        cmocka_unit_test(sums_and_walks_agree_with_the_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
