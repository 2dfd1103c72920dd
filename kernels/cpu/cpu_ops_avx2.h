/* cpu_ops_avx2.h - storing and attention, for AVX2, FMA and F16C.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_OPS_AVX2_H
#define KERNELS_CPU_CPU_OPS_AVX2_H

#include "kernels/cpu/cpu_ops.h"

/* Replaces name, store and the attention loops. */
void cpu_ops_avx2_fill(struct cpu_ops *ops);

#endif
