/* quant.c - the table of storage formats, the float types and the formats with blocks of 32.
 *
 * Every function is plain scalar C in the order of operations that ggml uses (scale times value,
 * then plus the minimum, each rounded on its own), so results are equal to the last bit. The
 * formats with blocks of 256 are in quant_k.c. Bytes are little-endian, as in the files.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/quant.h"

#include "kernels/quant_k.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- float types ---- */

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float quant_f16_to_f32(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    uint32_t exponent = (bits >> 10) & 31u;
    uint32_t mantissa = bits & 1023u;
    if (exponent == 31) { /* a signalling NaN turns quiet, as the processor's own conversion does */
        uint32_t quiet = mantissa != 0 ? 0x400000u : 0;
        return float_of(sign | 0x7f800000u | (mantissa << 13) | quiet);
    }
    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24, exact in f32 */
        float magnitude = (float)mantissa * 0x1p-24f;
        return float_of(sign | bits_of(magnitude));
    }
    return float_of(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t quant_f32_to_f16(float value)
{
    uint32_t bits = bits_of(value);
    uint32_t sign = (bits >> 16) & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) { /* NaN: keep the top of the payload, make it quiet */
        return (uint16_t)(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));
    }
    if (magnitude >= 0x477ff000u) { /* rounds beyond 65504 */
        return (uint16_t)(sign | 0x7c00u);
    }
    if (magnitude < 0x38800000u) { /* below 2^-14: adding 0.5 lets the FPU round at 2^-24 */
        float shifted = float_of(magnitude) + 0.5f;
        return (uint16_t)(sign | (bits_of(shifted) - 0x3f000000u));
    }
    uint32_t odd = (magnitude >> 13) & 1u;
    return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

float quant_bf16_to_f32(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

uint16_t quant_f32_to_bf16(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (uint16_t)((bits >> 16) | 0x40u);
    }
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static void dequantize_f32(float *out, const void *blocks, size_t value_count)
{
    memcpy(out, blocks, value_count * sizeof *out);
}

static void quantize_f32(void *blocks, const float *in, size_t value_count)
{
    memcpy(blocks, in, value_count * sizeof *in);
}

static uint16_t load_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | (bytes[1] << 8));
}

static void store_u16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

static void dequantize_f16(float *out, const void *blocks, size_t value_count)
{
    const uint8_t *in = blocks;
    for (size_t i = 0; i < value_count; i++) {
        out[i] = quant_f16_to_f32(load_u16(in + 2 * i));
    }
}

static void quantize_f16(void *blocks, const float *in, size_t value_count)
{
    uint8_t *out = blocks;
    for (size_t i = 0; i < value_count; i++) {
        store_u16(out + 2 * i, quant_f32_to_f16(in[i]));
    }
}

static void dequantize_bf16(float *out, const void *blocks, size_t value_count)
{
    const uint8_t *in = blocks;
    for (size_t i = 0; i < value_count; i++) {
        out[i] = quant_bf16_to_f32(load_u16(in + 2 * i));
    }
}

static void quantize_bf16(void *blocks, const float *in, size_t value_count)
{
    uint8_t *out = blocks;
    for (size_t i = 0; i < value_count; i++) {
        store_u16(out + 2 * i, quant_f32_to_bf16(in[i]));
    }
}

/* ---- blocks of 32: one scale, perhaps a minimum, then the quants ---- */

enum {
    BLOCK = 32,
    HALF = BLOCK / 2,
};

/* Nearest integer of value / step in low..high; a zero step means that all is zero. */
static int nearest(float value, float step, int low, int high)
{
    if (step == 0.0f) {
        return low > 0 ? low : (high < 0 ? high : 0);
    }
    float quotient = rintf(value / step);
    if (!(quotient > (float)low)) {
        return low;
    }
    return quotient < (float)high ? (int)quotient : high;
}

