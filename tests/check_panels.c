/* check_panels.c - weights in panels and integer products: packing against the stored values, and
 * every table through the backend against float64 over the values that the integers stand for, bit
 * for bit between tables, row counts and threads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/kernel_rig.h"

#include "kernels/backend.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/panel.h"
#include "kernels/quant.h"

#include <math.h>

enum {
    ROWS = 197, /* passes a block of inputs (192), and four of rows (48) */
};

/* Types with integer codes; the others stay as they are stored. */
static bool has_panels(enum dtype dtype)
{
    return dtype > DTYPE_BF16 && dtype != DTYPE_MXFP4;
}

static struct tensor make_weight(uint64_t *random, enum dtype dtype, uint32_t k_count,
                                 uint32_t out_dim, enum tensor_use use)
{
    return (struct tensor){.data = kernel_rig_weights(random, dtype, (size_t)k_count * out_dim),
                           .dtype = dtype,
                           .use = use,
                           .dim_count = 2,
                           .shape = {out_dim, k_count}};
}

static void import(struct backend *be, struct tensor *weight)
{
    struct error err = {0};
    if (be->ops->weight_import(be, weight, &err) != OK) {
        fail_msg("%s", err.message);
    }
}

static float *dequantised(const struct tensor *weight)
{
    size_t count = (size_t)(tensor_row_count(weight) * tensor_row_values(weight));
    float *values = kernel_rig_alloc(count * sizeof *values);
    quant_format_get(weight->dtype)->dequantize(values, weight->data, count);
    return values;
}

/* ---- packing ---- */

static void packed_weights_mean_what_the_stored_ones_mean(void **state)
{
    static const uint32_t OUT_DIMS[] = {1, 31, 32, 33, 65};
    (void)state;
    for (int d = 0; d < DTYPE_COUNT; d++) {
        enum dtype dtype = (enum dtype)d;
        uint64_t random = 11;
        uint32_t block = quant_format_get(dtype)->block_values;
        for (size_t i = 0; i < sizeof OUT_DIMS / sizeof OUT_DIMS[0]; i++) {
            uint32_t k_count = block == 256 ? 768 : 352; /* eleven groups: a chunk and three */
            struct tensor stored =
                make_weight(&random, dtype, k_count, OUT_DIMS[i], TENSOR_PRODUCT);
            struct panel_weight weight;
            assert_int_equal(panel_describe(&weight, &stored), has_panels(dtype));
            if (has_panels(dtype)) {
                float *expected = dequantised(&stored);
                weight.panels = aligned_alloc(PANEL_ALIGNMENT, panel_weight_bytes(&weight));
                assert_non_null(weight.panels);
                memset(weight.panels, 0xff, panel_weight_bytes(&weight));
                for (uint32_t p = 0; p < weight.panel_count; p++) {
                    panel_pack(&weight, &stored, p);
                }
                for (uint32_t n = 0; n < weight.panel_count * PANEL_ROWS; n++) {
                    for (uint32_t k = 0; k < k_count; k++) {
                        float value = n < OUT_DIMS[i] ? expected[(size_t)n * k_count + k] : 0.0f;
                        assert_true(panel_value(&weight, n, k) == value);
                    }
                }
                free(weight.panels);
                kernel_rig_free(expected);
            }
            kernel_rig_free((void *)stored.data);
        }
    }
}

static uint8_t *pack_by(cpu_panel_pack_fn pack, struct panel_weight *weight,
                        const struct tensor *stored)
{
    weight->panels = aligned_alloc(PANEL_ALIGNMENT, panel_weight_bytes(weight));
    assert_non_null(weight->panels);
    memset(weight->panels, 0xa5, panel_weight_bytes(weight));
    for (uint32_t p = 0; p < weight->panel_count; p++) {
        pack(weight, stored, p);
    }
    return weight->panels;
}

