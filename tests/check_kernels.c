/* check_kernels.c - every table of inner loops this machine can run, through the backend: against
 * float64 arithmetic, and against itself bit for bit under other row counts and threads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/kernel_rig.h"

#include "kernels/backend.h"
#include "kernels/quant.h"

#include <math.h>

enum {
    ROWS = 33
};

/* ---- matmul ---- */

struct matmul_case {
    struct tensor weight;
    float *in;
    float *bias;
    float *residual;
    float *out; /* all ROWS rows in one call */
};

static void run_matmul(struct backend *be, const struct matmul_case *c, float *out, uint32_t first,
                       uint32_t row_count, bool extras)
{
    size_t k_count = c->weight.shape[1];
    size_t out_dim = c->weight.shape[0];
    be->ops->matmul(be, &(struct matmul_args){
                            .out = out,
                            .in = c->in + first * k_count,
                            .weight = &c->weight,
                            .bias = extras ? c->bias : NULL,
                            .residual = extras ? c->residual + first * out_dim : NULL,
                            .row_count = row_count,
                        });
}

static void check_matmul_values(const struct matmul_case *c, bool extras, const char *what)
{
    size_t k_count = c->weight.shape[1];
    size_t out_dim = c->weight.shape[0];
    float *row = malloc(k_count * sizeof *row);
    const struct quant_format *format = quant_format_get(c->weight.dtype);
    uint64_t row_bytes = quant_row_bytes(c->weight.dtype, k_count);
    assert_non_null(row);
    for (size_t n = 0; n < out_dim; n++) {
        format->dequantize(row, (const uint8_t *)c->weight.data + n * row_bytes, k_count);
        for (size_t m = 0; m < ROWS; m++) {
            double sum = extras ? (double)c->bias[n] + (double)c->residual[m * out_dim + n] : 0;
            double scale = fabs(sum);
            for (size_t k = 0; k < k_count; k++) {
                double term = (double)row[k] * (double)c->in[m * k_count + k];
                sum += term;
                scale += fabs(term);
            }
            kernel_rig_near(sum, c->out[m * out_dim + n], scale, 2e-6, what);
        }
    }
    free(row);
}

/* The same rows alone, in other groups and on other thread counts. */
static void check_matmul_invariance(enum isa isa, const struct matmul_case *c, const char *what)
{
    static const uint32_t GROUPS[] = {1, 2, 5, 7, 32};
    size_t out_dim = c->weight.shape[0];
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct backend *be = kernel_rig_backend(isa, threads);
        for (size_t g = 0; g < sizeof GROUPS / sizeof GROUPS[0]; g++) {
            for (uint32_t first = 0; first < ROWS; first += GROUPS[g]) {
                uint32_t row_count = ROWS - first < GROUPS[g] ? ROWS - first : GROUPS[g];
                float *out = kernel_rig_alloc(row_count * out_dim * sizeof *out);
                run_matmul(be, c, out, first, row_count, true);
                kernel_rig_same_bits(c->out + first * out_dim, out, row_count * out_dim, what);
                kernel_rig_free(out);
            }
        }
    }
}

static void check_matmul_shape(enum isa isa, enum dtype dtype, uint32_t k_count, uint32_t out_dim)
{
    uint64_t random = k_count * 1000u + out_dim;
    char what[96];
    snprintf(what, sizeof what, "%s matmul %s k=%u n=%u", backend_isa_name(isa),
             quant_format_get(dtype)->name, k_count, out_dim);
    size_t out_count = (size_t)ROWS * out_dim;
    struct matmul_case c = {
        .weight = {.data = kernel_rig_weights(&random, dtype, (size_t)k_count * out_dim),
                   .dtype = dtype,
                   .dim_count = 2,
                   .shape = {out_dim, k_count}},
        .in = kernel_rig_floats(&random, (size_t)ROWS * k_count),
        .bias = kernel_rig_floats(&random, out_dim),
        .residual = kernel_rig_floats(&random, out_count),
        .out = kernel_rig_alloc(out_count * sizeof(float)),
    };
    struct backend *be = kernel_rig_backend(isa, 2);
    run_matmul(be, &c, c.out, 0, ROWS, false);
    check_matmul_values(&c, false, what);
    run_matmul(be, &c, c.out, 0, ROWS, true);
    check_matmul_values(&c, true, what);
    check_matmul_invariance(isa, &c, what);
    /* out may be the residual */
    float *in_place = kernel_rig_alloc(out_count * sizeof(float));
    memcpy(in_place, c.residual, out_count * sizeof(float));
    struct matmul_case aliased = c;
    aliased.residual = in_place;
    run_matmul(be, &aliased, in_place, 0, ROWS, true);
    kernel_rig_same_bits(c.out, in_place, out_count, what);
    kernel_rig_free(in_place);
    kernel_rig_free((void *)c.weight.data);
    kernel_rig_free(c.in);
    kernel_rig_free(c.bias);
    kernel_rig_free(c.residual);
    kernel_rig_free(c.out);
}