/* The value of largest magnitude, with its sign. */
static float extreme(const float *in, int count)
{
    float best = 0.0f;
    for (int i = 0; i < count; i++) {
        if (fabsf(in[i]) > fabsf(best)) {
            best = in[i];
        }
    }
    return best;
}

static void range(const float *in, int count, float *low, float *high)
{
    *low = in[0];
    *high = in[0];
    for (int i = 1; i < count; i++) {
        *low = fminf(*low, in[i]);
        *high = fmaxf(*high, in[i]);
    }
}

/* Rounds a scale to f16, stores it, and gives the value that readers will see. */
static float store_scale(uint8_t *bytes, float scale)
{
    uint16_t bits = quant_f32_to_f16(scale);
    store_u16(bytes, bits);
    return quant_f16_to_f32(bits);
}

static float load_scale(const uint8_t *bytes)
{
    return quant_f16_to_f32(load_u16(bytes));
}

/* q8_0: f16 scale, 32 signed bytes. */
static void dequantize_q8_0(float *out, const void *blocks, size_t value_count)
{
    const uint8_t *in = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, in += 34) {
        float scale = load_scale(in);
        for (int j = 0; j < BLOCK; j++) {
            out[base + (size_t)j] = (float)(int8_t)in[2 + j] * scale;
        }
    }
}

static void quantize_q8_0(void *blocks, const float *in, size_t value_count)
{
    uint8_t *out = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, out += 34) {
        const float *x = in + base;
        float scale = store_scale(out, fabsf(extreme(x, BLOCK)) / 127.0f);
        for (int j = 0; j < BLOCK; j++) {
            out[2 + j] = (uint8_t)nearest(x[j], scale, -127, 127);
        }
    }
}

/* In all four-bit blocks value j is the low nibble of byte j, value j + 16 the high one. */
static int nibble(const uint8_t *quants, int j)
{
    return j < HALF ? quants[j] & 15 : quants[j - HALF] >> 4;
}

static void store_nibble(uint8_t *quants, int j, int code)
{
    if (j < HALF) {
        quants[j] = (uint8_t)((quants[j] & 0xf0) | code);
    } else {
        quants[j - HALF] = (uint8_t)((quants[j - HALF] & 0x0f) | (code << 4));
    }
}

/* q4_0: f16 scale, 32 nibbles holding value + 8. */
static void dequantize_q4_0(float *out, const void *blocks, size_t value_count)
{
    const uint8_t *in = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, in += 18) {
        float scale = load_scale(in);
        for (int j = 0; j < BLOCK; j++) {
            out[base + (size_t)j] = (float)(nibble(in + 2, j) - 8) * scale;
        }
    }
}

static void quantize_q4_0(void *blocks, const float *in, size_t value_count)
{
    uint8_t *out = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, out += 18) {
        const float *x = in + base;
        /* The extreme becomes -8, the end of the range that has no positive counterpart. */
        float scale = store_scale(out, extreme(x, BLOCK) / -8.0f);
        for (int j = 0; j < BLOCK; j++) {
            store_nibble(out + 2, j, nearest(x[j], scale, -8, 7) + 8);
        }
    }
}

/* q4_1: f16 scale, f16 minimum, 32 nibbles. */
static void dequantize_q4_1(float *out, const void *blocks, size_t value_count)
{
    const uint8_t *in = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, in += 20) {
        float scale = load_scale(in);
        float minimum = load_scale(in + 2);
        for (int j = 0; j < BLOCK; j++) {
            out[base + (size_t)j] = (float)nibble(in + 4, j) * scale + minimum;
        }
    }
}

static void quantize_q4_1(void *blocks, const float *in, size_t value_count)
{
    uint8_t *out = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, out += 20) {
        const float *x = in + base;
        float low;
        float high;
        range(x, BLOCK, &low, &high);
        float scale = store_scale(out, (high - low) / 15.0f);
        float minimum = store_scale(out + 2, low);
        for (int j = 0; j < BLOCK; j++) {
            store_nibble(out + 4, j, nearest(x[j] - minimum, scale, 0, 15));
        }
    }
}

