/* quant_k.c - formats with blocks of 256: small integer scales per group of 16 or 32 values, and
 * one or two f16 scales over those.
 *
 * The struct of each format is its layout in the file (all fields are bytes, so nothing is
 * padded). Reading follows ggml's order of operations; writing is the plainest correct choice:
 * scales from the extremes of each group, then every value to its nearest code.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/quant_k.h"

#include "kernels/quant.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 256
};

struct block_q2 {
    uint8_t scales[16]; /* of 16 values: low nibble scale, high nibble minimum */
    uint8_t quants[64];
    uint8_t d[2];
    uint8_t dmin[2];
};

struct block_q3 {
    uint8_t high_bits[32]; /* bit g of byte l: value 32 g + l; set means no -4 */
    uint8_t quants[64];
    uint8_t scales[12]; /* sixteen six-bit scales, + 32 */
    uint8_t d[2];
};

struct block_q4 {
    uint8_t d[2];
    uint8_t dmin[2];
    uint8_t scales[12]; /* eight six-bit scales and eight six-bit minimums, of 32 values */
    uint8_t quants[128];
};

struct block_q5 {
    uint8_t d[2];
    uint8_t dmin[2];
    uint8_t scales[12];
    uint8_t high_bits[32]; /* bit g of byte l: value 32 g + l */
    uint8_t quants[128];
};

struct block_q6 {
    uint8_t low_bits[128];
    uint8_t high_bits[64];
    int8_t scales[16]; /* of 16 values */
    uint8_t d[2];
};

struct block_iq4_xs {
    uint8_t d[2];
    uint8_t scales_high[2];
    uint8_t scales_low[4];
    uint8_t quants[128];
};

_Static_assert(sizeof(struct block_q2) == 84 && sizeof(struct block_q3) == 110 &&
                   sizeof(struct block_q4) == 144 && sizeof(struct block_q5) == 176 &&
                   sizeof(struct block_q6) == 210 && sizeof(struct block_iq4_xs) == 136,
               "block layouts are those of the files");

const int8_t quant_k_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113};

static float load_scale(const uint8_t *bytes)
{
    return quant_f16_to_f32((uint16_t)(bytes[0] | (bytes[1] << 8)));
}

static void store_bits(uint8_t *bytes, uint16_t bits)
{
    bytes[0] = (uint8_t)bits;
    bytes[1] = (uint8_t)(bits >> 8);
}

/* Rounds a scale to f16, stores it, and gives the value that readers will see. */
static float store_scale(uint8_t *bytes, float scale)
{
    uint16_t bits = quant_f32_to_f16(scale);
    store_bits(bytes, bits);
    return quant_f16_to_f32(bits);
}

