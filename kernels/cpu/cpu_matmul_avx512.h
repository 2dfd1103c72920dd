/* cpu_matmul_avx512.h - the matmul part of a table, for AVX-512 F, BW, DQ and VL.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_MATMUL_AVX512_H
#define KERNELS_CPU_CPU_MATMUL_AVX512_H

#include "kernels/cpu/cpu_ops.h"

/* Replaces lane_count, dequantize, dot, accumulate and fold. */
void cpu_matmul_avx512_fill(struct cpu_ops *ops);

#endif
