/* cpu_matmul_avx512.c - sixteen lanes along k for each output.
 *
 * Every format is one inline function that gives 32 weights as two registers; macros make a
 * dequantiser and a dot product of it. Four-bit formats look their values up in a register that
 * holds all sixteen of the block (vpermps), scaled once for 32 weights. Floor of a dot product:
 * the bytes of the weights. Floor of `accumulate`: one fused multiply-add per 16 products; a tile
 * of 4 x 6 outputs loads 10 registers for 24 of them.
 * Within a lane, products are added in ascending k by FMA, in both.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_matmul_avx512.h"

#include "kernels/cpu/quant_codes_avx2.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = 16,
    GRANULE = 32,
    TILE = CPU_OPS_TILE,
    TILE_ROWS = 6, /* 24 accumulators, 4 weights and an input: 29 of 32 registers */
};

struct pair {
    __m512 a; /* values 0..15 */
    __m512 b; /* values 16..31 */
};

typedef struct pair (*decode_fn)(const uint8_t *block, uint32_t granule,
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

INLINE struct pair decode_f32(const uint8_t *block, uint32_t granule,
                              const struct quant_scales *scales)
{
    (void)granule;
    (void)scales;
    return (struct pair){_mm512_loadu_ps(block), _mm512_loadu_ps(block + 64)};
}

INLINE struct pair decode_f16(const uint8_t *block, uint32_t granule,
                              const struct quant_scales *scales)
{
    (void)granule;
    (void)scales;
    return (struct pair){_mm512_cvtph_ps(quant_codes_load(block)),
                         _mm512_cvtph_ps(quant_codes_load(block + 32))};
}

INLINE __m512 widen_bf16(__m256i bits)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

INLINE struct pair decode_bf16(const uint8_t *block, uint32_t granule,
                               const struct quant_scales *scales)
{
    (void)granule;
    (void)scales;
    return (struct pair){widen_bf16(quant_codes_load(block)),
                         widen_bf16(quant_codes_load(block + 32))};
}

INLINE struct pair widen_codes(__m256i codes)
{
    __m512i a = _mm512_cvtepi8_epi32(_mm256_castsi256_si128(codes));
    __m512i b = _mm512_cvtepi8_epi32(_mm256_extracti128_si256(codes, 1));
    return (struct pair){_mm512_cvtepi32_ps(a), _mm512_cvtepi32_ps(b)};
}

INLINE struct pair multiply(struct pair values, float step_a, float step_b)
{
    return (struct pair){_mm512_mul_ps(values.a, _mm512_set1_ps(step_a)),
                         _mm512_mul_ps(values.b, _mm512_set1_ps(step_b))};
}

INLINE struct pair add(struct pair values, float offset_a, float offset_b)
{
    return (struct pair){_mm512_add_ps(values.a, _mm512_set1_ps(offset_a)),
                         _mm512_add_ps(values.b, _mm512_set1_ps(offset_b))};
}

#define DECODE(name)                                                                               \
    INLINE struct pair decode_##name(const uint8_t *block, uint32_t granule,                       \
                                     const struct quant_scales *scales)

