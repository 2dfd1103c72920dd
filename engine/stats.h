/* stats.h - counters, gauges and histograms of one engine.
 *
 * Written from any thread with relaxed atomics, read by /metrics. Adding one is a row in the list
 * below: the field, its Prometheus name and help line come from there.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_STATS_H
#define ENGINE_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* X(field, Prometheus name, help). The prefix is "vllm:" where vLLM has the same measure under
 * that name, so that its dashboards work unchanged, and "sluice:" for ours. Rows of one family
 * stand together; the first one has its help. */
#define STATS_COUNTERS(X)                                                                          \
    X(prompt_tokens, "vllm:prompt_tokens_total", "Prompt tokens of accepted requests.")            \
    X(prompt_tokens_cached, "vllm:prompt_tokens_cached_total",                                     \
      "Prompt tokens found in the cache.")                                                         \
    X(generation_tokens, "vllm:generation_tokens_total", "Output tokens.")                         \
    X(prefix_cache_queries, "vllm:prefix_cache_queries_total", "Prompt tokens looked up.")         \
    X(prefix_cache_hits, "vllm:prefix_cache_hits_total", "Prompt tokens found.")                   \
    X(preemptions, "vllm:num_preemptions_total", "Requests whose blocks were taken back.")         \
    X(steps, "sluice:engine_steps_total", "Steps run.")                                            \
    X(corrupted_requests, "vllm:corrupted_requests_total", "Requests ended by NaN logits.")        \
    X(success_stop, "vllm:request_success_total{finished_reason=\"stop\"}", "Finished choices.")   \
    X(success_length, "vllm:request_success_total{finished_reason=\"length\"}", "")                \
    X(success_abort, "vllm:request_success_total{finished_reason=\"abort\"}", "")                  \
    X(success_error, "vllm:request_success_total{finished_reason=\"error\"}", "")                  \
    X(refused_full, "sluice:requests_refused_total{reason=\"full\"}",                              \
      "Requests refused unqueued.")                                                                \
    X(refused_invalid, "sluice:requests_refused_total{reason=\"invalid\"}", "")

#define STATS_GAUGES(X)                                                                            \
    X(requests_running, "vllm:num_requests_running", "Requests that hold blocks.")                 \
    X(requests_waiting, "vllm:num_requests_waiting", "Requests in the queue.")                     \
    X(blocks_used, "sluice:kv_blocks_used", "KV blocks held by requests.")                         \
    X(blocks_total, "sluice:kv_blocks_total", "KV blocks there are.")                              \
    X(http_connections, "sluice:http_connections", "Open connections.")

/* X(field, name, help, bucket set) */
#define STATS_HISTOGRAMS(X)                                                                        \
    X(time_to_first_token_us, "vllm:time_to_first_token_seconds", "Arrival to first token.", TIME) \
    X(inter_token_latency_us, "vllm:inter_token_latency_seconds", "Between two tokens.", TIME)     \
    X(e2e_latency_us, "vllm:e2e_request_latency_seconds", "Arrival to the last token.", TIME)      \
    X(queue_time_us, "vllm:request_queue_time_seconds", "Arrival to first admission.", TIME)       \
    X(step_time_us, "sluice:step_time_seconds", "One step of the engine.", TIME)                   \
    X(step_tokens, "vllm:iteration_tokens_total", "Tokens in one step.", COUNT)                    \
    X(request_prompt_tokens, "vllm:request_prompt_tokens", "Prompt length.", COUNT)                \
    X(request_generation_tokens, "vllm:request_generation_tokens", "Output length.", COUNT)

enum {
    STATS_BUCKETS = 24
};

struct stats_histogram {
    _Atomic uint64_t buckets[STATS_BUCKETS + 1]; /* the last counts what exceeds every bound */
    _Atomic uint64_t sum;
};

struct stats {
#define STATS_FIELD(field, name, help) _Atomic uint64_t field;
    STATS_COUNTERS(STATS_FIELD)
    STATS_GAUGES(STATS_FIELD)
#undef STATS_FIELD
#define STATS_FIELD(field, name, help, kind) struct stats_histogram field;
    STATS_HISTOGRAMS(STATS_FIELD)
#undef STATS_FIELD
};

static inline void stats_add(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static inline void stats_set(_Atomic uint64_t *gauge, uint64_t value)
{
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}

/* value in the histogram's unit: microseconds (TIME) or a count. */
void stats_observe_time(struct stats_histogram *histogram, uint64_t value_us);
void stats_observe_count(struct stats_histogram *histogram, uint64_t value);

/* One line of Prometheus text at a time, newline included, goes to emit. Every sample carries the
 * labels model_name and engine. */
typedef void (*stats_emit_fn)(void *context, const char *line);
/* How much of the model is there, for the time before there are stats, and after. */
void stats_render_loading(uint64_t bytes, uint64_t total_bytes, bool is_done,
                          const char *model_name, stats_emit_fn emit, void *context);
void stats_render(const struct stats *stats, const char *model_name, stats_emit_fn emit,
                  void *context);

#endif
