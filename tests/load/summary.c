/* summary.c - exact figures from the records; only ITL, of which there may be millions, comes from
 * the histogram. SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/summary.h"

#include "tests/load/ticks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *summary_key(enum summary_metric metric)
{
    static const char *const keys[METRIC_COUNT] = {
        "ttft",           "tpot",           "itl",          "e2el",
        "ttft_from_send", "e2el_from_send", "schedule_lag", "client_queue_time"};
    return keys[metric];
}

const char *summary_title(enum summary_metric metric)
{
    static const char *const titles[METRIC_COUNT] = {
        "Time to first token",      "Time per output token",     "Gap between chunks",
        "End-to-end latency",       "TTFT from the actual send", "E2EL from the actual send",
        "Schedule lag (of client)", "Wait for a connection"};
    return titles[metric];
}

/* ---- spreads ---- */

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

double summary_quantile(const double *values, uint64_t count, double share)
{
    if (count == 0) {
        return 0;
    }
    double at = share * (double)(count - 1);
    uint64_t low = (uint64_t)at;
    uint64_t high = low + 1 < count ? low + 1 : low;
    return values[low] + (values[high] - values[low]) * (at - (double)low);
}

struct spread summary_spread(double *values, uint64_t count)
{
    struct spread spread = {.count = count};
    if (count == 0) {
        return spread;
    }
    qsort(values, count, sizeof *values, ascending);
    double sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        sum += values[i];
    }
    spread.mean = sum / (double)count;
    double squares = 0;
    for (uint64_t i = 0; i < count; i++) {
        squares += (values[i] - spread.mean) * (values[i] - spread.mean);
    }
    spread.deviation = sqrt(squares / (double)count);
    spread.p50 = summary_quantile(values, count, 0.5);
    spread.p90 = summary_quantile(values, count, 0.9);
    spread.p95 = summary_quantile(values, count, 0.95);
    spread.p99 = summary_quantile(values, count, 0.99);
    spread.p999 = summary_quantile(values, count, 0.999);
    spread.most = values[count - 1];
    return spread;
}

static struct spread gap_spread(const struct histogram *gaps)
{
    return (struct spread){.count = gaps->count,
                           .mean = histogram_mean(gaps) / 1e6,
                           .deviation = histogram_deviation(gaps) / 1e6,
                           .p50 = histogram_quantile(gaps, 0.5) / 1e6,
                           .p90 = histogram_quantile(gaps, 0.9) / 1e6,
                           .p95 = histogram_quantile(gaps, 0.95) / 1e6,
                           .p99 = histogram_quantile(gaps, 0.99) / 1e6,
                           .p999 = histogram_quantile(gaps, 0.999) / 1e6,
                           .most = (double)gaps->most / 1e6};
}

/* ---- one record ---- */

static uint32_t output_tokens(const struct record *record)
{
    return record->has_usage ? record->output_tokens : record->chunk_count;
}

static double span_ms(uint64_t from, uint64_t to)
{
    return to > from ? ticks_ms(to - from) : 0;
}

/* Negative where the request has no such value. */
static double value_of(const struct record *record, enum summary_metric metric)
{
    bool answered = record->outcome == OUTCOME_DONE && record->first > 0;
    bool was_sent = record->outcome != OUTCOME_UNSENT;
    uint32_t tokens = output_tokens(record);
    switch (metric) {
    case METRIC_TTFT:
        return answered ? span_ms(record->intended, record->first) : -1;
    case METRIC_E2EL:
        return answered ? span_ms(record->intended, record->last) : -1;
    case METRIC_TTFT_SENT:
        return answered ? span_ms(record->sent, record->first) : -1;
    case METRIC_E2EL_SENT:
        return answered ? span_ms(record->sent, record->last) : -1;
    case METRIC_TPOT:
        return answered && tokens > 1 ? span_ms(record->first, record->last) / (tokens - 1) : -1;
    case METRIC_LAG:
        return was_sent ? span_ms(record->intended, record->noticed) : -1;
    case METRIC_QUEUE:
        return was_sent ? span_ms(record->noticed, record->sent) : -1;
    default:
        return -1;
    }
}

static bool within(double value, double limit)
{
    return limit == 0 || value <= limit;
}

static bool is_good(const struct record *record, const struct slo *slo)
{
    return record->outcome == OUTCOME_DONE && record->first > 0 &&
           within(value_of(record, METRIC_TTFT), slo->ttft_ms) &&
           within(value_of(record, METRIC_TPOT), slo->tpot_ms) &&
           within(value_of(record, METRIC_E2EL), slo->e2el_ms) &&
           within(ticks_ms(record->gap_most), slo->itl_ms);
}

/* ---- all records ---- */

