/* cpu_rows_avx2.c - loops over one row, or over values one by one, on eight lanes.
 *
 * Tails run through the same arithmetic as whole registers, on lanes that are loaded and stored
 * under a mask, so an element's result does not depend on where its row ends.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_rows_avx2.h"

#include "kernels/cpu/cpu_math_avx2.h"

#include <immintrin.h>
#include <math.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = CPU_MATH_LANES
};

/* ---- norms and rotation ---- */

/* Four registers to one sum, by one fixed tree. */
INLINE float sum_four(const __m256 lanes[4])
{
    __m256 all =
        _mm256_add_ps(_mm256_add_ps(lanes[0], lanes[1]), _mm256_add_ps(lanes[2], lanes[3]));
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

/* a - b in the lanes of the mask, zero in the others. */
INLINE __m256 masked_sub(__m256 a, __m256 b, __m256i mask)
{
    return _mm256_and_ps(_mm256_sub_ps(a, b), _mm256_castsi256_ps(mask));
}

static void rmsnorm(float *out, const float *in, const float *weight, uint32_t dim, float epsilon)
{
    __m256 squares[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                         _mm256_setzero_ps()};
    for (uint32_t i = 0, turn = 0; i < dim; i += LANES, turn = (turn + 1) % 4) {
        __m256 x = _mm256_maskload_ps(in + i, cpu_math_lanes(dim - i));
        squares[turn] = _mm256_fmadd_ps(x, x, squares[turn]);
    }
    float sum = sum_four(squares);
    __m256 scale = _mm256_set1_ps(1.0f / sqrtf(sum / (float)dim + epsilon));
    for (uint32_t i = 0; i < dim; i += LANES) {
        __m256i mask = cpu_math_lanes(dim - i);
        __m256 x = _mm256_mul_ps(_mm256_maskload_ps(in + i, mask), scale);
        _mm256_maskstore_ps(out + i, mask, _mm256_mul_ps(x, _mm256_maskload_ps(weight + i, mask)));
    }
}

static void layernorm(float *out, const float *in, const float *weight, const float *bias,
                      uint32_t dim, float epsilon)
{
    const __m256 zero = _mm256_setzero_ps();
    __m256 sums[4] = {zero, zero, zero, zero};
    for (uint32_t i = 0, turn = 0; i < dim; i += LANES, turn = (turn + 1) % 4) {
        sums[turn] = _mm256_add_ps(sums[turn], _mm256_maskload_ps(in + i, cpu_math_lanes(dim - i)));
    }
    __m256 mean = _mm256_set1_ps(sum_four(sums) / (float)dim);
    __m256 squares[4] = {zero, zero, zero, zero};
    for (uint32_t i = 0, turn = 0; i < dim; i += LANES, turn = (turn + 1) % 4) {
        __m256i mask = cpu_math_lanes(dim - i);
        __m256 x = masked_sub(_mm256_maskload_ps(in + i, mask), mean, mask);
        squares[turn] = _mm256_fmadd_ps(x, x, squares[turn]);
    }
    __m256 scale = _mm256_set1_ps(1.0f / sqrtf(sum_four(squares) / (float)dim + epsilon));
    for (uint32_t i = 0; i < dim; i += LANES) {
        __m256i mask = cpu_math_lanes(dim - i);
        __m256 x = _mm256_sub_ps(_mm256_maskload_ps(in + i, mask), mean);
        __m256 added = bias != NULL ? _mm256_maskload_ps(bias + i, mask) : zero;
        x = _mm256_fmadd_ps(_mm256_mul_ps(x, scale), _mm256_maskload_ps(weight + i, mask), added);
        _mm256_maskstore_ps(out + i, mask, x);
    }
}

static void rope_halves(float *head, const float *cos, const float *sin, uint32_t pair_count)
{
    for (uint32_t i = 0; i < pair_count; i += LANES) {
        __m256i mask = cpu_math_lanes(pair_count - i);
        __m256 a = _mm256_maskload_ps(head + i, mask);
        __m256 b = _mm256_maskload_ps(head + pair_count + i, mask);
        __m256 c = _mm256_maskload_ps(cos + i, mask);
        __m256 s = _mm256_maskload_ps(sin + i, mask);
        _mm256_maskstore_ps(head + i, mask, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
        _mm256_maskstore_ps(head + pair_count + i, mask,
                            _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
    }
}

/* Four pairs (a, b) in a register: even lanes a c - b s, odd lanes b c + a s. */
static void rope_neighbours(float *head, const float *cos, const float *sin, uint32_t pair_count)
{
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    for (uint32_t i = 0; i < pair_count; i += LANES / 2) {
        uint32_t left = pair_count - i < LANES / 2 ? pair_count - i : LANES / 2;
        __m256i mask = cpu_math_lanes((size_t)left * 2);
        __m256i angle_mask = cpu_math_lanes(left);
        __m256 x = _mm256_maskload_ps(head + (size_t)2 * i, mask);
        __m256 c = _mm256_permutevar8x32_ps(_mm256_maskload_ps(cos + i, angle_mask), twice);
        __m256 s = _mm256_permutevar8x32_ps(_mm256_maskload_ps(sin + i, angle_mask), twice);
        __m256 partners = _mm256_permute_ps(x, 0xb1);
        _mm256_maskstore_ps(head + (size_t)2 * i, mask,
                            _mm256_fmaddsub_ps(x, c, _mm256_mul_ps(partners, s)));
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
    const __m256 factor = _mm256_set1_ps(scale);
    for (size_t i = 0; i < value_count; i += LANES) {
        __m256i mask = cpu_math_lanes(value_count - i);
        __m256 added = _mm256_maskload_ps(b + i, mask);
        _mm256_maskstore_ps(out + i, mask,
                            _mm256_fmadd_ps(factor, added, _mm256_maskload_ps(a + i, mask)));
    }
}

static void scale_cap(float *x, float scale, float cap, size_t value_count)
{
    const __m256 factor = _mm256_set1_ps(scale);
    const __m256 bound = _mm256_set1_ps(cap);
    for (size_t i = 0; i < value_count; i += LANES) {
        __m256i mask = cpu_math_lanes(value_count - i);
        __m256 scaled = _mm256_mul_ps(_mm256_maskload_ps(x + i, mask), factor);
        if (cap > 0.0f) {
            scaled = _mm256_mul_ps(bound, cpu_math_tanh(_mm256_div_ps(scaled, bound)));
        }
        _mm256_maskstore_ps(x + i, mask, scaled);
    }
}

/* ---- activations ---- */

/* x / (1 + exp(-z)) */
INLINE __m256 sigmoid_times(__m256 x, __m256 z)
{
    __m256 one = _mm256_set1_ps(1.0f);
    __m256 below = _mm256_add_ps(one, cpu_math_exp(_mm256_sub_ps(_mm256_setzero_ps(), z)));
    return _mm256_div_ps(x, below);
}

INLINE __m256 silu(__m256 x)
{
    return sigmoid_times(x, x);
}

/* x/2 (1 + tanh u) = x / (1 + exp(-2u)), with u = sqrt(2/pi) (x + 0.044715 x^3). */
INLINE __m256 gelu_tanh(__m256 x)
{
    __m256 cubic =
        _mm256_fmadd_ps(_mm256_mul_ps(_mm256_set1_ps(0.044715f), x), x, _mm256_set1_ps(1.0f));
    __m256 z = _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(1.5957691216f), x), cubic);
    return sigmoid_times(x, z);
}

INLINE __m256 relu(__m256 x)
{
    return _mm256_max_ps(_mm256_setzero_ps(), x);
}

#define ACTIVATE(name, function)                                                                   \
    static void activate_##name(float *x, size_t value_count)                                      \
    {                                                                                              \
        for (size_t i = 0; i < value_count; i += LANES) {                                          \
            __m256i mask = cpu_math_lanes(value_count - i);                                        \
            _mm256_maskstore_ps(x + i, mask, function(_mm256_maskload_ps(x + i, mask)));           \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static void gated_##name(float *out, const float *gate, const float *up, size_t value_count)   \
    {                                                                                              \
        for (size_t i = 0; i < value_count; i += LANES) {                                          \
            __m256i mask = cpu_math_lanes(value_count - i);                                        \
            __m256 activated = function(_mm256_maskload_ps(gate + i, mask));                       \
            __m256 factor = _mm256_maskload_ps(up + i, mask);                                      \
            _mm256_maskstore_ps(out + i, mask, _mm256_mul_ps(activated, factor));                  \
        }                                                                                          \
    }

ACTIVATE(silu, silu)
ACTIVATE(gelu_tanh, gelu_tanh)
ACTIVATE(gelu, cpu_math_gelu)
ACTIVATE(relu, relu)

static void gated_swiglu_clamped(float *out, const float *gate, const float *up, size_t value_count)
{
    const __m256 high = _mm256_set1_ps(7.0f);
    const __m256 low = _mm256_set1_ps(-7.0f);
    for (size_t i = 0; i < value_count; i += LANES) {
        __m256i mask = cpu_math_lanes(value_count - i);
        __m256 x = _mm256_min_ps(high, _mm256_maskload_ps(gate + i, mask));
        __m256 y = _mm256_min_ps(high, _mm256_maskload_ps(up + i, mask));
        y = _mm256_add_ps(_mm256_max_ps(low, y), _mm256_set1_ps(1.0f));
        x = sigmoid_times(x, _mm256_mul_ps(x, _mm256_set1_ps(1.702f)));
        _mm256_maskstore_ps(out + i, mask, _mm256_mul_ps(x, y));
    }
}

void cpu_rows_avx2_fill(struct cpu_ops *ops)
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
