/* cpu_panel.h - what the inner loops of integer products take: quantised inputs, one panel.
 *
 * Inputs are quantised in groups of 32 values: x = code * scale, |code| <= 127 or 32767. A group is a
 * block of bytes: codes, then struct cpu_panel_tail. Blocks lie [chunk][row][group of the chunk].
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

enum {
    CPU_PANEL_BYTE_BLOCK = 64, /* bytes of a group with byte codes */
    CPU_PANEL_WIDE_BLOCK = 96, /* bytes of a group with wide codes */
    CPU_PANEL_ROWS_MAX = 48,   /* input rows of one call: a chunk of them stays in the L1 cache */
    CPU_PANEL_SUMS = CPU_PANEL_ROWS_MAX * PANEL_ROWS,
};

/* start = -code_offset * (sum of codes): where the integer sum begins, so that unsigned codes come
 * out signed. One for each half of the group, or one for all in [0]; sums alike. */
struct cpu_panel_tail {
    float scale;
    int32_t start[2];
    float sum[2]; /* scale * (sum of codes) */
};

/* Quantises one row. A group with an infinity or NaN gets the scale NaN, which spoils every output
 * of the row, as it would in float; one below 2^-100 is zero. */
struct cpu_panel_quantize {
    uint8_t *out;        /* the row's block of group 0 */
    size_t chunk_stride; /* bytes from one chunk of the row to the next */
    const float *in;     /* [group_count * 32] */
    uint32_t group_count;
    int32_t code_offset;
    uint32_t sub_count;
    float limit; /* 127 or 32767 */
};

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