static void every_table_packs_the_same_bytes(void **state)
{
    static const uint32_t OUT_DIMS[] = {1, 31, 32, 64, 100};
    static const enum isa ISAS[] = {ISA_SCALAR, ISA_AVX2, ISA_AVX512_OLD, ISA_AUTO};
    uint64_t random = 77;
    (void)state;
    for (size_t n = 0; n < (size_t)DTYPE_COUNT * 5 * 3 * 4; n++) {
        enum dtype dtype = (enum dtype)(n % DTYPE_COUNT);
        uint32_t out_dim = OUT_DIMS[n / DTYPE_COUNT % 5];
        uint32_t block = quant_format_get(dtype)->block_values;
        static const uint32_t K_COUNTS[2][3] = {{32, 352, 512}, {256, 768, 1024}};
        uint32_t k_count = K_COUNTS[block == 256][n / DTYPE_COUNT / 5 % 3];
        struct tensor stored = make_weight(&random, dtype, k_count, out_dim, TENSOR_PRODUCT);
        struct panel_weight weight;
        if (panel_describe(&weight, &stored)) {
            struct cpu_ops ops;
            cpu_ops_select(&ops, ISAS[n / DTYPE_COUNT / 15]);
            uint8_t *expected = pack_by(panel_pack, &weight, &stored);
            uint8_t *packed = pack_by(ops.panel_pack[dtype], &weight, &stored);
            assert_memory_equal(packed, expected, panel_weight_bytes(&weight));
            free(packed);
            free(expected);
        }
        kernel_rig_free((void *)stored.data);
    }
}

static void only_quantised_products_of_whole_groups_are_packed(void **state)
{
    uint64_t random = 3;
    struct backend *be = kernel_rig_backend(ISA_AUTO, 2);
    (void)state;
    for (int d = 0; d < DTYPE_COUNT; d++) {
        enum dtype dtype = (enum dtype)d;
        for (int use = TENSOR_PRODUCT; use <= TENSOR_TABLE; use++) {
            struct tensor weight = make_weight(&random, dtype, 256, 3, (enum tensor_use)use);
            import(be, &weight);
            bool packed = has_panels(dtype) && use != TENSOR_TABLE;
            assert_int_equal(weight.packed != NULL, packed);
            assert_int_equal(backend_packed_bytes(&weight, PRECISION_A8) > 0, packed);
            assert_int_equal(backend_packed_bytes(&weight, PRECISION_F32), 0);
            kernel_rig_free((void *)weight.data);
        }
    }
    struct tensor odd = make_weight(&random, DTYPE_F16, 45, 3, TENSOR_PRODUCT);
    import(be, &odd);
    assert_null(odd.packed);
    kernel_rig_free((void *)odd.data);
}

static void weights_stay_as_they_are_where_inputs_are_floats(void **state)
{
    uint64_t random = 4;
    struct backend *be = NULL;
    struct error err = {0};
    struct backend_options options = {
        .name = "cpu", .thread_count = 1, .isa_max = ISA_AUTO, .precision = PRECISION_F32};
    (void)state;
    assert_int_equal(backend_open(&be, &options, &err), OK);
    struct tensor weight = make_weight(&random, DTYPE_Q8_0, 64, 3, TENSOR_PRODUCT);
    import(be, &weight);
    assert_null(weight.packed);
    kernel_rig_free((void *)weight.data);
    backend_close(be);
}

/* ---- products ---- */

struct product {
    struct tensor weight;
    float *values; /* the weight's */
    float *in;     /* [ROWS, k] */
    float *bias;
    float *residual;
    float *out; /* [ROWS, out_dim]: what all tables and cuts must agree on */
    uint32_t k_count;
    uint32_t out_dim;
    uint32_t row_count;
};

static void open_product(struct product *product, enum dtype dtype, uint32_t k_count,
                         uint32_t out_dim, enum tensor_use use)
{
    uint64_t random = k_count * 1000u + out_dim + (uint32_t)use;
    memset(product, 0, sizeof *product);
    product->k_count = k_count;
    product->out_dim = out_dim;
    product->row_count = ROWS;
    product->weight = make_weight(&random, dtype, k_count, out_dim, use);
    product->values = dequantised(&product->weight);
    product->in = kernel_rig_floats(&random, (size_t)ROWS * k_count);
    product->bias = kernel_rig_floats(&random, out_dim);
    product->residual = kernel_rig_floats(&random, (size_t)ROWS * out_dim);
    product->out = kernel_rig_alloc((size_t)ROWS * out_dim * sizeof(float));
    for (size_t i = 0; i < (size_t)ROWS * k_count; i += 499) {
        product->in[i] *= 20.0f; /* outliers, as real activations have them */
    }
}

