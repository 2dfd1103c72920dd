/* cpu_rows_avx512.c - loops over one row, or over values one by one, on sixteen lanes.
 *
 * Tails run through the same arithmetic as whole registers, on lanes that are loaded and stored
 * under a mask, so an element's result does not depend on where its row ends.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_rows_avx512.h"

#include "kernels/cpu/cpu_math_avx512.h"

#include <immintrin.h>
#include <math.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = CPU_MATH_LANES
};

/* ---- norms and rotation ---- */

/* Four registers to one sum, by one fixed tree. */
INLINE float sum_four(const __m512 lanes[4])
{
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(lanes[0], lanes[1]), _mm512_add_ps(lanes[2], lanes[3])));
}

static void rmsnorm(float *out, const float *in, const float *weight, uint32_t dim, float epsilon)
{
    __m512 squares[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                         _mm512_setzero_ps()};
    for (uint32_t i = 0, turn = 0; i < dim; i += LANES, turn = (turn + 1) % 4) {
        __m512 x = _mm512_maskz_loadu_ps(cpu_math_lanes(dim - i), in + i);
        squares[turn] = _mm512_fmadd_ps(x, x, squares[turn]);
    }
    float sum = sum_four(squares);
    __m512 scale = _mm512_set1_ps(1.0f / sqrtf(sum / (float)dim + epsilon));
    for (uint32_t i = 0; i < dim; i += LANES) {
        __mmask16 mask = cpu_math_lanes(dim - i);
        __m512 x = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, in + i), scale);
        x = _mm512_mul_ps(x, _mm512_maskz_loadu_ps(mask, weight + i));
        _mm512_mask_storeu_ps(out + i, mask, x);
    }
}

static void layernorm(float *out, const float *in, const float *weight, const float *bias,
                      uint32_t dim, float epsilon)
{
    const __m512 zero = _mm512_setzero_ps();
    __m512 sums[4] = {zero, zero, zero, zero};
    for (uint32_t i = 0, turn = 0; i < dim; i += LANES, turn = (turn + 1) % 4) {
        sums[turn] =
            _mm512_add_ps(sums[turn], _mm512_maskz_loadu_ps(cpu_math_lanes(dim - i), in + i));
    }
    __m512 mean = _mm512_set1_ps(sum_four(sums) / (float)dim);
    __m512 squares[4] = {zero, zero, zero, zero};
    for (uint32_t i = 0, turn = 0; i < dim; i += LANES, turn = (turn + 1) % 4) {
        __mmask16 mask = cpu_math_lanes(dim - i);
        __m512 x = _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, in + i), mean);
        squares[turn] = _mm512_fmadd_ps(x, x, squares[turn]);
    }
    __m512 scale = _mm512_set1_ps(1.0f / sqrtf(sum_four(squares) / (float)dim + epsilon));
    for (uint32_t i = 0; i < dim; i += LANES) {
        __mmask16 mask = cpu_math_lanes(dim - i);
        __m512 x = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, in + i), mean);
        __m512 added = bias != NULL ? _mm512_maskz_loadu_ps(mask, bias + i) : zero;
        x = _mm512_fmadd_ps(_mm512_mul_ps(x, scale), _mm512_maskz_loadu_ps(mask, weight + i),
                            added);
        _mm512_mask_storeu_ps(out + i, mask, x);
    }
}

static void rope_halves(float *head, const float *cos, const float *sin, uint32_t pair_count)
{
    for (uint32_t i = 0; i < pair_count; i += LANES) {
        __mmask16 mask = cpu_math_lanes(pair_count - i);
        __m512 a = _mm512_maskz_loadu_ps(mask, head + i);
        __m512 b = _mm512_maskz_loadu_ps(mask, head + pair_count + i);
        __m512 c = _mm512_maskz_loadu_ps(mask, cos + i);
        __m512 s = _mm512_maskz_loadu_ps(mask, sin + i);
        _mm512_mask_storeu_ps(head + i, mask, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
        _mm512_mask_storeu_ps(head + pair_count + i, mask,
                              _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)));
    }
}

/* Eight pairs (a, b) in a register: even lanes a c - b s, odd lanes b c + a s. */
static void rope_neighbours(float *head, const float *cos, const float *sin, uint32_t pair_count)
{
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    for (uint32_t i = 0; i < pair_count; i += LANES / 2) {
        uint32_t left = pair_count - i;
        __mmask16 mask = cpu_math_lanes((size_t)left * 2);
        __mmask16 angle_mask = left < LANES / 2 ? cpu_math_lanes(left) : cpu_math_lanes(LANES / 2);
        __m512 x = _mm512_maskz_loadu_ps(mask, head + (size_t)2 * i);
        __m512 c = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(angle_mask, cos + i));
        __m512 s = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(angle_mask, sin + i));
        __m512 partners = _mm512_permute_ps(x, 0xb1);
        _mm512_mask_storeu_ps(head + (size_t)2 * i, mask,
                              _mm512_fmaddsub_ps(x, c, _mm512_mul_ps(partners, s)));
    }
}

static void rope(float *head, const float *cos, const float *sin, uint32_t pair_count,
                 enum rope_style style)
{
    if (style == ROPE_NEIGHBOURS) {
        rope_neighbours(head, cos, sin, pair_count);
    } else {
        rope_halves(head, cos, sin, pair_count);
    }
}

