/* fma_probe_avx512.c - sixteen independent chains: enough for any latency.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fma_probe_avx512.h"

#include <immintrin.h>

float fma_probe_avx512_run(uint64_t round_count)
{
    __m512 chains[16];
    __m512 factor = _mm512_set1_ps(0.999f);
    __m512 term = _mm512_set1_ps(0.001f);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        chains[i] = _mm512_set1_ps((float)i);
    }
    for (uint64_t round = 0; round < round_count; round++) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            chains[i] = _mm512_fmadd_ps(chains[i], factor, term);
        }
    }
#pragma GCC unroll 16
    for (int i = 1; i < 16; i++) {
        chains[0] = _mm512_add_ps(chains[0], chains[i]);
    }
    return _mm512_reduce_add_ps(chains[0]);
}
