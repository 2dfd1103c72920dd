/* cpu_rows_avx512.h - loops over rows and over values one by one, for AVX-512 F, BW, DQ and VL.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_ROWS_AVX512_H
#define KERNELS_CPU_CPU_ROWS_AVX512_H

#include "kernels/cpu/cpu_ops.h"

/* Replaces the norms, rope, the activations, add_scaled and scale_cap. */
void cpu_rows_avx512_fill(struct cpu_ops *ops);

#endif
