/* attention_rig.c - the reference is a plain softmax over all keys a row sees, in float64.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/attention_rig.h"
#include "tests/support/kernel_rig.h"

#include "kernels/quant.h"

#include <math.h>

enum {
    SEQUENCES = ATTENTION_RIG_SEQUENCES,
    LENGTH_MAX = ATTENTION_RIG_LENGTH_MAX,
    POOL_BLOCKS = ATTENTION_RIG_BLOCKS
};

static size_t q_width(const struct attention_rig_shape *shape)
{
    return (size_t)shape->head_count * shape->head_dim;
}

static size_t kv_width(const struct attention_rig_shape *shape)
{
    return (size_t)shape->kv_head_count * shape->head_dim;
}

/* ---- the cache ---- */

static void write_sequence(struct backend *be, const struct attention_rig_pool *pool,
                           const struct attention_rig_world *world, uint32_t s)
{
    uint32_t slots[LENGTH_MAX];
    uint32_t block_tokens = world->shape.block_tokens;
    for (uint32_t t = 0; t < world->lengths[s]; t++) {
        slots[t] = pool->block_ids[s][t / block_tokens] * block_tokens + t % block_tokens;
    }
    be->ops->kv_write(be, &(struct kv_write_args){.kv = &pool->kv,
                                                  .keys = world->keys[s],
                                                  .values = world->values[s],
                                                  .slots = slots,
                                                  .row_count = world->lengths[s]});
}

void attention_rig_open_pool(struct attention_rig_pool *pool, struct backend *be,
                             const struct attention_rig_world *world, uint64_t seed)
{
    const struct attention_rig_shape *shape = &world->shape;
    uint32_t order[POOL_BLOCKS] = {0};
    uint32_t used = 0;
    for (uint32_t i = 0; i < POOL_BLOCKS; i++) {
        uint32_t j = kernel_rig_random_below(&seed, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        uint32_t count = (world->lengths[s] + shape->block_tokens - 1) / shape->block_tokens;
        assert_true(used + count <= POOL_BLOCKS);
        memcpy(pool->block_ids[s], order + used, count * sizeof *order);
        used += count;
    }
    pool->byte_count = quant_row_bytes(shape->dtype, (uint64_t)POOL_BLOCKS * shape->block_tokens *
                                                         kv_width(shape));
    pool->kv = (struct kv_layer){
        .keys = kernel_rig_alloc(pool->byte_count), /* comes filled with NaN */
        .values = kernel_rig_alloc(pool->byte_count),
        .dtype = shape->dtype,
        .block_count = POOL_BLOCKS,
        .block_tokens = shape->block_tokens,
        .kv_head_count = shape->kv_head_count,
        .head_dim = shape->head_dim,
    };
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        write_sequence(be, pool, world, s);
    }
}

void attention_rig_close_pool(struct attention_rig_pool *pool)
{
    kernel_rig_free(pool->kv.keys);
    kernel_rig_free(pool->kv.values);
}

/* ---- the world ---- */

/* Rounds through the cache's dtype, so that the reference sees what the kernel sees. */
static void round_values(float *values, size_t count, enum dtype dtype)
{
    const struct quant_format *format = quant_format_get(dtype);
    for (size_t i = 0; i < count; i++) {
        unsigned char stored[4];
        format->quantize(stored, &values[i], 1);
        format->dequantize(&values[i], stored, 1);
    }
}

void attention_rig_open_world(struct attention_rig_world *world,
                              const struct attention_rig_shape *shape, const uint32_t *lengths)
{
    uint64_t random = shape->head_dim * 31u + shape->window;
    world->shape = *shape;
    world->sinks = shape->sinks ? kernel_rig_floats(&random, shape->head_count) : NULL;
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        uint32_t length = lengths[s];
        world->lengths[s] = length;
        world->q[s] = kernel_rig_floats(&random, length * q_width(shape));
        world->keys[s] = kernel_rig_floats(&random, length * kv_width(shape));
        world->values[s] = kernel_rig_floats(&random, length * kv_width(shape));
        round_values(world->keys[s], length * kv_width(shape), shape->dtype);
        round_values(world->values[s], length * kv_width(shape), shape->dtype);
        world->out[s] = kernel_rig_alloc(length * q_width(shape) * sizeof(float));
        world->lse[s] = kernel_rig_alloc((size_t)length * shape->head_count * sizeof(float));
    }
}

void attention_rig_close_world(struct attention_rig_world *world)
{
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        kernel_rig_free(world->q[s]);
        kernel_rig_free(world->keys[s]);
        kernel_rig_free(world->values[s]);
        kernel_rig_free(world->out[s]);
        kernel_rig_free(world->lse[s]);
    }
    if (world->sinks != NULL) {
        kernel_rig_free(world->sinks);
    }
}