static void matmul_is_right_and_row_invariant_for_float_weights(void **state)
{
    static const uint32_t SHAPES[][2] = {{1, 1},   {7, 3},   {31, 33},  {33, 31},  {64, 64},
                                         {172, 7}, {256, 5}, {272, 16}, {515, 17}, {2049, 9}};
    static const enum dtype DTYPES[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t d = 0; d < 3; d++) {
            for (size_t s = 0; s < sizeof SHAPES / sizeof SHAPES[0]; s++) {
                check_matmul_shape(isas[i], DTYPES[d], SHAPES[s][0], SHAPES[s][1]);
            }
        }
    }
}

static void matmul_is_right_and_row_invariant_for_every_block_format(void **state)
{
    static const uint32_t BLOCKS[] = {1, 2, 7, 9}; /* 9 blocks of 32 pass a chunk by one */
    static const uint32_t OUT_DIMS[] = {5, 33, 1, 18};
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        for (int dtype = DTYPE_Q8_0; dtype < DTYPE_COUNT; dtype++) {
            uint32_t block = quant_format_get((enum dtype)dtype)->block_values;
            for (size_t s = 0; s < sizeof BLOCKS / sizeof BLOCKS[0]; s++) {
                check_matmul_shape(isas[i], (enum dtype)dtype, block * BLOCKS[s], OUT_DIMS[s]);
            }
        }
    }
}

/* Large enough for several work items, panels and row blocks. */
static void matmul_of_many_items_is_right_and_row_invariant(void **state)
{
    static const enum dtype DTYPES[] = {DTYPE_F32, DTYPE_Q8_0, DTYPE_Q4_K};
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t d = 0; d < 3; d++) {
            check_matmul_shape(isas[i], DTYPES[d], 2048, 147);
        }
    }
}

static void matmul_of_more_rows_than_a_block_equals_them_one_by_one(void **state)
{
    static const size_t MANY = 131;
    static const size_t K = 320;
    static const size_t N = 37;
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        uint64_t random = 5;
        struct tensor weight = {.data = kernel_rig_weights(&random, DTYPE_Q5_0, K * N),
                                .dtype = DTYPE_Q5_0,
                                .dim_count = 2,
                                .shape = {N, K}};
        float *in = kernel_rig_floats(&random, MANY * K);
        float *out = kernel_rig_alloc(MANY * N * sizeof *out);
        float *single = kernel_rig_alloc(N * sizeof *single);
        struct backend *be = kernel_rig_backend(isas[i], 2);
        struct matmul_args args = {
            .out = out, .in = in, .weight = &weight, .row_count = (uint32_t)MANY};
        be->ops->matmul(be, &args);
        args.out = single;
        args.row_count = 1;
        for (size_t m = 0; m < MANY; m++) {
            args.in = in + m * K;
            be->ops->matmul(be, &args);
            kernel_rig_same_bits(out + m * N, single, N, "row of many");
        }
        kernel_rig_free((void *)weight.data);
        kernel_rig_free(in);
        kernel_rig_free(out);
        kernel_rig_free(single);
    }
}

/* ---- embed, gather ---- */