/* ---- element by element ---- */

static void add_scaled(float *out, const float *a, const float *b, float scale, size_t value_count)
{
    const __m512 factor = _mm512_set1_ps(scale);
    for (size_t i = 0; i < value_count; i += LANES) {
        __mmask16 mask = cpu_math_lanes(value_count - i);
        __m512 added = _mm512_maskz_loadu_ps(mask, b + i);
        _mm512_mask_storeu_ps(out + i, mask,
                              _mm512_fmadd_ps(factor, added, _mm512_maskz_loadu_ps(mask, a + i)));
    }
}

static void scale_cap(float *x, float scale, float cap, size_t value_count)
{
    const __m512 factor = _mm512_set1_ps(scale);
    const __m512 bound = _mm512_set1_ps(cap);
    for (size_t i = 0; i < value_count; i += LANES) {
        __mmask16 mask = cpu_math_lanes(value_count - i);
        __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), factor);
        if (cap > 0.0f) {
            scaled = _mm512_mul_ps(bound, cpu_math_tanh(_mm512_div_ps(scaled, bound)));
        }
        _mm512_mask_storeu_ps(x + i, mask, scaled);
    }
}

/* ---- activations ---- */

/* x / (1 + exp(-z)) */
INLINE __m512 sigmoid_times(__m512 x, __m512 z)
{
    __m512 one = _mm512_set1_ps(1.0f);
    __m512 below = _mm512_add_ps(one, cpu_math_exp(_mm512_sub_ps(_mm512_setzero_ps(), z)));
    return _mm512_div_ps(x, below);
}

INLINE __m512 silu(__m512 x)
{
    return sigmoid_times(x, x);
}

/* x/2 (1 + tanh u) = x / (1 + exp(-2u)), with u = sqrt(2/pi) (x + 0.044715 x^3). */
INLINE __m512 gelu_tanh(__m512 x)
{
    __m512 cubic =
        _mm512_fmadd_ps(_mm512_mul_ps(_mm512_set1_ps(0.044715f), x), x, _mm512_set1_ps(1.0f));
    __m512 z = _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(1.5957691216f), x), cubic);
    return sigmoid_times(x, z);
}

INLINE __m512 relu(__m512 x)
{
    return _mm512_max_ps(_mm512_setzero_ps(), x);
}

#define ACTIVATE(name, function)                                                                   \
    static void activate_##name(float *x, size_t value_count)                                      \
    {                                                                                              \
        for (size_t i = 0; i < value_count; i += LANES) {                                          \
            __mmask16 mask = cpu_math_lanes(value_count - i);                                      \
            _mm512_mask_storeu_ps(x + i, mask, function(_mm512_maskz_loadu_ps(mask, x + i)));      \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static void gated_##name(float *out, const float *gate, const float *up, size_t value_count)   \
    {                                                                                              \
        for (size_t i = 0; i < value_count; i += LANES) {                                          \
            __mmask16 mask = cpu_math_lanes(value_count - i);                                      \
            __m512 activated = function(_mm512_maskz_loadu_ps(mask, gate + i));                    \
            __m512 factor = _mm512_maskz_loadu_ps(mask, up + i);                                   \
            _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(activated, factor));                \
        }                                                                                          \
    }

ACTIVATE(silu, silu)
ACTIVATE(gelu_tanh, gelu_tanh)
ACTIVATE(gelu, cpu_math_gelu)
ACTIVATE(relu, relu)

static void gated_swiglu_clamped(float *out, const float *gate, const float *up, size_t value_count)
{
    const __m512 high = _mm512_set1_ps(7.0f);
    const __m512 low = _mm512_set1_ps(-7.0f);
    for (size_t i = 0; i < value_count; i += LANES) {
        __mmask16 mask = cpu_math_lanes(value_count - i);
        __m512 x = _mm512_min_ps(high, _mm512_maskz_loadu_ps(mask, gate + i));
        __m512 y = _mm512_min_ps(high, _mm512_maskz_loadu_ps(mask, up + i));
        y = _mm512_add_ps(_mm512_max_ps(low, y), _mm512_set1_ps(1.0f));
        x = sigmoid_times(x, _mm512_mul_ps(x, _mm512_set1_ps(1.702f)));
        _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(x, y));
    }
}

void cpu_rows_avx512_fill(struct cpu_ops *ops)
{
    ops->rmsnorm = rmsnorm;
    ops->layernorm = layernorm;
    ops->rope = rope;
    ops->add_scaled = add_scaled;
    ops->scale_cap = scale_cap;
    ops->activate[ACTIVATION_SILU] = activate_silu;
    ops->activate[ACTIVATION_GELU_TANH] = activate_gelu_tanh;
    ops->activate[ACTIVATION_GELU] = activate_gelu;
    ops->activate[ACTIVATION_RELU] = activate_relu;
    ops->gated[ACTIVATION_SILU] = gated_silu;
    ops->gated[ACTIVATION_GELU_TANH] = gated_gelu_tanh;
    ops->gated[ACTIVATION_GELU] = gated_gelu;
    ops->gated[ACTIVATION_RELU] = gated_relu;
    ops->gated[ACTIVATION_SWIGLU_CLAMPED] = gated_swiglu_clamped;
}
