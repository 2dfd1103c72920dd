/* cpu_panel_avx2.c - 3 input rows x 16 outputs at a time in 6 integer accumulators; the float sums wait
 * in the L1 cache. Packed codes are split into even and odd bytes as int16 and multiplied in pairs
 * with int16 inputs, at every precision: the byte product of this instruction set saturates.
 * Twice the products of the f32 kernels an instruction, and no weight is ever converted to float.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_panel_avx2.h"

#include "kernels/cpu/cpu_panel.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    TILE_ROWS = 3,
    HALF = 16,
    F16_BYTES = PANEL_ROWS * 2, /* of one factor of a panel's rows */
    LANES = 8,
    QUADS = PANEL_GROUP / 4,
    UNIT = 64,
    TAIL = 2 * PANEL_GROUP, /* offset of struct cpu_panel_tail */
    ROW_STRIDE = PANEL_CHUNK * CPU_PANEL_WIDE_BLOCK,
    AHEAD = 12 << 10, /* bytes that are prefetched ahead */
};

/* ---- one group, 16 outputs ---- */

INLINE __m256i load_lanes(const uint8_t *place)
{
    return _mm256_load_si256((const __m256i *)(const void *)place);
}

/* Two int16 of one row's codes, in every lane. */
INLINE __m256i input_pair(const uint8_t *block, uint32_t index)
{
    int32_t dword;
    memcpy(&dword, block + (size_t)index * 4, sizeof dword);
    return _mm256_set1_epi32(dword);
}

INLINE __m256 tail_float(const uint8_t *block, size_t offset)
{
    float value;
    memcpy(&value, block + TAIL + offset, sizeof value);
    return _mm256_set1_ps(value);
}

INLINE __m256i tail_start(const uint8_t *block, uint32_t sub)
{
    int32_t start;
    size_t offset = offsetof(struct cpu_panel_tail, start) + sub * sizeof start;
    memcpy(&start, block + TAIL + offset, sizeof start);
    return _mm256_set1_epi32(start);
}

/* Adds two pairs of products to both registers of 8 outputs. */
INLINE void add_pairs(__m256i totals[][2], const uint8_t *block, const __m256i even[2],
                      const __m256i odd[2], uint32_t quad, const uint32_t rows)
{
#pragma GCC unroll 3
    for (uint32_t r = 0; r < rows; r++) {
        __m256i first = input_pair(block + (size_t)r * ROW_STRIDE, 2 * quad);
        __m256i second = input_pair(block + (size_t)r * ROW_STRIDE, 2 * quad + 1);
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            __m256i products = _mm256_add_epi32(_mm256_madd_epi16(even[i], first),
                                                _mm256_madd_epi16(odd[i], second));
            totals[r][i] = _mm256_add_epi32(totals[r][i], products);
        }
    }
}

INLINE void add_quads(__m256i totals[][2], const uint8_t *group, const uint8_t *block,
                      uint32_t half, uint32_t first, uint32_t end, const uint32_t rows,
                      const struct panel_shape shape)
{
    const __m256i low = _mm256_set1_epi16(shape.code_bits == 8 ? 0xff : 0x0f);
    uint32_t unit_end = shape.code_bits == 8 ? end : end / 2;
    for (uint32_t q = first; q < unit_end; q++) {
        const uint8_t *unit = group + (size_t)(q * 2 + half) * UNIT;
        __m256i codes[2] = {load_lanes(unit), load_lanes(unit + UNIT / 2)};
        __m256i even[2];
        __m256i odd[2];
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            even[i] = _mm256_and_si256(codes[i], low);
            odd[i] = _mm256_and_si256(_mm256_srli_epi16(codes[i], 8), low);
        }
        add_pairs(totals, block, even, odd, q, rows);
        if (shape.code_bits == 8) {
            continue;
        }
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            even[i] = _mm256_and_si256(_mm256_srli_epi16(codes[i], 4), low);
            odd[i] = _mm256_srli_epi16(codes[i], 12);
        }
        add_pairs(totals, block, even, odd, q + QUADS / 2, rows);
    }
}