/* Nearest integer of value / step in low..high; a zero step means that all is zero. */
static int nearest(float value, float step, int low, int high)
{
    if (step == 0.0f) {
        return 0;
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

/* Step and offset of a group coded as step * code - offset, code in 0..top; offset is never
 * negative, so a group that lies above zero still starts there. */
static void fit_group(const float *in, int count, float top, float *step, float *offset)
{
    float low = 0.0f;
    float high = in[0];
    for (int i = 0; i < count; i++) {
        low = fminf(low, in[i]);
        high = fmaxf(high, in[i]);
    }
    *step = (high - low) / top;
    *offset = -low;
}

/* ---- q2_K: 16 groups of 16; value = d * scale * code - dmin * minimum ---- */

/* Groups come in pairs of 32 values that share a bit position; four positions per 32 bytes. */
static int q2_byte(int i)
{
    return i / 128 * 32 + i % 32;
}

static int q2_shift(int i)
{
    return i % 128 / 32 * 2;
}

void quant_k_dequantize_q2(float *out, const void *blocks, size_t value_count)
{
    const struct block_q2 *block = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, block++) {
        float d = load_scale(block->d);
        float dmin = load_scale(block->dmin);
        for (int i = 0; i < BLOCK; i++) {
            uint8_t scale = block->scales[i / 16];
            float step = d * (float)(scale & 15);
            float offset = dmin * (float)(scale >> 4);
            int code = (block->quants[q2_byte(i)] >> q2_shift(i)) & 3;
            out[base + (size_t)i] = step * (float)code - offset;
        }
    }
}

static void quantize_q2_block(struct block_q2 *block, const float *x)
{
    float steps[16];
    float offsets[16];
    for (int g = 0; g < 16; g++) {
        fit_group(x + (size_t)g * 16, 16, 3.0f, &steps[g], &offsets[g]);
    }
    float d = store_scale(block->d, extreme(steps, 16) / 15.0f);
    float dmin = store_scale(block->dmin, extreme(offsets, 16) / 15.0f);
    memset(block->quants, 0, sizeof block->quants);
    for (int g = 0; g < 16; g++) {
        int scale = nearest(steps[g], d, 0, 15);
        int minimum = nearest(offsets[g], dmin, 0, 15);
        block->scales[g] = (uint8_t)(scale | (minimum << 4));
        for (int i = g * 16; i < g * 16 + 16; i++) {
            int code = nearest(x[i] + dmin * (float)minimum, d * (float)scale, 0, 3);
            block->quants[q2_byte(i)] |= (uint8_t)(code << q2_shift(i));
        }
    }
}

void quant_k_quantize_q2(void *blocks, const float *in, size_t value_count)
{
    struct block_q2 *block = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, block++) {
        quantize_q2_block(block, in + base);
    }
}

/* ---- q3_K: 16 groups of 16; value = d * (scale - 32) * (code - 4) ---- */

/* Scale g: its low nibble in bytes 0..7 (low halves first), its high two bits in bytes 8..11. */
static int q3_scale(const uint8_t *scales, int g)
{
    int low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
    int high = (scales[8 + g % 4] >> (g / 4 * 2)) & 3;
    return low | (high << 4);
}

void quant_k_dequantize_q3(float *out, const void *blocks, size_t value_count)
{
    const struct block_q3 *block = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, block++) {
        float d = load_scale(block->d);
        for (int i = 0; i < BLOCK; i++) {
            float step = d * (float)(q3_scale(block->scales, i / 16) - 32);
            int code = (block->quants[q2_byte(i)] >> q2_shift(i)) & 3;
            int high = (block->high_bits[i % 32] >> (i / 32)) & 1;
            out[base + (size_t)i] = step * (float)(code - (high ? 0 : 4));
        }
    }
}

static void quantize_q3_block(struct block_q3 *block, const float *x)
{
    float steps[16];
    for (int g = 0; g < 16; g++) {
        steps[g] = extreme(x + (size_t)g * 16, 16) / -4.0f;
    }
    float d = store_scale(block->d, extreme(steps, 16) / -32.0f);
    memset(block->high_bits, 0, sizeof block->high_bits);
    memset(block->quants, 0, sizeof block->quants);
    memset(block->scales, 0, sizeof block->scales);
    for (int g = 0; g < 16; g++) {
        int scale = nearest(steps[g], d, -32, 31);
        int stored = scale + 32;
        block->scales[g % 8] |= (uint8_t)((stored & 15) << (g / 8 * 4));
        block->scales[8 + g % 4] |= (uint8_t)((stored >> 4) << (g / 4 * 2));
        for (int i = g * 16; i < g * 16 + 16; i++) {
            int code = nearest(x[i], d * (float)scale, -4, 3) + 4;
            block->quants[q2_byte(i)] |= (uint8_t)((code & 3) << q2_shift(i));
            block->high_bits[i % 32] |= (uint8_t)((code >> 2) << (i / 32));
        }
    }
}

void quant_k_quantize_q3(void *blocks, const float *in, size_t value_count)
{
    struct block_q3 *block = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, block++) {
        quantize_q3_block(block, in + base);
    }
}

