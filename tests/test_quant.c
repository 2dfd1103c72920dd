/* test_quant.c - the storage formats: against values worked out by hand, against ggml's own bytes
 * where the test data is there, and there and back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/gguf.h"
#include "kernels/quant.h"

#include <math.h>

/* ---- float types ---- */

static void every_f16_survives_the_way_to_f32_and_back(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float value = quant_f16_to_f32((uint16_t)bits);
        bool nan = (bits & 0x7c00) == 0x7c00 && (bits & 0x3ff) != 0;
        if (nan) {
            assert_true(isnan(value));
            assert_int_equal(quant_f32_to_f16(value), bits | 0x200);
        } else {
            assert_int_equal(quant_f32_to_f16(value), bits);
        }
    }
}

static void f16_values_known_by_heart(void **state)
{
    (void)state;
    assert_true(quant_f16_to_f32(0x3c00) == 1.0f);
    assert_true(quant_f16_to_f32(0xc000) == -2.0f);
    assert_true(quant_f16_to_f32(0x7bff) == 65504.0f);
    assert_true(quant_f16_to_f32(0x0001) == 0x1p-24f);
    assert_true(quant_f16_to_f32(0x0400) == 0x1p-14f);
    assert_true(quant_f16_to_f32(0x7c00) == INFINITY);
    assert_true(signbit(quant_f16_to_f32(0x8000)));
}

static void f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    assert_int_equal(quant_f32_to_f16(1.0f + 0x1p-11f), 0x3c00);   /* half way: to even */
    assert_int_equal(quant_f32_to_f16(1.0f + 0x1.8p-10f), 0x3c02); /* half way: to even */
    assert_int_equal(quant_f32_to_f16(1.0f + 0x1p-11f + 0x1p-20f), 0x3c01);
    assert_int_equal(quant_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(quant_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(quant_f32_to_f16(0x1p-25f), 0x0000); /* half the smallest */
    assert_int_equal(quant_f32_to_f16(0x1.8p-25f), 0x0001);
    assert_int_equal(quant_f32_to_f16(0x1.ffcp-15f), 0x0400); /* up to normal */
    assert_int_equal(quant_f32_to_f16(-INFINITY), 0xfc00);
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float value = quant_bf16_to_f32((uint16_t)bits);
        assert_int_equal(quant_f32_to_bf16(value), isnan(value) ? bits | 0x40 : bits);
    }
    assert_int_equal(quant_f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);   /* half way: to even */
    assert_int_equal(quant_f32_to_bf16(1.0f + 0x1.8p-7f), 0x3f82); /* half way: to even */
    assert_int_equal(quant_f32_to_bf16(3.4e38f), 0x7f80);
}

/* ---- by hand ---- */

static void expect(enum dtype dtype, const uint8_t *block, const float *expected)
{
    const struct quant_format *format = quant_format_get(dtype);
    float out[256];
    format->dequantize(out, block, format->block_values);
    for (uint32_t i = 0; i < format->block_values; i++) {
        if (out[i] != expected[i]) {
            fail_msg("%s value %u: %g instead of %g", format->name, i, (double)out[i],
                     (double)expected[i]);
        }
    }
}

static void blocks_of_32_mean_what_the_format_says(void **state)
{
    uint8_t block[34] = {0x00, 0x40}; /* scale 2 */
    float expected[32];
    (void)state;
    for (int i = 0; i < 32; i++) {
        block[2 + i] = (uint8_t)(i * 5 - 100);
        expected[i] = 2.0f * (float)(i * 5 - 100);
    }
    expect(DTYPE_Q8_0, block, expected);

    for (int i = 0; i < 16; i++) { /* value i is code i, value i + 16 code 15 - i */
        block[2 + i] = (uint8_t)(i | ((15 - i) << 4));
        expected[i] = 2.0f * (float)(i - 8);
        expected[i + 16] = 2.0f * (float)(7 - i);
    }
    expect(DTYPE_Q4_0, block, expected);
}

