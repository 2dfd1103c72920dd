/* cpu_matmul_avx2.h - the matmul part of a table, for AVX2, FMA and F16C.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_MATMUL_AVX2_H
#define KERNELS_CPU_CPU_MATMUL_AVX2_H

#include "kernels/cpu/cpu_ops.h"

/* Replaces lane_count, dequantize, dot, accumulate and fold. */
void cpu_matmul_avx2_fill(struct cpu_ops *ops);

#endif