static void close_product(struct product *product)
{
    kernel_rig_free((void *)product->weight.data);
    kernel_rig_free(product->values);
    kernel_rig_free(product->in);
    kernel_rig_free(product->bias);
    kernel_rig_free(product->residual);
    kernel_rig_free(product->out);
}

static void run_product(struct backend *be, const struct product *product, float *out,
                        uint32_t first, uint32_t row_count, bool extras)
{
    const float *residual = product->residual + (size_t)first * product->out_dim;
    be->ops->matmul(be, &(struct matmul_args){
                            .out = out,
                            .in = product->in + (size_t)first * product->k_count,
                            .weight = &product->weight,
                            .bias = extras ? product->bias : NULL,
                            .residual = extras ? residual : NULL,
                            .row_count = row_count,
                        });
}

static float limit_of(const struct product *product)
{
    return product->weight.use == TENSOR_PRODUCT_FINE ? 32767.0f : 127.0f;
}

/* The scale of 8 bits: the least of 1, 1.25, 1.5 and 1.75 times a power of two that will do. */
static float byte_scale(float largest)
{
    float power = 0x1p-120f;
    uint32_t quarters = 0;
    while (largest > 127.4375f * power * (1.0f + (float)quarters / 4.0f)) {
        quarters = (quarters + 1) % 4;
        power *= quarters == 0 ? 2.0f : 1.0f;
    }
    return power * (1.0f + (float)quarters / 4.0f);
}

/* What the integers of a row stand for, by the definition in cpu_panel.h. */
static void quantised_inputs(double *out, const float *in, uint32_t k_count, float limit)
{
    for (uint32_t g = 0; g < k_count; g += PANEL_GROUP) {
        float largest = 0.0f;
        for (uint32_t k = g; k < g + PANEL_GROUP; k++) {
            largest = fmaxf(largest, fabsf(in[k]));
        }
        float scale = limit > 127.0f ? largest / limit : byte_scale(largest);
        float inverse = limit > 127.0f ? limit / largest : 1.0f / scale;
        for (uint32_t k = g; k < g + PANEL_GROUP; k++) {
            float code = largest > 0.0f ? rintf(in[k] * inverse) : 0.0f;
            assert_true(fabsf(code) <= limit);
            out[k] = (double)code * (double)scale;
        }
    }
}

/* Relative L2 errors over all outputs: against the integers' values, and against the floats. */
static void measure_errors(const struct product *product, double *kernel_error, double *input_error)
{
    double kernel = 0;
    double input = 0;
    double total = 0;
    double *row = calloc(product->k_count, sizeof *row);
    assert_non_null(row);
    for (size_t m = 0; m < product->row_count; m++) {
        const float *in = product->in + m * product->k_count;
        quantised_inputs(row, in, product->k_count, limit_of(product));
        for (size_t n = 0; n < product->out_dim; n++) {
            const float *weights = product->values + n * product->k_count;
            double expected = 0;
            double exact = 0;
            for (uint32_t k = 0; k < product->k_count; k++) {
                expected += (double)weights[k] * row[k];
                exact += (double)weights[k] * (double)in[k];
            }
            double value = (double)product->out[m * product->out_dim + n];
            kernel += (value - expected) * (value - expected);
            input += (value - exact) * (value - exact);
            total += exact * exact;
        }
    }
    free(row);
    *kernel_error = sqrt(kernel / total);
    *input_error = sqrt(input / total);
}

static void assert_same_bits(const struct product *product, const float *a, const float *b,
                             size_t count, enum isa isa, const char *what)
{
    if (memcmp(a, b, count * sizeof *a) != 0) {
        fail_msg("%s %s k=%u n=%u: %s: not the same bits", backend_isa_name(isa),
                 quant_format_get(product->weight.dtype)->name, product->k_count, product->out_dim,
                 what);
    }
}

