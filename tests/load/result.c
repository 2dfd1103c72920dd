/* result.c - the key names are an interface: scripts that read vLLM's results read ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/result.h"

#include "tests/load/ticks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void put(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static void put_count(json_t *object, const char *key, uint64_t value)
{
    put(object, key, json_integer((json_int_t)value));
}

static void put_real(json_t *object, const char *key, double value)
{
    put(object, key, json_real(value));
}

static void put_spread(json_t *object, enum summary_metric metric, const struct spread *spread)
{
    static const char *const names[] = {"mean", "median", "std",   "p50", "p90",
                                        "p95",  "p99",    "p99.9", "max"};
    const double values[] = {spread->mean, spread->p50, spread->deviation, spread->p50, spread->p90,
                             spread->p95,  spread->p99, spread->p999,      spread->most};
    char key[64];
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        snprintf(key, sizeof key, "%s_%s_ms", names[i], summary_key(metric));
        put_real(object, key, values[i]);
    }
    snprintf(key, sizeof key, "count_%s", summary_key(metric));
    put_count(object, key, spread->count);
}

static void put_settings(json_t *object, const struct settings *settings, const char *model)
{
    char date[32];
    time_t now = time(NULL);
    struct tm when;
    strftime(date, sizeof date, "%Y%m%d-%H%M%S", gmtime_r(&now, &when));
    put(object, "date", json_string(date));
    put(object, "backend", json_string(settings->is_chat ? "openai-chat" : "openai"));
    put(object, "endpoint_type", json_string(settings->is_chat ? "openai-chat" : "openai"));
    put(object, "label", settings->label[0] != '\0' ? json_string(settings->label) : json_null());
    put(object, "model_id", json_string(model));
    put(object, "tokenizer_id", json_string(model));
    put_count(object, "num_prompts", settings->num_requests);
    /* vLLM writes "inf" where no rate was asked for. */
    put(object, "request_rate",
        settings->rate > 0 ? json_real(settings->rate) : json_string("inf"));
    put_real(object, "burstiness",
             settings->arrival_kind == ARRIVAL_GAMMA ? settings->burstiness : 1.0);
    put(object, "max_concurrency",
        json_integer((json_int_t)(settings->is_open_loop ? settings->max_concurrency
                                                         : settings->concurrency)));
    put(object, "url", json_string(settings->url));
    put(object, "arrival", json_string(settings->is_open_loop ? settings->arrival : "closed"));
    put(object, "trace", settings->trace[0] != '\0' ? json_string(settings->trace) : json_null());
    put(object, "dataset", json_string(settings->dataset));
    put_count(object, "seed", settings->seed);
    put_count(object, "turns", settings->turns);
    put_real(object, "temperature", settings->temperature);
    put(object, "slo", settings->slo.any ? json_string(settings->slo_text) : json_null());
}

static void put_counts(json_t *object, const struct summary *summary, const struct run *run,
                       const struct settings *settings)
{
    put_real(object, "duration", summary->duration_s);
    put_count(object, "completed", summary->completed);
    put_count(object, "failed", summary->failed);
    put_count(object, "cancelled", summary->cancelled);
    put_count(object, "total_input_tokens", summary->input_tokens);
    put_count(object, "total_output_tokens", summary->output_tokens);
    put_count(object, "total_cached_tokens", summary->cached_tokens);
    put_real(object, "request_throughput", summary->request_rate);
    put(object, "request_goodput", settings->slo.any ? json_real(summary->goodput) : json_null());
    put(object, "good_share", settings->slo.any ? json_real(summary->good_share) : json_null());
    put_real(object, "output_throughput", summary->output_rate);
    put_real(object, "total_token_throughput", summary->total_rate);
    put_real(object, "max_output_tokens_per_s", summary->most_tokens_per_s);
    put_count(object, "max_concurrent_requests", summary->most_concurrent);
    put_real(object, "tokens_per_chunk",
             summary->chunk_count > 0
                 ? (double)summary->output_tokens / (double)summary->chunk_count
                 : 0);
    put_count(object, "answers_without_usage", summary->without_usage);
    put_count(object, "output_length_mismatches", summary->length_mismatch);
    put_count(object, "queued_requests", run->queued_count);
    put_real(object, "planned_request_rate", summary->planned_rate);
    put_real(object, "achieved_request_rate", summary->achieved_rate);
    put_real(object, "request_rate_error", summary->rate_error);
    put_real(object, "client_chunks_per_s",
             summary->duration_s > 0 ? (double)run->chunk_count / summary->duration_s : 0);
    put_real(object, "client_cpu_share",
             summary->duration_s > 0 ? run->cpu_seconds / summary->duration_s : 0);
    put(object, "valid", json_boolean(summary->valid));
    put(object, "invalid_reason", summary->valid ? json_null() : json_string(summary->why_invalid));
    json_t *errors = json_object();
    for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
        if (outcome_is_failure((enum outcome)outcome) && summary->by_outcome[outcome] > 0) {
            put_count(errors, outcome_name((enum outcome)outcome), summary->by_outcome[outcome]);
        }
    }
    put(object, "error_classes", errors);
    put(object, "first_error",
        run->first_failure[0] != '\0' ? json_string(run->first_failure) : json_null());
}

static void put_definitions(json_t *object)
{
    json_t *words = json_object();
    put(words, "start", json_string("the intended start of a request; *_from_send: its send"));
    put(words, "ttft", json_string("first chunk with output - start"));
    put(words, "e2el", json_string("last chunk with output - start"));
    put(words, "tpot", json_string("(e2el - ttft) / (output tokens - 1)"));
    put(words, "itl", json_string("each gap between chunks with output"));
    put(words, "percentiles", json_string("linear between ranks; itl: within 0.1 %"));
    put(object, "definitions", words);
}

