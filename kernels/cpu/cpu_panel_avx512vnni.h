/* cpu_panel_avx512vnni.h - integer products for AVX-512 F, BW, DQ, VL and VNNI.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_PANEL_AVX512VNNI_H
#define KERNELS_CPU_CPU_PANEL_AVX512VNNI_H

#include "kernels/cpu/cpu_ops.h"

void cpu_panel_avx512vnni_fill(struct cpu_ops *ops);

#endif
