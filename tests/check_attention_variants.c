/* check_attention_variants.c - soft caps, sinks and windows of attention: the values, the bits and,
 * for windows, what is not read. For every table this machine can run.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/attention_rig.h"
#include "tests/support/kernel_rig.h"

#include "kernels/cpu/cpu_attention.h"

#include <math.h>
#include <stdatomic.h>

enum {
    SEQUENCES = ATTENTION_RIG_SEQUENCES,
    LENGTH_MAX = ATTENTION_RIG_LENGTH_MAX
};

static void check_shapes(const struct attention_rig_shape *shapes, size_t shape_count,
                         const uint32_t *lengths)
{
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t s = 0; s < shape_count; s++) {
            attention_rig_check_shape(isas[i], &shapes[s], lengths);
        }
    }
}

/* heads, kv heads, head_dim, window, block tokens, dtype, softcap, sinks */

static void capped_scores_are_right_and_invariant(void **state)
{
    static const struct attention_rig_shape SHAPES[] = {
        {4, 2, 64, 0, 16, DTYPE_F16, 50.0f, false}, {3, 1, 18, 0, 16, DTYPE_F32, 0.5f, false},
        {2, 2, 33, 40, 8, DTYPE_BF16, 2.0f, false}, {40, 1, 16, 0, 16, DTYPE_F16, 1.0f, true},
        {8, 1, 80, 7, 5, DTYPE_F16, 2.0f, true},
    };
    static const uint32_t LENGTHS[SEQUENCES] = {70, 40, 1};
    static const uint32_t LONG[SEQUENCES] = {LENGTH_MAX, 257, 256};
    (void)state;
    check_shapes(SHAPES, sizeof SHAPES / sizeof SHAPES[0], LENGTHS);
    check_shapes(SHAPES + 1, 1, LONG);
}

static void sinks_are_right_and_invariant(void **state)
{
    static const struct attention_rig_shape SHAPES[] = {
        {4, 4, 8, 0, 16, DTYPE_F16, 0, true},   {6, 3, 64, 0, 8, DTYPE_BF16, 0, true},
        {8, 1, 64, 20, 16, DTYPE_F16, 0, true}, {40, 1, 18, 0, 16, DTYPE_F32, 0, true},
        {2, 1, 34, 1, 4, DTYPE_F32, 0, true},
    };
    static const struct attention_rig_shape OVER_RANGES[] = {
        {2, 1, 16, 0, 32, DTYPE_F16, 0, true},
        {2, 2, 8, 300, 16, DTYPE_F32, 0, true},
    };
    static const uint32_t LENGTHS[SEQUENCES] = {70, 40, 1};
    static const uint32_t LONG[SEQUENCES] = {LENGTH_MAX, 513, 256};
    (void)state;
    check_shapes(SHAPES, sizeof SHAPES / sizeof SHAPES[0], LENGTHS);
    check_shapes(OVER_RANGES, sizeof OVER_RANGES / sizeof OVER_RANGES[0], LONG);
}

/* Windows that begin inside a block, a tile and a range, in blocks of whole tiles and others. What
 * lies before the window has no block. */
static void windows_read_no_block_before_them(void **state)
{
    static const struct attention_rig_shape SHAPES[] = {
        {1, 1, 16, 7, 5, DTYPE_F16, 0, false},   {2, 1, 18, 9, 16, DTYPE_F32, 0, false},
        {4, 1, 16, 30, 4, DTYPE_BF16, 0, false}, {40, 1, 16, 13, 7, DTYPE_F32, 0, false},
        {1, 1, 64, 33, 32, DTYPE_F16, 0, false},
    };
    static const struct attention_rig_shape OVER_RANGES[] = {
        {2, 1, 16, 100, 16, DTYPE_F16, 0, false},
        {2, 2, 8, 258, 16, DTYPE_F32, 0, false},
        {1, 1, 24, 5, 8, DTYPE_BF16, 0, false},
    };
    static const uint32_t LENGTHS[SEQUENCES] = {70, 41, 1};
    static const uint32_t LONG[SEQUENCES] = {LENGTH_MAX, 513, 258};
    (void)state;
    check_shapes(SHAPES, sizeof SHAPES / sizeof SHAPES[0], LENGTHS);
    check_shapes(OVER_RANGES, sizeof OVER_RANGES / sizeof OVER_RANGES[0], LONG);
}

