/* stats.c - bucket bounds, and the Prometheus text of a struct stats.
 *
 * A histogram's count is the sum of its buckets as they are read, so that a scrape amid updates
 * still shows a consistent histogram. SPDX-License-Identifier: Apache-2.0 */
#include "engine/stats.h"

#include "engine/log.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    LABEL_BYTES_MAX = 512,
    LINE_BYTES_MAX = 1024
};

/* Microseconds. Closer at the small end than vLLM's: a small model's token takes under 1 ms. */
static const uint64_t time_bounds_us[STATS_BUCKETS] = {
    100,     250,     500,     1000,     2500,     5000,     7500,      10000,
    20000,   40000,   60000,   80000,    100000,   250000,   500000,    750000,
    1000000, 2500000, 5000000, 10000000, 20000000, 60000000, 300000000, 1800000000,
};

static const uint64_t count_bounds[STATS_BUCKETS] = {
    1,    2,    4,     8,     16,    32,     64,     128,    256,     512,     1024,    2048,
    4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576, 2097152, 4194304, 8388608,
};

static void observe(struct stats_histogram *histogram, const uint64_t *bounds, uint64_t value)
{
    uint32_t bucket = 0;
    while (bucket < STATS_BUCKETS && value > bounds[bucket]) {
        bucket++;
    }
    stats_add(&histogram->buckets[bucket], 1);
    stats_add(&histogram->sum, value);
}

void stats_observe_time(struct stats_histogram *histogram, uint64_t value_us)
{
    observe(histogram, time_bounds_us, value_us);
}

void stats_observe_count(struct stats_histogram *histogram, uint64_t value)
{
    observe(histogram, count_bounds, value);
}

struct rendering {
    stats_emit_fn emit;
    void *context;
    char labels[LABEL_BYTES_MAX]; /* model_name="...",engine="0" */
    char family[128];             /* whose HELP and TYPE lines have been written */
};

/* A label value escapes backslash, quote and newline; a name too long is cut between escapes. */
static void write_labels(struct rendering *rendering, const char *model_name)
{
    char *out = rendering->labels;
    char *end = out + sizeof rendering->labels - sizeof "\",engine=\"0\"" - 2;
    out += snprintf(out, (size_t)(end - out), "model_name=\"");
    for (; *model_name != '\0' && out < end; model_name++) {
        if (*model_name == '\n') {
            *out++ = '\\';
            *out++ = 'n';
            continue;
        }
        if (*model_name == '\\' || *model_name == '"') {
            *out++ = '\\';
        }
        *out++ = *model_name;
    }
    snprintf(out, sizeof "\",engine=\"0\"", "\",engine=\"0\"");
}

/* HELP and TYPE come once a family, in front of its first sample. */
static void write_family(struct rendering *rendering, const char *name, size_t name_bytes,
                         const char *type, const char *help)
{
    char line[LINE_BYTES_MAX];
    if (strlen(rendering->family) == name_bytes &&
        memcmp(rendering->family, name, name_bytes) == 0) {
        return;
    }
    snprintf(rendering->family, sizeof rendering->family, "%.*s", (int)name_bytes, name);
    snprintf(line, sizeof line, "# HELP %s %s\n", rendering->family, help);
    rendering->emit(rendering->context, line);
    snprintf(line, sizeof line, "# TYPE %s %s\n", rendering->family, type);
    rendering->emit(rendering->context, line);
}

