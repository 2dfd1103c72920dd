/* check_attention.c - paged attention and its companions, for every table this machine can run:
 * against float64 softmax, and against itself bit for bit however the prompt is cut, batched,
 * placed in blocks or spread over threads. Unused slots hold NaN throughout.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/kernel_rig.h"

#include "kernels/backend.h"
#include "kernels/quant.h"

#include <math.h>

enum {
    SEQUENCES = 3, /* in one call: the sums below write them out */
    LENGTH_MAX = 540,
    POOL_BLOCKS = 256
};

struct shape {
    uint32_t head_count;
    uint32_t kv_head_count;
    uint32_t head_dim;
    uint32_t window;
    uint32_t block_tokens;
    enum dtype dtype;
};

/* A few sequences with all their queries, keys and values, and what attention must give. */
struct world {
    struct shape shape;
    uint32_t lengths[SEQUENCES];
    float *q[SEQUENCES];
    float *keys[SEQUENCES];
    float *values[SEQUENCES];
    float *out[SEQUENCES]; /* of the baseline run */
    float *lse[SEQUENCES];
};

/* The cache of one run: where each sequence's blocks lie is shuffled by its seed. */
struct pool {
    struct kv_layer kv;
    size_t byte_count; /* of keys, of values */
    uint32_t block_ids[SEQUENCES][LENGTH_MAX];
};

static size_t q_width(const struct shape *shape)
{
    return (size_t)shape->head_count * shape->head_dim;
}

static size_t kv_width(const struct shape *shape)
{
    return (size_t)shape->kv_head_count * shape->head_dim;
}

/* ---- the cache ---- */

static void write_sequence(struct backend *be, const struct pool *pool, const struct world *world,
                           uint32_t s)
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

static void pool_open(struct pool *pool, struct backend *be, const struct world *world,
                      uint64_t seed)
{
    const struct shape *shape = &world->shape;
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

static void pool_close(struct pool *pool)
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

static void world_open(struct world *world, const struct shape *shape, const uint32_t *lengths)
{
    uint64_t random = shape->head_dim * 31u + shape->window;
    world->shape = *shape;
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

static void world_close(struct world *world)
{
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        kernel_rig_free(world->q[s]);
        kernel_rig_free(world->keys[s]);
        kernel_rig_free(world->values[s]);
        kernel_rig_free(world->out[s]);
        kernel_rig_free(world->lse[s]);
    }
}

/* Attention of rows [starts[s], starts[s] + counts[s]) of each sequence in one call; the results
 * go to out and lse, one sequence after the other. */
static void run_spans(struct backend *be, const struct pool *pool, const struct world *world,
                      const uint32_t *starts, const uint32_t *counts, float *out, float *lse)
{
    struct attention_span spans[SEQUENCES];
    uint32_t span_count = 0;
    uint32_t row_count = 0;
    size_t width = q_width(&world->shape);
    size_t total = (size_t)counts[0] + counts[1] + counts[2];
    float *q = kernel_rig_alloc(total * width * sizeof *q);
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        if (counts[s] == 0) {
            continue;
        }
        spans[span_count++] = (struct attention_span){.first_row = row_count,
                                                      .row_count = counts[s],
                                                      .start = starts[s],
                                                      .block_ids = pool->block_ids[s]};
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
                           });
    kernel_rig_free(q);
}

/* ---- against float64 ---- */

static double score_of(const struct world *world, uint32_t s, uint32_t row, uint32_t head,
                       uint32_t position)
{
    const struct shape *shape = &world->shape;
    uint32_t kv_head = head / (shape->head_count / shape->kv_head_count);
    const float *q = world->q[s] + row * q_width(shape) + (size_t)head * shape->head_dim;
    const float *key =
        world->keys[s] + position * kv_width(shape) + (size_t)kv_head * shape->head_dim;
    double sum = 0;
    for (uint32_t d = 0; d < shape->head_dim; d++) {
        sum += (double)q[d] * (double)key[d];
    }
    return sum * (double)(1.0f / sqrtf((float)shape->head_dim));
}

