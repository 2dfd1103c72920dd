/* report.c - the reader first learns whether the run counts, then the figures, then their shape.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/report.h"

#include "tests/load/chart.h"
#include "tests/load/ticks.h"

#include <math.h>
#include <stdlib.h>

enum {
    CDF_POINTS = 240,
    TIME_POINTS = 300
};

/* clang-format off */
static const char style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--back:#fff;--panel:#f6f7f9;--text:#1d2330;--soft:#667085;--rule:#e2e5ea;--one:#2563eb;"
    "--two:#e0792b;--bad:#c0362c;--good:#1a7f4b}\n"
    "@media(prefers-color-scheme:dark){:root{--back:#14171d;--panel:#1d2129;--text:#e6e9ef;"
    "--soft:#98a2b3;--rule:#323844;--one:#6ea0ff;--two:#f2a35e;--bad:#ff8078;--good:#5fd49a}}\n"
    "body{margin:0;background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif}\n"
    "main{max-width:1180px;margin:0 auto;padding:28px 20px 48px}\n"
    "h1{font-size:22px;margin:0 0 2px}h2{font-size:16px;margin:30px 0 10px}\n"
    ".soft{color:var(--soft)}p{margin:0 0 6px}\n"
    ".note{border-left:4px solid var(--two);background:var(--panel);padding:8px 12px;margin:10px 0}\n"
    ".note.bad{border-color:var(--bad)}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;"
    "margin:18px 0}\n"
    ".tile{background:var(--panel);border-radius:8px;padding:10px 14px}\n"
    ".tile b{display:block;font-size:21px;font-weight:600;white-space:nowrap;"
    "font-variant-numeric:tabular-nums}\n"
    ".tile span{color:var(--soft);font-size:13px}\n"
    ".wide{overflow-x:auto;margin-bottom:8px}table{border-collapse:collapse;width:100%;"
    "font-variant-numeric:tabular-nums}\n"
    "th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--rule);"
    "white-space:nowrap}\n"
    "th{color:var(--soft);font-weight:500;font-size:13px}"
    "th:first-child,td:first-child{text-align:left;padding-left:0}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));"
    "gap:14px}\n"
    "svg{width:100%;height:auto;background:var(--panel);border-radius:8px}\n"
    ".grid{stroke:var(--rule)}.axis{stroke:var(--soft)}.tick{fill:var(--soft);font-size:11px}\n"
    ".name{fill:var(--soft);font-size:12px}.title{fill:var(--text);font-size:14px;font-weight:600}\n"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round}.area{stroke:none;opacity:.15}\n"
    ".line.one{stroke:var(--one)}.line.two{stroke:var(--two)}.area.one{fill:var(--one)}"
    ".area.two{fill:var(--two)}\n"
    ".mark{stroke:var(--bad);stroke-dasharray:4 3}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:0}"
    "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
    "</style>\n";
/* clang-format on */

static void tile(struct buffer *page, const char *name, double value, int digits, const char *unit)
{
    buffer_format(page, "<div class=\"tile\"><b>%.*f%s</b><span>%s</span></div>\n", digits, value,
                  unit, name);
}

static void head(struct buffer *page, const struct settings *settings, const char *model)
{
    buffer_text(page, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    buffer_html(page, settings->label[0] != '\0' ? settings->label : "sluice-bench");
    buffer_text(page, "</title>\n");
    buffer_text(page, style);
    buffer_text(page, "</head><body><main>\n<h1>");
    buffer_html(page, settings->label[0] != '\0' ? settings->label : "Load test");
    buffer_text(page, "</h1>\n<p class=\"soft\">");
    buffer_html(page, model);
    buffer_text(page, " at ");
    buffer_html(page, settings->url);
    if (!settings->is_open_loop) {
        buffer_format(page, ", closed loop, %llu clients",
                      (unsigned long long)settings->concurrency);
    } else if (settings->trace[0] != '\0') {
        buffer_text(page, ", open loop, replay of ");
        buffer_html(page, settings->trace);
    } else {
        buffer_format(page, ", open loop, %g requests/s, %s", settings->rate, settings->arrival);
    }
    buffer_text(page, "</p>\n");
}

static void notes(struct buffer *page, const struct summary *summary, const struct run *run)
{
    if (!summary->valid) {
        buffer_text(page, "<p class=\"note bad\"><b>Invalid run.</b> ");
        buffer_html(page, summary->why_invalid);
        buffer_text(page, "</p>\n");
    }
    if (summary->failed > 0) {
        buffer_format(page, "<p class=\"note bad\"><b>%u requests failed:</b> ", summary->failed);
        for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
            if (outcome_is_failure((enum outcome)outcome) && summary->by_outcome[outcome] > 0) {
                buffer_format(page, "%u %s; ", summary->by_outcome[outcome],
                              outcome_name((enum outcome)outcome));
            }
        }
        buffer_text(page, "first: ");
        buffer_html(page, run->first_failure);
        buffer_text(page, "</p>\n");
    }
    if (summary->length_mismatch > 0 || summary->without_usage > 0) {
        buffer_format(page,
                      "<p class=\"note\">%u answers had another length than asked for; %u had no "
                      "usage, their chunks count as tokens.</p>\n",
                      summary->length_mismatch, summary->without_usage);
    }
}

