/* dot_probe_avx512vnni.h - how many products of bytes a core can do: the ceiling of integer kernels.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_DOT_PROBE_AVX512VNNI_H
#define TESTS_SUPPORT_DOT_PROBE_AVX512VNNI_H

#include <stdint.h>

enum {
    DOT_PROBE_OPS = 2 * 16 * 64 /* of one round: 16 chains of 64 products and additions */
};

/* Needs AVX-512 VNNI. The result only keeps the compiler honest. */
int32_t dot_probe_avx512vnni_run(uint64_t round_count);

#endif