/* The first position that a row sees. */
static uint32_t first_seen(const struct attention_rig_shape *shape, uint32_t row)
{
    return shape->window != 0 && row + 1 > shape->window ? row + 1 - shape->window : 0;
}

/* A sequence's block ids for a span from `start` on: what no row of it sees is no block. */
static void seen_blocks(const struct attention_rig_world *world,
                        const struct attention_rig_pool *pool, uint32_t s, uint32_t start,
                        uint32_t *block_ids)
{
    uint32_t gone = first_seen(&world->shape, start) / world->shape.block_tokens;
    memcpy(block_ids, pool->block_ids[s], sizeof pool->block_ids[s]);
    for (uint32_t i = 0; i < gone; i++) {
        block_ids[i] = UINT32_MAX;
    }
}

void attention_rig_run(struct backend *be, const struct attention_rig_pool *pool,
                       const struct attention_rig_world *world, const uint32_t *starts,
                       const uint32_t *counts, float *out, float *lse)
{
    struct attention_span spans[SEQUENCES];
    uint32_t block_ids[SEQUENCES][LENGTH_MAX];
    uint32_t span_count = 0;
    uint32_t row_count = 0;
    size_t width = q_width(&world->shape);
    size_t total = (size_t)counts[0] + counts[1] + counts[2];
    float *q = kernel_rig_alloc(total * width * sizeof *q);
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        if (counts[s] == 0) {
            continue;
        }
        seen_blocks(world, pool, s, starts[s], block_ids[s]);
        spans[span_count++] = (struct attention_span){.first_row = row_count,
                                                      .row_count = counts[s],
                                                      .start = starts[s],
                                                      .block_ids = block_ids[s]};
        memcpy(q + row_count * width, world->q[s] + starts[s] * width,
               counts[s] * width * sizeof *q);
        row_count += counts[s];
    }
    be->ops->attention(be, &(struct attention_args){
                               .out = out,
                               .lse = lse,
                               .q = q,
                               .kv = &pool->kv,
                               .spans = spans,
                               .span_count = span_count,
                               .head_count = world->shape.head_count,
                               .scale = 1.0f / sqrtf((float)world->shape.head_dim),
                               .window = world->shape.window,
                               .softcap = world->shape.softcap,
                               .sinks = world->sinks,
                           });
    kernel_rig_free(q);
}

/* ---- against float64 ---- */

double attention_rig_score(const struct attention_rig_world *world, uint32_t s, uint32_t row,
                           uint32_t head, uint32_t position)
{
    const struct attention_rig_shape *shape = &world->shape;
    uint32_t kv_head = head / (shape->head_count / shape->kv_head_count);
    const float *q = world->q[s] + row * q_width(shape) + (size_t)head * shape->head_dim;
    const float *key =
        world->keys[s] + position * kv_width(shape) + (size_t)kv_head * shape->head_dim;
    double sum = 0;
    for (uint32_t d = 0; d < shape->head_dim; d++) {
        sum += (double)q[d] * (double)key[d];
    }
    double score = sum * (double)(1.0f / sqrtf((float)shape->head_dim));
    double cap = (double)shape->softcap;
    return cap > 0 ? cap * tanh(score / cap) : score;
}

void attention_rig_check_head(const struct attention_rig_world *world, uint32_t s, uint32_t row,
                              uint32_t head)
{
    const struct attention_rig_shape *shape = &world->shape;
    uint32_t kv_head = head / (shape->head_count / shape->kv_head_count);
    uint32_t first = first_seen(shape, row);
    double weights[LENGTH_MAX];
    double top = world->sinks != NULL ? (double)world->sinks[head] : -INFINITY;
    double sum = 0;
    for (uint32_t t = first; t <= row; t++) {
        weights[t] = attention_rig_score(world, s, row, head, t);
        top = fmax(top, weights[t]);
    }
    for (uint32_t t = first; t <= row; t++) {
        weights[t] = exp(weights[t] - top);
        sum += weights[t];
    }
    sum += world->sinks != NULL ? exp((double)world->sinks[head] - top) : 0;
    for (uint32_t d = 0; d < shape->head_dim; d++) {
        double expected = 0;
        double scale = 0;
        for (uint32_t t = first; t <= row; t++) {
            double value =
                (double)
                    world->values[s][t * kv_width(shape) + (size_t)kv_head * shape->head_dim + d];
            expected += weights[t] / sum * value;
            scale += weights[t] / sum * fabs(value);
        }
        size_t at = row * q_width(shape) + (size_t)head * shape->head_dim + d;
        if (!(fabs(expected - (double)world->out[s][at]) <= 1e-5 * scale + 1e-7)) {
            fail_msg("sequence %u row %u head %u value %u: %.9g instead of %.9g", s, row, head, d,
                     (double)world->out[s][at], expected);
        }
    }
    double lse = (double)world->lse[s][(size_t)row * shape->head_count + head];
    assert_true(fabs(top + log(sum) - lse) <= 1e-5 * (1 + fabs(lse)));
}