static void tiles(struct buffer *page, const struct summary *summary,
                  const struct settings *settings)
{
    buffer_text(page, "<div class=\"tiles\">\n");
    tile(page, "requests done", summary->completed, 0, "");
    tile(page, "requests/s", summary->request_rate, 2, "");
    tile(page, "output tokens/s", summary->output_rate, 1, "");
    tile(page, "median TTFT", summary->spreads[METRIC_TTFT].p50, 1, " ms");
    tile(page, "p99 TTFT", summary->spreads[METRIC_TTFT].p99, 1, " ms");
    tile(page, "median TPOT", summary->spreads[METRIC_TPOT].p50, 2, " ms");
    if (settings->slo.any) {
        tile(page, "of requests keep the SLO", summary->good_share * 100, 1, " %");
    }
    buffer_text(page, "</div>\n");
}

static void figures(struct buffer *page, const struct summary *summary)
{
    buffer_text(page, "<h2>Latency in milliseconds</h2>\n<div class=\"wide\"><table><tr><th></th>"
                      "<th>mean</th><th>p50</th><th>p90</th><th>p95</th><th>p99</th>"
                      "<th>p99.9</th><th>max</th></tr>\n");
    for (int metric = 0; metric < METRIC_COUNT; metric++) {
        const struct spread *spread = &summary->spreads[metric];
        if (spread->count == 0) {
            continue;
        }
        buffer_format(page, "<tr><td>%s</td>", summary_title((enum summary_metric)metric));
        const double values[] = {spread->mean, spread->p50,  spread->p90, spread->p95,
                                 spread->p99,  spread->p999, spread->most};
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            buffer_format(page, "<td>%.2f</td>", values[i]);
        }
        buffer_text(page, "</tr>\n");
    }
    buffer_text(page,
                "</table></div>\n<p class=\"soft\">From the intended start of each request, "
                "where not said otherwise. TPOT = (last - first token) / (tokens - 1).</p>\n");
}

/* ---- distributions ---- */

static double quantile_of(const struct summary *summary, const struct run *run,
                          enum summary_metric metric, double share)
{
    if (metric == METRIC_ITL) {
        return histogram_quantile(&run->gaps, share) / 1e6;
    }
    return summary_quantile(summary->values[metric], summary->spreads[metric].count, share);
}

/* A few stragglers must not press everything else against the axis: far tails are cut off. */
static double shown_of(const struct spread *spread)
{
    double most = fmax(3 * spread->p95, 1.2 * spread->p99);
    return spread->most < most ? spread->most : most;
}

static void distribution(struct buffer *page, const struct summary *summary, const struct run *run,
                         enum summary_metric metric, double limit)
{
    const struct spread *spread = &summary->spreads[metric];
    if (spread->count == 0) {
        return;
    }
    double x[CDF_POINTS + 1];
    double y[CDF_POINTS + 1];
    double shown = shown_of(spread);
    bool cut = shown < spread->most;
    size_t count = 0;
    for (int i = 0; i <= CDF_POINTS; i++) {
        double share = (double)i / CDF_POINTS;
        double value = quantile_of(summary, run, metric, share);
        if (value <= shown) {
            x[count] = value;
            y[count++] = share * 100;
        }
    }
    char x_title[64];
    snprintf(x_title, sizeof x_title, cut ? "ms (the longest, %.1f, is not shown)" : "ms",
             spread->most);
    struct chart_line line = {.style = "one", .x = x, .y = y, .count = count, .filled = true};
    struct chart_mark mark = {.x = limit, .name = "SLO"};
    struct chart chart = {.title = summary_title(metric),
                          .x_title = x_title,
                          .y_title = "% of values below",
                          .y_max = 100,
                          .x_max = cut && count > 0 ? x[count - 1] : spread->most,
                          .lines = &line,
                          .line_count = 1,
                          .marks = &mark,
                          .mark_count = limit > 0};
    chart_svg(page, &chart);
}