/* A row's name may bring labels of its own: family{a="b"}. */
static void write_value(struct rendering *rendering, const char *name, const char *type,
                        const char *help, uint64_t value)
{
    char line[LINE_BYTES_MAX];
    size_t family_bytes = strcspn(name, "{");
    write_family(rendering, name, family_bytes, type, help);
    const char *own = name + family_bytes;
    if (*own == '{') {
        size_t own_bytes = strlen(own) - 2; /* without the braces */
        snprintf(line, sizeof line, "%.*s{%s,%.*s} %" PRIu64 "\n", (int)family_bytes, name,
                 rendering->labels, (int)own_bytes, own + 1, value);
    } else {
        snprintf(line, sizeof line, "%s{%s} %" PRIu64 "\n", name, rendering->labels, value);
    }
    rendering->emit(rendering->context, line);
}

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void write_histogram(struct rendering *rendering, const char *name, const char *help,
                            const struct stats_histogram *histogram, bool is_time)
{
    char line[LINE_BYTES_MAX];
    uint64_t below = 0;
    uint64_t sum = load(&histogram->sum);
    write_family(rendering, name, strlen(name), "histogram", help);
    for (uint32_t i = 0; i <= STATS_BUCKETS; i++) {
        char bound[32] = "+Inf";
        below += load(&histogram->buckets[i]);
        if (i < STATS_BUCKETS && is_time) {
            snprintf(bound, sizeof bound, "%g", (double)time_bounds_us[i] / 1e6);
        } else if (i < STATS_BUCKETS) {
            snprintf(bound, sizeof bound, "%" PRIu64, count_bounds[i]);
        }
        snprintf(line, sizeof line, "%s_bucket{%s,le=\"%s\"} %" PRIu64 "\n", name,
                 rendering->labels, bound, below);
        rendering->emit(rendering->context, line);
    }
    if (is_time) {
        snprintf(line, sizeof line, "%s_sum{%s} %" PRIu64 ".%06" PRIu64 "\n", name,
                 rendering->labels, sum / 1000000, sum % 1000000);
    } else {
        snprintf(line, sizeof line, "%s_sum{%s} %" PRIu64 "\n", name, rendering->labels, sum);
    }
    rendering->emit(rendering->context, line);
    snprintf(line, sizeof line, "%s_count{%s} %" PRIu64 "\n", name, rendering->labels, below);
    rendering->emit(rendering->context, line);
}

/* The one measure that is computed: the pool's share in use, as vLLM names it. */
static void write_cache_usage(struct rendering *rendering, const struct stats *stats)
{
    static const char name[] = "vllm:kv_cache_usage_perc";
    char line[LINE_BYTES_MAX];
    uint64_t total = load(&stats->blocks_total);
    double used = (double)load(&stats->blocks_used);
    write_family(rendering, name, strlen(name), "gauge", "KV blocks in use; 1 means all of them.");
    snprintf(line, sizeof line, "%s{%s} %.6g\n", name, rendering->labels,
             total == 0 ? 0.0 : used / (double)total);
    rendering->emit(rendering->context, line);
}

void stats_render_loading(uint64_t bytes, uint64_t total_bytes, bool is_done,
                          const char *model_name, stats_emit_fn emit, void *context)
{
    struct rendering rendering = {.emit = emit, .context = context};
    write_labels(&rendering, model_name);
    write_value(&rendering, "sluice:model_loaded", "gauge",
                "1 when the model is there and requests are served.", is_done);
    write_value(&rendering, "sluice:model_loaded_bytes", "gauge", "Bytes of weights in place.",
                bytes);
    write_value(&rendering, "sluice:model_bytes", "gauge",
                "Bytes of weights of the model; 0 until they are counted.", total_bytes);
}

void stats_render(const struct stats *stats, const char *model_name, stats_emit_fn emit,
                  void *context)
{
    static const bool TIME = true;
    static const bool COUNT = false;
    struct rendering rendering = {.emit = emit, .context = context};
    write_labels(&rendering, model_name);
#define STATS_ROW(field, name, help)                                                               \
    write_value(&rendering, name, "counter", help, load(&stats->field));
    STATS_COUNTERS(STATS_ROW)
#undef STATS_ROW
#define STATS_ROW(field, name, help)                                                               \
    write_value(&rendering, name, "gauge", help, load(&stats->field));
    STATS_GAUGES(STATS_ROW)
#undef STATS_ROW
    write_value(&rendering, "sluice:log_lines_dropped_total", "counter",
                "Log lines standard error did not take.", log_dropped_count());
    write_cache_usage(&rendering, stats);
#define STATS_ROW(field, name, help, kind)                                                         \
    write_histogram(&rendering, name, help, &stats->field, kind);
    STATS_HISTOGRAMS(STATS_ROW)
#undef STATS_ROW
}