static bool fill_spread(struct summary *summary, const struct run *run, enum summary_metric metric)
{
    double *values = malloc((run->record_count + 1) * sizeof *values);
    if (values == NULL) {
        return false;
    }
    uint64_t count = 0;
    for (uint32_t i = 0; i < run->record_count; i++) {
        double value = value_of(&run->records[i], metric);
        if (value >= 0) {
            values[count++] = value;
        }
    }
    summary->spreads[metric] = summary_spread(values, count);
    summary->values[metric] = values;
    return true;
}

static void count_records(struct summary *summary, const struct run *run,
                          const struct settings *settings)
{
    uint32_t good = 0;
    for (uint32_t i = 0; i < run->record_count; i++) {
        const struct record *record = &run->records[i];
        summary->by_outcome[record->outcome]++;
        good += is_good(record, &settings->slo);
        if (record->outcome != OUTCOME_DONE) {
            continue;
        }
        summary->input_tokens += record->input_tokens;
        summary->output_tokens += output_tokens(record);
        summary->cached_tokens += record->cached_tokens;
        summary->chunk_count += record->chunk_count;
        summary->without_usage += !record->has_usage;
        summary->length_mismatch +=
            record->has_usage && record->output_tokens != record->wanted_tokens;
    }
    summary->completed = summary->by_outcome[OUTCOME_DONE];
    summary->cancelled = summary->by_outcome[OUTCOME_CANCELLED];
    summary->failed = run->record_count - summary->completed - summary->cancelled;
    uint32_t judged = summary->completed + summary->failed;
    summary->good_share = judged > 0 ? (double)good / judged : 0;
    summary->goodput = summary->duration_s > 0 ? good / summary->duration_s : 0;
}

static void rates(struct summary *summary, const struct run *run)
{
    if (summary->duration_s > 0) {
        summary->request_rate = summary->completed / summary->duration_s;
        summary->output_rate = (double)summary->output_tokens / summary->duration_s;
        summary->total_rate =
            (double)(summary->input_tokens + summary->output_tokens) / summary->duration_s;
    }
    uint64_t first = TICKS_NEVER;
    uint64_t last = 0;
    uint32_t sent = 0;
    for (uint32_t i = 0; i < run->record_count; i++) {
        const struct record *record = &run->records[i];
        if (record->turn == 0 && record->sent > 0) {
            first = record->sent < first ? record->sent : first;
            last = record->sent > last ? record->sent : last;
            sent++;
        }
    }
    if (!run->interrupted && run->planned_count > 1 && run->planned_span > 0 && sent > 1 &&
        last > first) {
        summary->planned_rate = (run->planned_count - 1) / ticks_seconds(run->planned_span);
        summary->achieved_rate = (sent - 1) / ticks_seconds(last - first);
        summary->rate_error = summary->achieved_rate / summary->planned_rate - 1;
    }
}

/* Ends in front of starts: intervals are half open. */
struct edge {
    uint64_t at;
    int change;
};

static int by_time(const void *left, const void *right)
{
    const struct edge *a = left;
    const struct edge *b = right;
    if (a->at != b->at) {
        return a->at < b->at ? -1 : 1;
    }
    return a->change - b->change;
}

static bool count_concurrent(struct summary *summary, const struct run *run)
{
    struct edge *edges = malloc((2 * (size_t)run->record_count + 1) * sizeof *edges);
    if (edges == NULL) {
        return false;
    }
    size_t count = 0;
    for (uint32_t i = 0; i < run->record_count; i++) {
        if (run->records[i].sent > 0) {
            edges[count++] = (struct edge){run->records[i].sent, 1};
            edges[count++] = (struct edge){run->records[i].ended, -1};
        }
    }
    qsort(edges, count, sizeof *edges, by_time);
    int now = 0;
    for (size_t i = 0; i < count; i++) {
        now += edges[i].change;
        summary->most_concurrent =
            now > (int)summary->most_concurrent ? (uint32_t)now : summary->most_concurrent;
    }
    free(edges);
    return true;
}

static void busiest_second(struct summary *summary, const struct run *run)
{
    const uint32_t per_second = 1000 / RUN_SLOT_MS;
    uint64_t most = 0;
    for (uint32_t start = 0; start < run->slot_count; start += per_second) {
        uint64_t chunks = 0;
        for (uint32_t i = start; i < start + per_second && i < run->slot_count; i++) {
            chunks += run->slot_chunks[i];
        }
        most = chunks > most ? chunks : most;
    }
    double per_chunk = summary->chunk_count > 0
                           ? (double)summary->output_tokens / (double)summary->chunk_count
                           : 1;
    summary->most_tokens_per_s = (double)most * per_chunk;
}