INLINE __m256 load_f16(const uint8_t *place)
{
    return _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(const void *)place));
}

INLINE __m128i load_8(const uint8_t *place)
{
    return _mm_loadl_epi64((const __m128i *)(const void *)place);
}

/* Factors of the 8 rows from `row` on. */
INLINE __m256 step_of(const uint8_t *chunk, const uint8_t *scales, uint32_t sub, size_t row,
                      const struct panel_shape shape)
{
    if (!shape.has_header) {
        return load_f16(scales + row * 2);
    }
    __m256i codes = _mm256_cvtepi8_epi32(load_8(scales + (size_t)sub * PANEL_ROWS + row));
    return _mm256_mul_ps(load_f16(chunk + row * 2), _mm256_cvtepi32_ps(codes));
}

INLINE __m256 minimum_of(const uint8_t *chunk, const uint8_t *scales, uint32_t sub, size_t row,
                         const struct panel_shape shape)
{
    if (!shape.has_header) {
        return load_f16(scales + F16_BYTES + row * 2);
    }
    const uint8_t *minimums = scales + (size_t)shape.sub_count * PANEL_ROWS;
    __m256i codes = _mm256_cvtepu8_epi32(load_8(minimums + (size_t)sub * PANEL_ROWS + row));
    __m256 minimum =
        _mm256_mul_ps(load_f16(chunk + F16_BYTES + row * 2), _mm256_cvtepi32_ps(codes));
    return _mm256_sub_ps(_mm256_set1_ps(-0.0f), minimum); /* exactly -minimum */
}

INLINE void add_half(float *sums, const uint8_t *chunk, const uint8_t *group, const uint8_t *block,
                     uint32_t half, const uint32_t rows, const struct panel_shape shape)
{
    const uint8_t *scales = group + shape.codes_bytes;
    const uint32_t sub_quads = QUADS / shape.sub_count;
    sums += (size_t)half * HALF;
    for (uint32_t sub = 0; sub < shape.sub_count; sub++) {
        __m256i totals[TILE_ROWS][2];
#pragma GCC unroll 3
        for (uint32_t r = 0; r < rows; r++) {
            totals[r][0] = tail_start(block + (size_t)r * ROW_STRIDE, sub);
            totals[r][1] = totals[r][0];
        }
        add_quads(totals, group, block, half, sub * sub_quads, (sub + 1) * sub_quads, rows, shape);
#pragma GCC unroll 2
        for (uint32_t i = 0; i < 2; i++) {
            __m256 step =
                step_of(chunk, scales, sub, (size_t)half * HALF + (size_t)i * LANES, shape);
#pragma GCC unroll 3
            for (uint32_t r = 0; r < rows; r++) {
                float *place = sums + (size_t)r * PANEL_ROWS + (size_t)i * LANES;
                __m256 scale = tail_float(block + (size_t)r * ROW_STRIDE,
                                          offsetof(struct cpu_panel_tail, scale));
                __m256 total = _mm256_mul_ps(_mm256_cvtepi32_ps(totals[r][i]), scale);
                _mm256_store_ps(place, _mm256_fmadd_ps(total, step, _mm256_load_ps(place)));
            }
        }
    }
    for (uint32_t sub = 0; shape.has_minimum && sub < shape.sub_count; sub++) {
        size_t offset = offsetof(struct cpu_panel_tail, sum) + sub * sizeof(float);
        for (uint32_t i = 0; i < 2; i++) {
            __m256 minimum =
                minimum_of(chunk, scales, sub, (size_t)half * HALF + (size_t)i * LANES, shape);
            for (uint32_t r = 0; r < rows; r++) {
                float *place = sums + (size_t)r * PANEL_ROWS + (size_t)i * LANES;
                __m256 sum = tail_float(block + (size_t)r * ROW_STRIDE, offset);
                _mm256_store_ps(place, _mm256_fmadd_ps(minimum, sum, _mm256_load_ps(place)));
            }
        }
    }
}