/* ---- how much is read ---- */

static struct cpu_ops counted_ops;
static atomic_ulong scored; /* keys x queries */

static void count_scores(const struct cpu_scores *args)
{
    atomic_fetch_add(&scored, (unsigned long)args->token_count * args->query_count);
    counted_ops.scores(args);
}

/* Rows far apart in one prompt see different keys: each stretch of rows must read its own only. */
static void rows_of_a_prompt_score_little_more_than_their_windows(void **state)
{
    enum {
        WINDOW = 24,
        TILE_ROWS = 32, /* rows of one head that share a pass over the keys */
        ROWS = LENGTH_MAX
    };
    static const struct attention_rig_shape SHAPE = {1, 1, 16, WINDOW, 16, DTYPE_F16, 0, false};
    static const uint32_t LENGTHS[SEQUENCES] = {ROWS, 1, 1};
    struct attention_rig_world world;
    struct attention_rig_pool pool;
    struct cpu_attention attention;
    struct threads *threads = NULL;
    struct error err = {0};
    (void)state;
    attention_rig_open_world(&world, &SHAPE, LENGTHS);
    attention_rig_open_pool(&pool, kernel_rig_backend(ISA_AUTO, 1), &world, 1);
    cpu_ops_select(&counted_ops, ISA_AUTO);
    struct cpu_ops ops = counted_ops;
    ops.scores = count_scores;
    struct attention_span span = {.row_count = ROWS, .block_ids = pool.block_ids[0]};
    for (uint32_t thread_count = 1; thread_count <= 2; thread_count++) {
        assert_int_equal(threads_open(&threads, thread_count, &err), OK);
        assert_int_equal(cpu_attention_init(&attention, &ops, threads, &err), OK);
        atomic_store(&scored, 0);
        cpu_attention_run(&attention, &(struct attention_args){.out = world.out[0],
                                                               .q = world.q[0],
                                                               .kv = &pool.kv,
                                                               .spans = &span,
                                                               .span_count = 1,
                                                               .head_count = 1,
                                                               .scale = 0.25f,
                                                               .window = WINDOW});
        unsigned long most = (unsigned long)ROWS * (TILE_ROWS + WINDOW - 1);
        assert_true(atomic_load(&scored) <= most);
        assert_true(atomic_load(&scored) >= (unsigned long)(ROWS - WINDOW) * WINDOW);
        cpu_attention_release(&attention);
        threads_close(threads);
    }
    attention_rig_close_pool(&pool);
    attention_rig_close_world(&world);
}

/* ---- sinks at their ends, and merged ---- */

enum {
    HEADS = 4,
    DIM = 16
};

static const struct attention_rig_shape SMALL = {HEADS, 2, DIM, 0, 16, DTYPE_F16, 0, true};

/* The last row of each of the first two sequences, one after the other. */
static void run_last_rows(struct backend *be, const struct attention_rig_pool *pool,
                          const struct attention_rig_world *world, float *out, float *lse)
{
    const uint32_t starts[SEQUENCES] = {world->lengths[0] - 1, world->lengths[1] - 1, 0};
    const uint32_t counts[SEQUENCES] = {1, 1, 0};
    attention_rig_run(be, pool, world, starts, counts, out, lse);
}