static void embed_equals_the_dequantised_rows_in_every_format(void **state)
{
    enum {
        VOCAB = 11,
        COUNT = 40
    };
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        struct backend *be = kernel_rig_backend(isas[i], 2);
        for (int d = 0; d < DTYPE_COUNT; d++) {
            enum dtype dtype = (enum dtype)d;
            const struct quant_format *format = quant_format_get(dtype);
            size_t dim = format->block_values == 1 ? 173 : 2 * format->block_values;
            uint64_t random = 77;
            struct tensor table = {.data = kernel_rig_weights(&random, dtype, VOCAB * dim),
                                   .dtype = dtype,
                                   .dim_count = 2,
                                   .shape = {VOCAB, dim}};
            uint32_t ids[COUNT];
            float *out = kernel_rig_alloc(COUNT * dim * sizeof *out);
            float *row = malloc(dim * sizeof *row);
            assert_non_null(row);
            for (int t = 0; t < COUNT; t++) {
                ids[t] = kernel_rig_random_below(&random, VOCAB);
            }
            be->ops->embed(be, &(struct embed_args){.out = out,
                                                    .table = &table,
                                                    .token_ids = ids,
                                                    .row_count = COUNT,
                                                    .scale = 1.5f});
            for (size_t t = 0; t < COUNT; t++) {
                const uint8_t *stored =
                    (const uint8_t *)table.data + ids[t] * quant_row_bytes(dtype, dim);
                format->dequantize(row, stored, dim);
                for (size_t j = 0; j < dim; j++) {
                    row[j] *= 1.5f;
                }
                kernel_rig_same_bits(row, out + t * dim, dim, format->name);
            }
            free(row);
            kernel_rig_free(out);
            kernel_rig_free((void *)table.data);
        }
    }
}

static void gather_rows_copies_the_rows_asked_for(void **state)
{
    const uint32_t rows[] = {4, 0, 4, 9};
    const size_t dim = 19;
    uint64_t random = 3;
    float *in = kernel_rig_floats(&random, 10 * dim);
    float *out = kernel_rig_alloc(4 * dim * sizeof *out);
    struct backend *be = kernel_rig_backend(ISA_AUTO, 2);
    (void)state;
    be->ops->gather_rows(
        be, &(struct gather_rows_args){
                .out = out, .in = in, .rows = rows, .row_count = 4, .dim = (uint32_t)dim});
    for (size_t i = 0; i < 4; i++) {
        kernel_rig_same_bits(in + rows[i] * dim, out + i * dim, dim, "gathered row");
    }
    kernel_rig_free(in);
    kernel_rig_free(out);
}

/* ---- row by row ---- */

static const uint32_t DIMS[] = {1, 7, 16, 31, 33, 64, 172, 256, 2048, 2051};

enum {
    DIM_COUNT = sizeof DIMS / sizeof DIMS[0]
};

static void check_rmsnorm(enum isa isa, uint32_t dim)
{
    uint64_t random = dim;
    size_t count = (size_t)ROWS * dim;
    float *in = kernel_rig_floats(&random, count);
    float *weight = kernel_rig_floats(&random, dim);
    float *out = kernel_rig_alloc(count * sizeof *out);
    float *single = kernel_rig_alloc(dim * sizeof *single);
    struct backend *be = kernel_rig_backend(isa, 2);
    struct rmsnorm_args args = {
        .out = out, .in = in, .weight = weight, .row_count = ROWS, .dim = dim, .epsilon = 1e-5f};
    be->ops->rmsnorm(be, &args);
    for (size_t m = 0; m < ROWS; m++) {
        const float *row = in + m * dim;
        double sum = 0;
        for (size_t i = 0; i < dim; i++) {
            sum += (double)row[i] * (double)row[i];
        }
        double scale = 1 / sqrt(sum / dim + (double)args.epsilon);
        for (size_t i = 0; i < dim; i++) {
            double expected = (double)row[i] * scale * (double)weight[i];
            kernel_rig_near(expected, out[m * dim + i], fabs(expected), 2e-6, "rmsnorm");
        }
        struct rmsnorm_args alone = args;
        alone.in = row;
        alone.out = single;
        alone.row_count = 1;
        be->ops->rmsnorm(be, &alone);
        kernel_rig_same_bits(out + m * dim, single, dim, "rmsnorm of one row");
    }
    args.out = in;
    be->ops->rmsnorm(be, &args);
    kernel_rig_same_bits(out, in, count, "rmsnorm in place");
    kernel_rig_free(in);
    kernel_rig_free(weight);
    kernel_rig_free(out);
    kernel_rig_free(single);
}

static void rmsnorm_is_right_and_row_invariant(void **state)
{
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t d = 0; d < DIM_COUNT; d++) {
            check_rmsnorm(isas[i], DIMS[d]);
        }
    }
}

/* Rows lie far from zero, where the mean of the squares less the square of the mean would have lost
 * all digits. */
