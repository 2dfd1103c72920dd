/* fma_probe_avx512.h - how many multiply-adds a core can do: the ceiling of the kernels.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_FMA_PROBE_AVX512_H
#define TESTS_SUPPORT_FMA_PROBE_AVX512_H

#include <stdint.h>

enum {
    FMA_PROBE_FLOPS = 2 * 16 * 16 /* of one round: 16 chains of 16 lanes */
};

/* Needs AVX-512. The result only keeps the compiler honest. */
float fma_probe_avx512_run(uint64_t round_count);

#endif