/* ---- a panel ---- */

/* rows is a constant where this is inlined. */
INLINE void add_tile(float *sums, const uint8_t *chunk, const uint8_t *block, uint32_t group_count,
                     bool fetches, const uint32_t rows, const struct panel_shape shape)
{
    const uint8_t *group = chunk + shape.header_bytes;
    for (uint32_t g = 0; g < group_count; g++) {
        for (uint32_t line = 0; fetches && line < shape.group_bytes; line += UNIT) {
            _mm_prefetch((const char *)group + AHEAD + line, _MM_HINT_T0);
        }
        add_half(sums, chunk, group, block, 0, rows, shape);
        add_half(sums, chunk, group, block, 1, rows, shape);
        group += shape.group_bytes;
        block += CPU_PANEL_WIDE_BLOCK;
    }
}

INLINE void add_chunk(const struct cpu_panel_dot *args, const uint8_t *chunk, const uint8_t *inputs,
                      uint32_t group_count, const struct panel_shape shape)
{
    for (uint32_t row = 0; row < args->row_count; row += TILE_ROWS) {
        uint32_t left = args->row_count - row;
        float *sums = args->sums + (size_t)row * PANEL_ROWS;
        const uint8_t *block = inputs + (size_t)row * ROW_STRIDE;
        switch (left) {
        case 1:
            add_tile(sums, chunk, block, group_count, row == 0, 1, shape);
            break;
        case 2:
            add_tile(sums, chunk, block, group_count, row == 0, 2, shape);
            break;
        default:
            add_tile(sums, chunk, block, group_count, row == 0, 3, shape);
            break;
        }
    }
}

static void store(const struct cpu_panel_dot *args)
{
    for (uint32_t row = 0; row < args->row_count; row++) {
        const float *sums = args->sums + (size_t)row * PANEL_ROWS;
        size_t base = row * args->out_stride;
        uint32_t column = 0;
        for (; column + LANES <= args->column_count; column += LANES) {
            __m256 value = _mm256_load_ps(sums + column);
            if (args->bias != NULL) {
                value = _mm256_add_ps(value, _mm256_loadu_ps(args->bias + column));
            }
            if (args->residual != NULL) {
                value = _mm256_add_ps(value, _mm256_loadu_ps(args->residual + base + column));
            }
            _mm256_storeu_ps(args->out + base + column, value);
        }
        for (; column < args->column_count; column++) {
            float value = sums[column];
            value = args->bias != NULL ? value + args->bias[column] : value;
            value = args->residual != NULL ? value + args->residual[base + column] : value;
            args->out[base + column] = value;
        }
    }
}

INLINE void dot(const struct cpu_panel_dot *args, const struct panel_shape shape)
{
    const uint8_t *chunk = args->panel;
    const uint8_t *inputs = args->inputs;
    memset(args->sums, 0, (size_t)args->row_count * PANEL_ROWS * sizeof *args->sums);
    for (uint32_t g = 0; g < args->group_count; g += PANEL_CHUNK) {
        uint32_t left = args->group_count - g;
        add_chunk(args, chunk, inputs, left < PANEL_CHUNK ? left : PANEL_CHUNK, shape);
        chunk += shape.header_bytes + (size_t)PANEL_CHUNK * shape.group_bytes;
        inputs += args->chunk_stride;
    }
    store(args);
}

#define DOT(name, shape)                                                                           \
    static void dot_##name(const struct cpu_panel_dot *args)                                       \
    {                                                                                              \
        dot(args, shape);                                                                          \
    }

