/* compare.c - Welch's interval, because two runs have neither the same spread nor the same count.
 * It needs only mean, deviation and count, which vLLM's files have too.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/compare.h"

#include "configs/option_table.h"
#include "tests/load/exit_code.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct compare_options {
    double fail_above;
    bool help;
};

/* clang-format off */
static const struct option_row rows[] = {
    {OPTION_HEADING, "Options", 0, "", 0, 0, "", ""},
    {OPTION_REAL, "fail-above", offsetof(struct compare_options, fail_above), "0", 0, 1e6, "",
     "exit with status 1 when a mean or throughput is worse by more than X %, and by more than chance; 0: never"},
    {OPTION_SWITCH, "help", offsetof(struct compare_options, help), "false", 0, 0, "", "print this"},
};
/* clang-format on */

static const struct option_table table = {rows, sizeof rows / sizeof rows[0]};

double compare_t95(double freedom)
{
    /* Cornish-Fisher expansion around the normal's 1.95996, good to 0.3 % from 3 on; below, the
     * exact values. */
    static const double small[] = {12.706, 4.303};
    if (freedom < 2.5) {
        return small[freedom >= 1.5];
    }
    const double z = 1.959964;
    double z3 = z * z * z;
    double z5 = z3 * z * z;
    double z7 = z5 * z * z;
    return z + (z3 + z) / (4 * freedom) + (5 * z5 + 16 * z3 + 3 * z) / (96 * freedom * freedom) +
           (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * freedom * freedom * freedom);
}

static bool number_of(const json_t *result, const char *key, double *out)
{
    const json_t *value = json_object_get(result, key);
    *out = json_number_value(value);
    return json_is_number(value);
}

/* How many values a mean is of: our files say so, for vLLM's it follows from the totals. */
static double count_of(const json_t *result, const char *metric)
{
    char key[64];
    double count = 0;
    snprintf(key, sizeof key, "count_%s", metric);
    if (number_of(result, key, &count)) {
        return count;
    }
    double completed = 0;
    double tokens = 0;
    number_of(result, "completed", &completed);
    number_of(result, "total_output_tokens", &tokens);
    return strcmp(metric, "itl") == 0 ? tokens - completed : completed;
}

static bool both(struct compare_row *row, const json_t *before, const json_t *after,
                 const char *key)
{
    *row = (struct compare_row){.key = key};
    if (!number_of(before, key, &row->before) || !number_of(after, key, &row->after)) {
        return false;
    }
    row->change = row->before != 0 ? row->after / row->before - 1 : 0;
    return true;
}

bool compare_plain(struct compare_row *row, const json_t *before, const json_t *after,
                   const char *key)
{
    return both(row, before, after, key);
}

bool compare_mean(struct compare_row *row, const json_t *before, const json_t *after,
                  const char *metric)
{
    char key[64];
    snprintf(key, sizeof key, "mean_%s_ms", metric);
    bool found = both(row, before, after, key);
    row->key = metric;
    double deviation_before = 0;
    double deviation_after = 0;
    snprintf(key, sizeof key, "std_%s_ms", metric);
    double count_before = count_of(before, metric);
    double count_after = count_of(after, metric);
    if (!found || !number_of(before, key, &deviation_before) ||
        !number_of(after, key, &deviation_after) || count_before < 2 || count_after < 2) {
        return found;
    }
    /* The files' deviations divide by n, Welch's by n - 1. */
    double a = deviation_before * deviation_before / (count_before - 1);
    double b = deviation_after * deviation_after / (count_after - 1);
    double spread = a * a / (count_before - 1) + b * b / (count_after - 1);
    double freedom = spread > 0 ? (a + b) * (a + b) / spread : 1e9;
    double reach = compare_t95(freedom) * sqrt(a + b);
    double difference = row->after - row->before;
    row->low = difference - reach;
    row->high = difference + reach;
    row->has_interval = true;
    if (row->low > 0) {
        row->verdict = COMPARE_WORSE;
    } else if (row->high < 0) {
        row->verdict = COMPARE_BETTER;
    }
    return true;
}