static void check_layernorm(enum isa isa, uint32_t dim, bool biased)
{
    uint64_t random = dim;
    size_t count = (size_t)ROWS * dim;
    float *in = kernel_rig_floats(&random, count);
    uint32_t weight_rows = biased ? 3 : 1;
    float *weight = kernel_rig_floats(&random, (size_t)weight_rows * dim);
    float *bias = kernel_rig_floats(&random, dim);
    float *out = kernel_rig_alloc(count * sizeof *out);
    float *single = kernel_rig_alloc(dim * sizeof *single);
    for (size_t i = 0; i < count; i++) {
        in[i] += (float)(i / dim % 3) * 50.0f;
    }
    struct layernorm_args args = {.out = out,
                                  .in = in,
                                  .weight = weight,
                                  .bias = biased ? bias : NULL,
                                  .weight_rows = weight_rows,
                                  .row_count = ROWS,
                                  .dim = dim,
                                  .epsilon = 1e-2f};
    struct backend *be = kernel_rig_backend(isa, 2);
    be->ops->layernorm(be, &args);
    for (size_t m = 0; m < ROWS; m++) {
        const float *row = in + m * dim;
        const float *scales = weight + m % weight_rows * dim;
        double mean = 0;
        double squares = 0;
        for (size_t i = 0; i < dim; i++) {
            mean += (double)row[i] / dim;
        }
        for (size_t i = 0; i < dim; i++) {
            squares += ((double)row[i] - mean) * ((double)row[i] - mean);
        }
        double scale = 1 / sqrt(squares / dim + (double)args.epsilon);
        for (size_t i = 0; i < dim; i++) {
            double added = biased ? (double)bias[i] : 0;
            double expected = ((double)row[i] - mean) * scale * (double)scales[i] + added;
            double terms = fabs((double)row[i]) + fabs(mean);
            double magnitude = terms * scale * fabs((double)scales[i]) + fabs(added);
            kernel_rig_near(expected, out[m * dim + i], magnitude, 4e-6, "layernorm");
        }
        struct layernorm_args alone = args;
        alone.in = row;
        alone.weight = scales;
        alone.weight_rows = 0;
        alone.out = single;
        alone.row_count = 1;
        be->ops->layernorm(be, &alone);
        kernel_rig_same_bits(out + m * dim, single, dim, "layernorm of one row");
    }
    args.out = in;
    be = kernel_rig_backend(isa, 1);
    be->ops->layernorm(be, &args);
    kernel_rig_same_bits(out, in, count, "layernorm in place, by one thread");
    kernel_rig_free(in);
    kernel_rig_free(weight);
    kernel_rig_free(bias);
    kernel_rig_free(out);
    kernel_rig_free(single);
}

static void layernorm_is_right_and_row_invariant(void **state)
{
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t d = 0; d < DIM_COUNT; d++) {
            check_layernorm(isas[i], DIMS[d], false);
            check_layernorm(isas[i], DIMS[d], true);
        }
    }
}

static void check_rope(enum isa isa, uint32_t head_dim, uint32_t rotary_dim, enum rope_style style)
{
    enum {
        HEADS = 3
    };
    uint64_t random = head_dim + rotary_dim;
    size_t width = (size_t)HEADS * head_dim;
    uint32_t pairs = rotary_dim / 2;
    float *x = kernel_rig_floats(&random, ROWS * width);
    float *before = kernel_rig_alloc(ROWS * width * sizeof *before);
    float *cosines = kernel_rig_alloc((size_t)ROWS * pairs * sizeof *cosines);
    float *sines = kernel_rig_alloc((size_t)ROWS * pairs * sizeof *sines);
    struct backend *be = kernel_rig_backend(isa, 2);
    memcpy(before, x, ROWS * width * sizeof *before);
    for (size_t i = 0; i < (size_t)ROWS * pairs; i++) {
        float angle = kernel_rig_random(&random);
        cosines[i] = cosf(angle);
        sines[i] = sinf(angle);
    }
    be->ops->rope(be, &(struct rope_args){.x = x,
                                          .cos = cosines,
                                          .sin = sines,
                                          .row_count = ROWS,
                                          .head_count = HEADS,
                                          .head_dim = head_dim,
                                          .rotary_dim = rotary_dim,
                                          .style = style});
    for (size_t head = 0; head < (size_t)ROWS * HEADS; head++) {
        const float *old = before + head * head_dim;
        const float *new = x + head *head_dim;
        for (uint32_t i = 0; i < pairs; i++) {
            uint32_t a = style == ROPE_NEIGHBOURS ? 2 * i : i;
            uint32_t b = style == ROPE_NEIGHBOURS ? 2 * i + 1 : i + pairs;
            double c = (double)cosines[head / HEADS * pairs + i];
            double s = (double)sines[head / HEADS * pairs + i];
            double scale = fabs((double)old[a]) + fabs((double)old[b]);
            kernel_rig_near((double)old[a] * c - (double)old[b] * s, new[a], scale, 1e-6, "rope");
            kernel_rig_near((double)old[a] * s + (double)old[b] * c, new[b], scale, 1e-6, "rope");
        }
        kernel_rig_same_bits(old + rotary_dim, new + rotary_dim, head_dim - rotary_dim,
                             "rope's rest");
    }
    kernel_rig_free(x);
    kernel_rig_free(before);
    kernel_rig_free(cosines);
    kernel_rig_free(sines);
}

