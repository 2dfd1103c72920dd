/* cpu_attention.c - a work unit is up to TILE_QUERIES queries of one request that share a KV head:
 * consecutive rows, all query heads of the group. Few queries read keys and values where they are
 * stored, converting in registers; for more, tokens are converted to f32 once and used for every
 * query of the tile. Both add in the same order.
 *
 * Within a range the softmax has two passes (all scores, then their exponentials), so nothing is
 * rescaled on the way and no order depends on a tile. Masked positions are left out of the loops
 * rather than multiplied by zero: what a stale cache holds there may be NaN. When there are fewer
 * units than threads can share, ranges are spread over the threads and merged afterwards by the
 * same function in the same order. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_attention.h"

#include "configs/limits.h"
#include "kernels/quant.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TILE_QUERIES = 32,   /* scores of one tile and range: 32 KiB */
    TOKENS = 32,         /* keys or values converted at a time: 16 KiB at head_dim 128 */
    DIRECT_QUERIES = 12, /* up to two register tiles: converting twice is cheaper than storing */
    CACHE_LINE = 64,
    SLOTS_PER_THREAD = 4 /* split ranges waiting to be merged */
};

enum {
    RANGE = ATTENTION_RANGE_TOKENS,
    SCORES_STRIDE = RANGE + CPU_OPS_LANES_MAX, /* kernels may write a few past the end */
    HEAD_FLOATS = LIMIT_MODEL_HEAD_DIM,
    PARTIAL_FLOATS = TILE_QUERIES * HEAD_FLOATS + 2 * TILE_QUERIES,
    WORKER_FLOATS =
        (TILE_QUERIES + TOKENS) * HEAD_FLOATS + TILE_QUERIES * SCORES_STRIDE + 2 * PARTIAL_FLOATS,
};

/* A softmax over some of the keys, not yet divided by its sum. A sum of zero: no key at all. */
struct partial {
    float *out; /* [query_count, dim] */
    float *max; /* [query_count] */
    float *sum; /* [query_count] */
};

struct worker_scratch {
    float *queries; /* [TILE_QUERIES, dim], scaled */
    float *tokens;  /* [TOKENS, dim] */
    float *scores;  /* [TILE_QUERIES, SCORES_STRIDE] */
    struct partial partial;
    struct partial state;
};

/* One range of one unit, for the split over threads. */
struct cpu_attention_piece {
    uint32_t unit;
    uint32_t range;
};

struct call {
    const struct cpu_attention *attention;
    const struct attention_args *args;
    uint32_t group; /* query heads that share a KV head */
    uint32_t dim;   /* head_dim padded with zeros to whole registers */
    uint32_t unit_count;
};

/* Queries first_query .. + query_count - 1 of a span, counting row by row, heads of the group
 * inside a row. */
struct unit {
    const struct attention_span *span;
    uint32_t kv_head;
    uint32_t first_query;
    uint32_t query_count;
};

enum status cpu_attention_init(struct cpu_attention *attention, const struct cpu_ops *ops,
                               struct threads *threads, struct error *err)
{
    size_t thread_count = threads_count(threads);
    size_t slot_count = thread_count * SLOTS_PER_THREAD;
    size_t byte_count =
        sizeof(float) * (thread_count * WORKER_FLOATS + slot_count * PARTIAL_FLOATS);
    *attention = (struct cpu_attention){.ops = ops, .threads = threads};
    attention->scratch = aligned_alloc(64, byte_count);
    attention->first_units = calloc(LIMIT_SPANS + 1, sizeof *attention->first_units);
    attention->pieces = calloc(slot_count, sizeof *attention->pieces);
    if (attention->scratch == NULL || attention->first_units == NULL || attention->pieces == NULL) {
        cpu_attention_release(attention);
        return error_set(err, ERR_MEMORY, "no memory for %zu bytes of attention scratch",
                         byte_count);
    }
    memset(attention->scratch, 0, byte_count);
    return OK;
}

void cpu_attention_release(struct cpu_attention *attention)
{
    free(attention->scratch);
    free(attention->first_units);
    free(attention->pieces);
    *attention = (struct cpu_attention){0};
}

static struct partial partial_at(float *floats)
{
    float *max = floats + (size_t)TILE_QUERIES * HEAD_FLOATS;
    return (struct partial){.out = floats, .max = max, .sum = max + TILE_QUERIES};
}