static void distributions(struct buffer *page, const struct summary *summary, const struct run *run,
                          const struct settings *settings)
{
    buffer_text(page, "<h2>Distributions</h2>\n<div class=\"charts\">\n");
    distribution(page, summary, run, METRIC_TTFT, settings->slo.ttft_ms);
    distribution(page, summary, run, METRIC_TPOT, settings->slo.tpot_ms);
    distribution(page, summary, run, METRIC_ITL, settings->slo.itl_ms);
    distribution(page, summary, run, METRIC_E2EL, settings->slo.e2el_ms);
    buffer_text(page, "</div>\n");
}

/* ---- timeline ---- */

struct timeline {
    double x[TIME_POINTS];
    double active[TIME_POINTS];
    double tokens[TIME_POINTS];
    double started[TIME_POINTS]; /* per second */
    double done[TIME_POINTS];
    double ttft_x[TIME_POINTS]; /* only where a request started */
    double ttft[TIME_POINTS];
    size_t ttft_count;
    size_t count;
    double width; /* seconds of one point */
};

/* Mean number under way within each point's time. */
static void add_active(struct timeline *timeline, double from, double to)
{
    size_t first = (size_t)(from / timeline->width);
    for (size_t i = first; i < timeline->count && (double)i * timeline->width < to; i++) {
        double low = fmax(from, (double)i * timeline->width);
        double high = fmin(to, (double)(i + 1) * timeline->width);
        timeline->active[i] += high > low ? (high - low) / timeline->width : 0;
    }
}

static void add_ttft(struct timeline *timeline, size_t point, double ttft)
{
    /* Records come by intended start, so a point is either the latest or new. */
    double x = timeline->x[point];
    if (timeline->ttft_count == 0 || timeline->ttft_x[timeline->ttft_count - 1] < x) {
        timeline->ttft_x[timeline->ttft_count] = x;
        timeline->ttft[timeline->ttft_count++] = ttft;
    } else {
        double *latest = &timeline->ttft[timeline->ttft_count - 1];
        *latest = fmax(*latest, ttft);
    }
}

static size_t point_of(const struct timeline *timeline, const struct run *run, uint64_t at)
{
    size_t point = (size_t)(ticks_seconds(at - run->started) / timeline->width);
    return point < timeline->count ? point : timeline->count - 1;
}

static void fill_requests(struct timeline *timeline, const struct run *run)
{
    for (uint32_t i = 0; i < run->record_count; i++) {
        const struct record *record = &run->records[i];
        add_active(timeline, ticks_seconds(record->sent - run->started),
                   ticks_seconds(record->ended - run->started));
        size_t start = point_of(timeline, run, record->intended);
        timeline->started[start] += 1 / timeline->width;
        timeline->done[point_of(timeline, run, record->ended)] += 1 / timeline->width;
        if (record->first > 0) {
            add_ttft(timeline, start, ticks_ms(record->first - record->intended));
        }
    }
}

static void fill_tokens(struct timeline *timeline, const struct summary *summary,
                        const struct run *run, uint32_t slots_per_point)
{
    double per_chunk = summary->chunk_count > 0
                           ? (double)summary->output_tokens / (double)summary->chunk_count
                           : 1;
    for (uint32_t slot = 0; slot < run->slot_count; slot++) {
        size_t point = slot / slots_per_point;
        if (point < timeline->count) {
            timeline->tokens[point] += run->slot_chunks[slot] * per_chunk / timeline->width;
        }
    }
}

static void draw_series(struct buffer *page, const char *title, const char *y_title,
                        const struct chart_line *lines, size_t line_count, double x_max)
{
    struct chart chart = {.title = title,
                          .x_title = "seconds from the start",
                          .y_title = y_title,
                          .x_max = x_max,
                          .lines = lines,
                          .line_count = line_count};
    chart_svg(page, &chart);
}