/* ---- q4_K and q5_K: 8 groups of 32; value = d * scale * code - dmin * minimum ---- */

/* Scales and minimums 0..3 have six bits in bytes 0..3 and 4..7; those of 4..7 have their low
 * nibbles in bytes 8..11 and their high two bits on top of the first eight bytes. */
static void q4_scale(const uint8_t *scales, int g, int *scale, int *minimum)
{
    if (g < 4) {
        *scale = scales[g] & 63;
        *minimum = scales[g + 4] & 63;
    } else {
        *scale = (scales[g + 4] & 15) | ((scales[g - 4] >> 6) << 4);
        *minimum = (scales[g + 4] >> 4) | ((scales[g] >> 6) << 4);
    }
}

static void store_q4_scale(uint8_t *scales, int g, int scale, int minimum)
{
    if (g < 4) {
        scales[g] |= (uint8_t)scale;
        scales[g + 4] |= (uint8_t)minimum;
    } else {
        scales[g + 4] = (uint8_t)((scale & 15) | ((minimum & 15) << 4));
        scales[g - 4] |= (uint8_t)((scale >> 4) << 6);
        scales[g] |= (uint8_t)((minimum >> 4) << 6);
    }
}

/* Groups 2 p and 2 p + 1 are the low and high nibbles of the same 32 bytes. */
static int q4_byte(int i)
{
    return i / 64 * 32 + i % 32;
}

static int q4_shift(int i)
{
    return i % 64 / 32 * 4;
}

void quant_k_dequantize_q4(float *out, const void *blocks, size_t value_count)
{
    const struct block_q4 *block = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, block++) {
        float d = load_scale(block->d);
        float dmin = load_scale(block->dmin);
        for (int i = 0; i < BLOCK; i++) {
            int scale;
            int minimum;
            q4_scale(block->scales, i / 32, &scale, &minimum);
            int code = (block->quants[q4_byte(i)] >> q4_shift(i)) & 15;
            float step = d * (float)scale;
            out[base + (size_t)i] = step * (float)code - dmin * (float)minimum;
        }
    }
}

void quant_k_dequantize_q5(float *out, const void *blocks, size_t value_count)
{
    const struct block_q5 *block = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, block++) {
        float d = load_scale(block->d);
        float dmin = load_scale(block->dmin);
        for (int i = 0; i < BLOCK; i++) {
            int scale;
            int minimum;
            q4_scale(block->scales, i / 32, &scale, &minimum);
            int code = (block->quants[q4_byte(i)] >> q4_shift(i)) & 15;
            code += ((block->high_bits[i % 32] >> (i / 32)) & 1) << 4;
            float step = d * (float)scale;
            out[base + (size_t)i] = step * (float)code - dmin * (float)minimum;
        }
    }
}

/* The first 16 bytes, which q4_K and q5_K share. */
static void pack_q4_head(struct block_q4 *head, const struct quant_k_parts *parts)
{
    store_bits(head->d, parts->d);
    store_bits(head->dmin, parts->dmin);
    memset(head->scales, 0, sizeof head->scales);
    for (int g = 0; g < 8; g++) {
        store_q4_scale(head->scales, g, parts->scales[g], parts->minimums[g]);
    }
}

void quant_k_pack_q4(void *block, const struct quant_k_parts *parts)
{
    struct block_q4 *out = block;
    pack_q4_head(out, parts);
    memset(out->quants, 0, sizeof out->quants);
    for (int i = 0; i < BLOCK; i++) {
        out->quants[q4_byte(i)] |= (uint8_t)(parts->codes[i] << q4_shift(i));
    }
}