static void check_head(const struct world *world, uint32_t s, uint32_t row, uint32_t head)
{
    const struct shape *shape = &world->shape;
    uint32_t kv_head = head / (shape->head_count / shape->kv_head_count);
    uint32_t first = shape->window != 0 && row + 1 > shape->window ? row + 1 - shape->window : 0;
    double weights[LENGTH_MAX];
    double top = -INFINITY;
    double sum = 0;
    for (uint32_t t = first; t <= row; t++) {
        weights[t] = score_of(world, s, row, head, t);
        top = fmax(top, weights[t]);
    }
    for (uint32_t t = first; t <= row; t++) {
        weights[t] = exp(weights[t] - top);
        sum += weights[t];
    }
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

static void check_values(const struct world *world)
{
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        /* Every row of short sequences; of long ones those near the edges and some between. */
        for (uint32_t row = 0; row<world->lengths[s]; row += row> 40 && row % 64 < 60 ? 7 : 1) {
            for (uint32_t head = 0; head < world->shape.head_count; head++) {
                check_head(world, s, row, head);
            }
        }
    }
}

/* ---- against itself ---- */

static void check_step(struct backend *be, const struct pool *pool, const struct world *world,
                       const uint32_t *starts, const uint32_t *counts)
{
    size_t width = q_width(&world->shape);
    size_t heads = world->shape.head_count;
    size_t row_count = (size_t)counts[0] + counts[1] + counts[2];
    float *out = kernel_rig_alloc(row_count * width * sizeof *out);
    float *lse = kernel_rig_alloc(row_count * heads * sizeof *lse);
    run_spans(be, pool, world, starts, counts, out, lse);
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
static void check_chunks(struct backend *be, const struct pool *pool, const struct world *world,
                         const uint32_t *chunks)
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

static void check_last_row_alone(struct backend *be, const struct pool *pool,
                                 const struct world *world)
{
    for (uint32_t only = 0; only < SEQUENCES; only++) {
        uint32_t starts[SEQUENCES] = {0};
        uint32_t counts[SEQUENCES] = {0};
        starts[only] = world->lengths[only] - 1;
        counts[only] = 1;
        check_step(be, pool, world, starts, counts);
    }
}

static void check_shape(enum isa isa, const struct shape *shape, const uint32_t *lengths)
{
    static const uint32_t CHUNKS[][SEQUENCES] = {{64, 7, 1}, {1, 300, 64}, {257, 1, 13}};
    struct world world;
    struct pool pool;
    struct backend *be = kernel_rig_backend(isa, 1);
    world_open(&world, shape, lengths);
    pool_open(&pool, be, &world, 1);
    for (uint32_t s = 0; s < SEQUENCES; s++) { /* the baseline: each prompt whole and alone */
        uint32_t starts[SEQUENCES] = {0};
        uint32_t counts[SEQUENCES] = {0};
        counts[s] = lengths[s];
        run_spans(be, &pool, &world, starts, counts, world.out[s], world.lse[s]);
    }
    check_values(&world);
    pool_close(&pool);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        be = kernel_rig_backend(isa, threads);
        pool_open(&pool, be, &world, 100 + threads);
        check_chunks(be, &pool, &world, CHUNKS[threads - 1]);
        check_last_row_alone(be, &pool, &world);
        pool_close(&pool);
    }
    world_close(&world);
}

static void attention_is_right_and_invariant_for_many_shapes(void **state)
{
    /* heads, kv heads, head_dim, window, block tokens, dtype */
    static const struct shape SHAPES[] = {
        {1, 1, 2, 0, 16, DTYPE_F32},    {4, 4, 8, 0, 16, DTYPE_F16},
        {8, 4, 8, 0, 32, DTYPE_F32},    {6, 3, 16, 0, 8, DTYPE_BF16},
        {7, 1, 64, 0, 16, DTYPE_F16},   {3, 1, 80, 100, 16, DTYPE_F16},
        {2, 2, 96, 5, 64, DTYPE_BF16},  {40, 1, 18, 300, 16, DTYPE_F16},
        {4, 2, 128, 0, 16, DTYPE_BF16}, {1, 1, 256, 1, 4, DTYPE_F32},
    };
    static const uint32_t LENGTHS[SEQUENCES] = {70, 40, 1};
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t s = 0; s < sizeof SHAPES / sizeof SHAPES[0]; s++) {
            check_shape(isas[i], &SHAPES[s], LENGTHS);
        }
    }
}

