/* quant_write_k.h - the formats with blocks of 256, written well; for quant_write.c's table alone.
 *
 * value_count is a multiple of 256. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_QUANT_WRITE_K_H
#define KERNELS_QUANT_WRITE_K_H

#include <stddef.h>

void quant_write_k_q4(void *blocks, const float *in, size_t value_count);
void quant_write_k_q5(void *blocks, const float *in, size_t value_count);
void quant_write_k_q6(void *blocks, const float *in, size_t value_count);

#endif