void quant_k_pack_q5(void *block, const struct quant_k_parts *parts)
{
    struct block_q5 *out = block;
    struct block_q4 head;
    pack_q4_head(&head, parts);
    memset(out, 0, sizeof *out);
    memcpy(out->d, head.d, sizeof out->d);
    memcpy(out->dmin, head.dmin, sizeof out->dmin);
    memcpy(out->scales, head.scales, sizeof out->scales);
    for (int i = 0; i < BLOCK; i++) {
        out->quants[q4_byte(i)] |= (uint8_t)((parts->codes[i] & 15) << q4_shift(i));
        out->high_bits[i % 32] |= (uint8_t)((parts->codes[i] >> 4) << (i / 32));
    }
}

/* Fits the groups of a block of q4_K or q5_K and gives each value its code in 0..top. */
static void fit_q4_block(struct quant_k_parts *parts, const float *x, int top)
{
    float steps[8];
    float offsets[8];
    for (int g = 0; g < 8; g++) {
        fit_group(x + (size_t)g * 32, 32, (float)top, &steps[g], &offsets[g]);
    }
    parts->d = quant_f32_to_f16(extreme(steps, 8) / 63.0f);
    parts->dmin = quant_f32_to_f16(extreme(offsets, 8) / 63.0f);
    float d = quant_f16_to_f32(parts->d);
    float dmin = quant_f16_to_f32(parts->dmin);
    for (int g = 0; g < 8; g++) {
        int scale = nearest(steps[g], d, 0, 63);
        int minimum = nearest(offsets[g], dmin, 0, 63);
        parts->scales[g] = (int8_t)scale;
        parts->minimums[g] = (uint8_t)minimum;
        for (int i = g * 32; i < g * 32 + 32; i++) {
            float shifted = x[i] + dmin * (float)minimum;
            parts->codes[i] = (uint8_t)nearest(shifted, d * (float)scale, 0, top);
        }
    }
}

void quant_k_quantize_q4(void *blocks, const float *in, size_t value_count)
{
    struct block_q4 *block = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, block++) {
        struct quant_k_parts parts;
        fit_q4_block(&parts, in + base, 15);
        quant_k_pack_q4(block, &parts);
    }
}

void quant_k_quantize_q5(void *blocks, const float *in, size_t value_count)
{
    struct block_q5 *block = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, block++) {
        struct quant_k_parts parts;
        fit_q4_block(&parts, in + base, 31);
        quant_k_pack_q5(block, &parts);
    }
}

/* ---- q6_K: 16 groups of 16; value = d * scale * (code - 32) ---- */

/* Each half of 128 values has 64 bytes of low nibbles (two values of distance 64 share one) and
 * 32 bytes of high bits (four values of distance 32 share one). */
static int q6_low_byte(int i)
{
    return i / 128 * 64 + i % 64;
}

static int q6_low_shift(int i)
{
    return i % 128 / 64 * 4;
}

void quant_k_dequantize_q6(float *out, const void *blocks, size_t value_count)
{
    const struct block_q6 *block = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, block++) {
        float d = load_scale(block->d);
        for (int i = 0; i < BLOCK; i++) {
            int low = (block->low_bits[q6_low_byte(i)] >> q6_low_shift(i)) & 15;
            int high = (block->high_bits[q2_byte(i)] >> q2_shift(i)) & 3;
            int group = i / 16;
            float step = d * (float)block->scales[group];
            out[base + (size_t)i] = step * (float)((low | (high << 4)) - 32);
        }
    }
}

void quant_k_pack_q6(void *block, const struct quant_k_parts *parts)
{
    struct block_q6 *out = block;
    store_bits(out->d, parts->d);
    memcpy(out->scales, parts->scales, sizeof out->scales);
    memset(out->low_bits, 0, sizeof out->low_bits);
    memset(out->high_bits, 0, sizeof out->high_bits);
    for (int i = 0; i < BLOCK; i++) {
        out->low_bits[q6_low_byte(i)] |= (uint8_t)((parts->codes[i] & 15) << q6_low_shift(i));
        out->high_bits[q2_byte(i)] |= (uint8_t)((parts->codes[i] >> 4) << q2_shift(i));
    }
}

