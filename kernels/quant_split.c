/* quant_split.c - one function a type; the layouts are described in quant.c and quant_k.c. Codes are
 * moved four or eight at a time where they lie in order: this runs over the whole model at start.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/quant_split.h"

#include "kernels/quant_k.h"

#include <stddef.h>
#include <string.h>

static uint16_t load_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | (bytes[1] << 8));
}

/* ---- blocks of 32 ---- */

static void split_q8_0(struct quant_split *out, const uint8_t *block)
{
    out->scale = load_u16(block);
    for (int i = 0; i < 32; i++) {
        out->codes[i] = block[2 + i] ^ 0x80; /* signed to value + 128 */
    }
}

/* 16 bytes: the low nibbles, then the high ones. */
static void split_nibbles(uint8_t *codes, const uint8_t *nibbles)
{
    for (int i = 0; i < 16; i++) {
        codes[i] = nibbles[i] & 15;
        codes[16 + i] = nibbles[i] >> 4;
    }
}

static void split_q4_0(struct quant_split *out, const uint8_t *block)
{
    out->scale = load_u16(block);
    split_nibbles(out->codes, block + 2);
}

static void split_q4_1(struct quant_split *out, const uint8_t *block)
{
    out->scale = load_u16(block);
    out->minimum = load_u16(block + 2);
    split_nibbles(out->codes, block + 4);
}

static void add_fifth_bits(uint8_t *codes, const uint8_t *high_bits)
{
    for (int i = 0; i < 32; i++) {
        codes[i] = (uint8_t)(codes[i] | (((high_bits[i / 8] >> (i % 8)) & 1) << 4));
    }
}

static void split_q5_0(struct quant_split *out, const uint8_t *block)
{
    out->scale = load_u16(block);
    split_nibbles(out->codes, block + 6);
    add_fifth_bits(out->codes, block + 2);
}

static void split_q5_1(struct quant_split *out, const uint8_t *block)
{
    out->scale = load_u16(block);
    out->minimum = load_u16(block + 2);
    split_nibbles(out->codes, block + 8);
    add_fifth_bits(out->codes, block + 4);
}

/* `count` nibbles to their table values + 128, in place. */
static void look_up_iq4(uint8_t *codes, int count)
{
    for (int i = 0; i < count; i++) {
        codes[i] = (uint8_t)(quant_k_iq4_values[codes[i]] + 128);
    }
}

static void split_iq4_nl(struct quant_split *out, const uint8_t *block)
{
    split_q4_0(out, block);
    look_up_iq4(out->codes, 32);
}

/* ---- blocks of 256 ---- */

/* 32 bytes: one field of each. */
static void split_fields(uint8_t *codes, const uint8_t *bytes, int shift, int mask)
{
    for (int i = 0; i < 32; i++) {
        codes[i] = (uint8_t)((bytes[i] >> shift) & mask);
    }
}

/* Adds one bit of each of 32 bytes on top of the codes. */
static void add_bits(uint8_t *codes, const uint8_t *bytes, int shift, int mask, int to)
{
    for (int i = 0; i < 32; i++) {
        codes[i] = (uint8_t)(codes[i] | (((bytes[i] >> shift) & mask) << to));
    }
}

static void split_q2_k(struct quant_split *out, const uint8_t *block)
{
    for (int g = 0; g < 16; g++) {
        out->scales[g] = (int8_t)(block[g] & 15);
        out->minimums[g] = block[g] >> 4;
    }
    for (ptrdiff_t g = 0; g < 8; g++) {
        split_fields(out->codes + g * 32, block + 16 + g / 4 * 32, (int)(g % 4 * 2), 3);
    }
    out->scale = load_u16(block + 80);
    out->minimum = load_u16(block + 82);
}