static struct worker_scratch scratch_of(const struct cpu_attention *attention, uint32_t worker)
{
    struct worker_scratch scratch;
    float *next = attention->scratch + (size_t)worker * WORKER_FLOATS;
    scratch.queries = next;
    next += (size_t)TILE_QUERIES * HEAD_FLOATS;
    scratch.tokens = next;
    next += (size_t)TOKENS * HEAD_FLOATS;
    scratch.scores = next;
    next += (size_t)TILE_QUERIES * SCORES_STRIDE;
    scratch.partial = partial_at(next);
    scratch.state = partial_at(next + PARTIAL_FLOATS);
    return scratch;
}

static struct partial slot_at(const struct cpu_attention *attention, uint32_t slot)
{
    size_t workers = (size_t)threads_count(attention->threads) * WORKER_FLOATS;
    return partial_at(attention->scratch + workers + (size_t)slot * PARTIAL_FLOATS);
}

/* ---- who sees what ---- */

/* The positions a query of the unit sees: first .. end - 1. */
static void visible(const struct call *call, const struct unit *unit, uint32_t query,
                    uint32_t *first, uint32_t *end)
{
    uint32_t window = call->args->window;
    *end = unit->span->start + (unit->first_query + query) / call->group + 1;
    *first = window != 0 && *end > window ? *end - window : 0;
}

/* The same within one range, counted from the range's begin; empty when first >= end. */
static void visible_in_range(const struct call *call, const struct unit *unit, uint32_t query,
                             uint32_t range, uint32_t *first, uint32_t *end)
{
    uint32_t base = range * RANGE;
    visible(call, unit, query, first, end);
    *first = *first > base ? *first - base : 0;
    *end = *end > base ? *end - base : 0;
    *end = *end < RANGE ? *end : RANGE;
}

/* The ranges any query of the unit sees. Later queries see later positions. */
static void unit_ranges(const struct call *call, const struct unit *unit, uint32_t *first,
                        uint32_t *end)
{
    uint32_t unused;
    visible(call, unit, 0, first, &unused);
    visible(call, unit, unit->query_count - 1, &unused, end);
    *first /= RANGE;
    *end = (*end - 1) / RANGE + 1;
}

