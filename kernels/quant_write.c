/* quant_write.c - the float types and the formats with blocks of 32, in the order of operations of
 * ggml's reference functions: codes come from the scale before it is rounded to f16, by a product with
 * its inverse. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/quant_write.h"

#include "kernels/quant.h"
#include "kernels/quant_write_k.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    BLOCK = 32,
    HALF = BLOCK / 2,
};

static void store_f16(uint8_t *bytes, float value)
{
    uint16_t bits = quant_f32_to_f16(value);
    bytes[0] = (uint8_t)bits;
    bytes[1] = (uint8_t)(bits >> 8);
}

/* 1 / scale, or 0 where all codes are to be those of zero. */
static float inverse_of(float scale)
{
    float inverse = 1.0f / scale;
    return isfinite(inverse) ? inverse : 0.0f;
}

/* The whole part of a value that is not negative, up to top; 0 for what is no number. */
static int code_of(float value, int top)
{
    if (!(value > 0.0f)) {
        return 0;
    }
    return value < (float)top ? (int)value : top;
}

/* The value of largest magnitude, with its sign; the first of several. */
static float extreme_of(const float *x)
{
    float best = 0.0f;
    for (int i = 0; i < BLOCK; i++) {
        if (fabsf(x[i]) > fabsf(best)) {
            best = x[i];
        }
    }
    return best;
}

static void range_of(const float *x, float *low, float *high)
{
    *low = x[0];
    *high = x[0];
    for (int i = 1; i < BLOCK; i++) {
        *low = x[i] < *low ? x[i] : *low;
        *high = x[i] > *high ? x[i] : *high;
    }
}

/* Value j is the low nibble of byte j, value j + 16 the high one. */
static void store_nibbles(uint8_t *quants, const int *codes)
{
    for (int j = 0; j < HALF; j++) {
        quants[j] = (uint8_t)((codes[j] & 15) | ((codes[j + HALF] & 15) << 4));
    }
}

/* Bit j of the word belongs to value j. */
static void store_fifth_bits(uint8_t *high_bits, const int *codes)
{
    memset(high_bits, 0, BLOCK / 8);
    for (int j = 0; j < BLOCK; j++) {
        high_bits[j / 8] |= (uint8_t)((codes[j] >> 4) << (j % 8));
    }
}

static void write_q8_0(uint8_t *out, const float *x)
{
    float scale = fabsf(extreme_of(x)) / 127.0f;
    float inverse = inverse_of(scale);
    store_f16(out, scale);
    for (int j = 0; j < BLOCK; j++) {
        out[2 + j] = (uint8_t)(int8_t)roundf(x[j] * inverse);
    }
}

/* Codes around `middle`: the extreme becomes code 0, the end that has no counterpart. */
static void fit_symmetric(float *scale, int *codes, const float *x, int middle)
{
    *scale = extreme_of(x) / (float)-middle;
    float inverse = inverse_of(*scale);
    for (int j = 0; j < BLOCK; j++) {
        codes[j] = code_of(x[j] * inverse + ((float)middle + 0.5f), 2 * middle - 1);
    }
}

/* Codes 0..top from the least value to the greatest. */
static void fit_range(float *scale, float *low, int *codes, const float *x, int top)
{
    float high;
    range_of(x, low, &high);
    *scale = (high - *low) / (float)top;
    float inverse = inverse_of(*scale);
    for (int j = 0; j < BLOCK; j++) {
        codes[j] = code_of((x[j] - *low) * inverse + 0.5f, top);
    }
}

static void write_q4_0(uint8_t *out, const float *x)
{
    int codes[BLOCK];
    float scale;
    fit_symmetric(&scale, codes, x, 8);
    store_f16(out, scale);
    store_nibbles(out + 2, codes);
}

static void write_q5_0(uint8_t *out, const float *x)
{
    int codes[BLOCK];
    float scale;
    fit_symmetric(&scale, codes, x, 16);
    store_f16(out, scale);
    store_fifth_bits(out + 2, codes);
    store_nibbles(out + 6, codes);
}

static void write_q4_1(uint8_t *out, const float *x)
{
    int codes[BLOCK];
    float scale;
    float low;
    fit_range(&scale, &low, codes, x, 15);
    store_f16(out, scale);
    store_f16(out + 2, low);
    store_nibbles(out + 4, codes);
}

static void write_q5_1(uint8_t *out, const float *x)
{
    int codes[BLOCK];
    float scale;
    float low;
    fit_range(&scale, &low, codes, x, 31);
    store_f16(out, scale);
    store_f16(out + 2, low);
    store_fifth_bits(out + 4, codes);
    store_nibbles(out + 8, codes);
}

/* A writer of one block of 32, or of any number of blocks of 256. */
struct writer {
    void (*block)(uint8_t *out, const float *x);
    void (*blocks)(void *out, const float *in, size_t value_count);
};

static const struct writer writers[DTYPE_COUNT] = {
    [DTYPE_Q8_0] = {.block = write_q8_0},        [DTYPE_Q4_0] = {.block = write_q4_0},
    [DTYPE_Q4_1] = {.block = write_q4_1},        [DTYPE_Q5_0] = {.block = write_q5_0},
    [DTYPE_Q5_1] = {.block = write_q5_1},        [DTYPE_Q4_K] = {.blocks = quant_write_k_q4},
    [DTYPE_Q5_K] = {.blocks = quant_write_k_q5}, [DTYPE_Q6_K] = {.blocks = quant_write_k_q6},
};

static bool is_float(enum dtype dtype)
{
    return dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16;
}

bool quant_write_possible(enum dtype dtype)
{
    return is_float(dtype) || writers[dtype].block != NULL || writers[dtype].blocks != NULL;
}

void quant_write_blocks(enum dtype dtype, void *blocks, const float *in, size_t value_count)
{
    assert(quant_write_possible(dtype));
    const struct quant_format *format = quant_format_get(dtype);
    if (is_float(dtype)) {
        format->quantize(blocks, in, value_count);
    } else if (writers[dtype].blocks != NULL) {
        writers[dtype].blocks(blocks, in, value_count);
    } else {
        uint8_t *out = blocks;
        for (size_t at = 0; at < value_count; at += BLOCK, out += format->block_bytes) {
            writers[dtype].block(out, in + at);
        }
    }
}