static void put_details(json_t *object, const struct run *run)
{
    static const char *const keys[] = {"input_lens", "output_lens", "ttfts",       "itls",
                                       "latencies",  "start_times", "queue_times", "errors"};
    json_t *arrays[8];
    for (size_t i = 0; i < 8; i++) {
        arrays[i] = json_array();
        put(object, keys[i], arrays[i]);
    }
    for (uint32_t i = 0; i < run->record_count; i++) {
        const struct record *record = &run->records[i];
        bool done = record->outcome == OUTCOME_DONE && record->first > 0;
        json_array_append_new(arrays[0], json_integer(record->input_tokens));
        json_array_append_new(arrays[1], json_integer(record->output_tokens));
        json_array_append_new(
            arrays[2], json_real(done ? ticks_seconds(record->first - record->intended) : 0));
        json_t *gaps = json_array();
        for (uint32_t gap = 0; record->gaps != NULL && gap + 1 < record->chunk_count; gap++) {
            json_array_append_new(gaps, json_real((double)record->gaps[gap]));
        }
        json_array_append_new(arrays[3], gaps);
        json_array_append_new(arrays[4],
                              json_real(done ? ticks_seconds(record->last - record->intended) : 0));
        json_array_append_new(arrays[5], json_real(ticks_seconds(record->intended - run->started)));
        json_array_append_new(arrays[6], json_real(ticks_seconds(record->sent - record->noticed)));
        bool failed = outcome_is_failure((enum outcome)record->outcome);
        json_array_append_new(
            arrays[7], json_string(failed ? outcome_name((enum outcome)record->outcome) : ""));
    }
}

json_t *result_json(const struct summary *summary, const struct run *run,
                    const struct settings *settings, const char *model)
{
    json_t *object = json_object();
    if (object == NULL) {
        return NULL;
    }
    put_settings(object, settings, model);
    put_counts(object, summary, run, settings);
    for (int metric = 0; metric < METRIC_COUNT; metric++) {
        put_spread(object, (enum summary_metric)metric, &summary->spreads[metric]);
    }
    put_definitions(object);
    if (settings->save_detailed) {
        put_details(object, run);
    }
    return object;
}

/* ---- files ---- */

static FILE *open_beside(const char *path, struct buffer *name, struct error *err)
{
    buffer_format(name, "%s.part", path);
    FILE *file = fopen(buffer_string(name), "wbe");
    if (file == NULL) {
        error_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    }
    return file;
}

static enum status settle(FILE *file, bool fine, struct buffer *name, const char *path,
                          struct error *err)
{
    fine = fflush(file) == 0 && fine;
    fine = fclose(file) == 0 && fine;
    if (fine && rename(buffer_string(name), path) == 0) {
        return OK;
    }
    enum status status = error_set(err, ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    remove(buffer_string(name));
    return status;
}

enum status result_write(const json_t *result, const char *path, struct error *err)
{
    struct buffer name = {0};
    FILE *file = open_beside(path, &name, err);
    enum status status = ERR_IO;
    if (file != NULL) {
        bool fine = json_dumpf(result, file, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) == 0;
        fine = fputc('\n', file) != EOF && fine;
        status = settle(file, fine, &name, path, err);
    }
    buffer_release(&name);
    return status;
}

enum status result_text(const struct buffer *text, const char *path, struct error *err)
{
    struct buffer name = {0};
    FILE *file = open_beside(path, &name, err);
    enum status status = ERR_IO;
    if (file != NULL) {
        bool fine = !text->failed && fwrite(text->bytes, 1, text->used, file) == text->used;
        status = settle(file, fine, &name, path, err);
    }
    buffer_release(&name);
    return status;
}

static void csv_row(FILE *file, const struct run *run, const struct record *record)
{
    uint64_t zero = run->started;
    fprintf(file, "%u,%u,%s,%.6f,%.6f,%.6f,", record->session, record->turn,
            outcome_name((enum outcome)record->outcome), ticks_seconds(record->intended - zero),
            ticks_seconds(record->noticed - zero), ticks_seconds(record->sent - zero));
    if (record->first > 0) {
        fprintf(file, "%.6f,%.6f,", ticks_seconds(record->first - zero),
                ticks_seconds(record->last - zero));
    } else {
        fputs(",,", file);
    }
    fprintf(file, "%.6f,%u,%u,%u,%u,%u,%.3f\n", ticks_seconds(record->ended - zero),
            record->input_tokens, record->cached_tokens, record->wanted_tokens,
            record->output_tokens, record->chunk_count, ticks_ms(record->gap_most));
}

enum status result_csv(const struct run *run, const char *path, struct error *err)
{
    struct buffer name = {0};
    FILE *file = open_beside(path, &name, err);
    enum status status = ERR_IO;
    if (file != NULL) {
        fputs("session,turn,outcome,intended_s,noticed_s,sent_s,first_s,last_s,ended_s,"
              "input_tokens,cached_tokens,wanted_tokens,output_tokens,chunks,longest_gap_ms\n",
              file);
        for (uint32_t i = 0; i < run->record_count; i++) {
            csv_row(file, run, &run->records[i]);
        }
        status = settle(file, ferror(file) == 0, &name, path, err);
    }
    buffer_release(&name);
    return status;
}
