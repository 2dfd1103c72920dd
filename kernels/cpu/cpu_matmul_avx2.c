/* cpu_matmul_avx2.c - eight lanes along k for each output.
 *
 * The shape of cpu_matmul_avx512.c with half the lanes and half the registers: tiles of 4 x 2
 * outputs, all formats through their signed-byte codes. Products are added in ascending k within
 * a lane, by FMA, for one row as for many. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_matmul_avx2.h"

#include "kernels/cpu/quant_codes_avx2.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = 8,
    GRANULE = 32,
    QUARTERS = GRANULE / LANES,
    TILE = CPU_OPS_TILE,
    TILE_ROWS = 2, /* 8 accumulators hide the latency of an FMA; 4 weights and 2 inputs beside */
};

/* 32 weights */
struct quad {
    __m256 part[QUARTERS];
};

typedef struct quad (*decode_fn)(const uint8_t *block, uint32_t granule,
                                 const struct quant_scales *scales);

/* How a format is read; constant where it is used, so that all of it is inlined. */
struct format {
    uint32_t block_values;
    uint32_t block_bytes;
    quant_codes_scales_fn unpack_scales;
    decode_fn decode;
};

/* ---- 32 weights of each format ---- */

INLINE void no_scales(struct quant_scales *scales, const uint8_t *block)
{
    (void)scales;
    (void)block;
}

INLINE struct quad load_quad(const float *values)
{
    struct quad out;
#pragma GCC unroll 4
    for (int i = 0; i < QUARTERS; i++) {
        out.part[i] = _mm256_loadu_ps(values + (size_t)i * LANES);
    }
    return out;
}

INLINE struct quad decode_f32(const uint8_t *block, uint32_t granule,
                              const struct quant_scales *scales)
{
    (void)granule;
    (void)scales;
    return load_quad((const float *)(const void *)block);
}

INLINE struct quad decode_f16(const uint8_t *block, uint32_t granule,
                              const struct quant_scales *scales)
{
    struct quad out;
    (void)granule;
    (void)scales;
#pragma GCC unroll 4
    for (int i = 0; i < QUARTERS; i++) {
        out.part[i] = _mm256_cvtph_ps(quant_codes_load_half(block + (size_t)i * 16));
    }
    return out;
}

INLINE __m256 widen_bf16(__m128i bits)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

INLINE struct quad decode_bf16(const uint8_t *block, uint32_t granule,
                               const struct quant_scales *scales)
{
    struct quad out;
    (void)granule;
    (void)scales;
#pragma GCC unroll 4
    for (int i = 0; i < QUARTERS; i++) {
        out.part[i] = widen_bf16(quant_codes_load_half(block + (size_t)i * 16));
    }
    return out;
}

INLINE struct quad multiply(__m256i codes, float step_a, float step_b)
{
    __m128i low = _mm256_castsi256_si128(codes);
    __m128i high = _mm256_extracti128_si256(codes, 1);
    __m256i wide[QUARTERS] = {
        _mm256_cvtepi8_epi32(low), _mm256_cvtepi8_epi32(_mm_srli_si128(low, 8)),
        _mm256_cvtepi8_epi32(high), _mm256_cvtepi8_epi32(_mm_srli_si128(high, 8))};
    struct quad out;
#pragma GCC unroll 4
    for (int i = 0; i < QUARTERS; i++) {
        out.part[i] = _mm256_mul_ps(_mm256_cvtepi32_ps(wide[i]),
                                    _mm256_set1_ps(i < QUARTERS / 2 ? step_a : step_b));
    }
    return out;
}

INLINE struct quad add(struct quad values, float offset_a, float offset_b)
{
#pragma GCC unroll 4
    for (int i = 0; i < QUARTERS; i++) {
        values.part[i] =
            _mm256_add_ps(values.part[i], _mm256_set1_ps(i < QUARTERS / 2 ? offset_a : offset_b));
    }
    return values;
}

#define DECODE(name)                                                                               \
    INLINE struct quad decode_##name(const uint8_t *block, uint32_t granule,                       \
                                     const struct quant_scales *scales)

