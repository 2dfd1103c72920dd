/* test_load_judgement.c - settings and their messages, the search of a sweep, comparisons.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/load/compare.h"
#include "tests/load/settings.h"
#include "tests/load/sweep.h"

#include <math.h>

/* ---- settings ---- */

static void a_wrong_option_is_named_with_value_and_limit(void **state)
{
    (void)state;
    static const struct {
        const char *arguments[4];
        const char *said;
    } cases[] = {
        {{"--concurrency", "0"}, "--concurrency 0: not in 1 to 16384"},
        {{"--concurrency", "99999"}, "--concurrency 99999: not in 1 to 16384"},
        {{"--concurrency", "1.5"}, "--concurrency 1.5: not a whole number"},
        {{"--rate", "fast"}, "--rate fast: not a number"},
        {{"--rate", "nan"}, "--rate nan: not a number"},
        {{"--rate"}, "--rate: its value is missing"},
        {{"--arrival", "bursts"}, "--arrival bursts: not one of poisson|gamma|constant"},
        {{"--bananas", "3"}, "--bananas: no such option"},
        {{"--no-rate"}, "--no-rate: no such option"},
        {{"stray"}, "'stray': an argument too many"},
        {{"--slo", "ttft:0"}, "--slo ttft:0: not a list"},
        {{"--slo", "tfft:5"}, "--slo tfft:5: not a list"},
        {{"--token-ids", "5:3"}, "--token-ids 5:3: not LOW:HIGH"},
        {{"--token-ids", "3:9", "--endpoint", "chat"}, "--token-ids: only for"},
        {{"--rate", "5", "--trace", "x"}, "--rate and --trace exclude each other"},
        {{"--dataset", "jsonl"}, "need each other"},
        {{"--ramp-s=1", "--ramp-from=9", "--rate=5"}, "--ramp-from 9: above --rate 5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int argc = 0;
        while (argc < 4 && cases[i].arguments[argc] != NULL) {
            argc++;
        }
        struct settings settings;
        struct error err = {0};
        assert_int_equal(settings_read(&settings, argc, (char **)cases[i].arguments, false, &err),
                         ERR_INVALID);
        if (strstr(err.message, cases[i].said) == NULL) {
            fail_msg("'%s' does not say '%s'", err.message, cases[i].said);
        }
    }
}

static void defaults_are_a_small_closed_loop(void **state)
{
    (void)state;
    struct settings settings;
    assert_int_equal(settings_read(&settings, 0, NULL, false, NULL), OK);
    assert_false(settings.is_open_loop);
    assert_int_equal(settings.concurrency, 1);
    assert_int_equal(settings.num_requests, 100);
    assert_true(settings.ignore_eos);
    assert_string_equal(settings.url, "http://127.0.0.1:8080");
    const char *const arguments[] = {"--no-ignore-eos", "--rate=3.5", "--slo=ttft:500,itl:20"};
    assert_int_equal(settings_read(&settings, 3, (char **)arguments, false, NULL), OK);
    assert_true(settings.is_open_loop);
    assert_false(settings.ignore_eos);
    assert_true(settings.slo.ttft_ms == 500 && settings.slo.itl_ms == 20);
    assert_true(settings.slo.tpot_ms == 0);
}

static void a_sweep_needs_limits(void **state)
{
    (void)state;
    struct settings settings;
    struct error err = {0};
    assert_int_equal(settings_read(&settings, 0, NULL, true, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "--slo"));
}

/* ---- sweep ---- */

static double search_for(double capacity, struct sweep_search search, int *step_count)
{
    *step_count = 0;
    double rate = sweep_next(&search);
    while (rate > 0) {
        sweep_note(&search, rate, rate <= capacity);
        (*step_count)++;
        assert_true(*step_count < 60);
        rate = sweep_next(&search);
    }
    return search.passed;
}

static void sweep_closes_in_on_the_capacity(void **state)
{
    (void)state;
    struct sweep_search search = {.rate_min = 1, .rate_max = 1000, .precision = 0.05};
    double capacity = 1;
    while (capacity < 1000) {
        int step_count = 0;
        double found = search_for(capacity, search, &step_count);
        assert_true(found <= capacity && found * 1.05 >= capacity);
        capacity *= 1.7;
    }
}

static void sweep_ends_at_its_bounds(void **state)
{
    (void)state;
    struct sweep_search search = {.rate_min = 8, .rate_max = 100, .precision = 0.05};
    int step_count = 0;
    assert_true(search_for(1e9, search, &step_count) == 100);
    assert_int_equal(step_count, 5); /* 8, 16, 32, 64, 100 */
    assert_true(search_for(2, search, &step_count) == 0);
    assert_int_equal(step_count, 1);
}

/* ---- compare ---- */

static json_t *result(double mean, double deviation, int count)
{
    return json_pack("{s:f, s:f, s:i, s:i, s:f}", "mean_ttft_ms", mean, "std_ttft_ms", deviation,
                     "completed", count, "total_output_tokens", 50 * count, "output_throughput",
                     1000.0);
}

static struct compare_row compare(double mean, double deviation, int count)
{
    json_t *before = result(100, 10, 50);
    json_t *after = result(mean, deviation, count);
    struct compare_row row;
    assert_true(compare_mean(&row, before, after, "ttft"));
    json_decref(before);
    json_decref(after);
    return row;
}

static void a_difference_counts_only_beyond_chance(void **state)
{
    (void)state;
    assert_int_equal(compare(100, 10, 50).verdict, COMPARE_SAME);
    assert_int_equal(compare(103, 10, 50).verdict, COMPARE_SAME);
    assert_int_equal(compare(105, 10, 50).verdict, COMPARE_WORSE);
    assert_int_equal(compare(95, 10, 50).verdict, COMPARE_BETTER);
    /* The same difference, measured worse. */
    assert_int_equal(compare(105, 80, 50).verdict, COMPARE_SAME);
    assert_int_equal(compare(105, 10, 3).verdict, COMPARE_SAME);
}

static void the_interval_is_welchs(void **state)
{
    (void)state;
    /* s1 = s2 = 10 * sqrt(50/49), n = 50: error = sqrt(2 * 100 / 49) = 2.0203, 98 degrees of
     * freedom, t = 1.9845: 4.0093 either way. */
    struct compare_row row = compare(105, 10, 50);
    assert_true(row.has_interval);
    assert_true(fabs(row.low - (5 - 4.0093)) < 1e-3);
    assert_true(fabs(row.high - (5 + 4.0093)) < 1e-3);
    assert_true(fabs(row.change - 0.05) < 1e-12);
}

static void students_t_is_near_the_tables(void **state)
{
    (void)state;
    static const double table[][2] = {{1, 12.706}, {2, 4.303},  {3, 3.182},   {5, 2.571},
                                      {10, 2.228}, {30, 2.042}, {98, 1.9845}, {1e9, 1.96}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        double wanted = table[i][1];
        if (fabs(compare_t95(table[i][0]) - wanted) > 0.02 * wanted) {
            fail_msg("t for %g degrees is %g, not %g", table[i][0], compare_t95(table[i][0]),
                     wanted);
        }
    }
}

static void a_missing_key_is_no_row(void **state)
{
    (void)state;
    json_t *before = result(1, 1, 5);
    json_t *after = json_pack("{s:i}", "completed", 5);
    struct compare_row row;
    assert_false(compare_mean(&row, before, after, "ttft"));
    assert_false(compare_plain(&row, before, after, "output_throughput"));
    assert_true(compare_plain(&row, before, after, "completed"));
    assert_false(row.has_interval);
    json_decref(before);
    json_decref(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_option_is_named_with_value_and_limit),
        cmocka_unit_test(defaults_are_a_small_closed_loop),
        cmocka_unit_test(a_sweep_needs_limits),
        cmocka_unit_test(sweep_closes_in_on_the_capacity),
        cmocka_unit_test(sweep_ends_at_its_bounds),
        cmocka_unit_test(a_difference_counts_only_beyond_chance),
        cmocka_unit_test(the_interval_is_welchs),
        cmocka_unit_test(students_t_is_near_the_tables),
        cmocka_unit_test(a_missing_key_is_no_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
