/* quant_split.h - a stored block taken apart into integers: codes, group scales, minimums.
 *
 * What quant.h's `dequantize` multiplies out, left as factors, so that weights can be laid out
 * anew without rounding. Value i of a block, of group g = i / group_values, is
 *     step * (code - code_offset) + minimum
 * where step is the f16 `scale` (times scales[g] in the types with blocks of 256), and minimum the
 * f16 `minimum` (there: minus minimum times minimums[g]), in the types that have one.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_QUANT_SPLIT_H
#define KERNELS_QUANT_SPLIT_H

#include "kernels/tensor.h"

#include <stdint.h>

enum {
    QUANT_SPLIT_VALUES = 256, /* of the largest block */
    QUANT_SPLIT_GROUPS = 16,
};

struct quant_split {
    uint8_t codes[QUANT_SPLIT_VALUES];
    int8_t scales[QUANT_SPLIT_GROUPS];    /* blocks of 256 only */
    uint8_t minimums[QUANT_SPLIT_GROUPS]; /* blocks of 256 that have minimums only */
    uint16_t scale;                       /* f16 bits */
    uint16_t minimum;                     /* f16 bits, where there is one */
};

typedef void (*quant_split_fn)(struct quant_split *out, const uint8_t *block);

/* Scales and minimums alone of a q4_K (or q5_K, which begins alike) and a q6_K block. */
void quant_split_q4_k_factors(struct quant_split *out, const uint8_t *block);
void quant_split_q6_k_factors(struct quant_split *out, const uint8_t *block);

/* NULL for the types that are not integers times f16 scales. */
quant_split_fn quant_split_find(enum dtype dtype);

#endif
