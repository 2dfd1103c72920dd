/* check_integer_memory.c - what integer products take for weights and inputs is what was said
 * beforehand. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/kernel_rig.h"

#include "kernels/cpu/cpu_integer.h"

/* Widths in rising and falling order, of whole chunks and others, and two that are not packed. */
static const struct {
    enum dtype dtype;
    enum tensor_use use;
    uint64_t out_dim;
    uint64_t in_dim;
} WEIGHTS[] = {
    {DTYPE_Q8_0, TENSOR_PRODUCT, 33, 64},      {DTYPE_Q4_0, TENSOR_PRODUCT, 16, 320},
    {DTYPE_F32, TENSOR_PRODUCT, 5, 4096},      {DTYPE_Q4_K, TENSOR_PRODUCT_FINE, 7, 512},
    {DTYPE_Q8_0, TENSOR_TABLE, 3, 2048},       {DTYPE_Q5_1, TENSOR_PRODUCT, 40, 288},
    {DTYPE_Q6_K, TENSOR_PRODUCT_FINE, 9, 768},
};

enum {
    WEIGHT_COUNT = sizeof WEIGHTS / sizeof WEIGHTS[0],
    BYTES_PER_VALUE = 576 /* 192 rows of 96 bytes for 32 values */
};

static struct tensor make(uint64_t *random, size_t w)
{
    uint64_t value_count = WEIGHTS[w].out_dim * WEIGHTS[w].in_dim;
    return (struct tensor){.data = kernel_rig_weights(random, WEIGHTS[w].dtype, value_count),
                           .dtype = WEIGHTS[w].dtype,
                           .use = WEIGHTS[w].use,
                           .dim_count = 2,
                           .shape = {WEIGHTS[w].out_dim, WEIGHTS[w].in_dim}};
}

/* More rows than are quantised at a time, so that the memory is used to its end. */
static void multiply(struct cpu_integer *integer, const struct tensor *weight, uint64_t *random)
{
    enum {
        ROWS = 193
    };
    float *in = kernel_rig_floats(random, ROWS * tensor_row_values(weight));
    float *out = kernel_rig_alloc(ROWS * tensor_row_count(weight) * sizeof *out);
    cpu_integer_run(
        integer, &(struct matmul_args){.out = out, .in = in, .weight = weight, .row_count = ROWS});
    kernel_rig_free(in);
    kernel_rig_free(out);
}

static void check_imports(enum precision precision)
{
    struct cpu_ops ops;
    struct threads *threads = NULL;
    struct cpu_integer integer;
    struct error err = {0};
    uint64_t random = 1;
    uint64_t most = 0;
    cpu_ops_select(&ops, ISA_AUTO);
    assert_int_equal(threads_open(&threads, 2, &err), OK);
    assert_int_equal(cpu_integer_init(&integer, &ops, threads, precision, &err), OK);
    for (size_t w = 0; w < WEIGHT_COUNT; w++) {
        struct tensor weight = make(&random, w);
        uint64_t byte_count = backend_input_bytes(&weight, precision);
        most = byte_count > most ? byte_count : most;
        assert_int_equal(cpu_integer_import(&integer, &weight, &err), OK);
        assert_int_equal(integer.inputs_bytes, most);
        assert_true((weight.packed != NULL) == (byte_count > 0));
        if (weight.packed != NULL) {
            /* in whole chunks of 256 values */
            assert_int_equal(byte_count, (WEIGHTS[w].in_dim + 255) / 256 * 256 * BYTES_PER_VALUE);
            multiply(&integer, &weight, &random);
        }
        kernel_rig_free((void *)weight.data);
    }
    cpu_integer_release(&integer);
    threads_close(threads);
}

static void inputs_take_what_the_widest_packed_weight_was_said_to_need(void **state)
{
    (void)state;
    check_imports(PRECISION_AUTO);
    check_imports(PRECISION_A8);
    check_imports(PRECISION_A16);
    check_imports(PRECISION_F32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs_take_what_the_widest_packed_weight_was_said_to_need),
    };
    return cmocka_run_group_tests(tests, NULL, kernel_rig_close);
}