static void judge(struct summary *summary, const struct run *run, const struct settings *settings)
{
    summary->valid = true;
    if (run->interrupted) {
        summary->valid = false;
        snprintf(summary->why_invalid, sizeof summary->why_invalid, "the run was interrupted");
    } else if (summary->spreads[METRIC_LAG].p99 > settings->max_lag_ms) {
        summary->valid = false;
        snprintf(summary->why_invalid, sizeof summary->why_invalid,
                 "schedule lag p99 is %.2f ms, above --max-lag-ms %g: the client was too slow",
                 summary->spreads[METRIC_LAG].p99, settings->max_lag_ms);
    } else if (run->record_count == 0) {
        summary->valid = false;
        snprintf(summary->why_invalid, sizeof summary->why_invalid, "no request was sent");
    }
}

bool summary_make(struct summary *summary, const struct run *run, const struct settings *settings)
{
    *summary = (struct summary){.duration_s = ticks_seconds(run->ended - run->started)};
    bool fine = count_concurrent(summary, run);
    for (int metric = 0; fine && metric < METRIC_COUNT; metric++) {
        fine = metric == METRIC_ITL || fill_spread(summary, run, (enum summary_metric)metric);
    }
    if (!fine) {
        summary_release(summary);
        return false;
    }
    summary->spreads[METRIC_ITL] = gap_spread(&run->gaps);
    count_records(summary, run, settings);
    rates(summary, run);
    busiest_second(summary, run);
    judge(summary, run, settings);
    return true;
}

void summary_release(struct summary *summary)
{
    for (int metric = 0; metric < METRIC_COUNT; metric++) {
        free(summary->values[metric]);
        summary->values[metric] = NULL;
    }
}

/* ---- for people ---- */

static void print_counts(const struct summary *summary, const struct run *run,
                         const struct settings *settings)
{
    printf("%-34s %u done, %u failed, %u cancelled\n", "Requests", summary->completed,
           summary->failed, summary->cancelled);
    for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
        if (outcome_is_failure((enum outcome)outcome) && summary->by_outcome[outcome] > 0) {
            printf("  %-32s %u\n", outcome_name((enum outcome)outcome),
                   summary->by_outcome[outcome]);
        }
    }
    if (run->first_failure[0] != '\0') {
        printf("  first failure: %s\n", run->first_failure);
    }
    printf("%-34s %.2f s\n", "Duration", summary->duration_s);
    printf("%-34s %llu in, %llu out, %llu in from cache\n", "Tokens",
           (unsigned long long)summary->input_tokens, (unsigned long long)summary->output_tokens,
           (unsigned long long)summary->cached_tokens);
    printf("%-34s %.2f requests/s, %.1f output tokens/s, %.1f tokens/s\n", "Throughput",
           summary->request_rate, summary->output_rate, summary->total_rate);
    if (settings->slo.any) {
        printf("%-34s %.2f requests/s, %.2f %% of requests keep %s\n", "Goodput", summary->goodput,
               summary->good_share * 100, settings->slo_text);
    }
    printf("%-34s %u requests, %.1f output tokens/s\n", "Peak", summary->most_concurrent,
           summary->most_tokens_per_s);
    if (summary->planned_rate > 0) {
        printf("%-34s %.3f planned, %.3f achieved (%+.3f %%)\n", "Requests/s",
               summary->planned_rate, summary->achieved_rate, summary->rate_error * 100);
    }
    printf("%-34s %.1f %% of one core, %.0f chunks/s\n", "This client",
           summary->duration_s > 0 ? run->cpu_seconds / summary->duration_s * 100 : 0,
           summary->duration_s > 0 ? (double)run->chunk_count / summary->duration_s : 0);
}

static void print_warnings(const struct summary *summary, const struct run *run,
                           const struct settings *settings)
{
    if (summary->without_usage > 0) {
        printf("Warning: %u answers had no usage; their chunks were counted as tokens.\n",
               summary->without_usage);
    }
    if (summary->length_mismatch > 0) {
        printf("Warning: %u answers had another length than was asked for.\n",
               summary->length_mismatch);
    }
    if (settings->is_open_loop && run->queued_count > 0) {
        printf("Warning: %u requests waited because --max-concurrency %llu were under way; their "
               "wait is in the latencies.\n",
               run->queued_count, (unsigned long long)settings->max_concurrency);
    }
    if (!summary->valid) {
        printf("INVALID: %s.\n", summary->why_invalid);
    }
}

void summary_print(const struct summary *summary, const struct run *run,
                   const struct settings *settings)
{
    print_counts(summary, run, settings);
    printf("\n%-34s %9s %9s %9s %9s %9s %9s %9s\n", "Milliseconds", "mean", "p50", "p90", "p95",
           "p99", "p99.9", "max");
    for (int metric = 0; metric < METRIC_COUNT; metric++) {
        const struct spread *spread = &summary->spreads[metric];
        if (spread->count > 0) {
            printf("%-34s %9.2f %9.2f %9.2f %9.2f %9.2f %9.2f %9.2f\n",
                   summary_title((enum summary_metric)metric), spread->mean, spread->p50,
                   spread->p90, spread->p95, spread->p99, spread->p999, spread->most);
        }
    }
    print_warnings(summary, run, settings);
}