/* One scale for 32 values, or one for 16; with minimums or without. */
#define DECODE_BY_32(name)                                                                         \
    DECODE(name)                                                                                   \
    {                                                                                              \
        float step = scales->step[granule];                                                        \
        return multiply(quant_codes_##name(block, granule), step, step);                           \
    }
#define DECODE_BY_16(name)                                                                         \
    DECODE(name)                                                                                   \
    {                                                                                              \
        size_t group = (size_t)granule * 2;                                                        \
        return multiply(quant_codes_##name(block, granule), scales->step[group],                   \
                        scales->step[group + 1]);                                                  \
    }
#define DECODE_WITH_MINIMUM(name)                                                                  \
    DECODE(name)                                                                                   \
    {                                                                                              \
        float step = scales->step[granule];                                                        \
        float offset = scales->offset[granule];                                                    \
        return add(multiply(quant_codes_##name(block, granule), step, step), offset, offset);      \
    }

DECODE_BY_32(q8_0)
DECODE_BY_32(q4_0)
DECODE_BY_32(q5_0)
DECODE_BY_32(iq4_nl)
DECODE_BY_32(iq4_xs)
DECODE_BY_32(mxfp4)
DECODE_BY_16(q3_k)
DECODE_BY_16(q6_k)
DECODE_WITH_MINIMUM(q4_1)
DECODE_WITH_MINIMUM(q5_1)
DECODE_WITH_MINIMUM(q4_k)
DECODE_WITH_MINIMUM(q5_k)

DECODE(q2_k)
{
    size_t group = (size_t)granule * 2;
    return add(
        multiply(quant_codes_q2_k(block, granule), scales->step[group], scales->step[group + 1]),
        scales->offset[group], scales->offset[group + 1]);
}

/* ---- dequantise and dot ---- */

INLINE void unpack(float *out, const uint8_t *block, size_t value_count, const struct format format)
{
    struct quant_scales scales;
    for (; value_count >= format.block_values; value_count -= format.block_values) {
        format.unpack_scales(&scales, block);
#pragma GCC unroll 2
        for (uint32_t granule = 0; granule < format.block_values / GRANULE; granule++) {
            struct quad weights = format.decode(block, granule, &scales);
#pragma GCC unroll 4
            for (int i = 0; i < QUARTERS; i++) {
                _mm256_storeu_ps(out + (size_t)i * LANES, weights.part[i]);
            }
            out += GRANULE;
        }
        block += format.block_bytes;
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

/* Adds whole blocks to the sums, fetching the next four rows meanwhile. */
INLINE void add_blocks(__m256 sums[TILE], const uint8_t *rows[TILE], const float *x,
                       size_t block_count, const struct format format)
{
    size_t ahead = (size_t)(rows[1] - rows[0]) * TILE;
    for (size_t block = 0; block < block_count; block++) {
        struct quant_scales scales[TILE];
#pragma GCC unroll 4
        for (int i = 0; i < TILE; i++) {
            for (uint32_t line = 0; line < format.block_bytes; line += 64) {
                _mm_prefetch((const char *)rows[i] + ahead + line, _MM_HINT_T0);
            }
            format.unpack_scales(&scales[i], rows[i]);
        }
#pragma GCC unroll 2
        for (uint32_t granule = 0; granule < format.block_values / GRANULE; granule++) {
            struct quad inputs = load_quad(x);
            x += GRANULE;
#pragma GCC unroll 4
            for (int i = 0; i < TILE; i++) {
                struct quad weights = format.decode(rows[i], granule, &scales[i]);
#pragma GCC unroll 4
                for (int j = 0; j < QUARTERS; j++) {
                    sums[i] = _mm256_fmadd_ps(weights.part[j], inputs.part[j], sums[i]);
                }
            }
        }
        for (int i = 0; i < TILE; i++) {
            rows[i] += format.block_bytes;
        }
    }
}

#define BLOCK_FORMAT(name, block_values, block_bytes, unpack_scales)                               \
    static void dequantize_##name(float *out, const void *blocks, size_t value_count)              \
    {                                                                                              \
        const struct format format = {block_values, block_bytes, unpack_scales, decode_##name};    \
        unpack(out, blocks, value_count, format);                                                  \
    }                                                                                              \
    static void dot_##name(float *sums, const void *const *rows, const float *x, size_t k_count)   \
    {                                                                                              \
        const struct format format = {block_values, block_bytes, unpack_scales, decode_##name};    \
        __m256 lanes[TILE] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),       \
                              _mm256_setzero_ps()};                                                \
        const uint8_t *bytes[TILE] = {rows[0], rows[1], rows[2], rows[3]};                         \
        add_blocks(lanes, bytes, x, k_count / (block_values), format);                             \
        _mm_storeu_ps(sums, fold_four(lanes));                                                     \
    }

BLOCK_FORMAT(q8_0, 32, 34, quant_codes_scales_f16)
BLOCK_FORMAT(q4_0, 32, 18, quant_codes_scales_f16)
BLOCK_FORMAT(q4_1, 32, 20, quant_codes_scales_f16_pair)
BLOCK_FORMAT(q5_0, 32, 22, quant_codes_scales_f16)
BLOCK_FORMAT(q5_1, 32, 24, quant_codes_scales_f16_pair)
BLOCK_FORMAT(q2_k, 256, 84, quant_codes_scales_q2_k)
BLOCK_FORMAT(q3_k, 256, 110, quant_codes_scales_q3_k)
BLOCK_FORMAT(q4_k, 256, 144, quant_codes_scales_q4_k)
BLOCK_FORMAT(q5_k, 256, 176, quant_codes_scales_q4_k)
BLOCK_FORMAT(q6_k, 256, 210, quant_codes_scales_q6_k)
BLOCK_FORMAT(iq4_nl, 32, 18, quant_codes_scales_f16)
BLOCK_FORMAT(iq4_xs, 256, 136, quant_codes_scales_iq4_xs)
BLOCK_FORMAT(mxfp4, 32, 17, quant_codes_scales_mxfp4)

/* Float rows have any length: the last ones go through a zeroed buffer, eight at a time. */
INLINE __m256 load_tail_f32(const uint8_t *bytes, size_t count)
{
    float values[LANES] = {0};
    memcpy(values, bytes, (count < LANES ? count : LANES) * sizeof *values);
    return _mm256_loadu_ps(values);
}

INLINE __m128i load_tail_half(const uint8_t *bytes, size_t count)
{
    uint16_t values[LANES] = {0};
    memcpy(values, bytes, (count < LANES ? count : LANES) * sizeof *values);
    return _mm_loadu_si128((const __m128i *)(const void *)values);
}

INLINE __m256 load_tail_f16(const uint8_t *bytes, size_t count)
{
    return _mm256_cvtph_ps(load_tail_half(bytes, count));
}

INLINE __m256 load_tail_bf16(const uint8_t *bytes, size_t count)
{
    return widen_bf16(load_tail_half(bytes, count));
}

INLINE void store_tail(float *out, __m256 values, size_t count)
{
    float lanes[LANES];
    _mm256_storeu_ps(lanes, values);
    memcpy(out, lanes, (count < LANES ? count : LANES) * sizeof *out);
}

#define FLOAT_FORMAT(name, value_bytes)                                                            \
    static void dequantize_##name(float *out, const void *values, size_t value_count)              \
    {                                                                                              \
        const struct format format = {GRANULE, GRANULE * (value_bytes), no_scales, decode_##name}; \
        const uint8_t *bytes = values;                                                             \
        size_t whole = value_count / GRANULE * GRANULE;                                            \
        unpack(out, bytes, whole, format);                                                         \
        for (size_t k = whole; k < value_count; k += LANES) {                                      \
            size_t left = value_count - k;                                                         \
            store_tail(out + k, load_tail_##name(bytes + k * (value_bytes), left), left);          \
        }                                                                                          \
    }                                                                                              \
    static void dot_##name(float *sums, const void *const *rows, const float *x, size_t k_count)   \
    {                                                                                              \
        const struct format format = {GRANULE, GRANULE * (value_bytes), no_scales, decode_##name}; \
        __m256 lanes[TILE] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),       \
                              _mm256_setzero_ps()};                                                \
        const uint8_t *bytes[TILE] = {rows[0], rows[1], rows[2], rows[3]};                         \
        size_t whole = k_count / GRANULE * GRANULE;                                                \
        add_blocks(lanes, bytes, x, k_count / GRANULE, format);                                    \
        for (size_t k = whole; k < k_count; k += LANES) {                                          \
            size_t left = k_count - k;                                                             \
            __m256 tail = load_tail_f32((const uint8_t *)(const void *)(x + k), left);             \
            for (int i = 0; i < TILE; i++) {                                                       \
                __m256 weights = load_tail_##name(bytes[i] + (k - whole) * (value_bytes), left);   \
                lanes[i] = _mm256_fmadd_ps(weights, tail, lanes[i]);                               \
            }                                                                                      \
        }                                                                                          \
        _mm_storeu_ps(sums, fold_four(lanes));                                                     \
    }

FLOAT_FORMAT(f32, 4)
FLOAT_FORMAT(f16, 2)
FLOAT_FORMAT(bf16, 2)

/* ---- many rows ---- */

INLINE void add_step(const struct cpu_accumulate *args, uint32_t k, const __m256 *inputs,
                     __m256 (*sums)[TILE], const uint32_t rows)
{
    __m256 weights[TILE];
#pragma GCC unroll 4
    for (uint32_t i = 0; i < TILE; i++) {
        weights[i] = _mm256_loadu_ps(args->weights + (size_t)i * CPU_OPS_CHUNK + k);
    }
#pragma GCC unroll 2
    for (uint32_t r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (uint32_t i = 0; i < TILE; i++) {
            sums[r][i] = _mm256_fmadd_ps(weights[i], inputs[r], sums[r][i]);
        }
    }
}

/* rows is a constant where this is inlined, so that all accumulators are registers. */
INLINE void add_tile(const struct cpu_accumulate *args, uint32_t row, const uint32_t rows)
{
    float *lanes = args->lanes + (size_t)row * TILE * LANES;
    const float *x = args->x + row * args->x_stride;
    __m256 sums[TILE_ROWS][TILE];
    __m256 inputs[TILE_ROWS];
    uint32_t k = 0;
#pragma GCC unroll 2
    for (uint32_t r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (uint32_t i = 0; i < TILE; i++) {
            sums[r][i] = args->first ? _mm256_setzero_ps()
                                     : _mm256_loadu_ps(lanes + (size_t)(r * TILE + i) * LANES);
        }
    }
    for (; k + LANES <= args->k_count; k += LANES) {
#pragma GCC unroll 2
        for (uint32_t r = 0; r < rows; r++) {
            inputs[r] = _mm256_loadu_ps(x + r * args->x_stride + k);
        }
        add_step(args, k, inputs, sums, rows);
    }
    if (k < args->k_count) {
        for (uint32_t r = 0; r < rows; r++) {
            inputs[r] = load_tail_f32((const uint8_t *)(const void *)(x + r * args->x_stride + k),
                                      args->k_count - k);
        }
        add_step(args, k, inputs, sums, rows);
    }
#pragma GCC unroll 2
    for (uint32_t r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (uint32_t i = 0; i < TILE; i++) {
            _mm256_storeu_ps(lanes + (size_t)(r * TILE + i) * LANES, sums[r][i]);
        }
    }
}

static void accumulate(const struct cpu_accumulate *args)
{
    uint32_t row = 0;
    for (; row + TILE_ROWS <= args->row_count; row += TILE_ROWS) {
        add_tile(args, row, TILE_ROWS);
    }
    if (row < args->row_count) {
        add_tile(args, row, 1);
    }
}

static void fold(float *sums, const float *lanes)
{
    __m256 loaded[TILE];
    for (int i = 0; i < TILE; i++) {
        loaded[i] = _mm256_loadu_ps(lanes + (size_t)i * LANES);
    }
    _mm_storeu_ps(sums, fold_four(loaded));
}

void cpu_matmul_avx2_fill(struct cpu_ops *ops)
{
    static const struct {
        cpu_ops_dequantize_fn dequantize;
        cpu_ops_dot_fn dot;
    } FORMATS[DTYPE_COUNT] = {
        [DTYPE_F32] = {dequantize_f32, dot_f32},
        [DTYPE_F16] = {dequantize_f16, dot_f16},
        [DTYPE_BF16] = {dequantize_bf16, dot_bf16},
        [DTYPE_Q8_0] = {dequantize_q8_0, dot_q8_0},
        [DTYPE_Q4_0] = {dequantize_q4_0, dot_q4_0},
        [DTYPE_Q4_1] = {dequantize_q4_1, dot_q4_1},
        [DTYPE_Q5_0] = {dequantize_q5_0, dot_q5_0},
        [DTYPE_Q5_1] = {dequantize_q5_1, dot_q5_1},
        [DTYPE_Q2_K] = {dequantize_q2_k, dot_q2_k},
        [DTYPE_Q3_K] = {dequantize_q3_k, dot_q3_k},
        [DTYPE_Q4_K] = {dequantize_q4_k, dot_q4_k},
        [DTYPE_Q5_K] = {dequantize_q5_k, dot_q5_k},
        [DTYPE_Q6_K] = {dequantize_q6_k, dot_q6_k},
        [DTYPE_IQ4_NL] = {dequantize_iq4_nl, dot_iq4_nl},
        [DTYPE_IQ4_XS] = {dequantize_iq4_xs, dot_iq4_xs},
        [DTYPE_MXFP4] = {dequantize_mxfp4, dot_mxfp4},
    };
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        ops->dequantize[dtype] = FORMATS[dtype].dequantize;
        ops->dot[dtype] = FORMATS[dtype].dot;
    }
    ops->lane_count = LANES;
    ops->accumulate = accumulate;
    ops->fold = fold;
}
