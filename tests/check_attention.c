/* check_attention.c - paged attention and its companions, for every table this machine can run:
 * against float64 softmax, and against itself bit for bit however the prompt is cut, batched,
 * placed in blocks or spread over threads. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/attention_rig.h"
#include "tests/support/kernel_rig.h"

#include "kernels/backend.h"
#include "kernels/quant.h"

#include <math.h>

enum {
    SEQUENCES = ATTENTION_RIG_SEQUENCES,
    LENGTH_MAX = ATTENTION_RIG_LENGTH_MAX
};

static void attention_is_right_and_invariant_for_many_shapes(void **state)
{
    /* heads, kv heads, head_dim, window, block tokens, dtype */
    static const struct attention_rig_shape SHAPES[] = {
        {1, 1, 2, 0, 16, DTYPE_F32, 0, false},    {4, 4, 8, 0, 16, DTYPE_F16, 0, false},
        {8, 4, 8, 0, 32, DTYPE_F32, 0, false},    {6, 3, 16, 0, 8, DTYPE_BF16, 0, false},
        {7, 1, 64, 0, 16, DTYPE_F16, 0, false},   {3, 1, 80, 100, 16, DTYPE_F16, 0, false},
        {2, 2, 96, 5, 64, DTYPE_BF16, 0, false},  {40, 1, 18, 300, 16, DTYPE_F16, 0, false},
        {4, 2, 128, 0, 16, DTYPE_BF16, 0, false}, {1, 1, 256, 1, 4, DTYPE_F32, 0, false},
    };
    static const uint32_t LENGTHS[SEQUENCES] = {70, 40, 1};
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t s = 0; s < sizeof SHAPES / sizeof SHAPES[0]; s++) {
            attention_rig_check_shape(isas[i], &SHAPES[s], LENGTHS);
        }
    }
}

static void attention_over_several_ranges_is_right_and_invariant(void **state)
{
    static const struct attention_rig_shape SHAPES[] = {
        {2, 1, 16, 0, 32, DTYPE_F16, 0, false},
        {2, 2, 8, 300, 16, DTYPE_F32, 0, false},
        {5, 1, 34, 0, 5, DTYPE_BF16, 0, false},
        {1, 1, 64, 256, 16, DTYPE_F16, 0, false},
    };
    static const uint32_t LENGTHS[SEQUENCES] = {LENGTH_MAX, 513, 256};
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t s = 0; s < sizeof SHAPES / sizeof SHAPES[0]; s++) {
            struct attention_rig_shape shape = SHAPES[s];
            /* 5-token blocks would need more blocks than the pool has. */
            uint32_t lengths[SEQUENCES] = {LENGTHS[0], LENGTHS[1], LENGTHS[2]};
            if (shape.block_tokens == 5) {
                lengths[1] = 301;
            }
            attention_rig_check_shape(isas[i], &shape, lengths);
        }
    }
}

/* A later token's value is NaN: rows before it must not notice, even in one tile with it. */
static void later_tokens_never_leak_into_earlier_rows(void **state)
{
    static const struct attention_rig_shape SHAPE = {2, 1, 16, 0, 16, DTYPE_F16, 0, false};
    static const uint32_t LENGTHS[SEQUENCES] = {30, 1, 1};
    static const size_t LATER = (size_t)20 * 16; /* where position 20 begins */
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        struct attention_rig_world world;
        struct attention_rig_pool pool;
        struct backend *be = kernel_rig_backend(isas[i], 1);
        attention_rig_open_world(&world, &SHAPE, LENGTHS);
        for (size_t d = 0; d < 16; d++) {
            world.keys[0][LATER + d] = NAN;
            world.values[0][LATER + d] = INFINITY;
        }
        attention_rig_open_pool(&pool, be, &world, 1);
        uint32_t starts[SEQUENCES] = {0};
        uint32_t counts[SEQUENCES] = {30, 0, 0};
        attention_rig_run(be, &pool, &world, starts, counts, world.out[0], world.lse[0]);
        for (uint32_t row = 0; row < 20; row++) {
            attention_rig_check_head(&world, 0, row, 0);
            attention_rig_check_head(&world, 0, row, 1);
        }
        for (uint32_t row = 20; row < 30; row++) {
            assert_true(isnan(world.out[0][(size_t)row * 32])); /* and a real NaN is not hidden */
        }
        attention_rig_close_pool(&pool);
        attention_rig_close_world(&world);
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
