/* cpu_panel_avx2.h - integer products for AVX2: inputs as int16, multiplied in pairs.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_PANEL_AVX2_H
#define KERNELS_CPU_CPU_PANEL_AVX2_H

#include "kernels/cpu/cpu_ops.h"

void cpu_panel_avx2_fill(struct cpu_ops *ops);

#endif