static void minimums_and_fifth_bits_are_applied(void **state)
{
    uint8_t block[24] = {0x00, 0x40, 0x00, 0xbc}; /* scale 2, minimum -1 */
    float expected[32];
    (void)state;
    for (int i = 0; i < 16; i++) {
        block[4 + i] = (uint8_t)(i | ((15 - i) << 4));
        expected[i] = 2.0f * (float)i - 1.0f;
        expected[i + 16] = 2.0f * (float)(15 - i) - 1.0f;
    }
    expect(DTYPE_Q4_1, block, expected);

    memmove(block + 8, block + 4, 16);
    memset(block + 4, 0, 4);
    block[4] = 0x01; /* values 0 and 31 have their fifth bit */
    block[7] = 0x80;
    expected[0] += 32.0f;
    expected[31] += 32.0f;
    expect(DTYPE_Q5_1, block, expected);

    memmove(block + 2, block + 4, 20);
    for (int i = 0; i < 32; i++) {
        expected[i] += 1.0f - 32.0f; /* no minimum; codes stand for value + 16 */
    }
    expect(DTYPE_Q5_0, block, expected);
}

static void table_formats_look_their_codes_up(void **state)
{
    static const float IQ4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};
    static const float FP4[16] = {0,     0.5f,  1,  1.5f,  2,  3,  4,  6,
                                  -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
    uint8_t block[18] = {0x00, 0x38}; /* scale 0.5 */
    float expected[32];
    (void)state;
    for (int i = 0; i < 16; i++) {
        block[2 + i] = (uint8_t)(i | (i << 4));
        expected[i] = expected[i + 16] = 0.5f * IQ4[i];
    }
    expect(DTYPE_IQ4_NL, block, expected);
    memmove(block + 1, block + 2, 16);
    block[0] = 129; /* 2^2 */
    for (int i = 0; i < 16; i++) {
        expected[i] = expected[i + 16] = 4.0f * FP4[i];
    }
    expected[8] = expected[24] = 0.0f; /* the table of the format has one zero only */
    expect(DTYPE_MXFP4, block, expected);
}

/* One value of each group is set, all scales differ, so a misplaced bit shows. */
static void six_bit_scales_of_q4_k_are_found(void **state)
{
    uint8_t block[144] = {0x00, 0x3c, 0x00, 0x38}; /* d = 1, dmin = 0.5 */
    static const uint8_t SCALES[8] = {1, 63, 32, 7, 17, 48, 33, 62};
    static const uint8_t MINIMUMS[8] = {0, 5, 63, 16, 31, 47, 18, 60};
    float expected[256];
    (void)state;
    for (int g = 0; g < 4; g++) {
        block[4 + g] = (uint8_t)(SCALES[g] | ((SCALES[g + 4] >> 4) << 6));
        block[8 + g] = (uint8_t)(MINIMUMS[g] | ((MINIMUMS[g + 4] >> 4) << 6));
        block[12 + g] = (uint8_t)((SCALES[g + 4] & 15) | ((MINIMUMS[g + 4] & 15) << 4));
    }
    for (int i = 0; i < 256; i++) {
        int group = i / 32;
        int code = i % 32 == group ? 9 : 0;
        block[16 + group / 2 * 32 + i % 32] |= (uint8_t)(code << (group % 2 * 4));
        expected[i] = (float)(SCALES[group] * code) - 0.5f * (float)MINIMUMS[group];
    }
    expect(DTYPE_Q4_K, block, expected);
}

/* ---- there and back ---- */

/* What plain rounding may lose, relative to the root mean square of a normal distribution. */
static const float ERROR_MAX[DTYPE_COUNT] = {
    [DTYPE_F32] = 0,      [DTYPE_F16] = 3e-4f,    [DTYPE_BF16] = 3e-3f,   [DTYPE_Q8_0] = 0.008f,
    [DTYPE_Q4_0] = 0.13f, [DTYPE_Q4_1] = 0.12f,   [DTYPE_Q5_0] = 0.07f,   [DTYPE_Q5_1] = 0.06f,
    [DTYPE_Q2_K] = 0.5f,  [DTYPE_Q3_K] = 0.25f,   [DTYPE_Q4_K] = 0.12f,   [DTYPE_Q5_K] = 0.06f,
    [DTYPE_Q6_K] = 0.03f, [DTYPE_IQ4_NL] = 0.12f, [DTYPE_IQ4_XS] = 0.12f, [DTYPE_MXFP4] = 0.17f,
};

static void fill(float *values, size_t count, float scale)
{
    uint32_t random = 12345;
    for (size_t i = 0; i < count; i++) {
        float sum = -2.0f; /* four uniform variables: variance 1/3 */
        for (int j = 0; j < 4; j++) {
            random = random * 1664525u + 1013904223u;
            sum += (float)(random >> 8) / 16777216.0f;
        }
        values[i] = sum * scale * 1.7320508f;
    }
}

