/* cpu_ops_avx512.h - storing and attention, for AVX-512 F, BW, DQ and VL.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_OPS_AVX512_H
#define KERNELS_CPU_CPU_OPS_AVX512_H

#include "kernels/cpu/cpu_ops.h"

/* Replaces name, store and the attention loops. */
void cpu_ops_avx512_fill(struct cpu_ops *ops);

#endif
