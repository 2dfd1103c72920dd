/* cpu_math_avx2.h - functions of eight floats at once, for the inner loops on that many lanes.
 *
 * A lane's result depends on that lane's value alone, so a value gives the same bits wherever it
 * stands in a row. NaN stays NaN: min and max give back their second operand then.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_MATH_AVX2_H
#define KERNELS_CPU_CPU_MATH_AVX2_H

#include <immintrin.h>
#include <stddef.h>

#define CPU_MATH_INLINE static inline __attribute__((always_inline))

enum {
    CPU_MATH_LANES = 8
};

/* All bits set in the first `count` lanes. */
CPU_MATH_INLINE __m256i cpu_math_lanes(size_t count)
{
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    int set = count < CPU_MATH_LANES ? (int)count : CPU_MATH_LANES;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(set), index);
}

/* x = n ln 2 + r with |r| <= ln 2 / 2; gives r. ln 2 is in two parts, so that r is exact where it
 * matters. */
CPU_MATH_INLINE __m256 cpu_math_reduce(__m256 x, __m256 *n)
{
    *n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                         _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(*n, _mm256_set1_ps(0.693145751953125f), x);
    return _mm256_fnmadd_ps(*n, _mm256_set1_ps(1.42860677e-6f), r);
}

/* (e^r - 1 - r) / r^2 by the series of e^r to r^7, whose rest is 5e-9 of e^r. */
CPU_MATH_INLINE __m256 cpu_math_series(__m256 r)
{
    __m256 sum = _mm256_set1_ps(1.0f / 5040);
    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0f / 720));
    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0f / 120));
    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0f / 24));
    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0f / 6));
    return _mm256_fmadd_ps(sum, r, _mm256_set1_ps(0.5f));
}

/* exp to about 1e-7 relative: 2^n e^r. Below 2^-126 it is zero. */
CPU_MATH_INLINE __m256 cpu_math_exp(__m256 x)
{
    const __m256 low = _mm256_set1_ps(-87.3f);
    __m256 n;
    __m256 clamped = _mm256_max_ps(low, _mm256_min_ps(_mm256_set1_ps(88.7f), x));
    __m256 r = cpu_math_reduce(clamped, &n);
    __m256 sum = _mm256_fmadd_ps(cpu_math_series(r), r, _mm256_set1_ps(1.0f));
    sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0f));
    /* n reaches 128, one more than an exponent holds: scale by 2^(n - 1), then by 2. */
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(126));
    __m256 scale = _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
    __m256 result = _mm256_mul_ps(_mm256_mul_ps(sum, scale), _mm256_set1_ps(2.0f));
    return _mm256_andnot_ps(_mm256_cmp_ps(x, low, _CMP_LT_OQ), result);
}

/* tanh to about 3e-7 relative, small values too: d / (d + 2) with d = e^(2x) - 1
 * = 2^n (e^r - 1) + (2^n - 1). From |x| = 10 on, the float next to tanh is 1. */
CPU_MATH_INLINE __m256 cpu_math_tanh(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 n;
    __m256 twice = _mm256_add_ps(x, x);
    twice = _mm256_max_ps(_mm256_set1_ps(-20.0f), _mm256_min_ps(_mm256_set1_ps(20.0f), twice));
    __m256 r = cpu_math_reduce(twice, &n);
    __m256 less_one = _mm256_fmadd_ps(_mm256_mul_ps(r, r), cpu_math_series(r), r);
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    __m256 power = _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
    __m256 d = _mm256_fmadd_ps(power, less_one, _mm256_sub_ps(power, one));
    return _mm256_div_ps(d, _mm256_add_ps(d, _mm256_set1_ps(2.0f)));
}

/* x Q(x), where Q is the normal distribution's integral: x/2 (1 + erf(x / sqrt 2)). For y = |x|,
 * Q(-y) = e^(-y^2 / 2) (c1 t + .. + c9 t^9) with t = 1 / (1 + 0.2625 y), coefficients fitted to
 * 2e-8 relative for y to 13.5; beyond, the exponential is zero. Q(y) = 1 - Q(-y). */
CPU_MATH_INLINE __m256 cpu_math_gelu(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 y = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
    __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(y, _mm256_set1_ps(0.2625f), one));
    __m256 sum = _mm256_set1_ps(0.030968446f);
    sum = _mm256_fmadd_ps(sum, t, _mm256_set1_ps(-0.14988992f));
    sum = _mm256_fmadd_ps(sum, t, _mm256_set1_ps(0.23698527f));
    sum = _mm256_fmadd_ps(sum, t, _mm256_set1_ps(-0.13593158f));
    sum = _mm256_fmadd_ps(sum, t, _mm256_set1_ps(0.15089408f));
    sum = _mm256_fmadd_ps(sum, t, _mm256_set1_ps(0.05509881f));
    sum = _mm256_fmadd_ps(sum, t, _mm256_set1_ps(0.10301191f));
    sum = _mm256_fmadd_ps(sum, t, _mm256_set1_ps(0.10411148f));
    sum = _mm256_fmadd_ps(sum, t, _mm256_set1_ps(0.10475152f));
    __m256 bell = cpu_math_exp(_mm256_mul_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(-0.5f)));
    __m256 below = _mm256_mul_ps(bell, _mm256_mul_ps(sum, t));
    __m256 positive = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ);
    return _mm256_mul_ps(x, _mm256_blendv_ps(below, _mm256_sub_ps(one, below), positive));
}

#endif
