/* Products by head: against double precision, and row by row against all at once, in every storage
 * format, on every instruction set and number of threads. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "kernels/quant.h"
#include "tests/support/kernel_rig.h"

#include <math.h>

enum {
    ROWS = 53, /* more than share one chunk of weights */
    HEADS_MAX = 16,
    GAP = 3 /* values between one head and the next, which stay */
};

struct heads_case {
    struct tensor weights[HEADS_MAX];
    void *memory[HEADS_MAX];
    uint32_t head_count;
    uint32_t in_dim;
    uint32_t out_dim;
    uint32_t passed;
    uint32_t in_stride;
    uint32_t out_stride;
    float *in;
    float *out;
};

static void open_case(struct heads_case *c, enum dtype dtype, uint32_t in_dim, uint32_t out_dim,
                      uint32_t head_count, uint32_t passed)
{
    uint64_t random = in_dim * 31u + out_dim;
    *c = (struct heads_case){.head_count = head_count,
                             .in_dim = in_dim,
                             .out_dim = out_dim,
                             .passed = passed,
                             .in_stride = in_dim + passed,
                             .out_stride = out_dim + passed + GAP};
    for (uint32_t h = 0; h < head_count; h++) {
        c->memory[h] = kernel_rig_weights(&random, dtype, (size_t)in_dim * out_dim);
        c->weights[h] = (struct tensor){.data = c->memory[h],
                                        .dtype = dtype,
                                        .use = TENSOR_TABLE,
                                        .dim_count = 2,
                                        .shape = {out_dim, in_dim}};
    }
    c->in = kernel_rig_floats(&random, (size_t)ROWS * head_count * c->in_stride);
    c->out = kernel_rig_floats(&random, (size_t)ROWS * head_count * c->out_stride);
}

static void close_case(struct heads_case *c)
{
    for (uint32_t h = 0; h < c->head_count; h++) {
        kernel_rig_free(c->memory[h]);
    }
    kernel_rig_free(c->in);
    kernel_rig_free(c->out);
}

static void run_rows(struct backend *be, const struct heads_case *c, float *out, uint32_t first,
                     uint32_t row_count)
{
    be->ops->heads_matmul(be, &(struct heads_matmul_args){
                                  .out = out,
                                  .in = c->in + (size_t)first * c->head_count * c->in_stride,
                                  .weights = c->weights,
                                  .row_count = row_count,
                                  .head_count = c->head_count,
                                  .in_stride = c->in_stride,
                                  .out_stride = c->out_stride,
                                  .passed_count = c->passed,
                              });
}

static void check_head(const struct heads_case *c, size_t row, uint32_t head, const char *what)
{
    const struct tensor *weight = &c->weights[head];
    const struct quant_format *format = quant_format_get(weight->dtype);
    const float *in = c->in + (row * c->head_count + head) * c->in_stride;
    const float *out = c->out + (row * c->head_count + head) * c->out_stride;
    float *values = malloc(sizeof *values * c->in_dim);
    assert_non_null(values);
    for (uint32_t n = 0; n < c->out_dim; n++) {
        uint64_t row_bytes = quant_row_bytes(weight->dtype, c->in_dim);
        format->dequantize(values, (const uint8_t *)weight->data + n * row_bytes, c->in_dim);
        double sum = 0.0;
        double scale = 0.0;
        for (uint32_t k = 0; k < c->in_dim; k++) {
            sum += (double)values[k] * (double)in[k];
            scale += fabs((double)values[k] * (double)in[k]);
        }
        kernel_rig_near(sum, out[n], scale, 2e-6, what);
    }
    kernel_rig_same_bits(in + c->in_dim, out + c->out_dim, c->passed, what);
    free(values);
}

/* The same rows in other groups, with other threads; what lies between heads stays. */
static void check_groups(enum isa isa, const struct heads_case *c, const char *what)
{
    static const uint32_t GROUPS[] = {1, 5, ROWS};
    size_t row_values = (size_t)c->head_count * c->out_stride;
    for (uint32_t threads = 1; threads <= KERNEL_RIG_THREADS_MAX; threads++) {
        struct backend *be = kernel_rig_backend(isa, threads);
        for (size_t g = 0; g < sizeof GROUPS / sizeof GROUPS[0]; g++) {
            for (uint32_t first = 0; first < ROWS; first += GROUPS[g]) {
                uint32_t row_count = ROWS - first < GROUPS[g] ? ROWS - first : GROUPS[g];
                uint64_t random = 5;
                float *out = kernel_rig_floats(&random, row_count * row_values);
                for (size_t i = 0; i < row_count * row_values; i++) {
                    bool between = i % c->out_stride >= c->out_dim + c->passed;
                    out[i] = between ? c->out[first * row_values + i] : NAN;
                }
                run_rows(be, c, out, first, row_count);
                kernel_rig_same_bits(c->out + first * row_values, out, row_count * row_values,
                                     what);
                kernel_rig_free(out);
            }
        }
    }
}