static void fit_q6_block(struct quant_k_parts *parts, const float *x)
{
    float steps[16];
    for (int g = 0; g < 16; g++) {
        steps[g] = extreme(x + (size_t)g * 16, 16) / -32.0f;
    }
    parts->d = quant_f32_to_f16(extreme(steps, 16) / -128.0f);
    float d = quant_f16_to_f32(parts->d);
    for (int g = 0; g < 16; g++) {
        int scale = nearest(steps[g], d, -128, 127);
        parts->scales[g] = (int8_t)scale;
        for (int i = g * 16; i < g * 16 + 16; i++) {
            parts->codes[i] = (uint8_t)(nearest(x[i], d * (float)scale, -32, 31) + 32);
        }
    }
}

void quant_k_quantize_q6(void *blocks, const float *in, size_t value_count)
{
    struct block_q6 *block = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, block++) {
        struct quant_k_parts parts;
        fit_q6_block(&parts, in + base);
        quant_k_pack_q6(block, &parts);
    }
}

/* ---- iq4_xs: 8 groups of 32; value = d * (scale - 32) * table[code] ---- */

int quant_k_iq4_nearest(float value, float scale)
{
    int best = 8; /* the code nearest to zero, for an empty scale */
    for (int code = 0; code < 16; code++) {
        float distance = fabsf(value - scale * (float)quant_k_iq4_values[code]);
        if (distance < fabsf(value - scale * (float)quant_k_iq4_values[best])) {
            best = code;
        }
    }
    return best;
}

static int iq4_xs_scale(const struct block_iq4_xs *block, int g)
{
    int low = (block->scales_low[g / 2] >> (g % 2 * 4)) & 15;
    int high = (block->scales_high[g / 4] >> (g % 4 * 2)) & 3;
    return low | (high << 4);
}

void quant_k_dequantize_iq4_xs(float *out, const void *blocks, size_t value_count)
{
    const struct block_iq4_xs *block = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, block++) {
        float d = load_scale(block->d);
        for (int i = 0; i < BLOCK; i++) {
            float step = d * (float)(iq4_xs_scale(block, i / 32) - 32);
            uint8_t pair = block->quants[i / 32 * 16 + i % 16];
            int code = i % 32 < 16 ? pair & 15 : pair >> 4;
            out[base + (size_t)i] = step * (float)quant_k_iq4_values[code];
        }
    }
}

static void quantize_iq4_xs_block(struct block_iq4_xs *block, const float *x)
{
    float steps[8];
    for (int g = 0; g < 8; g++) {
        steps[g] = extreme(x + (size_t)g * 32, 32) / -127.0f;
    }
    float d = store_scale(block->d, extreme(steps, 8) / -32.0f);
    memset(block->scales_high, 0, sizeof block->scales_high);
    memset(block->scales_low, 0, sizeof block->scales_low);
    memset(block->quants, 0, sizeof block->quants);
    for (int g = 0; g < 8; g++) {
        int scale = nearest(steps[g], d, -32, 31);
        int stored = scale + 32;
        block->scales_low[g / 2] |= (uint8_t)((stored & 15) << (g % 2 * 4));
        block->scales_high[g / 4] |= (uint8_t)((stored >> 4) << (g % 4 * 2));
        for (int i = g * 32; i < g * 32 + 32; i++) {
            int code = quant_k_iq4_nearest(x[i], d * (float)scale);
            block->quants[i / 32 * 16 + i % 16] |= (uint8_t)(code << (i % 32 < 16 ? 0 : 4));
        }
    }
}

void quant_k_quantize_iq4_xs(void *blocks, const float *in, size_t value_count)
{
    struct block_iq4_xs *block = blocks;
    for (size_t base = 0; base < value_count; base += BLOCK, block++) {
        quantize_iq4_xs_block(block, in + base);
    }
}