/* The fifth bits: bit j of a 32-bit word belongs to value j. */
static int fifth_bit(const uint8_t *high_bits, int j)
{
    return ((high_bits[j / 8] >> (j % 8)) & 1) << 4;
}

static void store_five_bits(uint8_t *high_bits, uint8_t *quants, int j, int code)
{
    int mask = 1 << (j % 8);
    high_bits[j / 8] = (uint8_t)((high_bits[j / 8] & ~mask) | ((code >> 4) << (j % 8)));
    store_nibble(quants, j, code & 15);
}

/* q5_0: f16 scale, 32 high bits, 32 nibbles; together value + 16. */
static void dequantize_q5_0(float *out, const void *blocks, size_t value_count)
{
    const uint8_t *in = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, in += 22) {
        float scale = load_scale(in);
        for (int j = 0; j < BLOCK; j++) {
            int code = nibble(in + 6, j) | fifth_bit(in + 2, j);
            out[base + (size_t)j] = (float)(code - 16) * scale;
        }
    }
}

static void quantize_q5_0(void *blocks, const float *in, size_t value_count)
{
    uint8_t *out = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, out += 22) {
        const float *x = in + base;
        float scale = store_scale(out, extreme(x, BLOCK) / -16.0f);
        for (int j = 0; j < BLOCK; j++) {
            store_five_bits(out + 2, out + 6, j, nearest(x[j], scale, -16, 15) + 16);
        }
    }
}

/* q5_1: f16 scale, f16 minimum, 32 high bits, 32 nibbles. */
static void dequantize_q5_1(float *out, const void *blocks, size_t value_count)
{
    const uint8_t *in = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, in += 24) {
        float scale = load_scale(in);
        float minimum = load_scale(in + 2);
        for (int j = 0; j < BLOCK; j++) {
            int code = nibble(in + 8, j) | fifth_bit(in + 4, j);
            out[base + (size_t)j] = (float)code * scale + minimum;
        }
    }
}

static void quantize_q5_1(void *blocks, const float *in, size_t value_count)
{
    uint8_t *out = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, out += 24) {
        const float *x = in + base;
        float low;
        float high;
        range(x, BLOCK, &low, &high);
        float scale = store_scale(out, (high - low) / 31.0f);
        float minimum = store_scale(out + 2, low);
        for (int j = 0; j < BLOCK; j++) {
            store_five_bits(out + 4, out + 8, j, nearest(x[j] - minimum, scale, 0, 31));
        }
    }
}

/* mxfp4: one power-of-two scale (8 exponent bits), 32 four-bit floats (sign, 2 exponent bits,
 * 1 mantissa bit). The table holds twice the value, so the scale is halved. */
static const int8_t MXFP4_VALUES[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static float mxfp4_half_scale(uint8_t exponent)
{
    /* 2^(exponent - 128); the two smallest are subnormal. */
    return float_of(exponent < 2 ? 0x00200000u << exponent : (uint32_t)(exponent - 1) << 23);
}

static void dequantize_mxfp4(float *out, const void *blocks, size_t value_count)
{
    const uint8_t *in = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, in += 17) {
        float scale = mxfp4_half_scale(in[0]);
        for (int j = 0; j < BLOCK; j++) {
            out[base + (size_t)j] = (float)MXFP4_VALUES[nibble(in + 1, j)] * scale;
        }
    }
}

static int nearest_mxfp4(float value, float scale)
{
    int best = 0;
    for (int code = 1; code < 16; code++) {
        float distance = fabsf(value - (float)MXFP4_VALUES[code] * scale);
        if (distance < fabsf(value - (float)MXFP4_VALUES[best] * scale)) {
            best = code;
        }
    }
    return best;
}