static void check_shape(enum isa isa, enum dtype dtype, uint32_t in_dim, uint32_t out_dim,
                        uint32_t head_count, uint32_t passed)
{
    char what[96];
    struct heads_case c;
    snprintf(what, sizeof what, "%s heads %s k=%u n=%u", backend_isa_name(isa),
             quant_format_get(dtype)->name, in_dim, out_dim);
    open_case(&c, dtype, in_dim, out_dim, head_count, passed);
    run_rows(kernel_rig_backend(isa, 2), &c, c.out, 0, ROWS);
    for (size_t row = 0; row < ROWS; row++) {
        for (uint32_t head = 0; head < head_count; head++) {
            check_head(&c, row, head, what);
        }
    }
    check_groups(isa, &c, what);
    close_case(&c);
}

static void products_by_head_are_right_and_row_invariant(void **state)
{
    (void)state;
    static const struct {
        uint32_t in_dim;
        uint32_t out_dim;
        uint32_t head_count;
        uint32_t passed;
    } SHAPES[] = {{1, 1, 1, 0}, {12, 24, 4, 8}, {24, 10, 4, 0}, {128, 96, 16, 64}, {300, 67, 3, 5}};
    static const enum dtype DTYPES[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t s = 0; s < sizeof SHAPES / sizeof SHAPES[0]; s++) {
            check_shape(isas[i], DTYPES[(s + i) % 3], SHAPES[s].in_dim, SHAPES[s].out_dim,
                        SHAPES[s].head_count, SHAPES[s].passed);
        }
    }
}

static void products_by_head_read_every_block_format(void **state)
{
    (void)state;
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    for (uint32_t i = 0; i < isa_count; i++) {
        for (enum dtype dtype = DTYPE_Q8_0; dtype < DTYPE_COUNT; dtype++) {
            check_shape(isas[i], dtype, 2 * quant_format_get(dtype)->block_values, 21, 3, 4);
        }
    }
}

/* The norm of the front of each row, whose end stays. */
static void a_norm_of_rows_that_lie_apart_leaves_what_is_between(void **state)
{
    (void)state;
    enum {
        DIM = 21,
        STRIDE = 29
    };
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    for (uint32_t i = 0; i < isa_count; i++) {
        uint64_t random = 9;
        struct backend *be = kernel_rig_backend(isas[i], 2);
        float *apart = kernel_rig_floats(&random, (size_t)ROWS * STRIDE);
        float *together = kernel_rig_alloc(sizeof(float) * ROWS * DIM);
        float *weight = kernel_rig_floats(&random, DIM);
        float ends[ROWS][STRIDE - DIM];
        for (size_t row = 0; row < ROWS; row++) {
            memcpy(together + row * DIM, apart + row * STRIDE, sizeof(float) * DIM);
            memcpy(ends[row], apart + row * STRIDE + DIM, sizeof ends[row]);
        }
        struct rmsnorm_args args = {.out = together,
                                    .in = together,
                                    .weight = weight,
                                    .row_count = ROWS,
                                    .dim = DIM,
                                    .epsilon = 1e-5f};
        be->ops->rmsnorm(be, &args);
        args.out = apart;
        args.in = apart;
        args.stride = STRIDE;
        be->ops->rmsnorm(be, &args);
        for (size_t row = 0; row < ROWS; row++) {
            kernel_rig_same_bits(together + row * DIM, apart + row * STRIDE, DIM, "norm");
            kernel_rig_same_bits(ends[row], apart + row * STRIDE + DIM, STRIDE - DIM, "between");
        }
        kernel_rig_free(apart);
        kernel_rig_free(together);
        kernel_rig_free(weight);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_by_head_are_right_and_row_invariant),
        cmocka_unit_test(products_by_head_read_every_block_format),
        cmocka_unit_test(a_norm_of_rows_that_lie_apart_leaves_what_is_between),
    };
    return cmocka_run_group_tests(tests, NULL, kernel_rig_close);
}
