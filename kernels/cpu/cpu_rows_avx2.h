/* cpu_rows_avx2.h - loops over rows and over values one by one, for AVX2, FMA and F16C.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_ROWS_AVX2_H
#define KERNELS_CPU_CPU_ROWS_AVX2_H

#include "kernels/cpu/cpu_ops.h"

/* Replaces the norms, rope, the activations, add_scaled and scale_cap. */
void cpu_rows_avx2_fill(struct cpu_ops *ops);

#endif
