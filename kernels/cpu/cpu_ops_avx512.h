/* cpu_ops_avx512.h - all but the matmul part of a table, for AVX-512 F, BW, DQ and VL.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_OPS_AVX512_H
#define KERNELS_CPU_CPU_OPS_AVX512_H

#include "kernels/cpu/cpu_ops.h"

/* Replaces name, store, the attention loops and the row loops. */
void cpu_ops_avx512_fill(struct cpu_ops *ops);

#endif
