/* cpu_ops_scalar.h - fills every member of a table with plain C.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_OPS_SCALAR_H
#define KERNELS_CPU_CPU_OPS_SCALAR_H

#include "kernels/cpu/cpu_ops.h"

void cpu_ops_scalar_fill(struct cpu_ops *ops);

#endif
