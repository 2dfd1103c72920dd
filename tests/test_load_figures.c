/* test_load_figures.c - percentiles, histogram and what a summary makes of records.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/load/dice.h"
#include "tests/load/histogram.h"
#include "tests/load/result.h"
#include "tests/load/summary.h"
#include "tests/load/ticks.h"

#include <math.h>

static void assert_near(double value, double wanted, double tolerance)
{
    if (!(fabs(value - wanted) <= tolerance)) {
        fail_msg("%.12g is not within %g of %.12g", value, tolerance, wanted);
    }
}

static void percentiles_interpolate_between_ranks(void **state)
{
    (void)state;
    /* Expected values: numpy.percentile's default (linear), worked out by hand. */
    double values[] = {40, 10, 30, 20};
    struct spread spread = summary_spread(values, 4);
    assert_near(spread.mean, 25, 1e-12);
    assert_near(spread.deviation, sqrt(125), 1e-12);
    assert_near(spread.p50, 25, 1e-12);
    assert_near(spread.p90, 37, 1e-12);
    assert_near(spread.p95, 38.5, 1e-12);
    assert_near(spread.p99, 39.7, 1e-12);
    assert_near(spread.p999, 39.97, 1e-12);
    assert_near(spread.most, 40, 0);
}

static void one_value_is_every_percentile_and_none_is_zero(void **state)
{
    (void)state;
    double value = 7;
    struct spread spread = summary_spread(&value, 1);
    assert_near(spread.p50, 7, 0);
    assert_near(spread.p999, 7, 0);
    assert_near(spread.deviation, 0, 0);
    spread = summary_spread(&value, 0);
    assert_near(spread.p99, 0, 0);
    assert_int_equal(spread.count, 0);
}

static void histogram_is_within_its_bucket_of_the_exact_value(void **state)
{
    (void)state;
    enum {
        COUNT = 20000
    };
    static double exact[COUNT];
    struct histogram histogram;
    assert_true(histogram_open(&histogram));
    struct dice dice = dice_seed(3, 0);
    double sum = 0;
    for (int i = 0; i < COUNT; i++) {
        uint64_t value = (uint64_t)exp(dice_uniform(&dice) * 40);
        histogram_add(&histogram, value);
        exact[i] = (double)value;
        sum += exact[i];
    }
    summary_spread(exact, COUNT);
    static const double shares[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        double wanted = exact[(int)ceil(shares[i] * COUNT) - 1];
        assert_near(histogram_quantile(&histogram, shares[i]), wanted, wanted / 1024);
    }
    assert_near(histogram_quantile(&histogram, 1), exact[COUNT - 1], 0);
    assert_near(histogram_mean(&histogram), sum / COUNT, sum / COUNT * 1e-12);
    histogram_close(&histogram);
}

static void small_and_extreme_values_are_kept_exactly(void **state)
{
    (void)state;
    struct histogram histogram;
    assert_true(histogram_open(&histogram));
    assert_near(histogram_quantile(&histogram, 0.5), 0, 0);
    for (uint64_t value = 0; value <= 1000; value++) {
        histogram_add(&histogram, value);
    }
    assert_near(histogram_quantile(&histogram, 0.5), 500, 0);
    assert_near(histogram_quantile(&histogram, 0), 0, 0);
    histogram_add(&histogram, UINT64_MAX);
    assert_near(histogram_quantile(&histogram, 1), (double)UINT64_MAX, 0);
    histogram_close(&histogram);
}

/* Two requests of ten tokens, one that failed, one whose client left. */
static struct record sample[] = {
    {.intended = 1000000000,
     .noticed = 1001000000,
     .sent = 1003000000,
     .first = 1011000000,
     .last = 1101000000,
     .ended = 1102000000,
     .gap_most = 12000000,
     .input_tokens = 5,
     .output_tokens = 10,
     .wanted_tokens = 10,
     .chunk_count = 5,
     .has_usage = true,
     .outcome = OUTCOME_DONE},
    {.intended = 1100000000,
     .noticed = 1100000000,
     .sent = 1100000000,
     .first = 1120000000,
     .last = 1300000000,
     .ended = 1300000000,
     .gap_most = 30000000,
     .output_tokens = 10,
     .wanted_tokens = 12,
     .chunk_count = 10,
     .has_usage = true,
     .outcome = OUTCOME_DONE},
    {.intended = 1200000000,
     .noticed = 1200000000,
     .sent = 1200000000,
     .ended = 1200000000,
     .outcome = OUTCOME_HTTP_503},
    {.intended = 1250000000,
     .noticed = 1250000000,
     .sent = 1250000000,
     .first = 1260000000,
     .last = 1270000000,
     .ended = 1270000000,
     .chunk_count = 2,
     .outcome = OUTCOME_CANCELLED},
};

static struct run sample_run(void)
{
    struct run run = {.records = sample,
                      .record_count = 4,
                      .started = 1000000000,
                      .ended = 2000000000,
                      .chunk_count = 17};
    assert_true(histogram_open(&run.gaps));
    return run;
}