DOT(4f, PANEL_SHAPE_4F)
DOT(8f, PANEL_SHAPE_8F)
DOT(4fm, PANEL_SHAPE_4FM)
DOT(8fm, PANEL_SHAPE_8FM)
DOT(4km, PANEL_SHAPE_4KM)
DOT(8k, PANEL_SHAPE_8K)
DOT(8km, PANEL_SHAPE_8KM)
DOT(8k16, PANEL_SHAPE_8K16)
DOT(8k16m, PANEL_SHAPE_8K16M)

/* ---- inputs ---- */

INLINE int32_t largest_lane(__m256i lanes)
{
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

INLINE int32_t sum_lanes(__m256i lanes)
{
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

/* 16 codes as int16, the four of a quad as 0 2 1 3. */
INLINE void store_codes(uint8_t *place, __m256i first, __m256i second)
{
    const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15, 0,
                                           1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
    __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xd8);
    _mm256_storeu_si256((__m256i *)(void *)place, _mm256_shuffle_epi8(words, order));
}

static void quantize_group(uint8_t *block, const float *in, const struct cpu_panel_quantize *args)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256 x[4];
    __m256i codes[4];
    __m256i bits = _mm256_setzero_si256();
    for (int i = 0; i < 4; i++) {
        x[i] = _mm256_loadu_ps(in + (size_t)i * LANES);
        codes[i] = _mm256_setzero_si256();
        bits = _mm256_max_epi32(bits, _mm256_and_si256(_mm256_castps_si256(x[i]), magnitude));
    }
    int32_t largest_bits = largest_lane(bits);
    float largest;
    memcpy(&largest, &largest_bits, sizeof largest);
    float scale = 0.0f;
    if (!(largest <= 0x1.fffffep127f)) {
        scale = __builtin_nanf("");
    } else if (largest >= 0x1p-100f) {
        float inverse;
        scale = cpu_panel_scale(largest, args->limit, &inverse);
        for (int i = 0; i < 4; i++) {
            codes[i] = _mm256_cvtps_epi32(_mm256_mul_ps(x[i], _mm256_set1_ps(inverse)));
        }
    }
    store_codes(block, codes[0], codes[1]);
    store_codes(block + TAIL / 2, codes[2], codes[3]);
    int32_t low = sum_lanes(_mm256_add_epi32(codes[0], codes[1]));
    int32_t high = sum_lanes(_mm256_add_epi32(codes[2], codes[3]));
    int32_t first = args->sub_count == 1 ? low + high : low;
    struct cpu_panel_tail tail = {
        .scale = scale,
        .start = {-args->code_offset * first, -args->code_offset * high},
        .sum = {scale * (float)first, scale * (float)high},
    };
    memcpy(block + TAIL, &tail, sizeof tail);
}

static void quantize(const struct cpu_panel_quantize *args)
{
    for (uint32_t g = 0; g < args->group_count; g++) {
        uint8_t *chunk = args->out + g / PANEL_CHUNK * args->chunk_stride;
        quantize_group(chunk + (size_t)(g % PANEL_CHUNK) * CPU_PANEL_WIDE_BLOCK,
                       args->in + (size_t)g * PANEL_GROUP, args);
    }
}

void cpu_panel_avx2_fill(struct cpu_ops *ops)
{
    static const cpu_panel_dot_fn DOTS[PANEL_KIND_COUNT] = {
        [PANEL_4F] = dot_4f,   [PANEL_8F] = dot_8f,     [PANEL_4FM] = dot_4fm,
        [PANEL_8FM] = dot_8fm, [PANEL_4KM] = dot_4km,   [PANEL_8K] = dot_8k,
        [PANEL_8KM] = dot_8km, [PANEL_8K16] = dot_8k16, [PANEL_8K16M] = dot_8k16m,
    };
    ops->panel_quantize_wide = quantize;
    for (int kind = 0; kind < PANEL_KIND_COUNT; kind++) {
        ops->panel_dot_wide[kind] = DOTS[kind];
    }
}