static json_t *load(const char *path)
{
    json_error_t problem;
    json_t *result = json_load_file(path, 0, &problem);
    if (result == NULL) {
        fprintf(stderr, "sluice-bench compare: %s, line %d: %s\n", path, problem.line,
                problem.text);
        return NULL;
    }
    if (!json_is_number(json_object_get(result, "completed"))) {
        fprintf(stderr, "sluice-bench compare: %s: no key \"completed\"; not the result of a run\n",
                path);
        json_decref(result);
        return NULL;
    }
    const json_t *valid = json_object_get(result, "valid");
    if (json_is_false(valid)) {
        fprintf(stderr, "sluice-bench compare: %s: an invalid run: %s\n", path,
                json_string_value(json_object_get(result, "invalid_reason")));
        json_decref(result);
        return NULL;
    }
    return result;
}

static void print_row(const char *name, const struct compare_row *row)
{
    static const char *const verdicts[] = {"no difference", "better", "worse"};
    printf("%-28s %14.3f %14.3f %+9.2f %%", name, row->before, row->after, row->change * 100);
    if (row->has_interval) {
        printf("   %+.3f to %+.3f: %s", row->low, row->high, verdicts[row->verdict]);
    }
    putchar('\n');
}

/* Returns whether something is worse by more than fail_above percent. */
static bool compare_all(const json_t *before, const json_t *after, double fail_above)
{
    static const char *const totals[] = {"completed",          "failed",
                                         "request_throughput", "request_goodput",
                                         "output_throughput",  "total_token_throughput"};
    static const char *const metrics[] = {"ttft", "tpot", "itl", "e2el"};
    static const char *const points[] = {"median", "p90", "p99", "p99.9"};
    bool worse = false;
    struct compare_row row;
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        if (compare_plain(&row, before, after, totals[i])) {
            print_row(totals[i], &row);
            worse = worse || (i >= 2 && row.change * 100 < -fail_above);
        }
    }
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        char key[64];
        if (compare_mean(&row, before, after, metrics[i])) {
            snprintf(key, sizeof key, "mean_%s_ms", metrics[i]);
            print_row(key, &row);
            worse = worse || (row.verdict == COMPARE_WORSE && row.change * 100 > fail_above);
        }
        for (size_t point = 0; point < sizeof points / sizeof points[0]; point++) {
            snprintf(key, sizeof key, "%s_%s_ms", points[point], metrics[i]);
            if (compare_plain(&row, before, after, key)) {
                print_row(key, &row);
            }
        }
    }
    return worse && fail_above > 0;
}

int compare_command(int argc, char **argv)
{
    struct compare_options options;
    struct error err = {0};
    const char *paths[2];
    size_t path_count = 0;
    if (option_table_read(&table, &options, argc, argv, paths, 2, &path_count, &err) != OK) {
        fprintf(stderr, "sluice-bench compare: %s\n", err.message);
        return EXIT_CODE_USAGE;
    }
    if (options.help) {
        printf("usage: sluice-bench compare BEFORE.json AFTER.json [options]\n\n"
               "Compares two results, of sluice-bench or vLLM; intervals are 95 %%.\n");
        option_table_help(&table, stdout);
        return EXIT_CODE_FINE;
    }
    if (path_count != 2) {
        fprintf(stderr, "sluice-bench compare: needs two result files, got %zu\n", path_count);
        return EXIT_CODE_USAGE;
    }
    json_t *before = load(paths[0]);
    json_t *after = before != NULL ? load(paths[1]) : NULL;
    int code = EXIT_CODE_FAILED;
    if (after != NULL) {
        printf("%-28s %14s %14s %11s   %s\n", "", "before", "after", "change",
               "95 % interval of the difference");
        code = compare_all(before, after, options.fail_above) ? EXIT_CODE_FAILED : EXIT_CODE_FINE;
    }
    json_decref(before);
    json_decref(after);
    return code;
}
