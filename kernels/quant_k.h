/* quant_k.h - the storage formats whose blocks hold 256 values; used by quant.c's table alone.
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

#endif
