/* summary.h - the figures of a run.
 *
 * Definitions (vLLM's, except where said):
 *   TTFT = first chunk with output - start; E2EL = last chunk with output - start;
 *   TPOT = (E2EL - TTFT) / (output tokens - 1); ITL = each gap between chunks with output.
 * "start" is the intended start: a request that had to wait for a slow client or for one of
 * max_concurrency has waited. The same from the actual send is given beside it.
 * Only requests that are done count; those cut short by --cancel-share are counted apart.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_SUMMARY_H
#define TESTS_LOAD_SUMMARY_H

#include "tests/load/run.h"

/* Milliseconds. Percentiles interpolate linearly between ranks, as numpy does. */
struct spread {
    uint64_t count;
    double mean;
    double deviation;
    double p50;
    double p90;
    double p95;
    double p99;
    double p999;
    double most;
};

enum summary_metric {
    METRIC_TTFT,
    METRIC_TPOT,
    METRIC_ITL,
    METRIC_E2EL,
    METRIC_TTFT_SENT,
    METRIC_E2EL_SENT,
    METRIC_LAG,   /* noticed - intended: how late the client was */
    METRIC_QUEUE, /* sent - noticed: wait for one of max_concurrency */
    METRIC_COUNT
};

struct summary {
    uint32_t by_outcome[OUTCOME_COUNT];
    uint32_t completed;
    uint32_t failed;
    uint32_t cancelled;
    double duration_s;
    uint64_t input_tokens;
    uint64_t output_tokens;
    uint64_t cached_tokens;
    uint64_t chunk_count;     /* of completed requests */
    uint32_t without_usage;   /* completed without usage: chunks stand in for tokens */
    uint32_t length_mismatch; /* completed with another length than asked */
    double request_rate;
    double output_rate;
    double total_rate;
    double goodput;    /* completed requests per second that kept every limit */
    double good_share; /* of all requests that were not cancelled */
    double most_tokens_per_s;
    uint32_t most_concurrent;
    double planned_rate; /* open loop: 0 otherwise */
    double achieved_rate;
    double rate_error; /* achieved / planned - 1 */
    bool valid;
    char why_invalid[160];
    struct spread spreads[METRIC_COUNT];
    double *values[METRIC_COUNT]; /* ascending, milliseconds; none for ITL */
};

/* False when there is no memory. */
bool summary_make(struct summary *summary, const struct run *run, const struct settings *settings);
void summary_release(struct summary *summary);

/* "ttft", "tpot", ... as result keys have it, and a title for people. */
const char *summary_key(enum summary_metric metric);
const char *summary_title(enum summary_metric metric);

/* Sorts values. */
struct spread summary_spread(double *values, uint64_t count);

/* Of ascending values, share in 0..1. */
double summary_quantile(const double *values, uint64_t count, double share);

/* The table on standard output. */
void summary_print(const struct summary *summary, const struct run *run,
                   const struct settings *settings);

#endif