static void quantising_loses_no_more_than_the_format_must(void **state)
{
    enum {
        COUNT = 256 * 16
    };
    static float in[COUNT];
    static float out[COUNT];
    static uint8_t blocks[COUNT * 4];
    (void)state;
    fill(in, COUNT, 0.02f);
    for (int d = 0; d < DTYPE_COUNT; d++) {
        const struct quant_format *format = quant_format_get((enum dtype)d);
        double error = 0;
        double power = 0;
        format->quantize(blocks, in, COUNT);
        format->dequantize(out, blocks, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            error += pow((double)out[i] - (double)in[i], 2);
            power += pow((double)in[i], 2);
        }
        if (!(sqrt(error / power) <= (double)ERROR_MAX[d])) {
            fail_msg("%s: relative error %.4g", format->name, sqrt(error / power));
        }
    }
}

static void zeros_stay_zero_in_every_format(void **state)
{
    float in[256] = {0};
    float out[256];
    uint8_t blocks[1024];
    (void)state;
    for (int d = 0; d < DTYPE_COUNT; d++) {
        const struct quant_format *format = quant_format_get((enum dtype)d);
        memset(blocks, 0xa5, sizeof blocks);
        format->quantize(blocks, in, 256);
        format->dequantize(out, blocks, 256);
        for (int i = 0; i < 256; i++) {
            assert_true(out[i] == 0.0f);
        }
    }
}

static void row_bytes_follow_the_block_sizes(void **state)
{
    (void)state;
    assert_int_equal(quant_row_bytes(DTYPE_F32, 172), 688);
    assert_int_equal(quant_row_bytes(DTYPE_Q8_0, 64), 68);
    assert_int_equal(quant_row_bytes(DTYPE_MXFP4, 96), 51);
    assert_int_equal(quant_row_bytes(DTYPE_Q6_K, 512), 420);
    for (int d = 0; d < DTYPE_COUNT; d++) {
        assert_non_null(quant_format_get((enum dtype)d)->name);
    }
}

/* ---- ggml's own bytes ---- */

static const struct gguf_tensor *find_vector(const struct gguf *file, const char *kind,
                                             const char *type)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", kind, type);
    const struct gguf_tensor *found = gguf_find_tensor(file, name);
    if (found == NULL) {
        fail_msg("no tensor %s in the conformance file", name);
    }
    return found;
}

static void dequantised_vectors_equal_those_of_ggml_bit_for_bit(void **state)
{
    const char *folder = test_data_folder();
    char path[4096];
    struct gguf file;
    struct error err = {0};
    (void)state;
    if (folder == NULL) {
        skip();
    }
    snprintf(path, sizeof path, "%s/conformance/ggml-quants/ggml-quant-vectors.gguf", folder);
    if (gguf_open(&file, path, &err) != OK) {
        fail_msg("%s", err.message);
    }
    for (int d = DTYPE_F16; d < DTYPE_COUNT; d++) {
        const struct quant_format *format = quant_format_get((enum dtype)d);
        const struct gguf_tensor *stored = find_vector(&file, "q", format->name);
        const struct gguf_tensor *expected = find_vector(&file, "deq", format->name);
        size_t count = tensor_row_values(&stored->tensor) * tensor_row_count(&stored->tensor);
        float *out = malloc(count * sizeof *out);
        assert_non_null(out);
        assert_true(stored->supported);
        assert_int_equal(stored->tensor.dtype, d);
        assert_int_equal(stored->byte_count, quant_row_bytes((enum dtype)d, count));
        assert_int_equal(expected->byte_count, count * sizeof *out);
        format->dequantize(out, stored->tensor.data, count);
        if (memcmp(out, expected->tensor.data, count * sizeof *out) != 0) {
            fail_msg("%s differs from ggml", format->name);
        }
        free(out);
    }
    gguf_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_f16_survives_the_way_to_f32_and_back),
        cmocka_unit_test(f16_values_known_by_heart),
        cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(blocks_of_32_mean_what_the_format_says),
        cmocka_unit_test(minimums_and_fifth_bits_are_applied),
        cmocka_unit_test(table_formats_look_their_codes_up),
        cmocka_unit_test(six_bit_scales_of_q4_k_are_found),
        cmocka_unit_test(quantising_loses_no_more_than_the_format_must),
        cmocka_unit_test(zeros_stay_zero_in_every_format),
        cmocka_unit_test(row_bytes_follow_the_block_sizes),
        cmocka_unit_test(dequantised_vectors_equal_those_of_ggml_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
