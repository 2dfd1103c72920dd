/* sweep.c - doubles the rate until it is too much, then halves the gap on a logarithmic scale.
 * A step whose client was too slow ends the sweep: beyond, nothing can be learned.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/sweep.h"

#include "tests/load/bench.h"
#include "tests/load/exit_code.h"
#include "tests/load/result.h"
#include "tests/load/run.h"
#include "tests/load/summary.h"

#include <math.h>
#include <stdio.h>

double sweep_next(const struct sweep_search *search)
{
    if (search->passed == 0 && search->failed == 0) {
        return search->rate_min;
    }
    if (search->failed == 0) {
        return search->passed < search->rate_max ? fmin(2 * search->passed, search->rate_max) : 0;
    }
    if (search->passed == 0 || search->failed / search->passed <= 1 + search->precision) {
        return 0;
    }
    return sqrt(search->passed * search->failed);
}

void sweep_note(struct sweep_search *search, double rate, bool passed)
{
    if (passed) {
        search->passed = fmax(search->passed, rate);
    } else {
        search->failed = search->failed > 0 ? fmin(search->failed, rate) : rate;
    }
}

/* One rate. status OK also when the step did not pass. */
static enum status try_rate(struct bench *bench, double rate, json_t *steps, bool *passed,
                            bool *valid, const volatile int *stop, struct error *err)
{
    bench->settings.rate = rate;
    struct run run;
    enum status status =
        run_do(&run, &bench->settings, &bench->target, bench->workload, NULL, stop, err);
    if (status != OK) {
        return status;
    }
    struct summary summary;
    if (!summary_make(&summary, &run, &bench->settings)) {
        run_release(&run);
        return error_set(err, ERR_MEMORY, "no memory for the figures");
    }
    *valid = summary.valid;
    *passed = summary.valid && summary.good_share >= bench->settings.slo_share;
    if (!bench->settings.quiet) {
        printf("%10.3f %9.2f %10.2f %11.2f %10.2f %10.2f %8u  %s\n", rate, summary.good_share * 100,
               summary.goodput, summary.spreads[METRIC_TTFT].p99, summary.spreads[METRIC_TPOT].p99,
               summary.spreads[METRIC_E2EL].p99, summary.failed,
               !summary.valid ? summary.why_invalid : (*passed ? "passed" : "failed"));
        fflush(stdout);
    }
    json_t *step = result_json(&summary, &run, &bench->settings, bench->model);
    json_object_set_new(step, "passed", json_boolean(*passed));
    json_array_append_new(steps, step);
    summary_release(&summary);
    run_release(&run);
    return OK;
}

static enum status search(struct bench *bench, struct sweep_search *state, json_t *steps,
                          bool *valid, const volatile int *stop, struct error *err)
{
    *valid = true;
    for (uint64_t step = 0; step < bench->settings.max_steps && *stop == 0; step++) {
        double rate = sweep_next(state);
        if (rate == 0) {
            break;
        }
        bool passed = false;
        enum status status = try_rate(bench, rate, steps, &passed, valid, stop, err);
        if (status != OK || !*valid) {
            return status;
        }
        sweep_note(state, rate, passed);
        /* Each step asks afresh: the same prompts would be answered from the cache. */
        bench->settings.seed++;
    }
    return OK;
}

static int report(const struct bench *bench, const struct sweep_search *state, json_t *steps,
                  bool valid, struct error *err)
{
    const struct settings *settings = &bench->settings;
    if (state->passed > 0) {
        printf("Highest rate that keeps %s for %g %% of requests: %.3f requests/s\n",
               settings->slo_text, settings->slo_share * 100, state->passed);
    } else {
        printf("No rate from %g requests/s on keeps %s for %g %% of requests.\n",
               settings->rate_min, settings->slo_text, settings->slo_share * 100);
    }
    if (!valid) {
        printf("The search ended early: the last step is invalid.\n");
    }
    if (settings->output[0] != '\0') {
        json_t *result =
            json_pack("{s:f, s:f, s:s, s:f, s:b, s:O}", "highest_rate", state->passed,
                      "lowest_failing_rate", state->failed, "slo", settings->slo_text, "slo_share",
                      settings->slo_share, "valid", valid, "steps", steps);
        enum status status = result_write(result, settings->output, err);
        json_decref(result);
        if (status != OK) {
            fprintf(stderr, "sluice-bench sweep: %s\n", err->message);
            return EXIT_CODE_FAILED;
        }
    }
    if (!valid) {
        return EXIT_CODE_INVALID;
    }
    return state->passed > 0 ? EXIT_CODE_FINE : EXIT_CODE_FAILED;
}

static int sweep_run(struct bench *bench, const volatile int *stop, struct error *err)
{
    struct sweep_search state = {.rate_min = bench->settings.rate_min,
                                 .rate_max = bench->settings.rate_max,
                                 .precision = bench->settings.precision};
    json_t *steps = json_array();
    if (!bench->settings.quiet) {
        printf("%10s %9s %10s %11s %10s %10s %8s\n", "requests/s", "good %", "goodput/s",
               "p99 TTFT ms", "p99 TPOT", "p99 E2EL", "failures");
    }
    bool valid = true;
    int code = EXIT_CODE_FAILED;
    if (search(bench, &state, steps, &valid, stop, err) != OK) {
        fprintf(stderr, "sluice-bench sweep: %s\n", err->message);
    } else {
        code = report(bench, &state, steps, valid, err);
    }
    json_decref(steps);
    return code;
}

int sweep_command(int argc, char **argv, const volatile int *stop)
{
    struct bench bench;
    struct error err = {0};
    if (settings_read(&bench.settings, argc, argv, true, &err) != OK) {
        fprintf(stderr, "sluice-bench sweep: %s\n", err.message);
        return EXIT_CODE_USAGE;
    }
    if (bench.settings.help) {
        printf("usage: sluice-bench sweep --slo LIMITS [options]\n\n"
               "Finds the highest request rate at which a server keeps its limits.\n"
               "Exit status: 0 found, 1 none or failed, 3 invalid (client too slow), 64 wrong "
               "options.\n");
        settings_help(true);
        return EXIT_CODE_FINE;
    }
    if (bench_open(&bench, &err) != OK) {
        fprintf(stderr, "sluice-bench sweep: %s\n", err.message);
        return EXIT_CODE_FAILED;
    }
    int code = sweep_run(&bench, stop, &err);
    bench_close(&bench);
    return code;
}
