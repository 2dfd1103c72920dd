/* cpu_ops_avx512.c - what attention does on sixteen lanes.
 *
 * Attention tiles: 4 keys x 6 queries with lanes along the head for the scores, 6 queries x 64
 * values for the weighted sum, 24 accumulators each. Tails are masked, and a masked lane does the
 * same arithmetic as a whole one, so an element's result does not depend on where its row ends.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_ops_avx512.h"

#include "kernels/cpu/cpu_math_avx512.h"

#include <immintrin.h>
#include <math.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = 16,
    TILE = CPU_OPS_TILE,
    TILE_QUERIES = 6,
};

/* ---- storing keys and values ---- */

static void store_f32(void *out, const float *in, size_t value_count)
{
    for (size_t i = 0; i < value_count; i += LANES) {
        __mmask16 mask = cpu_math_lanes(value_count - i);
        _mm512_mask_storeu_ps((uint8_t *)out + 4 * i, mask, _mm512_maskz_loadu_ps(mask, in + i));
    }
}

static void store_f16(void *out, const float *in, size_t value_count)
{
    for (size_t i = 0; i < value_count; i += LANES) {
        __mmask16 mask = cpu_math_lanes(value_count - i);
        __m256i bits = _mm512_cvtps_ph(_mm512_maskz_loadu_ps(mask, in + i),
                                       _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm256_mask_storeu_epi16((uint8_t *)out + 2 * i, mask, bits);
    }
}

static void store_bf16(void *out, const float *in, size_t value_count)
{
    for (size_t i = 0; i < value_count; i += LANES) {
        __mmask16 mask = cpu_math_lanes(value_count - i);
        __m512 values = _mm512_maskz_loadu_ps(mask, in + i);
        __m512i bits = _mm512_castps_si512(values);
        __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
        __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
        rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
        _mm256_mask_storeu_epi16((uint8_t *)out + 2 * i, mask,
                                 _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
    }
}

/* ---- attention ---- */

/* Sixteen stored keys or values from the n-th on. */
INLINE __m512 load_stored(const void *stored, size_t n, const enum dtype dtype)
{
    if (dtype == DTYPE_F32) {
        return _mm512_loadu_ps((const float *)stored + n);
    }
    const __m256i bits =
        _mm256_loadu_si256((const __m256i *)(const void *)((const uint16_t *)stored + n));
    if (dtype == DTYPE_F16) {
        return _mm512_cvtph_ps(bits);
    }
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
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
INLINE __m128 fold_four(const __m512 lanes[TILE])
{
    __m128 quarter[TILE];
#pragma GCC unroll 4
    for (int i = 0; i < TILE; i++) {
        __m256 half =
            _mm256_add_ps(_mm512_castps512_ps256(lanes[i]), _mm512_extractf32x8_ps(lanes[i], 1));
        quarter[i] = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    }
    _MM_TRANSPOSE4_PS(quarter[0], quarter[1], quarter[2], quarter[3]);
    return _mm_add_ps(_mm_add_ps(quarter[0], quarter[1]), _mm_add_ps(quarter[2], quarter[3]));
}

INLINE void score_tile(const struct cpu_scores *args, uint32_t token, uint32_t query,
                       const uint32_t queries, const enum dtype dtype)
{
    const float *q = args->queries + (size_t)query * args->dim;
    __m512 sums[TILE_QUERIES][TILE];
#pragma GCC unroll 6
    for (uint32_t i = 0; i < queries; i++) {
#pragma GCC unroll 4
        for (uint32_t t = 0; t < TILE; t++) {
            sums[i][t] = _mm512_setzero_ps();
        }
    }
    for (uint32_t d = 0; d < args->dim; d += LANES) {
        __m512 key[TILE];
#pragma GCC unroll 4
        for (uint32_t t = 0; t < TILE; t++) {
            key[t] = load_stored(args->keys, (size_t)(token + t) * args->dim + d, dtype);
        }
#pragma GCC unroll 6
        for (uint32_t i = 0; i < queries; i++) {
            __m512 value = _mm512_loadu_ps(q + (size_t)i * args->dim + d);
#pragma GCC unroll 4
            for (uint32_t t = 0; t < TILE; t++) {
                sums[i][t] = _mm512_fmadd_ps(key[t], value, sums[i][t]);
            }
        }
    }
    float *out = args->out + query * args->out_stride + token;
#pragma GCC unroll 6
    for (uint32_t i = 0; i < queries; i++) {
        _mm_storeu_ps(out + i * args->out_stride, fold_four(sums[i]));
    }
}

/* One case a number of queries, so that each has its accumulators in registers. */
#define FOR_QUERIES(count, call)                                                                   \
    switch (count) {                                                                               \
    case 1:                                                                                        \
        call(1);                                                                                   \
        break;                                                                                     \
    case 2:                                                                                        \
        call(2);                                                                                   \
        break;                                                                                     \
    case 3:                                                                                        \
        call(3);                                                                                   \
        break;                                                                                     \
    case 4:                                                                                        \
        call(4);                                                                                   \
        break;                                                                                     \
    case 5:                                                                                        \
        call(5);                                                                                   \
        break;                                                                                     \
    default:                                                                                       \
        call(6);                                                                                   \
        break;                                                                                     \
    }

INLINE void score_all(const struct cpu_scores *args, const enum dtype dtype)
{
    uint32_t tile_count = (args->query_count + TILE_QUERIES - 1) / TILE_QUERIES;
    for (uint32_t query = 0; tile_count > 0; tile_count--) {
        uint32_t queries = (args->query_count - query + tile_count - 1) / tile_count;
#define SCORE_TILE(count) score_tile(args, token, query, count, dtype)
        for (uint32_t token = 0; token < args->token_count; token += TILE) {
            if (query == 0 && args->ahead != NULL) {
                fetch_ahead(args->ahead, token, TILE, args->dim, dtype);
            }
            FOR_QUERIES(queries, SCORE_TILE)
        }
        query += queries;
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
INLINE __mmask16 lanes_between(uint32_t t, uint32_t first, uint32_t end)
{
    __mmask16 mask = cpu_math_lanes(end - t);
    return first > t ? (__mmask16)(mask & (0xffffu << (first - t))) : mask;
}

/* A token's lane is its position modulo 16, wherever the row's first visible token lies. */
static float softmax(float *scores_row, uint32_t first, uint32_t end, float *max)
{
    uint32_t begin = first / LANES * LANES;
    __m512 tops = _mm512_set1_ps(-INFINITY);
    for (uint32_t t = begin; t < end; t += LANES) {
        __mmask16 mask = lanes_between(t, first, end);
        tops = _mm512_mask_max_ps(tops, mask, tops, _mm512_loadu_ps(scores_row + t));
    }
    *max = _mm512_reduce_max_ps(tops);
    __m512 top = _mm512_set1_ps(*max);
    __m512 sums = _mm512_setzero_ps();
    for (uint32_t t = begin; t < end; t += LANES) {
        __mmask16 mask = lanes_between(t, first, end);
        __m512 shifted = _mm512_sub_ps(_mm512_loadu_ps(scores_row + t), top);
        __m512 weights = cpu_math_exp(shifted);
        _mm512_mask_storeu_ps(scores_row + t, mask, weights);
        sums = _mm512_mask_add_ps(sums, mask, sums, weights);
    }
    return _mm512_reduce_add_ps(sums);
}

/* queries x width registers of the output; both are constants where this is inlined. */
INLINE void weigh_tile(const struct cpu_weigh *args, uint32_t query, uint32_t d,
                       const uint32_t queries, const uint32_t width, const enum dtype dtype)
{
    float *out = args->out + (size_t)query * args->dim + d;
    const float *weights = args->weights + query * args->weights_stride;
    const void *ahead = query == 0 && d == 0 ? args->ahead : NULL;
    __m512 sums[TILE_QUERIES][4];
#pragma GCC unroll 6
    for (uint32_t i = 0; i < queries; i++) {
#pragma GCC unroll 4
        for (uint32_t j = 0; j < width; j++) {
            sums[i][j] = _mm512_loadu_ps(out + (size_t)i * args->dim + (size_t)j * LANES);
        }
    }
    for (uint32_t t = 0; t < args->token_count; t++) {
        if (ahead != NULL) {
            fetch_ahead(ahead, t, 1, args->dim, dtype);
        }
        __m512 value[4];
#pragma GCC unroll 4
        for (uint32_t j = 0; j < width; j++) {
            value[j] =
                load_stored(args->values, (size_t)t * args->dim + d + (size_t)j * LANES, dtype);
        }
#pragma GCC unroll 6
        for (uint32_t i = 0; i < queries; i++) {
            __m512 weight = _mm512_set1_ps(weights[i * args->weights_stride + t]);
#pragma GCC unroll 4
            for (uint32_t j = 0; j < width; j++) {
                sums[i][j] = _mm512_fmadd_ps(weight, value[j], sums[i][j]);
            }
        }
    }
#pragma GCC unroll 6
    for (uint32_t i = 0; i < queries; i++) {
#pragma GCC unroll 4
        for (uint32_t j = 0; j < width; j++) {
            _mm512_storeu_ps(out + (size_t)i * args->dim + (size_t)j * LANES, sums[i][j]);
        }
    }
}

INLINE void weigh_all(const struct cpu_weigh *args, const enum dtype dtype)
{
    uint32_t tile_count = (args->query_count + TILE_QUERIES - 1) / TILE_QUERIES;
    for (uint32_t query = 0; tile_count > 0; tile_count--) {
        uint32_t queries = (args->query_count - query + tile_count - 1) / tile_count;
        uint32_t d = 0;
#define WEIGH_WIDE(count)   weigh_tile(args, query, d, count, 4, dtype)
#define WEIGH_NARROW(count) weigh_tile(args, query, d, count, 1, dtype)
        for (; d + 4 * LANES <= args->dim; d += 4 * LANES) {
            FOR_QUERIES(queries, WEIGH_WIDE)
        }
        for (; d < args->dim; d += LANES) {
            FOR_QUERIES(queries, WEIGH_NARROW)
        }
        query += queries;
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

void cpu_ops_avx512_fill(struct cpu_ops *ops)
{
    ops->name = "avx512";
    ops->store[DTYPE_F32] = store_f32;
    ops->store[DTYPE_F16] = store_f16;
    ops->store[DTYPE_BF16] = store_bf16;
    ops->scores = scores;
    ops->softmax = softmax;
    ops->weigh = weigh;
}
