/* cpu_math_avx512.h - functions of sixteen floats at once, for the inner loops on that many lanes.
 *
 * A lane's result depends on that lane's value alone, so a value gives the same bits wherever it
 * stands in a row. NaN stays NaN: min and max give back their second operand then.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_MATH_AVX512_H
#define KERNELS_CPU_CPU_MATH_AVX512_H

#include <immintrin.h>
#include <stddef.h>

#define CPU_MATH_INLINE static inline __attribute__((always_inline))

enum {
    CPU_MATH_LANES = 16
};

/* A mask of the first `count` lanes. */
CPU_MATH_INLINE __mmask16 cpu_math_lanes(size_t count)
{
    return count >= CPU_MATH_LANES ? (__mmask16)0xffff : (__mmask16)((1u << count) - 1);
}

/* x = n ln 2 + r with |r| <= ln 2 / 2; gives r. ln 2 is in two parts, so that r is exact where it
 * matters. */
CPU_MATH_INLINE __m512 cpu_math_reduce(__m512 x, __m512 *n)
{
    *n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                              _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(*n, _mm512_set1_ps(0.693145751953125f), x);
    return _mm512_fnmadd_ps(*n, _mm512_set1_ps(1.42860677e-6f), r);
}

/* (e^r - 1 - r) / r^2 by the series of e^r to r^7, whose rest is 5e-9 of e^r. */
CPU_MATH_INLINE __m512 cpu_math_series(__m512 r)
{
    __m512 sum = _mm512_set1_ps(1.0f / 5040);
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f / 720));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f / 120));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f / 24));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f / 6));
    return _mm512_fmadd_ps(sum, r, _mm512_set1_ps(0.5f));
}

/* exp to about 1e-7 relative: 2^n e^r. */
CPU_MATH_INLINE __m512 cpu_math_exp(__m512 x)
{
    __m512 n;
    x = _mm512_max_ps(_mm512_set1_ps(-200.0f), _mm512_min_ps(_mm512_set1_ps(200.0f), x));
    __m512 r = cpu_math_reduce(x, &n);
    __m512 sum = _mm512_fmadd_ps(cpu_math_series(r), r, _mm512_set1_ps(1.0f));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(sum, n); /* to zero and infinity at the ends */
}

/* tanh to about 3e-7 relative, small values too: d / (d + 2) with d = e^(2x) - 1
 * = 2^n (e^r - 1) + (2^n - 1). From |x| = 10 on, the float next to tanh is 1. */
CPU_MATH_INLINE __m512 cpu_math_tanh(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    __m512 n;
    __m512 twice = _mm512_add_ps(x, x);
    twice = _mm512_max_ps(_mm512_set1_ps(-20.0f), _mm512_min_ps(_mm512_set1_ps(20.0f), twice));
    __m512 r = cpu_math_reduce(twice, &n);
    __m512 less_one = _mm512_fmadd_ps(_mm512_mul_ps(r, r), cpu_math_series(r), r);
    __m512 power = _mm512_scalef_ps(one, n);
    __m512 d = _mm512_fmadd_ps(power, less_one, _mm512_sub_ps(power, one));
    return _mm512_div_ps(d, _mm512_add_ps(d, _mm512_set1_ps(2.0f)));
}

/* x Q(x), where Q is the normal distribution's integral: x/2 (1 + erf(x / sqrt 2)). For y = |x|,
 * Q(-y) = e^(-y^2 / 2) (c1 t + .. + c9 t^9) with t = 1 / (1 + 0.2625 y), coefficients fitted to
 * 2e-8 relative for y to 13.5; beyond, the exponential is zero. Q(y) = 1 - Q(-y). */
CPU_MATH_INLINE __m512 cpu_math_gelu(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    __m512 y = _mm512_abs_ps(x);
    __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(y, _mm512_set1_ps(0.2625f), one));
    __m512 sum = _mm512_set1_ps(0.030968446f);
    sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(-0.14988992f));
    sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(0.23698527f));
    sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(-0.13593158f));
    sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(0.15089408f));
    sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(0.05509881f));
    sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(0.10301191f));
    sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(0.10411148f));
    sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(0.10475152f));
    __m512 bell = cpu_math_exp(_mm512_mul_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(-0.5f)));
    __m512 below = _mm512_mul_ps(bell, _mm512_mul_ps(sum, t));
    __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
    return _mm512_mul_ps(x, _mm512_mask_sub_ps(below, positive, one, below));
}

#endif
