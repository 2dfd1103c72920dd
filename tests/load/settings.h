/* settings.h - what a run (and each step of a sweep) is told to do.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_SETTINGS_H
#define TESTS_LOAD_SETTINGS_H

#include "configs/error.h"
#include "tests/load/arrivals.h"
#include "tests/load/trace.h"

#include <stdbool.h>
#include <stdint.h>

/* Limits in milliseconds; 0 where none was set. */
struct slo {
    double ttft_ms;
    double tpot_ms;
    double itl_ms;
    double e2el_ms;
    bool any;
};

struct settings {
    /* target */
    const char *url;
    const char *endpoint; /* completions | chat */
    const char *model;
    const char *api_key_file;
    const char *extra_body;
    double temperature;
    bool ignore_eos;
    bool keep_alive;
    double timeout_s;
    double ready_timeout_s;
    /* load */
    uint64_t concurrency;
    double rate;
    const char *arrival;
    double burstiness;
    const char *trace;
    const char *trace_format;
    double trace_speed;
    double ramp_s;
    double ramp_from;
    uint64_t warmup;
    uint64_t num_requests;
    double duration_s;
    uint64_t max_concurrency;
    uint64_t seed;
    /* requests */
    const char *dataset;
    const char *dataset_file;
    uint64_t input_len;
    uint64_t output_len;
    double range_ratio;
    uint64_t prefix_len;
    uint64_t prefix_groups;
    double prefix_zipf;
    uint64_t turns;
    double think_ms;
    double cancel_share;
    uint64_t cancel_after;
    double tokens_per_word;
    const char *token_ids;
    uint64_t max_input_len;
    uint64_t max_output_len;
    /* judgement */
    const char *slo_text;
    double max_lag_ms;
    /* sweep */
    double rate_min;
    double rate_max;
    double slo_share;
    double precision;
    uint64_t max_steps;
    /* output */
    const char *label;
    const char *output;
    const char *csv;
    const char *html;
    bool save_detailed;
    bool quiet;
    bool help;

    /* worked out from the above */
    struct slo slo;
    enum arrival_kind arrival_kind;
    enum trace_format trace_kind;
    bool is_chat;
    bool is_open_loop;
    uint32_t token_id_low;
    uint32_t token_id_high; /* 0: words, not ids */
};

/* Reads a command line and checks what options say about each other. */
enum status settings_read(struct settings *settings, int argc, char **argv, bool is_sweep,
                          struct error *err);

/* "ttft:500,tpot:50" in milliseconds. */
enum status settings_slo(struct slo *slo, const char *text, struct error *err);

void settings_help(bool is_sweep);

#endif