static void check_values(const struct attention_rig_world *world)
{
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        /* Every row of short sequences; of long ones those near the edges and some between. */
        for (uint32_t row = 0; row<world->lengths[s]; row += row> 40 && row % 64 < 60 ? 7 : 1) {
            for (uint32_t head = 0; head < world->shape.head_count; head++) {
                attention_rig_check_head(world, s, row, head);
            }
        }
    }
}

/* ---- against itself ---- */

static void check_step(struct backend *be, const struct attention_rig_pool *pool,
                       const struct attention_rig_world *world, const uint32_t *starts,
                       const uint32_t *counts)
{
    size_t width = q_width(&world->shape);
    size_t heads = world->shape.head_count;
    size_t row_count = (size_t)counts[0] + counts[1] + counts[2];
    float *out = kernel_rig_alloc(row_count * width * sizeof *out);
    float *lse = kernel_rig_alloc(row_count * heads * sizeof *lse);
    attention_rig_run(be, pool, world, starts, counts, out, lse);
    size_t row = 0;
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        const float *expected = world->out[s] + starts[s] * width;
        const float *expected_lse = world->lse[s] + starts[s] * heads;
        if (memcmp(expected, out + row * width, counts[s] * width * sizeof *out) != 0 ||
            memcmp(expected_lse, lse + row * heads, counts[s] * heads * sizeof *lse) != 0) {
            fail_msg("sequence %u rows %u + %u: not the bits of the whole prompt", s, starts[s],
                     counts[s]);
        }
        row += counts[s];
    }
    kernel_rig_free(out);
    kernel_rig_free(lse);
}

/* Runs all sequences side by side in chunks of the given sizes. */
static void check_chunks(struct backend *be, const struct attention_rig_pool *pool,
                         const struct attention_rig_world *world, const uint32_t *chunks)
{
    uint32_t starts[SEQUENCES] = {0};
    for (;;) {
        uint32_t counts[SEQUENCES];
        bool any = false;
        for (uint32_t s = 0; s < SEQUENCES; s++) {
            uint32_t left = world->lengths[s] - starts[s];
            counts[s] = left < chunks[s] ? left : chunks[s];
            any = any || counts[s] > 0;
        }
        if (!any) {
            return;
        }
        check_step(be, pool, world, starts, counts);
        for (uint32_t s = 0; s < SEQUENCES; s++) {
            starts[s] += counts[s];
        }
    }
}

static void check_last_row_alone(struct backend *be, const struct attention_rig_pool *pool,
                                 const struct attention_rig_world *world)
{
    for (uint32_t only = 0; only < SEQUENCES; only++) {
        uint32_t starts[SEQUENCES] = {0};
        uint32_t counts[SEQUENCES] = {0};
        starts[only] = world->lengths[only] - 1;
        counts[only] = 1;
        check_step(be, pool, world, starts, counts);
    }
}

void attention_rig_check_shape(enum isa isa, const struct attention_rig_shape *shape,
                               const uint32_t *lengths)
{
    static const uint32_t CHUNKS[][SEQUENCES] = {{64, 7, 1}, {1, 300, 64}, {257, 1, 13}};
    struct attention_rig_world world;
    struct attention_rig_pool pool;
    struct backend *be = kernel_rig_backend(isa, 1);
    attention_rig_open_world(&world, shape, lengths);
    attention_rig_open_pool(&pool, be, &world, 1);
    for (uint32_t s = 0; s < SEQUENCES; s++) { /* the baseline: each prompt whole and alone */
        uint32_t starts[SEQUENCES] = {0};
        uint32_t counts[SEQUENCES] = {0};
        counts[s] = lengths[s];
        attention_rig_run(be, &pool, &world, starts, counts, world.out[s], world.lse[s]);
    }
    check_values(&world);
    attention_rig_close_pool(&pool);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        be = kernel_rig_backend(isa, threads);
        attention_rig_open_pool(&pool, be, &world, 100 + threads);
        check_chunks(be, &pool, &world, CHUNKS[threads - 1]);
        check_last_row_alone(be, &pool, &world);
        attention_rig_close_pool(&pool);
    }
    attention_rig_close_world(&world);
}