static void quantize_mxfp4(void *blocks, const float *in, size_t value_count)
{
    uint8_t *out = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, out += 17) {
        const float *x = in + base;
        float top = fabsf(extreme(x, BLOCK));
        /* The standard's rule: the largest value's exponent less that of 6, the largest code. */
        int exponent = top > 0.0f ? ilogbf(top) - 2 + 127 : 0;
        out[0] = (uint8_t)(exponent < 0 ? 0 : (exponent > 254 ? 254 : exponent));
        float scale = mxfp4_half_scale(out[0]);
        for (int j = 0; j < BLOCK; j++) {
            store_nibble(out + 1, j, nearest_mxfp4(x[j], scale));
        }
    }
}

/* iq4_nl: f16 scale, 32 nibbles that index a table of unevenly spaced values. */
static void dequantize_iq4_nl(float *out, const void *blocks, size_t value_count)
{
    const uint8_t *in = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, in += 18) {
        float scale = load_scale(in);
        for (int j = 0; j < BLOCK; j++) {
            out[base + (size_t)j] = scale * (float)quant_k_iq4_values[nibble(in + 2, j)];
        }
    }
}

static void quantize_iq4_nl(void *blocks, const float *in, size_t value_count)
{
    uint8_t *out = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, out += 18) {
        const float *x = in + base;
        float scale = store_scale(out, extreme(x, BLOCK) / -127.0f);
        for (int j = 0; j < BLOCK; j++) {
            store_nibble(out + 2, j, quant_k_iq4_nearest(x[j], scale));
        }
    }
}

/* ---- the table ---- */

static const struct quant_format FORMATS[DTYPE_COUNT] = {
    [DTYPE_F32] = {"f32", 1, 4, dequantize_f32, quantize_f32},
    [DTYPE_F16] = {"f16", 1, 2, dequantize_f16, quantize_f16},
    [DTYPE_BF16] = {"bf16", 1, 2, dequantize_bf16, quantize_bf16},
    [DTYPE_Q8_0] = {"q8_0", 32, 34, dequantize_q8_0, quantize_q8_0},
    [DTYPE_Q4_0] = {"q4_0", 32, 18, dequantize_q4_0, quantize_q4_0},
    [DTYPE_Q4_1] = {"q4_1", 32, 20, dequantize_q4_1, quantize_q4_1},
    [DTYPE_Q5_0] = {"q5_0", 32, 22, dequantize_q5_0, quantize_q5_0},
    [DTYPE_Q5_1] = {"q5_1", 32, 24, dequantize_q5_1, quantize_q5_1},
    [DTYPE_Q2_K] = {"q2_K", 256, 84, quant_k_dequantize_q2, quant_k_quantize_q2},
    [DTYPE_Q3_K] = {"q3_K", 256, 110, quant_k_dequantize_q3, quant_k_quantize_q3},
    [DTYPE_Q4_K] = {"q4_K", 256, 144, quant_k_dequantize_q4, quant_k_quantize_q4},
    [DTYPE_Q5_K] = {"q5_K", 256, 176, quant_k_dequantize_q5, quant_k_quantize_q5},
    [DTYPE_Q6_K] = {"q6_K", 256, 210, quant_k_dequantize_q6, quant_k_quantize_q6},
    [DTYPE_IQ4_NL] = {"iq4_nl", 32, 18, dequantize_iq4_nl, quantize_iq4_nl},
    [DTYPE_IQ4_XS] = {"iq4_xs", 256, 136, quant_k_dequantize_iq4_xs, quant_k_quantize_iq4_xs},
    [DTYPE_MXFP4] = {"mxfp4", 32, 17, dequantize_mxfp4, quantize_mxfp4},
};

const struct quant_format *quant_format_get(enum dtype dtype)
{
    assert(dtype < DTYPE_COUNT);
    return &FORMATS[dtype];
}

uint64_t quant_row_bytes(enum dtype dtype, uint64_t value_count)
{
    const struct quant_format *format = quant_format_get(dtype);
    assert(value_count % format->block_values == 0);
    return value_count / format->block_values * format->block_bytes;
}
