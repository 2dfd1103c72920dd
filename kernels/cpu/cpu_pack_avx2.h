/* cpu_pack_avx2.h - weights into panels, for AVX2: the same bytes as panel_pack, at memory's speed.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_PACK_AVX2_H
#define KERNELS_CPU_CPU_PACK_AVX2_H

#include "kernels/cpu/cpu_ops.h"

void cpu_pack_avx2_fill(struct cpu_ops *ops);

#endif
