/* quant.h - the storage formats of weights: block sizes, and exact scalar conversion.
 *
 * Layouts are those of GGUF (ggml): a row is a sequence of blocks, each holding block_values
 * weights in block_bytes bytes. `dequantize` is the definition of what stored bytes mean; every
 * faster kernel is checked against it.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_QUANT_H
#define KERNELS_QUANT_H

#include "kernels/tensor.h"

#include <stddef.h>
#include <stdint.h>

struct quant_format {
    const char *name;      /* as users know it: "q4_K", "bf16" */
    uint32_t block_values; /* 1 for the float types */
    uint32_t block_bytes;
    /* value_count is a multiple of block_values. Equal to ggml's own result bit for bit. */
    void (*dequantize)(float *out, const void *blocks, size_t value_count);
    /* Plain round-to-nearest: for tests and for the synthetic models, not for the best quality. */
    void (*quantize)(void *blocks, const float *in, size_t value_count);
};

/* The format of a dtype; never NULL for dtype < DTYPE_COUNT. */
const struct quant_format *quant_format_get(enum dtype dtype);

/* Bytes of a row of value_count values, which must be a multiple of block_values. */
uint64_t quant_row_bytes(enum dtype dtype, uint64_t value_count);

/* Exact IEEE conversions, round to nearest even, for scalar code and tests. */
float quant_f16_to_f32(uint16_t bits);
uint16_t quant_f32_to_f16(float value);
float quant_bf16_to_f32(uint16_t bits);
uint16_t quant_f32_to_bf16(float value);

#endif