/* One scale for 32 values, or one for 16. */
#define DECODE_BY_32(name)                                                                         \
    DECODE(name)                                                                                   \
    {                                                                                              \
        float step = scales->step[granule];                                                        \
        return multiply(widen_codes(quant_codes_##name(block, granule)), step, step);              \
    }
#define DECODE_BY_16(name)                                                                         \
    DECODE(name)                                                                                   \
    {                                                                                              \
        size_t group = (size_t)granule * 2;                                                        \
        return multiply(widen_codes(quant_codes_##name(block, granule)), scales->step[group],      \
                        scales->step[group + 1]);                                                  \
    }

DECODE_BY_32(q5_0)
DECODE_BY_16(q3_k)
DECODE_BY_16(q6_k)

/* Each half widened on its way from memory: no shuffle to split a register. */
DECODE(q8_0)
{
    (void)granule;
    __m512i a = _mm512_cvtepi8_epi32(quant_codes_load_half(block + 2));
    __m512i b = _mm512_cvtepi8_epi32(quant_codes_load_half(block + 18));
    struct pair codes = {_mm512_cvtepi32_ps(a), _mm512_cvtepi32_ps(b)};
    return multiply(codes, scales->step[0], scales->step[0]);
}

DECODE(q5_1)
{
    struct pair codes = widen_codes(quant_codes_q5_1(block, granule));
    return add(multiply(codes, scales->step[0], scales->step[0]), scales->offset[0],
               scales->offset[0]);
}

DECODE(q5_k)
{
    struct pair codes = widen_codes(quant_codes_q5_k(block, granule));
    return add(multiply(codes, scales->step[granule], scales->step[granule]),
               scales->offset[granule], scales->offset[granule]);
}

DECODE(q2_k)
{
    struct pair codes = widen_codes(quant_codes_q2_k(block, granule));
    size_t group = (size_t)granule * 2;
    return add(multiply(codes, scales->step[group], scales->step[group + 1]), scales->offset[group],
               scales->offset[group + 1]);
}

/* The sixteen values that four-bit codes stand for, scaled. */
INLINE __m512 table_of(const int8_t *values, float step)
{
    __m512i wide = _mm512_cvtepi8_epi32(quant_codes_load_half((const uint8_t *)values));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(wide), _mm512_set1_ps(step));
}

/* 16 bytes whose low nibbles are values 0..15 and high ones 16..31; the look-up ignores all but
 * the low four bits of each index. */
INLINE struct pair look_up(const uint8_t *nibbles, __m512 table)
{
    __m512i index = _mm512_cvtepu8_epi32(quant_codes_load_half(nibbles));
    return (struct pair){_mm512_permutexvar_ps(index, table),
                         _mm512_permutexvar_ps(_mm512_srli_epi32(index, 4), table)};
}

static const int8_t CODES_0[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const int8_t CODES_8[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};

#define DECODE_BY_TABLE(name, table, header_bytes)                                                 \
    DECODE(name)                                                                                   \
    {                                                                                              \
        return look_up(block + (header_bytes) + (size_t)granule * 16,                              \
                       table_of(table, scales->step[granule]));                                    \
    }

DECODE_BY_TABLE(q4_0, CODES_8, 2)
DECODE_BY_TABLE(iq4_nl, QUANT_CODES_IQ4, 2)
DECODE_BY_TABLE(mxfp4, QUANT_CODES_MXFP4, 1)
DECODE_BY_TABLE(iq4_xs, QUANT_CODES_IQ4, 8)

DECODE(q4_1)
{
    (void)granule;
    __m512 table = table_of(CODES_0, scales->step[0]);
    return look_up(block + 4, _mm512_add_ps(table, _mm512_set1_ps(scales->offset[0])));
}

/* A granule is the low or the high nibbles of 32 bytes. */
DECODE(q4_k)
{
    const uint8_t *bytes = block + 16 + (size_t)(granule / 2) * 32;
    __m512 table = _mm512_add_ps(table_of(CODES_0, scales->step[granule]),
                                 _mm512_set1_ps(scales->offset[granule]));
    __m512i a = _mm512_cvtepu8_epi32(quant_codes_load_half(bytes));
    __m512i b = _mm512_cvtepu8_epi32(quant_codes_load_half(bytes + 16));
    if (granule % 2 != 0) {
        a = _mm512_srli_epi32(a, 4);
        b = _mm512_srli_epi32(b, 4);
    }
    return (struct pair){_mm512_permutexvar_ps(a, table), _mm512_permutexvar_ps(b, table)};
}

/* ---- dequantise and dot ---- */

INLINE void unpack(float *out, const uint8_t *block, size_t value_count, const struct format format)
{
    struct quant_scales scales;
    for (; value_count >= format.block_values; value_count -= format.block_values) {
        format.unpack_scales(&scales, block);
#pragma GCC unroll 2
        for (uint32_t granule = 0; granule < format.block_values / GRANULE; granule++) {
            struct pair weights = format.decode(block, granule, &scales);
            _mm512_storeu_ps(out, weights.a);
            _mm512_storeu_ps(out + LANES, weights.b);
            out += GRANULE;
        }
        block += format.block_bytes;
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

/* Adds whole blocks to the sums. The weights of the next tile lie four rows further on: they are
 * fetched meanwhile, since rows are too short for the hardware to see the stream. */
INLINE void add_blocks(__m512 sums[TILE], const uint8_t *rows[TILE], const float *x,
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
            __m512 xa = _mm512_loadu_ps(x);
            __m512 xb = _mm512_loadu_ps(x + LANES);
            x += GRANULE;
#pragma GCC unroll 4
            for (int i = 0; i < TILE; i++) {
                struct pair weights = format.decode(rows[i], granule, &scales[i]);
                sums[i] = _mm512_fmadd_ps(weights.a, xa, sums[i]);
                sums[i] = _mm512_fmadd_ps(weights.b, xb, sums[i]);
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
        __m512 lanes[TILE] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),       \
                              _mm512_setzero_ps()};                                                \
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

/* Float rows have any length: the last values are loaded under a mask, sixteen at a time. */
INLINE __mmask16 first_lanes(size_t count)
{
    return count >= LANES ? (__mmask16)0xffff : (__mmask16)((1u << count) - 1);
}

INLINE __m512 load_tail_f32(const uint8_t *bytes, __mmask16 mask)
{
    return _mm512_maskz_loadu_ps(mask, bytes);
}

INLINE __m512 load_tail_f16(const uint8_t *bytes, __mmask16 mask)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, bytes));
}

INLINE __m512 load_tail_bf16(const uint8_t *bytes, __mmask16 mask)
{
    return widen_bf16(_mm256_maskz_loadu_epi16(mask, bytes));
}

#define FLOAT_FORMAT(name, value_bytes)                                                            \
    static void dequantize_##name(float *out, const void *values, size_t value_count)              \
    {                                                                                              \
        const struct format format = {GRANULE, GRANULE * (value_bytes), no_scales, decode_##name}; \
        const uint8_t *bytes = values;                                                             \
        size_t whole = value_count / GRANULE * GRANULE;                                            \
        unpack(out, bytes, whole, format);                                                         \
        for (size_t k = whole; k < value_count; k += LANES) {                                      \
            __mmask16 mask = first_lanes(value_count - k);                                         \
            _mm512_mask_storeu_ps(out + k, mask,                                                   \
                                  load_tail_##name(bytes + k * (value_bytes), mask));              \
        }                                                                                          \
    }                                                                                              \
    static void dot_##name(float *sums, const void *const *rows, const float *x, size_t k_count)   \
    {                                                                                              \
        const struct format format = {GRANULE, GRANULE * (value_bytes), no_scales, decode_##name}; \
        __m512 lanes[TILE] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),       \
                              _mm512_setzero_ps()};                                                \
        const uint8_t *bytes[TILE] = {rows[0], rows[1], rows[2], rows[3]};                         \
        size_t whole = k_count / GRANULE * GRANULE;                                                \
        add_blocks(lanes, bytes, x, k_count / GRANULE, format);                                    \
        for (size_t k = whole; k < k_count; k += LANES) {                                          \
            __mmask16 mask = first_lanes(k_count - k);                                             \
            __m512 tail = _mm512_maskz_loadu_ps(mask, x + k);                                      \
            for (int i = 0; i < TILE; i++) {                                                       \
                __m512 weights = load_tail_##name(bytes[i] + (k - whole) * (value_bytes), mask);   \
                lanes[i] = _mm512_fmadd_ps(weights, tail, lanes[i]);                               \
            }                                                                                      \
        }                                                                                          \
        _mm_storeu_ps(sums, fold_four(lanes));                                                     \
    }

FLOAT_FORMAT(f32, 4)
FLOAT_FORMAT(f16, 2)
FLOAT_FORMAT(bf16, 2)

/* ---- many rows ---- */

/* Sixteen values of k, of `rows` input rows. */
INLINE void add_step(const struct cpu_accumulate *args, const float *x, uint32_t k, __mmask16 mask,
                     __m512 (*sums)[TILE], const uint32_t rows)
{
    __m512 weights[TILE];
#pragma GCC unroll 4
    for (uint32_t i = 0; i < TILE; i++) {
        weights[i] = _mm512_loadu_ps(args->weights + (size_t)i * CPU_OPS_CHUNK + k);
    }
#pragma GCC unroll 6
    for (uint32_t r = 0; r < rows; r++) {
        __m512 values = _mm512_maskz_loadu_ps(mask, x + r * args->x_stride + k);
#pragma GCC unroll 4
        for (uint32_t i = 0; i < TILE; i++) {
            sums[r][i] = _mm512_fmadd_ps(weights[i], values, sums[r][i]);
        }
    }
}

/* rows is a constant where this is inlined, so that all accumulators are registers. */
INLINE void add_tile(const struct cpu_accumulate *args, uint32_t row, const uint32_t rows)
{
    float *lanes = args->lanes + (size_t)row * TILE * LANES;
    const float *x = args->x + row * args->x_stride;
    __m512 sums[TILE_ROWS][TILE];
    uint32_t k = 0;
#pragma GCC unroll 6
    for (uint32_t r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (uint32_t i = 0; i < TILE; i++) {
            sums[r][i] = args->first ? _mm512_setzero_ps()
                                     : _mm512_loadu_ps(lanes + (size_t)(r * TILE + i) * LANES);
        }
    }
    for (; k + LANES <= args->k_count; k += LANES) {
        add_step(args, x, k, first_lanes(LANES), sums, rows);
    }
    if (k < args->k_count) {
        add_step(args, x, k, first_lanes(args->k_count - k), sums, rows);
    }
#pragma GCC unroll 6
    for (uint32_t r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (uint32_t i = 0; i < TILE; i++) {
            _mm512_storeu_ps(lanes + (size_t)(r * TILE + i) * LANES, sums[r][i]);
        }
    }
}

static void accumulate(const struct cpu_accumulate *args)
{
    uint32_t tile_count = (args->row_count + TILE_ROWS - 1) / TILE_ROWS;
    for (uint32_t row = 0; tile_count > 0; tile_count--) {
        uint32_t rows = (args->row_count - row + tile_count - 1) / tile_count; /* even tiles */
        switch (rows) {
        case 1:
            add_tile(args, row, 1);
            break;
        case 2:
            add_tile(args, row, 2);
            break;
        case 3:
            add_tile(args, row, 3);
            break;
        case 4:
            add_tile(args, row, 4);
            break;
        case 5:
            add_tile(args, row, 5);
            break;
        default:
            add_tile(args, row, 6);
            break;
        }
        row += rows;
    }
}

static void fold(float *sums, const float *lanes)
{
    __m512 loaded[TILE];
    for (int i = 0; i < TILE; i++) {
        loaded[i] = _mm512_loadu_ps(lanes + (size_t)i * LANES);
    }
    _mm_storeu_ps(sums, fold_four(loaded));
}

void cpu_matmul_avx512_fill(struct cpu_ops *ops)
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