/* The rows in groups of every size that takes another path, on 1 to 3 threads. */
static void check_cuts(struct product *product, enum isa isa)
{
    static const uint32_t GROUPS[] = {1, 2, 3, 4, 5, 6, 7, 13, 49, 193};
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct backend *be = kernel_rig_backend(isa, threads);
        import(be, &product->weight);
        for (size_t g = 0; g < sizeof GROUPS / sizeof GROUPS[0]; g++) {
            uint32_t group = GROUPS[g];
            if (group > product->row_count) {
                continue;
            }
            /* Single rows are many calls: a few of them say as much as all. */
            uint32_t end = group < 7 && product->row_count > 60 ? 60 : product->row_count;
            for (uint32_t first = 0; first < end; first += group) {
                uint32_t left = product->row_count - first;
                uint32_t row_count = left < group ? left : group;
                size_t count = (size_t)row_count * product->out_dim;
                float *out = kernel_rig_alloc(count * sizeof *out);
                run_product(be, product, out, first, row_count, true);
                assert_same_bits(product, product->out + (size_t)first * product->out_dim, out,
                                 count, isa, "rows cut otherwise");
                kernel_rig_free(out);
            }
        }
    }
}

/* out may be the residual. */
static void check_in_place(struct product *product, enum isa isa)
{
    size_t count = (size_t)product->row_count * product->out_dim;
    struct product aliased = *product;
    struct backend *be = kernel_rig_backend(isa, 2);
    aliased.residual = kernel_rig_alloc(count * sizeof(float));
    memcpy(aliased.residual, product->residual, count * sizeof(float));
    import(be, &aliased.weight);
    run_product(be, &aliased, aliased.residual, 0, product->row_count, true);
    assert_same_bits(product, product->out, aliased.residual, count, isa, "in place");
    kernel_rig_free(aliased.residual);
}

static void check_product(enum dtype dtype, uint32_t k_count, uint32_t out_dim, enum tensor_use use,
                          uint32_t row_count)
{
    enum isa isas[KERNEL_RIG_PANEL_ISAS_MAX];
    uint32_t isa_count = kernel_rig_panel_isas(isas);
    struct product product;
    open_product(&product, dtype, k_count, out_dim, use);
    product.row_count = row_count;
    struct backend *be = kernel_rig_backend(ISA_AUTO, 2);
    import(be, &product.weight);
    assert_non_null(product.weight.packed);
    double kernel_error;
    double input_error;
    run_product(be, &product, product.out, 0, row_count, false);
    measure_errors(&product, &kernel_error, &input_error);
    double input_bound = use == TENSOR_PRODUCT_FINE ? 2e-4 : 4e-2;
    if (!(kernel_error < 1e-6 && input_error < input_bound)) {
        fail_msg("%s k=%u n=%u: errors %.3g of the kernel, %.3g of the inputs",
                 quant_format_get(dtype)->name, k_count, out_dim, kernel_error, input_error);
    }
    run_product(be, &product, product.out, 0, row_count, true);
    for (uint32_t i = 0; i < isa_count; i++) {
        check_cuts(&product, isas[i]);
        check_in_place(&product, isas[i]);
    }
    close_product(&product);
}

static void products_are_exact_and_the_same_bits_everywhere(void **state)
{
    static const uint32_t BLOCKS[] = {1, 2, 9};
    static const uint32_t OUT_DIMS[] = {5, 33, 96};
    (void)state;
    for (int d = 0; d < DTYPE_COUNT; d++) {
        uint32_t block = quant_format_get((enum dtype)d)->block_values;
        for (size_t s = 0; has_panels((enum dtype)d) && s < 3; s++) {
            uint32_t k_count = block == 256 ? block * (uint32_t)(s + 1) : block * BLOCKS[s];
            check_product((enum dtype)d, k_count, OUT_DIMS[s], TENSOR_PRODUCT, 15);
            check_product((enum dtype)d, k_count, OUT_DIMS[s], TENSOR_PRODUCT_FINE, 15);
        }
    }
}