static void rope_turns_pairs_of_both_styles(void **state)
{
    static const uint32_t SHAPES[][2] = {{2, 2},   {8, 8},   {16, 16},  {64, 64},
                                         {80, 20}, {96, 96}, {100, 50}, {256, 128}};
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t s = 0; s < sizeof SHAPES / sizeof SHAPES[0]; s++) {
            check_rope(isas[i], SHAPES[s][0], SHAPES[s][1], ROPE_NEIGHBOURS);
            check_rope(isas[i], SHAPES[s][0], SHAPES[s][1], ROPE_HALVES);
        }
    }
}

/* ---- backend ---- */

static void unknown_backend_is_refused_with_the_known_names(void **state)
{
    struct backend *be = NULL;
    struct error err = {0};
    struct backend_options options = {.name = "abacus", .thread_count = 1, .isa_max = ISA_AUTO};
    (void)state;
    assert_int_equal(backend_open(&be, &options, &err), ERR_NOT_FOUND);
    assert_null(be);
    assert_non_null(strstr(err.message, "'abacus'"));
    assert_non_null(strstr(err.message, "cpu"));
}

static void thread_count_out_of_range_is_refused(void **state)
{
    struct backend *be = NULL;
    struct error err = {0};
    struct backend_options options = {.name = "cpu", .thread_count = 0, .isa_max = ISA_AUTO};
    (void)state;
    assert_int_equal(backend_open(&be, &options, &err), ERR_INVALID);
    options.thread_count = 100000;
    assert_int_equal(backend_open(&be, &options, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "100000"));
}

static void weight_with_half_a_block_is_refused(void **state)
{
    unsigned char bytes[64] = {0};
    struct tensor weight = {.data = bytes, .dtype = DTYPE_Q8_0, .dim_count = 2, .shape = {1, 48}};
    struct error err = {0};
    struct backend *be = kernel_rig_backend(ISA_AUTO, 1);
    (void)state;
    assert_int_equal(be->ops->weight_import(be, &weight, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "q8_0"));
    weight.shape[1] = 32;
    assert_int_equal(be->ops->weight_import(be, &weight, &err), OK);
    weight.data = NULL;
    assert_int_equal(be->ops->weight_import(be, &weight, &err), ERR_INVALID);
}

static void device_memory_is_aligned_and_zeroed(void **state)
{
    static const size_t SIZES[] = {0, 1, 63, 4096, (2u << 20) + 5};
    struct backend *be = kernel_rig_backend(ISA_AUTO, 1);
    (void)state;
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        unsigned char *memory = be->ops->alloc(be, SIZES[i]);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        for (size_t b = 0; b < SIZES[i]; b++) {
            assert_int_equal(memory[b], 0);
        }
        be->ops->free(be, memory, SIZES[i]);
    }
    assert_null(be->ops->alloc(be, SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_is_right_and_row_invariant_for_float_weights),
        cmocka_unit_test(matmul_is_right_and_row_invariant_for_every_block_format),
        cmocka_unit_test(matmul_of_many_items_is_right_and_row_invariant),
        cmocka_unit_test(matmul_of_more_rows_than_a_block_equals_them_one_by_one),
        cmocka_unit_test(embed_equals_the_dequantised_rows_in_every_format),
        cmocka_unit_test(gather_rows_copies_the_rows_asked_for),
        cmocka_unit_test(rmsnorm_is_right_and_row_invariant),
        cmocka_unit_test(layernorm_is_right_and_row_invariant),
        cmocka_unit_test(rope_turns_pairs_of_both_styles),
        cmocka_unit_test(unknown_backend_is_refused_with_the_known_names),
        cmocka_unit_test(thread_count_out_of_range_is_refused),
        cmocka_unit_test(weight_with_half_a_block_is_refused),
        cmocka_unit_test(device_memory_is_aligned_and_zeroed),
    };
    return cmocka_run_group_tests(tests, NULL, kernel_rig_close);
}