static void draw_all_series(struct buffer *page, const struct timeline *timeline)
{
    double x_max = timeline->x[timeline->count - 1]; /* one time axis for all */
    struct chart_line line = {.style = "two",
                              .x = timeline->x,
                              .y = timeline->active,
                              .count = timeline->count,
                              .filled = true};
    draw_series(page, "Requests under way", "requests", &line, 1, x_max);
    line.style = "one";
    line.y = timeline->tokens;
    draw_series(page, "Output tokens", "tokens/s", &line, 1, x_max);
    struct chart_line two[] = {line, line};
    two[0].name = "started";
    two[0].y = timeline->started;
    two[1].name = "ended";
    two[1].y = timeline->done;
    two[1].style = "two";
    two[0].filled = two[1].filled = false;
    draw_series(page, "Requests", "requests/s", two, 2, x_max);
    line.style = "two";
    line.x = timeline->ttft_x;
    line.y = timeline->ttft;
    line.count = timeline->ttft_count;
    draw_series(page, "Longest TTFT, by intended start", "ms", &line, 1, x_max);
}

static void draw_timeline(struct buffer *page, const struct summary *summary, const struct run *run)
{
    struct timeline *timeline = calloc(1, sizeof *timeline);
    if (timeline == NULL) {
        page->failed = true;
        return;
    }
    /* Whole slots to a point, so that no point looks busier than its neighbours by rounding. */
    uint32_t slots = (uint32_t)ceil(summary->duration_s * 1000 / RUN_SLOT_MS);
    uint32_t slots_per_point = slots / TIME_POINTS + 1;
    timeline->width = (double)slots_per_point * RUN_SLOT_MS / 1000;
    timeline->count = slots / slots_per_point;
    timeline->count = timeline->count > 0 ? timeline->count : 1;
    for (size_t i = 0; i < timeline->count; i++) {
        timeline->x[i] = ((double)i + 0.5) * timeline->width;
    }
    fill_requests(timeline, run);
    fill_tokens(timeline, summary, run, slots_per_point);
    buffer_text(page, "<h2>Timeline</h2>\n<div class=\"charts\">\n");
    draw_all_series(page, timeline);
    buffer_text(page, "</div>\n");
    free(timeline);
}

/* ---- settings ---- */

static void fact(struct buffer *page, const char *name, const char *value)
{
    buffer_format(page, "<dt>%s</dt><dd>", name);
    buffer_html(page, value);
    buffer_text(page, "</dd>\n");
}

static void fact_number(struct buffer *page, const char *name, double value, int digits,
                        const char *unit)
{
    buffer_format(page, "<dt>%s</dt><dd>%.*f%s</dd>\n", name, digits, value, unit);
}

static void facts(struct buffer *page, const struct summary *summary, const struct run *run,
                  const struct settings *settings)
{
    buffer_text(page, "<h2>How it was measured</h2>\n<dl>\n");
    fact(page, "endpoint", settings->is_chat ? "/v1/chat/completions" : "/v1/completions");
    fact(page, "dataset", settings->trace[0] != '\0' ? settings->trace : settings->dataset);
    fact_number(page, "duration", summary->duration_s, 2, " s");
    fact_number(page, "input tokens", (double)summary->input_tokens, 0, "");
    fact_number(page, "of them from the cache", (double)summary->cached_tokens, 0, "");
    fact_number(page, "output tokens", (double)summary->output_tokens, 0, "");
    fact_number(page, "cancelled by the client", summary->cancelled, 0, "");
    if (summary->planned_rate > 0) {
        fact_number(page, "planned requests/s", summary->planned_rate, 3, "");
        fact_number(page, "achieved requests/s", summary->achieved_rate, 3, "");
    }
    fact_number(page, "client, of one core",
                summary->duration_s > 0 ? run->cpu_seconds / summary->duration_s * 100 : 0, 1,
                " %");
    fact_number(page, "schedule lag, p99", summary->spreads[METRIC_LAG].p99, 3, " ms");
    fact_number(page, "seed", (double)settings->seed, 0, "");
    if (settings->slo.any) {
        fact(page, "SLO", settings->slo_text);
    }
    buffer_text(page, "</dl>\n");
}

void report_html(struct buffer *page, const struct summary *summary, const struct run *run,
                 const struct settings *settings, const char *model)
{
    head(page, settings, model);
    notes(page, summary, run);
    tiles(page, summary, settings);
    draw_timeline(page, summary, run);
    distributions(page, summary, run, settings);
    figures(page, summary);
    facts(page, summary, run, settings);
    buffer_text(page, "</main></body></html>\n");
}