static void split_q3_k(struct quant_split *out, const uint8_t *block)
{
    const uint8_t *scales = block + 96;
    for (int g = 0; g < 16; g++) {
        int low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
        int high = (scales[8 + g % 4] >> (g / 4 * 2)) & 3;
        out->scales[g] = (int8_t)((low | (high << 4)) - 32);
    }
    for (ptrdiff_t g = 0; g < 8; g++) {
        split_fields(out->codes + g * 32, block + 32 + g / 4 * 32, (int)(g % 4 * 2), 3);
        add_bits(out->codes + g * 32, block, (int)g, 1, 2);
    }
    out->scale = load_u16(block + 108);
}

void quant_split_q4_k_factors(struct quant_split *out, const uint8_t *block)
{
    const uint8_t *scales = block + 4;
    out->scale = load_u16(block);
    out->minimum = load_u16(block + 2);
    for (int g = 0; g < 4; g++) {
        out->scales[g] = (int8_t)(scales[g] & 63);
        out->minimums[g] = scales[g + 4] & 63;
        out->scales[g + 4] = (int8_t)((scales[g + 8] & 15) | ((scales[g] >> 6) << 4));
        out->minimums[g + 4] = (uint8_t)((scales[g + 8] >> 4) | ((scales[g + 4] >> 6) << 4));
    }
}

static void split_q4_k(struct quant_split *out, const uint8_t *block)
{
    quant_split_q4_k_factors(out, block);
    for (ptrdiff_t g = 0; g < 8; g++) {
        split_fields(out->codes + g * 32, block + 16 + g / 2 * 32, (int)(g % 2 * 4), 15);
    }
}

static void split_q5_k(struct quant_split *out, const uint8_t *block)
{
    quant_split_q4_k_factors(out, block);
    for (ptrdiff_t g = 0; g < 8; g++) {
        split_fields(out->codes + g * 32, block + 48 + g / 2 * 32, (int)(g % 2 * 4), 15);
        add_bits(out->codes + g * 32, block + 16, (int)g, 1, 4);
    }
}

void quant_split_q6_k_factors(struct quant_split *out, const uint8_t *block)
{
    memcpy(out->scales, block + 192, sizeof out->scales);
    out->scale = load_u16(block + 208);
}

static void split_q6_k(struct quant_split *out, const uint8_t *block)
{
    for (ptrdiff_t g = 0; g < 8; g++) {
        const uint8_t *low = block + g / 4 * 64 + g % 2 * 32;
        split_fields(out->codes + g * 32, low, (int)(g % 4 / 2 * 4), 15);
        add_bits(out->codes + g * 32, block + 128 + g / 4 * 32, (int)(g % 4 * 2), 3, 4);
    }
    quant_split_q6_k_factors(out, block);
}

static void split_iq4_xs(struct quant_split *out, const uint8_t *block)
{
    out->scale = load_u16(block);
    for (int g = 0; g < 8; g++) {
        int low = (block[4 + g / 2] >> (g % 2 * 4)) & 15;
        int high = (block[2 + g / 4] >> (g % 4 * 2)) & 3;
        out->scales[g] = (int8_t)((low | (high << 4)) - 32);
    }
    for (ptrdiff_t g = 0; g < 8; g++) {
        split_nibbles(out->codes + g * 32, block + 8 + g * 16);
    }
    look_up_iq4(out->codes, 256);
}

quant_split_fn quant_split_find(enum dtype dtype)
{
    static const quant_split_fn SPLITS[DTYPE_COUNT] = {
        [DTYPE_Q8_0] = split_q8_0, [DTYPE_Q4_0] = split_q4_0,     [DTYPE_Q4_1] = split_q4_1,
        [DTYPE_Q5_0] = split_q5_0, [DTYPE_Q5_1] = split_q5_1,     [DTYPE_Q2_K] = split_q2_k,
        [DTYPE_Q3_K] = split_q3_k, [DTYPE_Q4_K] = split_q4_k,     [DTYPE_Q5_K] = split_q5_k,
        [DTYPE_Q6_K] = split_q6_k, [DTYPE_IQ4_NL] = split_iq4_nl, [DTYPE_IQ4_XS] = split_iq4_xs,
    };
    return SPLITS[dtype];
}