static void a_sink_may_have_no_weight_or_all_of_it(void **state)
{
    static const uint32_t LENGTHS[SEQUENCES] = {300, 20, 1};
    float outs[2][2 * HEADS * DIM];
    float lses[2][2 * HEADS];
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        struct attention_rig_world world;
        struct attention_rig_pool pool;
        struct backend *be = kernel_rig_backend(isas[i], 2);
        attention_rig_open_world(&world, &SMALL, LENGTHS);
        attention_rig_open_pool(&pool, be, &world, 1);
        float *sinks = world.sinks;
        world.sinks = NULL;
        run_last_rows(be, &pool, &world, outs[0], lses[0]);
        world.sinks = sinks;
        for (int head = 0; head < HEADS; head++) {
            sinks[head] = -INFINITY;
        }
        run_last_rows(be, &pool, &world, outs[1], lses[1]);
        kernel_rig_same_bits(outs[0], outs[1], (size_t)2 * HEADS * DIM, "a sink without weight");
        kernel_rig_same_bits(lses[0], lses[1], (size_t)2 * HEADS, "its log-sum-exp");
        for (int head = 0; head < HEADS; head++) {
            sinks[head] = 1e4f;
        }
        run_last_rows(be, &pool, &world, outs[1], lses[1]);
        for (int value = 0; value < 2 * HEADS * DIM; value++) {
            assert_true(outs[1][value] == 0.0f);
        }
        for (int head = 0; head < 2 * HEADS; head++) {
            assert_true(lses[1][head] == 1e4f);
        }
        attention_rig_close_pool(&pool);
        attention_rig_close_world(&world);
    }
}

/* What one query makes of the keys of both sequences and one sink, in float64. */
static void expect_of_both(const struct attention_rig_world *world, uint32_t head, double out[DIM],
                           double *lse)
{
    double sum = exp((double)world->sinks[head]);
    memset(out, 0, DIM * sizeof *out);
    for (uint32_t s = 0; s < 2; s++) {
        for (uint32_t t = 0; t < world->lengths[s]; t++) {
            double weight = exp(attention_rig_score(world, s, world->lengths[s] - 1, head, t));
            const float *value = world->values[s] + ((size_t)t * 2 + head / 2) * DIM;
            sum += weight;
            for (uint32_t d = 0; d < DIM; d++) {
                out[d] += weight * (double)value[d];
            }
        }
    }
    for (uint32_t d = 0; d < DIM; d++) {
        out[d] /= sum;
    }
    *lse = log(sum);
}

static void partials_of_which_one_has_the_sinks_merge_to_the_whole(void **state)
{
    static const uint32_t LENGTHS[SEQUENCES] = {280, 35, 1};
    float outs[2][2 * HEADS * DIM]; /* with sinks, without; in each, of both sequences */
    float lses[2][2 * HEADS];
    struct attention_rig_world world;
    struct attention_rig_pool pool;
    struct backend *be = kernel_rig_backend(ISA_AUTO, 2);
    (void)state;
    attention_rig_open_world(&world, &SMALL, LENGTHS);
    attention_rig_open_pool(&pool, be, &world, 1);
    memcpy(world.q[1] + (size_t)(LENGTHS[1] - 1) * HEADS * DIM,
           world.q[0] + (size_t)(LENGTHS[0] - 1) * HEADS * DIM,
           (size_t)HEADS * DIM * sizeof(float));
    run_last_rows(be, &pool, &world, outs[0], lses[0]);
    float *sinks = world.sinks;
    world.sinks = NULL;
    run_last_rows(be, &pool, &world, outs[1], lses[1]);
    world.sinks = sinks;
    be->ops->attention_merge(be, &(struct attention_merge_args){
                                     .out_a = outs[0],
                                     .lse_a = lses[0],
                                     .out_b = outs[1] + (size_t)HEADS * DIM,
                                     .lse_b = lses[1] + HEADS,
                                     .row_count = 1,
                                     .head_count = HEADS,
                                     .head_dim = DIM,
                                 });
    for (uint32_t head = 0; head < HEADS; head++) {
        double expected[DIM];
        double lse;
        expect_of_both(&world, head, expected, &lse);
        assert_true(fabs(lse - (double)lses[0][head]) < 1e-5);
        for (uint32_t d = 0; d < DIM; d++) {
            assert_true(fabs(expected[d] - (double)outs[0][head * DIM + d]) < 1e-5);
        }
    }
    attention_rig_close_pool(&pool);
    attention_rig_close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capped_scores_are_right_and_invariant),
        cmocka_unit_test(sinks_are_right_and_invariant),
        cmocka_unit_test(windows_read_no_block_before_them),
        cmocka_unit_test(rows_of_a_prompt_score_little_more_than_their_windows),
        cmocka_unit_test(a_sink_may_have_no_weight_or_all_of_it),
        cmocka_unit_test(partials_of_which_one_has_the_sinks_merge_to_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, kernel_rig_close);
}