static void latencies_count_from_the_intended_start(void **state)
{
    (void)state;
    struct run run = sample_run();
    struct settings settings = {.max_lag_ms = 10};
    struct summary summary;
    assert_true(summary_make(&summary, &run, &settings));
    assert_int_equal(summary.spreads[METRIC_TTFT].count, 2);
    assert_near(summary.spreads[METRIC_TTFT].mean, (11 + 20) / 2.0, 1e-9);
    assert_near(summary.spreads[METRIC_TTFT_SENT].mean, (8 + 20) / 2.0, 1e-9);
    assert_near(summary.spreads[METRIC_E2EL].most, 200, 1e-9);
    assert_near(summary.spreads[METRIC_TPOT].mean, (10 + 20) / 2.0, 1e-9);
    assert_near(summary.spreads[METRIC_LAG].most, 1, 1e-9);
    assert_near(summary.spreads[METRIC_QUEUE].most, 2, 1e-9);
    assert_int_equal(summary.completed, 2);
    assert_int_equal(summary.failed, 1);
    assert_int_equal(summary.cancelled, 1);
    assert_int_equal(summary.by_outcome[OUTCOME_HTTP_503], 1);
    assert_int_equal(summary.output_tokens, 20);
    assert_int_equal(summary.length_mismatch, 1);
    assert_int_equal(summary.most_concurrent, 2);
    assert_near(summary.request_rate, 2, 1e-9);
    assert_true(summary.valid);
    summary_release(&summary);
    histogram_close(&run.gaps);
}

static void goodput_needs_every_limit_kept(void **state)
{
    (void)state;
    static const struct {
        const char *slo;
        double good;
    } cases[] = {
        {"ttft:11", 1}, {"ttft:20", 2},           {"ttft:10.9", 0},
        {"tpot:10", 1}, {"ttft:20,tpot:19.9", 1}, {"itl:12", 1},
        {"itl:30", 2},  {"e2el:200", 2},          {"e2el:199,ttft:500", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct run run = sample_run();
        struct settings settings = {.max_lag_ms = 10};
        assert_int_equal(settings_slo(&settings.slo, cases[i].slo, NULL), OK);
        struct summary summary;
        assert_true(summary_make(&summary, &run, &settings));
        assert_near(summary.goodput, cases[i].good, 1e-9);
        /* Of the two that were done and the one that failed. */
        assert_near(summary.good_share, cases[i].good / 3, 1e-9);
        summary_release(&summary);
        histogram_close(&run.gaps);
    }
}

static void a_late_client_makes_the_run_invalid(void **state)
{
    (void)state;
    struct run run = sample_run();
    struct settings settings = {.max_lag_ms = 0.5};
    struct summary summary;
    assert_true(summary_make(&summary, &run, &settings));
    assert_false(summary.valid);
    assert_non_null(strstr(summary.why_invalid, "--max-lag-ms 0.5"));
    summary_release(&summary);
    histogram_close(&run.gaps);
}

static void results_have_the_keys_that_scripts_read(void **state)
{
    (void)state;
    struct run run = sample_run();
    char *no_arguments[] = {NULL};
    struct settings settings;
    assert_int_equal(settings_read(&settings, 0, no_arguments, false, NULL), OK);
    settings.save_detailed = true;
    struct summary summary;
    assert_true(summary_make(&summary, &run, &settings));
    json_t *result = result_json(&summary, &run, &settings, "m");
    static const char *const keys[] = {"date",
                                       "backend",
                                       "model_id",
                                       "tokenizer_id",
                                       "num_prompts",
                                       "request_rate",
                                       "burstiness",
                                       "max_concurrency",
                                       "duration",
                                       "completed",
                                       "failed",
                                       "total_input_tokens",
                                       "total_output_tokens",
                                       "request_throughput",
                                       "request_goodput",
                                       "output_throughput",
                                       "total_token_throughput",
                                       "max_output_tokens_per_s",
                                       "max_concurrent_requests",
                                       "mean_ttft_ms",
                                       "median_ttft_ms",
                                       "std_ttft_ms",
                                       "p99_ttft_ms",
                                       "mean_tpot_ms",
                                       "median_tpot_ms",
                                       "std_tpot_ms",
                                       "p99_tpot_ms",
                                       "mean_itl_ms",
                                       "median_itl_ms",
                                       "std_itl_ms",
                                       "p99_itl_ms",
                                       "mean_e2el_ms",
                                       "median_e2el_ms",
                                       "std_e2el_ms",
                                       "p99_e2el_ms",
                                       "p99.9_e2el_ms",
                                       "input_lens",
                                       "output_lens",
                                       "ttfts",
                                       "itls",
                                       "start_times",
                                       "errors"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (json_object_get(result, keys[i]) == NULL) {
            fail_msg("no key %s", keys[i]);
        }
    }
    assert_int_equal(json_array_size(json_object_get(result, "ttfts")), 4);
    assert_near(json_number_value(json_array_get(json_object_get(result, "ttfts"), 0)), 0.011,
                1e-9);
    assert_string_equal(json_string_value(json_array_get(json_object_get(result, "errors"), 2)),
                        "http_503");
    json_decref(result);
    summary_release(&summary);
    histogram_close(&run.gaps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_interpolate_between_ranks),
        cmocka_unit_test(one_value_is_every_percentile_and_none_is_zero),
        cmocka_unit_test(histogram_is_within_its_bucket_of_the_exact_value),
        cmocka_unit_test(small_and_extreme_values_are_kept_exactly),
        cmocka_unit_test(latencies_count_from_the_intended_start),
        cmocka_unit_test(goodput_needs_every_limit_kept),
        cmocka_unit_test(a_late_client_makes_the_run_invalid),
        cmocka_unit_test(results_have_the_keys_that_scripts_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
