/* quant_k.h - the storage formats whose blocks hold 256 values; for quant.c's table and quant_write_k.c.
 *
 * value_count is a multiple of 256 everywhere. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_QUANT_K_H
#define KERNELS_QUANT_K_H

#include <stddef.h>
#include <stdint.h>

/* The sixteen values that iq4_nl and iq4_xs codes stand for. */
extern const int8_t quant_k_iq4_values[16];

/* The code whose value times scale is nearest. */
int quant_k_iq4_nearest(float value, float scale);

void quant_k_dequantize_q2(float *out, const void *blocks, size_t value_count);
void quant_k_dequantize_q3(float *out, const void *blocks, size_t value_count);
void quant_k_dequantize_q4(float *out, const void *blocks, size_t value_count);
void quant_k_dequantize_q5(float *out, const void *blocks, size_t value_count);
void quant_k_dequantize_q6(float *out, const void *blocks, size_t value_count);
void quant_k_dequantize_iq4_xs(float *out, const void *blocks, size_t value_count);

void quant_k_quantize_q2(void *blocks, const float *in, size_t value_count);
void quant_k_quantize_q3(void *blocks, const float *in, size_t value_count);
void quant_k_quantize_q4(void *blocks, const float *in, size_t value_count);
void quant_k_quantize_q5(void *blocks, const float *in, size_t value_count);
void quant_k_quantize_q6(void *blocks, const float *in, size_t value_count);
void quant_k_quantize_iq4_xs(void *blocks, const float *in, size_t value_count);

/* What a block of q4_K, q5_K or q6_K consists of, before it is packed. */
struct quant_k_parts {
    uint16_t d;    /* f16: the scale of the scales */
    uint16_t dmin; /* f16: the scale of the minimums; q6_K has none */
    int8_t scales[16];
    uint8_t minimums[8];
    uint8_t codes[256]; /* q6_K: + 32 */
};

/* Writes the one block: q4_K and q5_K with 8 scales of 0..63, 8 minimums of 0..63 and codes of 4 or 5
 * bits; q6_K with 16 scales and codes of 6 bits. */
void quant_k_pack_q4(void *block, const struct quant_k_parts *parts);
void quant_k_pack_q5(void *block, const struct quant_k_parts *parts);
void quant_k_pack_q6(void *block, const struct quant_k_parts *parts);

#endif
