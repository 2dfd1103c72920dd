/* test_quant_write.c - blocks for model files: ggml's own bytes where they are to be met, and no more
 * error than each format must have where they are not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/gguf.h"
#include "kernels/quant.h"
#include "kernels/quant_write.h"
#include "tests/support/kernel_rig.h"

#include <math.h>

enum {
    COUNT = 256 * 64
};

static float in[COUNT];
static float out[COUNT];
static uint8_t blocks[COUNT * 4];

static double relative_error(const float *got, const float *wanted, size_t count)
{
    double error = 0;
    double power = 0;
    for (size_t i = 0; i < count; i++) {
        error += pow((double)got[i] - (double)wanted[i], 2);
        power += pow((double)wanted[i], 2);
    }
    return sqrt(error / power);
}

static double error_of(enum dtype dtype, void (*write)(void *, const float *, size_t))
{
    const struct quant_format *format = quant_format_get(dtype);
    memset(blocks, 0xa5, sizeof blocks);
    if (write != NULL) {
        write(blocks, in, COUNT);
    } else {
        quant_write_blocks(dtype, blocks, in, COUNT);
    }
    format->dequantize(out, blocks, COUNT);
    return relative_error(out, in, COUNT);
}

/* Relative root mean square error on normal values, in float64, a few percent above what was seen. */
static const double error_max[DTYPE_COUNT] = {
    [DTYPE_F16] = 2.5e-4, [DTYPE_BF16] = 2e-3,  [DTYPE_Q8_0] = 0.006, [DTYPE_Q4_0] = 0.092,
    [DTYPE_Q4_1] = 0.079, [DTYPE_Q5_0] = 0.046, [DTYPE_Q5_1] = 0.038, [DTYPE_Q4_K] = 0.073,
    [DTYPE_Q5_K] = 0.037, [DTYPE_Q6_K] = 0.018,
};

static void errors_stay_within_each_formats_bound(void **state)
{
    uint64_t seed = 7;
    (void)state;
    kernel_rig_fill(&seed, in, COUNT);
    for (int d = 0; d < DTYPE_COUNT; d++) {
        enum dtype dtype = (enum dtype)d;
        if (!quant_write_possible(dtype)) {
            continue;
        }
        double error = error_of(dtype, NULL);
        double plain = error_of(dtype, quant_format_get(dtype)->quantize);
        print_message("   %s: %.6f, plainly %.6f\n", quant_format_get(dtype)->name, error, plain);
        assert_true(error <= error_max[d]);
        assert_true(d == DTYPE_F32 || error > error_max[d] * 0.5);
        /* the search pays: K-quants lose less than by rounding to the extremes */
        bool searches = d == DTYPE_Q4_K || d == DTYPE_Q5_K || d == DTYPE_Q6_K;
        assert_true(!searches || error < 0.97 * plain);
    }
}

static void values_that_a_format_holds_come_back(void **state)
{
    uint64_t seed = 3;
    (void)state;
    for (int d = 0; d < DTYPE_COUNT; d++) {
        enum dtype dtype = (enum dtype)d;
        if (!quant_write_possible(dtype)) {
            continue;
        }
        kernel_rig_fill(&seed, in, COUNT);
        quant_write_blocks(dtype, blocks, in, COUNT);
        quant_format_get(dtype)->dequantize(in, blocks, COUNT);
        double error = error_of(dtype, NULL);
        if (!(error <= 0.2 * error_max[d])) {
            fail_msg("%s: %g", quant_format_get(dtype)->name, error);
        }
    }
}

static void fill_constant(float value)
{
    for (size_t i = 0; i < COUNT; i++) {
        in[i] = value;
    }
}

static void constants_and_zeros_survive(void **state)
{
    (void)state;
    for (int d = 0; d < DTYPE_COUNT; d++) {
        enum dtype dtype = (enum dtype)d;
        if (!quant_write_possible(dtype)) {
            continue;
        }
        fill_constant(0.0f);
        memset(blocks, 0xa5, sizeof blocks);
        quant_write_blocks(dtype, blocks, in, COUNT);
        quant_format_get(dtype)->dequantize(out, blocks, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            assert_true(out[i] == 0.0f);
        }
        for (int sign = -1; sign <= 1; sign += 2) {
            fill_constant(0.37f * (float)sign);
            if (!(error_of(dtype, NULL) < 0.005)) {
                fail_msg("%s: %g", quant_format_get(dtype)->name, error_of(dtype, NULL));
            }
        }
    }
}

/* One value stands out of each group by a factor of a thousand, as a few do in trained models. */
static void outliers_keep_their_size(void **state)
{
    uint64_t seed = 11;
    (void)state;
    kernel_rig_fill(&seed, in, COUNT);
    for (size_t i = 0; i < COUNT; i += 32) {
        in[i + kernel_rig_random_below(&seed, 32)] = i % 64 == 0 ? 1000.0f : -1000.0f;
    }
    for (int d = 0; d < DTYPE_COUNT; d++) {
        if (quant_write_possible((enum dtype)d)) {
            assert_true(error_of((enum dtype)d, NULL) < 0.04);
        }
    }
}

