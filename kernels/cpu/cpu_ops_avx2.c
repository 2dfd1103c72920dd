/* cpu_ops_avx2.c - what attention does on eight lanes.
 *
 * Tails run through the same arithmetic as whole registers, on lanes that are loaded and stored
 * under a mask, so an element's result does not depend on where its row ends. Attention tiles are
 * 4 keys x 2 queries and 2 queries x 32 values: 8 accumulators hide the latency of an FMA.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_ops_avx2.h"

#include "kernels/cpu/cpu_math_avx2.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = 8,
    TILE = CPU_OPS_TILE,
};

INLINE __m256 load_lanes(const float *in, __m256i mask)
{
    return _mm256_maskload_ps(in, mask);
}

/* ---- storing keys and values ---- */

static void store_f32(void *out, const float *in, size_t value_count)
{
    memcpy(out, in, value_count * sizeof *in);
}

INLINE __m128i round_to_f16(__m256 values)
{
    return _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

INLINE __m128i round_to_bf16(__m256 values)
{
    __m256i bits = _mm256_castps_si256(values);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
    rounded = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    __m256i packed = _mm256_packus_epi32(rounded, rounded);
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
}

#define STORE_AS(name)                                                                             \
    static void store_##name(void *out, const float *in, size_t value_count)                       \
    {                                                                                              \
        uint8_t *bytes = out;                                                                      \
        size_t i = 0;                                                                              \
        for (; i + LANES <= value_count; i += LANES) {                                             \
            _mm_storeu_si128((__m128i *)(void *)(bytes + 2 * i),                                   \
                             round_to_##name(_mm256_loadu_ps(in + i)));                            \
        }                                                                                          \
        if (i < value_count) {                                                                     \
            uint8_t rounded[2 * LANES];                                                            \
            __m256 tail = load_lanes(in + i, cpu_math_lanes(value_count - i));                     \
            _mm_storeu_si128((__m128i *)(void *)rounded, round_to_##name(tail));                   \
            memcpy(bytes + 2 * i, rounded, 2 * (value_count - i));                                 \
        }                                                                                          \
    }

STORE_AS(f16)
STORE_AS(bf16)

/* ---- attention ---- */

/* Eight stored keys or values from the n-th on. */
INLINE __m256 load_stored(const void *stored, size_t n, const enum dtype dtype)
{
    if (dtype == DTYPE_F32) {
        return _mm256_loadu_ps((const float *)stored + n);
    }
    const __m128i bits =
        _mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)stored + n));
    if (dtype == DTYPE_F16) {
        return _mm256_cvtph_ps(bits);
    }
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

/* Fetches what lies at `ahead` where tokens first .. first + count - 1 lie in the array in work:
 * a little at a time, since a long burst of misses would stall the arithmetic. */
INLINE void fetch_ahead(const void *ahead, uint32_t first, uint32_t count, uint32_t dim,
                        const enum dtype dtype)
{
    size_t token_bytes = dim * (dtype == DTYPE_F32 ? sizeof(float) : sizeof(uint16_t));
    const char *bytes = (const char *)ahead + first * token_bytes;
    for (size_t i = 0; i < count * token_bytes; i += 64) {
        _mm_prefetch(bytes + i, _MM_HINT_T0);
    }
}

/* Four registers to their four sums, by one fixed tree. */
INLINE __m128 fold_four(const __m256 lanes[TILE])
{
    __m128 half[TILE];
#pragma GCC unroll 4
    for (int i = 0; i < TILE; i++) {
        half[i] = _mm_add_ps(_mm256_castps256_ps128(lanes[i]), _mm256_extractf128_ps(lanes[i], 1));
    }
    _MM_TRANSPOSE4_PS(half[0], half[1], half[2], half[3]);
    return _mm_add_ps(_mm_add_ps(half[0], half[1]), _mm_add_ps(half[2], half[3]));
}

/* queries is a constant where this is inlined, so that all accumulators are registers. */
INLINE void score_tile(const struct cpu_scores *args, uint32_t token, uint32_t query,
                       const uint32_t queries, const enum dtype dtype)
{
    const float *q = args->queries + (size_t)query * args->dim;
    __m256 sums[2][TILE];
#pragma GCC unroll 2
    for (uint32_t i = 0; i < queries; i++) {
#pragma GCC unroll 4
        for (uint32_t t = 0; t < TILE; t++) {
            sums[i][t] = _mm256_setzero_ps();
        }
    }
    for (uint32_t d = 0; d < args->dim; d += LANES) {
#pragma GCC unroll 4
        for (uint32_t t = 0; t < TILE; t++) {
            __m256 key = load_stored(args->keys, (size_t)(token + t) * args->dim + d, dtype);
#pragma GCC unroll 2
            for (uint32_t i = 0; i < queries; i++) {
                __m256 value = _mm256_loadu_ps(q + (size_t)i * args->dim + d);
                sums[i][t] = _mm256_fmadd_ps(key, value, sums[i][t]);
            }
        }
    }
#pragma GCC unroll 2
    for (uint32_t i = 0; i < queries; i++) {
        _mm_storeu_ps(args->out + (query + i) * args->out_stride + token, fold_four(sums[i]));
    }
}

INLINE void score_all(const struct cpu_scores *args, const enum dtype dtype)
{
    for (uint32_t token = 0; token < args->token_count; token += TILE) {
        uint32_t query = 0;
        if (args->ahead != NULL) {
            fetch_ahead(args->ahead, token, TILE, args->dim, dtype);
        }
        for (; query + 2 <= args->query_count; query += 2) {
            score_tile(args, token, query, 2, dtype);
        }
        if (query < args->query_count) {
            score_tile(args, token, query, 1, dtype);
        }
    }
}

static void scores(const struct cpu_scores *args)
{
    switch (args->dtype) {
    case DTYPE_F16:
        score_all(args, DTYPE_F16);
        break;
    case DTYPE_BF16:
        score_all(args, DTYPE_BF16);
        break;
    default:
        score_all(args, DTYPE_F32);
        break;
    }
}

/* Lanes of tokens first .. end - 1 in the register that begins at t. */
INLINE __m256i lanes_between(uint32_t t, uint32_t first, uint32_t end)
{
    __m256i mask = cpu_math_lanes(end - t);
    return first > t ? _mm256_andnot_si256(cpu_math_lanes(first - t), mask) : mask;
}

INLINE float sum_lanes(__m256 lanes)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

INLINE float max_lanes(__m256 lanes)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

/* A token's lane is its position modulo 8, wherever the row's first visible token lies. */
static float softmax(float *scores_row, uint32_t first, uint32_t end, float *max)
{
    uint32_t begin = first / LANES * LANES;
    const __m256 lowest = _mm256_set1_ps(-INFINITY);
    __m256 tops = lowest;
    for (uint32_t t = begin; t < end; t += LANES) {
        __m256 mask = _mm256_castsi256_ps(lanes_between(t, first, end));
        __m256 seen = _mm256_blendv_ps(lowest, _mm256_loadu_ps(scores_row + t), mask);
        tops = _mm256_max_ps(tops, seen);
    }
    *max = max_lanes(tops);
    __m256 top = _mm256_set1_ps(*max);
    __m256 sums = _mm256_setzero_ps();
    for (uint32_t t = begin; t < end; t += LANES) {
        __m256i mask = lanes_between(t, first, end);
        __m256 weights = cpu_math_exp(_mm256_sub_ps(_mm256_loadu_ps(scores_row + t), top));
        _mm256_maskstore_ps(scores_row + t, mask, weights);
        sums = _mm256_add_ps(sums, _mm256_and_ps(weights, _mm256_castsi256_ps(mask)));
    }
    return sum_lanes(sums);
}

/* queries x width registers of the output; both are constants where this is inlined. */
INLINE void weigh_tile(const struct cpu_weigh *args, uint32_t query, uint32_t d,
                       const uint32_t queries, const uint32_t width, const enum dtype dtype)
{
    float *out = args->out + (size_t)query * args->dim + d;
    const float *weights = args->weights + query * args->weights_stride;
    const void *ahead = query == 0 && d == 0 ? args->ahead : NULL;
    __m256 sums[2][4];
#pragma GCC unroll 2
    for (uint32_t i = 0; i < queries; i++) {
#pragma GCC unroll 4
        for (uint32_t j = 0; j < width; j++) {
            sums[i][j] = _mm256_loadu_ps(out + (size_t)i * args->dim + (size_t)j * LANES);
        }
    }
    for (uint32_t t = 0; t < args->token_count; t++) {
        if (ahead != NULL) {
            fetch_ahead(ahead, t, 1, args->dim, dtype);
        }
#pragma GCC unroll 4
        for (uint32_t j = 0; j < width; j++) {
            __m256 value =
                load_stored(args->values, (size_t)t * args->dim + d + (size_t)j * LANES, dtype);
#pragma GCC unroll 2
            for (uint32_t i = 0; i < queries; i++) {
                __m256 weight = _mm256_broadcast_ss(weights + i * args->weights_stride + t);
                sums[i][j] = _mm256_fmadd_ps(weight, value, sums[i][j]);
            }
        }
    }
#pragma GCC unroll 2
    for (uint32_t i = 0; i < queries; i++) {
#pragma GCC unroll 4
        for (uint32_t j = 0; j < width; j++) {
            _mm256_storeu_ps(out + (size_t)i * args->dim + (size_t)j * LANES, sums[i][j]);
        }
    }
}

INLINE void weigh_all(const struct cpu_weigh *args, const enum dtype dtype)
{
    for (uint32_t query = 0; query < args->query_count; query += 2) {
        bool two = query + 2 <= args->query_count;
        uint32_t d = 0;
        for (; d + 4 * LANES <= args->dim; d += 4 * LANES) {
            if (two) {
                weigh_tile(args, query, d, 2, 4, dtype);
            } else {
                weigh_tile(args, query, d, 1, 4, dtype);
            }
        }
        for (; d < args->dim; d += 2 * LANES) { /* dim is a multiple of 16 */
            if (two) {
                weigh_tile(args, query, d, 2, 2, dtype);
            } else {
                weigh_tile(args, query, d, 1, 2, dtype);
            }
        }
    }
}

static void weigh(const struct cpu_weigh *args)
{
    switch (args->dtype) {
    case DTYPE_F16:
        weigh_all(args, DTYPE_F16);
        break;
    case DTYPE_BF16:
        weigh_all(args, DTYPE_BF16);
        break;
    default:
        weigh_all(args, DTYPE_F32);
        break;
    }
}

void cpu_ops_avx2_fill(struct cpu_ops *ops)
{
    ops->name = "avx2";
    ops->store[DTYPE_F32] = store_f32;
    ops->store[DTYPE_F16] = store_f16;
    ops->store[DTYPE_BF16] = store_bf16;
    ops->scores = scores;
    ops->softmax = softmax;
    ops->weigh = weigh;
}