static void products_of_many_rows_and_items_are_too(void **state)
{
    (void)state;
    check_product(DTYPE_Q8_0, 896, 65, TENSOR_PRODUCT, ROWS);
    check_product(DTYPE_Q4_0, 896, 65, TENSOR_PRODUCT, ROWS);
    check_product(DTYPE_Q4_0, 64, 200, TENSOR_PRODUCT_FINE, ROWS);
    check_product(DTYPE_Q4_K, 512, 33, TENSOR_PRODUCT, ROWS);
    check_product(DTYPE_Q6_K, 256, 33, TENSOR_PRODUCT_FINE, ROWS);
}

/* Gaussian inputs, one in 499 twenty times as large. */
static void quantised_inputs_cost_little_and_sixteen_bits_next_to_nothing(void **state)
{
    (void)state;
    for (int use = TENSOR_PRODUCT; use <= TENSOR_PRODUCT_FINE; use++) {
        struct product product;
        double kernel_error;
        double input_error;
        open_product(&product, DTYPE_Q8_0, 2048, 32, (enum tensor_use)use);
        struct backend *be = kernel_rig_backend(ISA_AUTO, 2);
        import(be, &product.weight);
        run_product(be, &product, product.out, 0, ROWS, false);
        measure_errors(&product, &kernel_error, &input_error);
        print_message("  inputs of %d bits: error %.2g; of the kernel %.2g\n",
                      use == TENSOR_PRODUCT ? 8 : 16, input_error, kernel_error);
        assert_true(kernel_error < 1e-6);
        assert_true(input_error < (use == TENSOR_PRODUCT ? 2e-2 : 1.5e-4));
        close_product(&product);
    }
}

/* ---- the edges of the range ---- */

/* The largest integers there are: every code at an end of its range, every input at its limit. */
static void the_largest_integer_sums_do_not_overflow(void **state)
{
    enum {
        K = 320,
        N = 33,
        BLOCK_BYTES = 34
    };
    static const uint8_t CODES[] = {127, 128, 0, 129}; /* 127, -128, 0, -127 */
    enum isa isas[KERNEL_RIG_PANEL_ISAS_MAX];
    uint32_t isa_count = kernel_rig_panel_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count * 8; i++) {
        uint64_t random = 1;
        enum tensor_use use = i % 2 == 0 ? TENSOR_PRODUCT : TENSOR_PRODUCT_FINE;
        float largest = use == TENSOR_PRODUCT ? 127.0f * 256.0f : 32767.0f;
        uint8_t code = CODES[i / 2 % 4];
        struct tensor weight = make_weight(&random, DTYPE_Q8_0, K, N, use);
        uint8_t *bytes = (uint8_t *)weight.data;
        for (size_t block = 0; block < (size_t)K / 32 * N; block++) {
            bytes[block * BLOCK_BYTES] = 0;
            bytes[block * BLOCK_BYTES + 1] = 0x3c; /* 1 */
            memset(bytes + block * BLOCK_BYTES + 2, code, 32);
        }
        struct backend *be = kernel_rig_backend(isas[i / 8], 2);
        import(be, &weight);
        float *in = kernel_rig_alloc((size_t)2 * K * sizeof *in);
        float *out = kernel_rig_alloc((size_t)2 * N * sizeof *out);
        for (size_t k = 0; k < K; k++) {
            in[k] = largest;
            in[K + k] = -largest;
        }
        be->ops->matmul(
            be, &(struct matmul_args){.out = out, .in = in, .weight = &weight, .row_count = 2});
        for (size_t n = 0; n < N; n++) {
            double expected = (double)(int8_t)code * (double)largest * K;
            assert_true(fabs((double)out[n] - expected) <= 1e-6 * fabs(expected));
            assert_true(out[N + n] == -out[n]);
        }
        kernel_rig_free(in);
        kernel_rig_free(out);
        kernel_rig_free(bytes);
    }
}

