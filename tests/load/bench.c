/* bench.c - settings, target, workload, run, figures, files: in this order, and nothing is sent
 * before everything that can be wrong was checked.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/bench.h"

#include "tests/load/exit_code.h"
#include "tests/load/report.h"
#include "tests/load/result.h"
#include "tests/load/run.h"
#include "tests/load/summary.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum status find_model(struct bench *bench, struct error *err)
{
    const struct settings *settings = &bench->settings;
    bool named = settings->model[0] != '\0';
    if (named && strlen(settings->model) >= sizeof bench->model) {
        return error_set(err, ERR_INVALID, "--model: longer than %d bytes", BENCH_MODEL_BYTES - 1);
    }
    if (!named || settings->ready_timeout_s > 0) {
        enum status status = target_model(&bench->target, settings->ready_timeout_s, bench->model,
                                          sizeof bench->model, err);
        if (status != OK) {
            return status;
        }
    }
    if (named) {
        snprintf(bench->model, sizeof bench->model, "%s", settings->model);
    }
    return OK;
}

enum status bench_open(struct bench *bench, struct error *err)
{
    const struct settings *settings = &bench->settings;
    raise_descriptor_limit();
    bench->trace = (struct trace){0};
    bench->workload = NULL;
    enum status status = OK;
    if (settings->trace[0] != '\0') {
        status = trace_read(&bench->trace, settings->trace, settings->trace_kind,
                            (uint32_t)settings->num_requests, err);
    }
    if (status == OK) {
        status = target_open(&bench->target, settings->url, settings->api_key_file, err);
        bench->target.keep_alive = settings->keep_alive;
    }
    if (status == OK) {
        status = find_model(bench, err);
    }
    if (status == OK) {
        status = workload_open(&bench->workload, settings, bench_trace(bench), bench->model, err);
    }
    if (status != OK) {
        bench_close(bench);
    }
    return status;
}

void bench_close(struct bench *bench)
{
    workload_close(bench->workload);
    bench->workload = NULL;
    trace_release(&bench->trace);
}

const struct trace *bench_trace(const struct bench *bench)
{
    return bench->trace.row_count > 0 ? &bench->trace : NULL;
}

/* ---- the command ---- */

static enum status write_files(const struct bench *bench, const struct summary *summary,
                               const struct run *run, struct error *err)
{
    const struct settings *settings = &bench->settings;
    enum status status = OK;
    if (settings->output[0] != '\0') {
        json_t *result = result_json(summary, run, settings, bench->model);
        status = result_write(result, settings->output, err);
        json_decref(result);
    }
    if (status == OK && settings->csv[0] != '\0') {
        status = result_csv(run, settings->csv, err);
    }
    if (status == OK && settings->html[0] != '\0') {
        struct buffer page = {0};
        report_html(&page, summary, run, settings, bench->model);
        status = result_text(&page, settings->html, err);
        buffer_release(&page);
    }
    return status;
}

static int conclude(const struct summary *summary)
{
    if (!summary->valid) {
        return EXIT_CODE_INVALID;
    }
    return summary->completed + summary->cancelled > 0 ? EXIT_CODE_FINE : EXIT_CODE_FAILED;
}

static int run_and_report(struct bench *bench, const volatile int *stop, struct error *err)
{
    struct run run;
    if (run_do(&run, &bench->settings, &bench->target, bench->workload, bench_trace(bench), stop,
               err) != OK) {
        return EXIT_CODE_FAILED;
    }
    struct summary summary;
    int code = EXIT_CODE_FAILED;
    if (!summary_make(&summary, &run, &bench->settings)) {
        error_set(err, ERR_MEMORY, "no memory for the figures");
    } else {
        if (!bench->settings.quiet) {
            summary_print(&summary, &run, &bench->settings);
        }
        if (write_files(bench, &summary, &run, err) == OK) {
            code = conclude(&summary);
        }
        if (code == EXIT_CODE_INVALID) {
            error_set(err, ERR_INVALID, "invalid run: %s", summary.why_invalid);
        } else if (code == EXIT_CODE_FAILED && summary.completed == 0 && err->message[0] == '\0') {
            error_set(err, ERR_IO, "no request succeeded; the first said: %s", run.first_failure);
        }
        summary_release(&summary);
    }
    run_release(&run);
    return code;
}

static void help(void)
{
    printf("usage: sluice-bench [run] [options]\n\n"
           "Loads an OpenAI-compatible server and measures it. Defaults stand in brackets.\n"
           "Exit status: 0 fine, 1 failed, 3 invalid (client too slow), 64 wrong options.\n");
    settings_help(false);
}

int bench_command(int argc, char **argv, const volatile int *stop)
{
    struct bench bench;
    struct error err = {0};
    if (settings_read(&bench.settings, argc, argv, false, &err) != OK) {
        fprintf(stderr, "sluice-bench: %s\n", err.message);
        return EXIT_CODE_USAGE;
    }
    if (bench.settings.help) {
        help();
        return EXIT_CODE_FINE;
    }
    int code = EXIT_CODE_FAILED;
    if (bench_open(&bench, &err) == OK) {
        code = run_and_report(&bench, stop, &err);
        bench_close(&bench);
    }
    if (code != EXIT_CODE_FINE) {
        fprintf(stderr, "sluice-bench: %s\n", err.message);
    }
    return code;
}
