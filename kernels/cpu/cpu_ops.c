/* cpu_ops.c - asks the processor what it has, and fills the table from the plain loops upwards:
 * each wider instruction set replaces what it does better.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_ops.h"

#include "kernels/cpu/cpu_matmul_avx2.h"
#include "kernels/cpu/cpu_matmul_avx512.h"
#include "kernels/cpu/cpu_ops_avx2.h"
#include "kernels/cpu/cpu_ops_avx512.h"
#include "kernels/cpu/cpu_ops_scalar.h"
#include "kernels/cpu/cpu_pack_avx2.h"
#include "kernels/cpu/cpu_panel_avx2.h"
#include "kernels/cpu/cpu_panel_avx512vnni.h"
#include "kernels/cpu/cpu_panel_scalar.h"
#include "kernels/cpu/cpu_rows_avx2.h"
#include "kernels/cpu/cpu_rows_avx512.h"

#include <cpuid.h>

/* __builtin_cpu_supports knows this one in gcc only. */
static bool has_f16c(void)
{
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

/* Early AVX-512 processors lack it: they take AVX2's integer products. */
static bool has_avx512vnni(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

enum isa cpu_ops_isa(enum isa isa_max)
{
    if (isa_max >= ISA_AVX512 && has_avx512vnni()) {
        return ISA_AVX512;
    }
    if (isa_max >= ISA_AVX512_OLD && has_avx512()) {
        return ISA_AVX512_OLD;
    }
    return isa_max >= ISA_AVX2 && has_avx2() ? ISA_AVX2 : ISA_SCALAR;
}

void cpu_ops_select(struct cpu_ops *ops, enum isa isa_max)
{
    enum isa isa = cpu_ops_isa(isa_max);
    cpu_ops_scalar_fill(ops);
    cpu_panel_scalar_fill(ops);
    if (isa >= ISA_AVX2) {
        cpu_panel_avx2_fill(ops);
        cpu_pack_avx2_fill(ops);
    }
    if (isa >= ISA_AVX512) {
        cpu_panel_avx512vnni_fill(ops);
    }
    if (isa >= ISA_AVX512_OLD) {
        cpu_matmul_avx512_fill(ops);
        cpu_ops_avx512_fill(ops);
        cpu_rows_avx512_fill(ops);
    } else if (isa >= ISA_AVX2) {
        cpu_matmul_avx2_fill(ops);
        cpu_ops_avx2_fill(ops);
        cpu_rows_avx2_fill(ops);
    }
}