/* One channel a thousand times the others: they vanish at 8 bits within its group alone. */
static void a_massive_activation_drowns_no_other_group(void **state)
{
    struct product product;
    (void)state;
    open_product(&product, DTYPE_Q8_0, 256, 40, TENSOR_PRODUCT);
    struct backend *be = kernel_rig_backend(ISA_AUTO, 2);
    import(be, &product.weight);
    for (size_t m = 0; m < ROWS; m++) {
        product.in[m * 256 + 17] = 1000.0f;
    }
    run_product(be, &product, product.out, 0, ROWS, false);
    double *row = calloc(256, sizeof *row);
    assert_non_null(row);
    for (size_t m = 0; m < ROWS; m++) {
        quantised_inputs(row, product.in + m * 256, 256, 127.0f);
        for (uint32_t k = PANEL_GROUP; k < 256; k++) {
            double largest = 0;
            for (uint32_t j = k - k % PANEL_GROUP; j < k - k % PANEL_GROUP + PANEL_GROUP; j++) {
                largest = fmax(largest, fabs((double)product.in[m * 256 + j]));
            }
            assert_true(fabs(row[k] - (double)product.in[m * 256 + k]) <=
                        largest / 2.0 / 127.4375 * 1.2501);
        }
    }
    double kernel_error;
    double input_error;
    measure_errors(&product, &kernel_error, &input_error);
    assert_true(kernel_error < 1e-6);
    free(row);
    close_product(&product);
}

static void what_is_not_finite_spoils_its_row_and_no_other(void **state)
{
    static const float BAD[] = {NAN, -NAN, INFINITY, -INFINITY};
    enum isa isas[KERNEL_RIG_PANEL_ISAS_MAX];
    uint32_t isa_count = kernel_rig_panel_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count * 4; i++) {
        struct product product;
        open_product(&product, DTYPE_Q4_K, 512, 35, TENSOR_PRODUCT);
        struct backend *be = kernel_rig_backend(isas[i / 4], 2);
        import(be, &product.weight);
        run_product(be, &product, product.out, 0, 9, false);
        float *out = kernel_rig_alloc(sizeof *out * 9 * 35);
        product.in[4 * 512 + 300] = BAD[i % 4];
        run_product(be, &product, out, 0, 9, false);
        for (size_t n = 0; n < 35; n++) {
            assert_true(isnan(out[(size_t)4 * 35 + n]));
        }
        assert_same_bits(&product, product.out, out, (size_t)4 * 35, isas[i / 4], "rows before");
        assert_same_bits(&product, product.out + (size_t)5 * 35, out + (size_t)5 * 35,
                         (size_t)4 * 35, isas[i / 4], "rows behind");
        kernel_rig_free(out);
        close_product(&product);
    }
}

/* Zeros, the least float, and values whose reciprocal would overflow. */
static void inputs_next_to_nothing_are_nothing(void **state)
{
    static const float SMALL[] = {0.0f, -0.0f, 0x1p-149f, -0x1p-126f, 0x1p-101f};
    enum isa isas[KERNEL_RIG_PANEL_ISAS_MAX];
    uint32_t isa_count = kernel_rig_panel_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count * 5; i++) {
        struct product product;
        open_product(&product, DTYPE_Q5_1, 64, 7, TENSOR_PRODUCT_FINE);
        struct backend *be = kernel_rig_backend(isas[i / 5], 1);
        import(be, &product.weight);
        for (size_t k = 0; k < 64; k++) {
            product.in[k] = SMALL[i % 5];
        }
        run_product(be, &product, product.out, 0, 1, false);
        for (size_t n = 0; n < 7; n++) {
            assert_true(product.out[n] == 0.0f);
        }
        close_product(&product);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_weights_mean_what_the_stored_ones_mean),
        cmocka_unit_test(every_table_packs_the_same_bytes),
        cmocka_unit_test(only_quantised_products_of_whole_groups_are_packed),
        cmocka_unit_test(weights_stay_as_they_are_where_inputs_are_floats),
        cmocka_unit_test(products_are_exact_and_the_same_bits_everywhere),
        cmocka_unit_test(products_of_many_rows_and_items_are_too),
        cmocka_unit_test(quantised_inputs_cost_little_and_sixteen_bits_next_to_nothing),
        cmocka_unit_test(the_largest_integer_sums_do_not_overflow),
        cmocka_unit_test(a_massive_activation_drowns_no_other_group),
        cmocka_unit_test(what_is_not_finite_spoils_its_row_and_no_other),
        cmocka_unit_test(inputs_next_to_nothing_are_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, kernel_rig_close);
}
