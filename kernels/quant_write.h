/* quant_write.h - f32 weights -> stored blocks, for model files: as good as the format allows.
 *
 * The formats with blocks of 32 are written exactly as ggml writes them without an importance matrix,
 * to the last bit. Those with blocks of 256 have a search of our own: scales (and minimums) of each
 * group by weighted least squares over a row of candidates, then each rounded scale beside its
 * neighbours; the weight of a value is its magnitude plus the root mean square of its group, so that
 * what moves a sum most is kept best. quant.h's own quantize is plainer and much faster.
 * Thread: any. Every block depends on its own values alone. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_QUANT_WRITE_H
#define KERNELS_QUANT_WRITE_H

#include "kernels/tensor.h"

#include <stdbool.h>
#include <stddef.h>

/* Which dtypes can be written: the float types, q8_0, q4_0, q4_1, q5_0, q5_1, q4_K, q5_K, q6_K. */
bool quant_write_possible(enum dtype dtype);

/* value_count is a multiple of the format's block_values, and every value is finite. A scale beyond
 * f16 becomes infinite, as the format would have it: whoever reads back sees it. */
void quant_write_blocks(enum dtype dtype, void *blocks, const float *in, size_t value_count);

#endif
