/* cpu_panel.h - what the inner loops of integer products take: quantised inputs, one panel.
 *
 * Inputs are quantised in groups of 32 values: x = code * scale, |code| <= 127 or 32767. Of 8 bits the
 * scale has two bits behind its leading one: multiplying by it is exact, so that kernels may share
 * it out among the factors (struct cpu_panel_tail). A group is a block of bytes: codes, then the
 * tail. Blocks lie [chunk][row][group of the chunk].
 * Byte codes are in order; wide codes are int16 with the four values of a quad as 0 2 1 3, since
 * kernels split packed weights into even and odd bytes.
 *
 * Every table gives the same bits. For one output, group by group in ascending k:
 *     sum = fma((float)(integer sum) * scale, step, sum)            for each sub
 *     sum = fma(minimum, tail sum, sum)                             for each sub, with minimums
 * where the integer sum is exact whatever its order: |255 * 32767 * 32| < 2^31.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_PANEL_H
#define KERNELS_CPU_CPU_PANEL_H

#include "kernels/panel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    CPU_PANEL_BYTE_BLOCK = 64, /* bytes of a group with byte codes */
    CPU_PANEL_WIDE_BLOCK = 96, /* bytes of a group with wide codes */
    CPU_PANEL_BYTE_LIMIT = 127,
    CPU_PANEL_ROWS_MAX = 48, /* input rows of one call: a chunk of them stays in the L1 cache */
    CPU_PANEL_SUMS = CPU_PANEL_ROWS_MAX * PANEL_ROWS,
};

/* start = -code_offset * (sum of codes): where the integer sum begins, so that unsigned codes come
 * out signed. One for each half of the group, or one for all in [0]; sums alike.
 *
 * In blocks of byte codes, scale = power * (1 + quarters / 4) with a power of two, and start counts
 * from the bits of `origin`, 1.5 * 2^23 * power, whose last bit is worth `power`: the integer sum,
 * read as a float, is origin + sum * power without any conversion, exactly so while |sum| < 2^22.
 * The quarters then go into the step, exactly, once for all inputs that have as many. */
struct cpu_panel_tail {
    float scale;
    int32_t start[2];
    float sum[2]; /* scale * (sum of codes) */
    float origin; /* of byte codes; so quarters */
    uint32_t quarters;
};

/* Quantises one row. A group with an infinity or NaN gets the scale NaN, which spoils every output
 * of the row, as it would in float; so, with 8 bits, does one from 2^100 on. One below 2^-100 is
 * zero. */
struct cpu_panel_quantize {
    uint8_t *out;        /* the row's block of group 0 */
    size_t chunk_stride; /* bytes from one chunk of the row to the next */
    const float *in;     /* [group_count * 32] */
    uint32_t group_count;
    int32_t code_offset;
    uint32_t sub_count;
    float limit; /* 127 or 32767 */
};

/* The scale of 8 bits for a group whose largest magnitude is `largest`, 2^-100 .. 2^100: the least
 * of 1, 1.25, 1.5, 1.75 times a power of two by which it rounds to 127 at most. */
static inline float cpu_panel_byte_scale(float largest)
{
    float least = largest * (1.0f / 127.4375f); /* not quite 127.5: the division rounds too */
    uint32_t bits;
    float scale;
    memcpy(&bits, &least, sizeof bits);
    bits = (bits + 0x1fffffu) & ~0x1fffffu;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

/* The scale for a group, and by what its values are multiplied to become codes. `largest` is
 * 2^-100 .. 2^127. */
static inline float cpu_panel_scale(float largest, float limit, float *inverse)
{
    if (limit > CPU_PANEL_BYTE_LIMIT) {
        *inverse = limit / largest;
        return largest / limit;
    }
    float scale = largest < 0x1p100f ? cpu_panel_byte_scale(largest) : __builtin_nanf("");
    *inverse = 1.0f / scale;
    return scale;
}

/* out[r, c] = inputs[r] . panel row c (+ bias[c]) (+ residual[r, c]) */
struct cpu_panel_dot {
    const uint8_t *panel;
    const uint8_t *inputs; /* chunk 0 of the first row */
    size_t chunk_stride;
    uint32_t group_count;
    uint32_t row_count;    /* 1..CPU_PANEL_ROWS_MAX */
    uint32_t column_count; /* 1..PANEL_ROWS: outputs to store */
    float *sums;           /* [CPU_PANEL_SUMS], 64-byte aligned: scratch */
    float *out;            /* rows out_stride apart; so bias's and residual's column 0 */
    size_t out_stride;
    const float *bias;     /* [column_count], or NULL */
    const float *residual; /* rows out_stride apart, or NULL; may be out */
};

typedef void (*cpu_panel_quantize_fn)(const struct cpu_panel_quantize *args);
typedef void (*cpu_panel_dot_fn)(const struct cpu_panel_dot *args);
typedef void (*cpu_panel_pack_fn)(const struct panel_weight *weight, const struct tensor *stored,
                                  uint32_t panel_index);

#endif