static void attention_over_several_ranges_is_right_and_invariant(void **state)
{
    static const struct shape SHAPES[] = {
        {2, 1, 16, 0, 32, DTYPE_F16},
        {2, 2, 8, 300, 16, DTYPE_F32},
        {5, 1, 34, 0, 5, DTYPE_BF16},
        {1, 1, 64, 256, 16, DTYPE_F16},
    };
    static const uint32_t LENGTHS[SEQUENCES] = {LENGTH_MAX, 513, 256};
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t s = 0; s < sizeof SHAPES / sizeof SHAPES[0]; s++) {
            struct shape shape = SHAPES[s];
            /* 5-token blocks would need more blocks than the pool has. */
            uint32_t lengths[SEQUENCES] = {LENGTHS[0], LENGTHS[1], LENGTHS[2]};
            if (shape.block_tokens == 5) {
                lengths[1] = 301;
            }
            check_shape(isas[i], &shape, lengths);
        }
    }
}

/* A later token's value is NaN: rows before it must not notice, even in one tile with it. */
static void later_tokens_never_leak_into_earlier_rows(void **state)
{
    static const struct shape SHAPE = {2, 1, 16, 0, 16, DTYPE_F16};
    static const uint32_t LENGTHS[SEQUENCES] = {30, 1, 1};
    static const size_t LATER = (size_t)20 * 16; /* where position 20 begins */
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        struct world world;
        struct pool pool;
        struct backend *be = kernel_rig_backend(isas[i], 1);
        world_open(&world, &SHAPE, LENGTHS);
        for (size_t d = 0; d < 16; d++) {
            world.keys[0][LATER + d] = NAN;
            world.values[0][LATER + d] = INFINITY;
        }
        pool_open(&pool, be, &world, 1);
        uint32_t starts[SEQUENCES] = {0};
        uint32_t counts[SEQUENCES] = {30, 0, 0};
        run_spans(be, &pool, &world, starts, counts, world.out[0], world.lse[0]);
        for (uint32_t row = 0; row < 20; row++) {
            check_head(&world, 0, row, 0);
            check_head(&world, 0, row, 1);
        }
        for (uint32_t row = 20; row < 30; row++) {
            assert_true(isnan(world.out[0][(size_t)row * 32])); /* and a real NaN is not hidden */
        }
        pool_close(&pool);
        world_close(&world);
    }
}

/* ---- merging partials ---- */

static void merged_halves_equal_attention_over_all_keys(void **state)
{
    enum {
        ROWS = 5,
        HEADS = 3,
        DIM = 20,
        KEYS = 40
    };
    static const size_t ALL_HEADS = (size_t)ROWS * HEADS;
    uint64_t random = 9;
    float *values = kernel_rig_floats(&random, (size_t)KEYS * DIM);
    float *out_a = kernel_rig_alloc(ALL_HEADS * DIM * sizeof *out_a);
    float *out_b = kernel_rig_alloc(ALL_HEADS * DIM * sizeof *out_b);
    float lse_a[ROWS * HEADS];
    float lse_b[ROWS * HEADS];
    double expected[ROWS * HEADS][DIM];
    double lse[ROWS * HEADS];
    (void)state;
    for (size_t head = 0; head < ALL_HEADS; head++) {
        double sums[2] = {0};
        double outs[2][DIM] = {{0}};
        size_t cut = head == 1 ? 0 : (head == 2 ? KEYS : KEYS / 3); /* one side may be empty */
        for (size_t t = 0; t < KEYS; t++) {
            double weight = exp(6 * (double)kernel_rig_random(&random));
            sums[t >= cut] += weight;
            for (size_t d = 0; d < DIM; d++) {
                outs[t >= cut][d] += weight * (double)values[t * DIM + d];
            }
        }
        for (size_t d = 0; d < DIM; d++) { /* an empty side's out is 0/0 = NaN: never read */
            expected[head][d] = (outs[0][d] + outs[1][d]) / (sums[0] + sums[1]);
            out_a[head * DIM + d] = (float)(outs[0][d] / sums[0]);
            out_b[head * DIM + d] = (float)(outs[1][d] / sums[1]);
        }
        lse[head] = log(sums[0] + sums[1]);
        lse_a[head] = (float)log(sums[0]);
        lse_b[head] = (float)log(sums[1]);
    }
    struct backend *be = kernel_rig_backend(ISA_AUTO, 2);
    be->ops->attention_merge(be, &(struct attention_merge_args){.out_a = out_a,
                                                                .lse_a = lse_a,
                                                                .out_b = out_b,
                                                                .lse_b = lse_b,
                                                                .row_count = ROWS,
                                                                .head_count = HEADS,
                                                                .head_dim = DIM});
    for (size_t head = 0; head < ALL_HEADS; head++) {
        assert_true(fabs(lse[head] - (double)lse_a[head]) < 1e-5);
        for (size_t d = 0; d < DIM; d++) {
            assert_true(fabs(expected[head][d] - (double)out_a[head * DIM + d]) < 1e-5);
        }
    }
    kernel_rig_free(values);
    kernel_rig_free(out_a);
    kernel_rig_free(out_b);
}

