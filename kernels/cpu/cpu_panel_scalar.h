/* cpu_panel_scalar.h - integer products in plain C: the definition of every other table's.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_PANEL_SCALAR_H
#define KERNELS_CPU_CPU_PANEL_SCALAR_H

#include "kernels/cpu/cpu_ops.h"

void cpu_panel_scalar_fill(struct cpu_ops *ops);

#endif