static struct unit find_unit(const struct call *call, uint32_t index)
{
    const uint32_t *first_units = call->attention->first_units;
    uint32_t low = 0;
    uint32_t high = call->args->span_count;
    while (high - low > 1) { /* the last span that begins at or before index */
        uint32_t middle = low + (high - low) / 2;
        if (first_units[middle] <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const struct attention_span *span = &call->args->spans[low];
    uint32_t query_count = span->row_count * call->group;
    uint32_t tile_count = (query_count + TILE_QUERIES - 1) / TILE_QUERIES;
    uint32_t within = index - first_units[low];
    uint32_t first_query = within % tile_count * TILE_QUERIES;
    uint32_t left = query_count - first_query;
    return (struct unit){.span = span,
                         .kv_head = within / tile_count,
                         .first_query = first_query,
                         .query_count = left < TILE_QUERIES ? left : TILE_QUERIES};
}

/* Where query `query` of the unit lies in q and out, in heads. */
static size_t query_head(const struct call *call, const struct unit *unit, uint32_t query)
{
    uint32_t index = unit->first_query + query;
    size_t row = unit->span->first_row + index / call->group;
    size_t first_head = row * call->args->head_count + (size_t)unit->kv_head * call->group;
    return first_head + index % call->group;
}

static void load_queries(const struct call *call, const struct unit *unit, float *queries)
{
    uint32_t head_dim = call->args->kv->head_dim;
    for (uint32_t i = 0; i < unit->query_count; i++) {
        const float *q = call->args->q + query_head(call, unit, i) * head_dim;
        float *out = queries + (size_t)i * call->dim;
        for (uint32_t d = 0; d < head_dim; d++) {
            out[d] = q[d] * call->args->scale;
        }
        memset(out + head_dim, 0, (call->dim - head_dim) * sizeof *out);
    }
}

/* ---- reading the cache ---- */

/* Where the key or value of a position lies. */
static const uint8_t *token_at(const struct call *call, const struct unit *unit, const void *store,
                               uint32_t position)
{
    const struct kv_layer *kv = call->args->kv;
    size_t block_id = unit->span->block_ids[position / kv->block_tokens];
    size_t token = (block_id * kv->kv_head_count + unit->kv_head) * kv->block_tokens +
                   position % kv->block_tokens;
    return (const uint8_t *)store + token * quant_row_bytes(kv->dtype, kv->head_dim);
}

/* Positions from `position` on that lie together, at most up to end. */
static uint32_t run_from(const struct call *call, uint32_t position, uint32_t end)
{
    uint32_t block_tokens = call->args->kv->block_tokens;
    uint32_t run = block_tokens - position % block_tokens;
    return run < end - position ? run : end - position;
}

static void prefetch_tokens(const struct call *call, const struct unit *unit, const void *store,
                            uint32_t position, uint32_t end)
{
    const struct kv_layer *kv = call->args->kv;
    while (position < end) {
        uint32_t run = run_from(call, position, end);
        const uint8_t *bytes = token_at(call, unit, store, position);
        size_t byte_count = run * quant_row_bytes(kv->dtype, kv->head_dim);
        for (size_t i = 0; i < byte_count; i += CACHE_LINE) {
            __builtin_prefetch(bytes + i);
        }
        position += run;
    }
}

/* Converts keys or values of positions position .. end - 1, block by block, padding each head. */
static void load_tokens(const struct call *call, const struct unit *unit, const void *store,
                        float *out, uint32_t position, uint32_t end)
{
    const struct kv_layer *kv = call->args->kv;
    cpu_ops_dequantize_fn convert = call->attention->ops->dequantize[kv->dtype];
    size_t head_bytes = quant_row_bytes(kv->dtype, kv->head_dim);
    uint32_t pad = call->dim - kv->head_dim;
    while (position < end) {
        uint32_t run = run_from(call, position, end);
        const uint8_t *in = token_at(call, unit, store, position);
        if (pad == 0) {
            convert(out, in, (size_t)run * kv->head_dim);
        } else {
            for (uint32_t t = 0; t < run; t++) {
                float *row = out + (size_t)t * call->dim;
                convert(row, in + t * head_bytes, kv->head_dim);
                memset(row + kv->head_dim, 0, pad * sizeof *row);
            }
        }
        out += (size_t)run * call->dim;
        position += run;
    }
}

/* Tokens first .. end - 1 of a range as the kernels will read them. */
struct tokens {
    const void *values;
    const void *ahead; /* what the kernel may fetch meanwhile, or NULL */
    enum dtype dtype;
    uint32_t first;
    uint32_t end;
};

/* Whether the unit reads the cache itself. Kernels read up to a whole tile of keys, and a tile
 * must not cross the end of a block, which may be the end of memory. */
static bool reads_directly(const struct call *call, const struct unit *unit)
{
    const struct kv_layer *kv = call->args->kv;
    return unit->query_count <= DIRECT_QUERIES && call->dim == kv->head_dim &&
           kv->block_tokens % CPU_OPS_TILE == 0;
}

/* The next tokens to work on from `first` on, at most up to `end`. */
static struct tokens next_tokens(const struct call *call, const struct unit *unit,
                                 const void *store, const struct worker_scratch *scratch,
                                 uint32_t range, uint32_t first, uint32_t end)
{
    uint32_t base = range * RANGE;
    if (reads_directly(call, unit)) {
        uint32_t run = run_from(call, base + first, base + end);
        uint32_t ahead = first + (run > TOKENS ? run : TOKENS);
        return (struct tokens){.values = token_at(call, unit, store, base + first),
                               .ahead =
                                   ahead < end ? token_at(call, unit, store, base + ahead) : NULL,
                               .dtype = call->args->kv->dtype,
                               .first = first,
                               .end = first + run};
    }
    uint32_t ahead = first + TOKENS < end ? first + TOKENS : end;
    uint32_t ahead_end = ahead + TOKENS < end ? ahead + TOKENS : end;
    prefetch_tokens(call, unit, store, base + ahead, base + ahead_end);
    load_tokens(call, unit, store, scratch->tokens, base + first, base + ahead);
    return (struct tokens){
        .values = scratch->tokens, .dtype = DTYPE_F32, .first = first, .end = ahead};
}

/* ---- one range ---- */

/* scores[i, t] for the tokens first .. end - 1 of the range. */
static void score_range(const struct call *call, const struct unit *unit, uint32_t range,
                        const struct worker_scratch *scratch, uint32_t first, uint32_t end)
{
    /* In the cache itself whole tiles: a score too many in front costs less than a tile that
     * crosses a block. Converted tokens may begin anywhere, and what lies before them may be gone. */
    uint32_t t = reads_directly(call, unit) ? first / CPU_OPS_TILE * CPU_OPS_TILE : first;
    while (t < end) {
        struct tokens tokens =
            next_tokens(call, unit, call->args->kv->keys, scratch, range, t, end);
        call->attention->ops->scores(&(struct cpu_scores){
            .out = scratch->scores + t,
            .out_stride = SCORES_STRIDE,
            .queries = scratch->queries,
            .keys = tokens.values,
            .ahead = tokens.ahead,
            .dtype = tokens.dtype,
            .query_count = unit->query_count,
            .token_count = tokens.end - t,
            .dim = call->dim,
        });
        t = tokens.end;
    }
}

/* A query's scores become weights; gives their sum and highest score. */
static float soften(const struct call *call, float *scores, uint32_t first, uint32_t end,
                    float *max)
{
    const struct cpu_ops *ops = call->attention->ops;
    if (call->args->softcap > 0.0f) {
        ops->scale_cap(scores + first, 1.0f, call->args->softcap, end - first);
    }
    return ops->softmax(scores, first, end, max);
}

/* Adds the values of some tokens to each query that sees them. Queries of one row see the same;
 * all rows do but at the edges. */
static void weigh_tokens(const struct call *call, const struct unit *unit, uint32_t range,
                         const float *scores, float *out, struct tokens tokens)
{
    uint32_t last_first;
    uint32_t first_end;
    uint32_t unused;
    visible_in_range(call, unit, unit->query_count - 1, range, &last_first, &unused);
    visible_in_range(call, unit, 0, range, &unused, &first_end);
    bool all_see = last_first <= tokens.first && first_end >= tokens.end;
    size_t token_bytes = quant_row_bytes(tokens.dtype, call->dim);
    for (uint32_t i = 0; i < unit->query_count;) {
        uint32_t to_next_row = call->group - (unit->first_query + i) % call->group;
        uint32_t left = unit->query_count - i;
        uint32_t run = all_see || left < to_next_row ? left : to_next_row;
        uint32_t first;
        uint32_t end;
        visible_in_range(call, unit, i, range, &first, &end);
        first = first > tokens.first ? first : tokens.first;
        end = end < tokens.end ? end : tokens.end;
        if (first < end) {
            call->attention->ops->weigh(&(struct cpu_weigh){
                .out = out + (size_t)i * call->dim,
                .weights = scores + (size_t)i * SCORES_STRIDE + first,
                .weights_stride = SCORES_STRIDE,
                .values = (const uint8_t *)tokens.values + (first - tokens.first) * token_bytes,
                .ahead = i == 0 ? tokens.ahead : NULL,
                .dtype = tokens.dtype,
                .query_count = run,
                .token_count = end - first,
                .dim = call->dim,
            });
        }
        i += run;
    }
}

/* The partial softmax of one range for all queries of the unit; scratch->queries is loaded. */
static void reduce_range(const struct call *call, const struct unit *unit, uint32_t range,
                         const struct worker_scratch *scratch, struct partial partial)
{
    uint32_t first;
    uint32_t end;
    uint32_t unused;
    visible_in_range(call, unit, 0, range, &first, &unused);
    visible_in_range(call, unit, unit->query_count - 1, range, &unused, &end);
    uint32_t first_tile = first + TOKENS < end ? first + TOKENS : end;
    score_range(call, unit, range, scratch, first, end);
    const void *values = call->args->kv->values;
    prefetch_tokens(call, unit, values, range * RANGE + first, range * RANGE + first_tile);
    for (uint32_t i = 0; i < unit->query_count; i++) {
        uint32_t seen_first;
        uint32_t seen_end;
        visible_in_range(call, unit, i, range, &seen_first, &seen_end);
        partial.sum[i] = 0.0f;
        if (seen_first < seen_end) {
            partial.sum[i] = soften(call, scratch->scores + (size_t)i * SCORES_STRIDE, seen_first,
                                    seen_end, &partial.max[i]);
        }
    }
    memset(partial.out, 0, (size_t)unit->query_count * call->dim * sizeof *partial.out);
    while (first < end) {
        struct tokens tokens = next_tokens(call, unit, values, scratch, range, first, end);
        weigh_tokens(call, unit, range, scratch->scores, partial.out, tokens);
        first = tokens.end;
    }
}

/* ---- merging ---- */

/* a = a * scale_a + b * scale_b */
static void blend(float *a, float scale_a, const float *b, float scale_b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        a[i] = a[i] * scale_a + b[i] * scale_b;
    }
}

static void merge_partial(struct partial state, struct partial next, uint32_t query_count,
                          uint32_t dim)
{
    for (uint32_t i = 0; i < query_count; i++) {
        float *out = state.out + (size_t)i * dim;
        const float *added = next.out + (size_t)i * dim;
        if (next.sum[i] == 0.0f) {
            continue;
        }
        if (state.sum[i] == 0.0f) {
            memcpy(out, added, dim * sizeof *out);
            state.max[i] = next.max[i];
            state.sum[i] = next.sum[i];
            continue;
        }
        float max = state.max[i] > next.max[i] ? state.max[i] : next.max[i];
        float scale = expf(state.max[i] - max);
        float scale_next = expf(next.max[i] - max);
        blend(out, scale, added, scale_next, dim);
        state.sum[i] = state.sum[i] * scale + next.sum[i] * scale_next;
        state.max[i] = max;
    }
}

/* Counts the head's sink: a key whose value is zero. */
static void merge_sink(struct partial state, uint32_t query, uint32_t dim, float sink)
{
    float *out = state.out + (size_t)query * dim;
    float max = state.max[query] > sink ? state.max[query] : sink;
    float scale = expf(state.max[query] - max);
    for (uint32_t d = 0; d < dim; d++) {
        out[d] *= scale;
    }
    state.sum[query] = state.sum[query] * scale + expf(sink - max);
    state.max[query] = max;
}

static void store_result(const struct call *call, const struct unit *unit, struct partial state)
{
    uint32_t head_dim = call->args->kv->head_dim;
    for (uint32_t i = 0; i < unit->query_count; i++) {
        size_t head = query_head(call, unit, i);
        if (call->args->sinks != NULL) {
            merge_sink(state, i, call->dim, call->args->sinks[head % call->args->head_count]);
        }
        const float *sum = state.out + (size_t)i * call->dim;
        float *out = call->args->out + head * head_dim;
        float scale = 1.0f / state.sum[i];
        for (uint32_t d = 0; d < head_dim; d++) {
            out[d] = sum[d] * scale;
        }
        if (call->args->lse != NULL) {
            call->args->lse[head] = state.max[i] + logf(state.sum[i]);
        }
    }
}

/* ---- the split of the work ---- */

static void run_unit(void *context, uint32_t item, uint32_t worker)
{
    const struct call *call = context;
    struct worker_scratch scratch = scratch_of(call->attention, worker);
    struct unit unit = find_unit(call, item);
    uint32_t range;
    uint32_t end;
    unit_ranges(call, &unit, &range, &end);
    load_queries(call, &unit, scratch.queries);
    reduce_range(call, &unit, range, &scratch, scratch.state);
    for (range++; range < end; range++) {
        reduce_range(call, &unit, range, &scratch, scratch.partial);
        merge_partial(scratch.state, scratch.partial, unit.query_count, call->dim);
    }
    store_result(call, &unit, scratch.state);
}

static void run_piece(void *context, uint32_t item, uint32_t worker)
{
    const struct call *call = context;
    const struct cpu_attention_piece *piece = &call->attention->pieces[item];
    struct worker_scratch scratch = scratch_of(call->attention, worker);
    struct unit unit = find_unit(call, piece->unit);
    load_queries(call, &unit, scratch.queries);
    reduce_range(call, &unit, piece->range, &scratch, slot_at(call->attention, item));
}

/* Merges the pieces just computed, in order. A unit may go on in the next wave: its state waits in
 * the caller's own scratch. */
static void merge_pieces(const struct call *call, uint32_t piece_count)
{
    struct worker_scratch scratch = scratch_of(call->attention, 0);
    for (uint32_t i = 0; i < piece_count; i++) {
        const struct cpu_attention_piece *piece = &call->attention->pieces[i];
        struct unit unit = find_unit(call, piece->unit);
        uint32_t first;
        uint32_t end;
        unit_ranges(call, &unit, &first, &end);
        if (piece->range == first) {
            memset(scratch.state.sum, 0, unit.query_count * sizeof *scratch.state.sum);
        }
        merge_partial(scratch.state, slot_at(call->attention, i), unit.query_count, call->dim);
        if (piece->range + 1 == end) {
            store_result(call, &unit, scratch.state);
        }
    }
}

static void run_split(const struct call *call)
{
    struct cpu_attention_piece *pieces = call->attention->pieces;
    uint32_t slot_count = threads_count(call->attention->threads) * SLOTS_PER_THREAD;
    uint32_t piece_count = 0;
    for (uint32_t index = 0; index < call->unit_count; index++) {
        struct unit unit = find_unit(call, index);
        uint32_t range;
        uint32_t end;
        for (unit_ranges(call, &unit, &range, &end); range < end; range++) {
            pieces[piece_count++] = (struct cpu_attention_piece){.unit = index, .range = range};
            bool last = index + 1 == call->unit_count && range + 1 == end;
            if (piece_count == slot_count || last) {
                threads_parallel_for(call->attention->threads, piece_count, run_piece,
                                     (void *)call);
                merge_pieces(call, piece_count);
                piece_count = 0;
            }
        }
    }
}

/* Counts the units of each span; true when there is more than one range to share out. */
static bool count_units(struct call *call)
{
    const struct attention_args *args = call->args;
    uint32_t *first_units = call->attention->first_units;
    bool many_ranges = false;
    first_units[0] = 0;
    for (uint32_t s = 0; s < args->span_count; s++) {
        const struct attention_span *span = &args->spans[s];
        uint32_t query_count = span->row_count * call->group;
        uint32_t tile_count = (query_count + TILE_QUERIES - 1) / TILE_QUERIES;
        first_units[s + 1] = first_units[s] + tile_count * args->kv->kv_head_count;
        many_ranges = many_ranges || span->start + span->row_count > RANGE;
    }
    call->unit_count = first_units[args->span_count];
    return many_ranges;
}

void cpu_attention_run(struct cpu_attention *attention, const struct attention_args *args)
{
    const struct kv_layer *kv = args->kv;
    assert(kv->head_dim <= LIMIT_MODEL_HEAD_DIM && (int)kv->dtype < CPU_OPS_STORED);
    assert(args->span_count <= LIMIT_SPANS && args->head_count % kv->kv_head_count == 0);
    struct call call = {
        .attention = attention,
        .args = args,
        .group = args->head_count / kv->kv_head_count,
        .dim = (kv->head_dim + CPU_OPS_LANES_MAX - 1) / CPU_OPS_LANES_MAX * CPU_OPS_LANES_MAX,
    };
    bool many_ranges = count_units(&call);
    uint32_t thread_count = threads_count(attention->threads);
    /* Two units a thread still leave one core idle for half the time; more even out. */
    if (many_ranges && thread_count > 1 && call.unit_count < 2 * thread_count) {
        run_split(&call);
    } else {
        threads_parallel_for(attention->threads, call.unit_count, run_unit, &call);
    }
}

void cpu_attention_merge(const struct attention_merge_args *args)
{
    size_t head_count = (size_t)args->row_count * args->head_count;
    for (size_t head = 0; head < head_count; head++) {
        float *out = args->out_a + head * args->head_dim;
        const float *added = args->out_b + head * args->head_dim;
        float lse_a = args->lse_a[head];
        float lse_b = args->lse_b[head];
        if (lse_b == -INFINITY) {
            continue;
        }
        if (lse_a == -INFINITY) { /* what an empty partial holds is not defined */
            memcpy(out, added, args->head_dim * sizeof *out);
            args->lse_a[head] = lse_b;
            continue;
        }
        float max = lse_a > lse_b ? lse_a : lse_b;
        float weight_a = expf(lse_a - max);
        float weight_b = expf(lse_b - max);
        float sum = weight_a + weight_b;
        blend(out, weight_a / sum, added, weight_b / sum, args->head_dim);
        args->lse_a[head] = max + logf(sum);
    }
}
