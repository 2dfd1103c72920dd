/* dot_probe_avx512vnni.c - sixteen independent chains: enough for any latency.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/dot_probe_avx512vnni.h"

#include <immintrin.h>

int32_t dot_probe_avx512vnni_run(uint64_t round_count)
{
    __m512i chains[16];
    __m512i codes = _mm512_set1_epi8(3);
    __m512i inputs = _mm512_set1_epi8(-2);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        chains[i] = _mm512_set1_epi32(i);
    }
    for (uint64_t round = 0; round < round_count; round++) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            chains[i] = _mm512_dpbusd_epi32(chains[i], codes, inputs);
        }
    }
#pragma GCC unroll 16
    for (int i = 1; i < 16; i++) {
        chains[0] = _mm512_add_epi32(chains[0], chains[i]);
    }
    return _mm512_reduce_add_epi32(chains[0]);
}