static void two_empty_partials_merge_to_an_empty_one(void **state)
{
    float out_a[2] = {1, 2};
    float out_b[2] = {3, 4};
    float lse_a = -INFINITY;
    float lse_b = -INFINITY;
    struct backend *be = kernel_rig_backend(ISA_AUTO, 1);
    (void)state;
    be->ops->attention_merge(be, &(struct attention_merge_args){.out_a = out_a,
                                                                .lse_a = &lse_a,
                                                                .out_b = out_b,
                                                                .lse_b = &lse_b,
                                                                .row_count = 1,
                                                                .head_count = 1,
                                                                .head_dim = 2});
    assert_true(lse_a == -INFINITY);
}

/* ---- writing ---- */

static void kv_write_stores_rounded_values_in_their_slots_only(void **state)
{
    enum {
        BLOCKS = 4,
        HEADS = 2,
        TOKENS = 3,
        DIM = 38,
        ROWS = 5
    };
    static const uint32_t SLOTS[ROWS] = {7, 0, 11, 4, 8};
    static const enum dtype DTYPES[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count * 3; i++) {
        enum dtype dtype = DTYPES[i % 3];
        const struct quant_format *format = quant_format_get(dtype);
        size_t head_bytes = quant_row_bytes(dtype, DIM);
        size_t byte_count = head_bytes * BLOCKS * HEADS * TOKENS;
        uint64_t random = 4;
        float *rows = kernel_rig_floats(&random, (size_t)ROWS * HEADS * DIM);
        rows[0] = 1e-6f;   /* an f16 subnormal */
        rows[1] = 65519.f; /* the largest float that f16 does not round to infinity */
        rows[2] = NAN;
        unsigned char *keys = kernel_rig_alloc(byte_count);
        unsigned char *values = kernel_rig_alloc(byte_count);
        unsigned char *expected = kernel_rig_alloc(byte_count);
        struct kv_layer kv = {keys, values, dtype, BLOCKS, TOKENS, HEADS, DIM};
        struct backend *be = kernel_rig_backend(isas[i / 3], 2);
        be->ops->kv_write(
            be, &(struct kv_write_args){
                    .kv = &kv, .keys = rows, .values = rows, .slots = SLOTS, .row_count = ROWS});
        for (size_t r = 0; r < ROWS; r++) {
            for (size_t h = 0; h < HEADS; h++) {
                size_t block_id = SLOTS[r] / TOKENS;
                size_t at = (block_id * HEADS + h) * TOKENS + SLOTS[r] % TOKENS;
                format->quantize(expected + at * head_bytes, rows + (r * HEADS + h) * DIM, DIM);
            }
        }
        assert_memory_equal(keys, expected, byte_count);
        assert_memory_equal(values, expected, byte_count);
        kernel_rig_free(rows);
        kernel_rig_free(keys);
        kernel_rig_free(values);
        kernel_rig_free(expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_right_and_invariant_for_many_shapes),
        cmocka_unit_test(attention_over_several_ranges_is_right_and_invariant),
        cmocka_unit_test(later_tokens_never_leak_into_earlier_rows),
        cmocka_unit_test(merged_halves_equal_attention_over_all_keys),
        cmocka_unit_test(two_empty_partials_merge_to_an_empty_one),
        cmocka_unit_test(kv_write_stores_rounded_values_in_their_slots_only),
    };
    return cmocka_run_group_tests(tests, NULL, kernel_rig_close);
}