/* Whatever is finite can be written: no trap, no undefined conversion (a sanitizer build sees). */
static void extreme_values_do_no_harm(void **state)
{
    static const float extremes[] = {3.4e38f,  -3.4e38f, 1e-45f, -1e-45f, 1e-38f,
                                     65504.0f, 1e-20f,   0.0f,   -0.0f,   1e30f};
    uint64_t seed = 5;
    (void)state;
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            uint32_t kind =
                kernel_rig_random_below(&seed, round < 10 ? 10 : 1 + (uint32_t)round / 2);
            in[i] = extremes[kind % 10];
        }
        for (int d = 0; d < DTYPE_COUNT; d++) {
            if (quant_write_possible((enum dtype)d)) {
                quant_write_blocks((enum dtype)d, blocks, in, COUNT);
            }
        }
    }
}

static void blocks_do_not_depend_on_their_neighbours(void **state)
{
    static uint8_t alone[COUNT * 4];
    uint64_t seed = 9;
    (void)state;
    kernel_rig_fill(&seed, in, COUNT);
    for (int d = 0; d < DTYPE_COUNT; d++) {
        enum dtype dtype = (enum dtype)d;
        if (!quant_write_possible(dtype)) {
            continue;
        }
        quant_write_blocks(dtype, blocks, in, COUNT);
        uint64_t bytes = quant_row_bytes(dtype, 256);
        for (size_t i = 0; i < COUNT / 256; i++) {
            quant_write_blocks(dtype, alone + i * bytes, in + i * 256, 256);
        }
        assert_memory_equal(blocks, alone, quant_row_bytes(dtype, COUNT));
    }
}

/* ---- against ggml ---- */

static bool open_data(struct gguf *file, const char *name)
{
    const char *folder = test_data_folder();
    char path[4096];
    struct error err = {0};
    *file = (struct gguf){0};
    if (folder == NULL) {
        return false;
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (gguf_open(file, path, &err) != OK) {
        fail_msg("%s", err.message);
    }
    return true;
}

/* Every tensor of `stored` that is quantised, written anew from the same tensor of `source`. */
static uint32_t compare_files(const struct gguf *source, const struct gguf *stored)
{
    uint32_t compared = 0;
    for (uint64_t i = 0; i < stored->tensor_count; i++) {
        const struct gguf_tensor *wanted = &stored->tensors[i];
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)wanted->name.byte_count, wanted->name.bytes);
        const struct gguf_tensor *from = gguf_find_tensor(source, name);
        assert_non_null(from);
        assert_int_equal(from->tensor.dtype, DTYPE_F32);
        size_t count = tensor_row_values(&from->tensor) * tensor_row_count(&from->tensor);
        uint8_t *bytes = malloc(wanted->byte_count);
        assert_non_null(bytes);
        quant_write_blocks(wanted->tensor.dtype, bytes, from->tensor.data, count);
        if (memcmp(bytes, wanted->tensor.data, wanted->byte_count) != 0) {
            fail_msg("%s of %s differs", name, stored->path);
        }
        compared += wanted->tensor.dtype != DTYPE_F32;
        free(bytes);
    }
    return compared;
}

static void blocks_of_32_are_those_of_ggml(void **state)
{
    static const char *const types[] = {"Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "F16", "BF16"};
    struct gguf source;
    (void)state;
    if (!open_data(&source, "models/tinystories-656k/derived/tinystories-656k-F32.gguf")) {
        skip();
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char name[128];
        struct gguf stored;
        snprintf(name, sizeof name, "models/tinystories-656k/derived/tinystories-656k-%s.gguf",
                 types[i]);
        assert_true(open_data(&stored, name));
        assert_int_equal(compare_files(&source, &stored), 15);
        gguf_close(&stored);
    }
    gguf_close(&source);
}

static const struct gguf_tensor *find(const struct gguf *file, const char *kind, const char *type)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", kind, type);
    const struct gguf_tensor *found = gguf_find_tensor(file, name);
    assert_non_null(found);
    return found;
}

static void k_quants_lose_no_more_than_ggmls(void **state)
{
    static const enum dtype dtypes[] = {DTYPE_Q4_K, DTYPE_Q5_K, DTYPE_Q6_K};
    struct gguf file;
    (void)state;
    if (!open_data(&file, "conformance/ggml-quants/ggml-quant-vectors.gguf")) {
        skip();
    }
    const float *source = gguf_find_tensor(&file, "src")->tensor.data;
    const size_t count = 8192;
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        const struct quant_format *format = quant_format_get(dtypes[i]);
        const float *theirs = find(&file, "deq", format->name)->tensor.data;
        quant_write_blocks(dtypes[i], blocks, source, count);
        format->dequantize(out, blocks, count);
        double error = relative_error(out, source, count);
        double bound = relative_error(theirs, source, count);
        print_message("   %s: %.6f, ggml %.6f\n", format->name, error, bound);
        assert_true(error <= bound * 1.005);
    }
    quant_write_blocks(DTYPE_Q8_0, blocks, source, count);
    const struct gguf_tensor *q8_0 = find(&file, "q", "q8_0");
    assert_memory_equal(blocks, q8_0->tensor.data, q8_0->byte_count);
    gguf_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_stay_within_each_formats_bound),
        cmocka_unit_test(values_that_a_format_holds_come_back),
        cmocka_unit_test(constants_and_zeros_survive),
        cmocka_unit_test(outliers_keep_their_size),
        cmocka_unit_test(extreme_values_do_no_harm),
        cmocka_unit_test(blocks_do_not_depend_on_their_neighbours),
        cmocka_unit_test(blocks_of_32_are_those_of_ggml),
        cmocka_unit_test(k_quants_lose_no_more_than_ggmls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
