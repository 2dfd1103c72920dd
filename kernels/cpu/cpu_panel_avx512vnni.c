/* cpu_panel_avx512vnni.c - a tile of up to 6 input rows x 32 outputs in registers: 12 integer and 12
 * float accumulators, and each broadcast input feeds two dot products. Chunk by chunk through the
 * panel, tile by tile within a chunk, so that its weights come from memory once and from the L1
 * cache for all further tiles.
 *
 * The floor is one pass over the panel (one row) or code bytes / 64 dot products a row (many). Beside
 * every 8 dot products stands one FMA on the same units and, on others, a subtraction; the six
 * multiplications that a tile shares bring the bound from 8 / 9 of the instruction's peak to 5 / 6. Memory is prefetched a fixed distance ahead, in equal parts by the tiles of a
 * chunk: all by the first comes in bursts, and none leaves a third of the speed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_panel_avx512vnni.h"

#include "kernels/cpu/cpu_panel.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    TILE_ROWS = 6,
    FEW_ROWS = 3, /* six multiplications: as many as a table of steps takes */
    HALF = 16,
    F16_BYTES = PANEL_ROWS * 2, /* of one factor of a panel's rows */
    QUADS = PANEL_GROUP / 4,
    UNIT = 64,
    AHEAD_4 = 9 << 10,  /* bytes; the starting values, not tuned on this kernel */
    AHEAD_8 = 16 << 10, /* the same time ahead, with twice the bytes a group */
};

/* How the inputs of a kernel are stored. */
struct codes {
    uint32_t block_bytes;
    uint32_t tail; /* offset of struct cpu_panel_tail */
    bool wide;
};

#define BYTES ((struct codes){CPU_PANEL_BYTE_BLOCK, PANEL_GROUP, false})
#define WIDE  ((struct codes){CPU_PANEL_WIDE_BLOCK, 2 * PANEL_GROUP, true})

/* ---- one group ---- */

INLINE __m512i load_unit(const uint8_t *group, uint32_t quad, uint32_t half)
{
    return _mm512_load_si512(group + (size_t)(quad * 2 + half) * UNIT);
}

/* Four bytes, or two int16, of one row's codes, in every lane. */
INLINE __m512i input_dword(const uint8_t *block, uint32_t index)
{
    int32_t dword;
    memcpy(&dword, block + (size_t)index * 4, sizeof dword);
    return _mm512_set1_epi32(dword);
}

INLINE __m512i start_of(const uint8_t *block, const struct codes codes, uint32_t sub)
{
    int32_t start;
    memcpy(&start, block + codes.tail + offsetof(struct cpu_panel_tail, start) + sub * sizeof start,
           sizeof start);
    return _mm512_set1_epi32(start);
}

INLINE __m512 tail_float(const uint8_t *block, const struct codes codes, size_t offset)
{
    float value;
    memcpy(&value, block + codes.tail + offset, sizeof value);
    return _mm512_set1_ps(value);
}

/* Adds the products of quads [first, end) of bytes: 8 bits a code. */
INLINE void add_quads_8(__m512i totals[][2], const uint8_t *group, const uint8_t *block,
                        size_t stride, uint32_t first, uint32_t end, const uint32_t rows,
                        const struct codes codes)
{
    const __m512i low_bytes = _mm512_set1_epi16(0xff);
#pragma GCC unroll 8
    for (uint32_t q = first; q < end; q++) {
        __m512i a = load_unit(group, q, 0);
        __m512i b = load_unit(group, q, 1);
        if (!codes.wide) {
#pragma GCC unroll 6
            for (uint32_t r = 0; r < rows; r++) {
                __m512i input = input_dword(block + r * stride, q);
                totals[r][0] = _mm512_dpbusd_epi32(totals[r][0], a, input);
                totals[r][1] = _mm512_dpbusd_epi32(totals[r][1], b, input);
            }
            continue;
        }
        __m512i a_even = _mm512_and_si512(a, low_bytes);
        __m512i b_even = _mm512_and_si512(b, low_bytes);
        __m512i a_odd = _mm512_srli_epi16(a, 8);
        __m512i b_odd = _mm512_srli_epi16(b, 8);
#pragma GCC unroll 6
        for (uint32_t r = 0; r < rows; r++) {
            __m512i even = input_dword(block + r * stride, 2 * q);
            __m512i odd = input_dword(block + r * stride, 2 * q + 1);
            totals[r][0] = _mm512_dpwssd_epi32(totals[r][0], a_even, even);
            totals[r][1] = _mm512_dpwssd_epi32(totals[r][1], b_even, even);
            totals[r][0] = _mm512_dpwssd_epi32(totals[r][0], a_odd, odd);
            totals[r][1] = _mm512_dpwssd_epi32(totals[r][1], b_odd, odd);
        }
    }
}

/* The same for all quads of nibbles: quad q is low, quad q + 4 high. */
INLINE void add_quads_4(__m512i totals[][2], const uint8_t *group, const uint8_t *block,
                        size_t stride, const uint32_t rows, const struct codes codes)
{
    if (!codes.wide) {
        const __m512i low_nibbles = _mm512_set1_epi8(15);
#pragma GCC unroll 4
        for (uint32_t q = 0; q < QUADS / 2; q++) {
            __m512i a = load_unit(group, q, 0);
            __m512i b = load_unit(group, q, 1);
            __m512i a_high = _mm512_and_si512(_mm512_srli_epi16(a, 4), low_nibbles);
            __m512i b_high = _mm512_and_si512(_mm512_srli_epi16(b, 4), low_nibbles);
            a = _mm512_and_si512(a, low_nibbles);
            b = _mm512_and_si512(b, low_nibbles);
#pragma GCC unroll 6
            for (uint32_t r = 0; r < rows; r++) {
                __m512i low = input_dword(block + r * stride, q);
                __m512i high = input_dword(block + r * stride, q + QUADS / 2);
                totals[r][0] = _mm512_dpbusd_epi32(totals[r][0], a, low);
                totals[r][1] = _mm512_dpbusd_epi32(totals[r][1], b, low);
                totals[r][0] = _mm512_dpbusd_epi32(totals[r][0], a_high, high);
                totals[r][1] = _mm512_dpbusd_epi32(totals[r][1], b_high, high);
            }
        }
        return;
    }
    const __m512i low_words = _mm512_set1_epi16(15);
#pragma GCC unroll 4
    for (uint32_t q = 0; q < QUADS / 2; q++) {
        __m512i a = load_unit(group, q, 0);
        __m512i b = load_unit(group, q, 1);
        /* The four nibbles of a word in turn: even and odd values of the low quad and the high. */
#pragma GCC unroll 4
        for (uint32_t plane = 0; plane < 4; plane++) {
            __m512i a_codes = _mm512_and_si512(_mm512_srli_epi16(a, plane * 4), low_words);
            __m512i b_codes = _mm512_and_si512(_mm512_srli_epi16(b, plane * 4), low_words);
            uint32_t dword = 2 * q + plane / 2 + plane % 2 * QUADS;
#pragma GCC unroll 6
            for (uint32_t r = 0; r < rows; r++) {
                __m512i input = input_dword(block + r * stride, dword);
                totals[r][0] = _mm512_dpwssd_epi32(totals[r][0], a_codes, input);
                totals[r][1] = _mm512_dpwssd_epi32(totals[r][1], b_codes, input);
            }
        }
    }
}

INLINE __m512 load_f16(const uint8_t *place)
{
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)place));
}

INLINE __m128i load_bytes(const uint8_t *place)
{
    return _mm_load_si128((const __m128i *)(const void *)place);
}

INLINE __m512 step_of(const uint8_t *chunk, const uint8_t *scales, uint32_t sub, uint32_t half,
                      const struct panel_shape shape)
{
    if (!shape.has_header) {
        return load_f16(scales + (size_t)half * HALF * 2);
    }
    __m128i codes = load_bytes(scales + (size_t)sub * PANEL_ROWS + (size_t)half * HALF);
    return _mm512_mul_ps(load_f16(chunk + (size_t)half * HALF * 2),
                         _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)));
}

/* Under a header the minimum is taken away: the sign is the caller's. */
INLINE __m512 minimum_of(const uint8_t *chunk, const uint8_t *scales, uint32_t sub, uint32_t half,
                         const struct panel_shape shape)
{
    if (!shape.has_header) {
        return load_f16(scales + F16_BYTES + (size_t)half * HALF * 2);
    }
    const uint8_t *minimums = scales + (size_t)shape.sub_count * PANEL_ROWS;
    __m128i codes = load_bytes(minimums + (size_t)sub * PANEL_ROWS + (size_t)half * HALF);
    return _mm512_mul_ps(load_f16(chunk + F16_BYTES + (size_t)half * HALF * 2),
                         _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(codes)));
}

INLINE void add_minimums(__m512 sums[][2], const uint8_t *chunk, const uint8_t *scales,
                         const uint8_t *block, size_t stride, const uint32_t rows,
                         const struct panel_shape shape, const struct codes codes)
{
    for (uint32_t sub = 0; sub < shape.sub_count; sub++) {
        __m512 a = minimum_of(chunk, scales, sub, 0, shape);
        __m512 b = minimum_of(chunk, scales, sub, 1, shape);
        size_t offset = offsetof(struct cpu_panel_tail, sum) + sub * sizeof(float);
#pragma GCC unroll 6
        for (uint32_t r = 0; r < rows; r++) {
            __m512 sum = tail_float(block + r * stride, codes, offset);
            if (shape.has_header) {
                sums[r][0] = _mm512_fnmadd_ps(a, sum, sums[r][0]);
                sums[r][1] = _mm512_fnmadd_ps(b, sum, sums[r][1]);
            } else {
                sums[r][0] = _mm512_fmadd_ps(a, sum, sums[r][0]);
                sums[r][1] = _mm512_fmadd_ps(b, sum, sums[r][1]);
            }
        }
    }
}

/* The step of 32 columns, for each count of quarters a scale may have. */
struct steps {
    __m512 of[4][2];
};

INLINE struct steps quartered(__m512 a, __m512 b)
{
    struct steps steps;
#pragma GCC unroll 4
    for (int quarters = 0; quarters < 4; quarters++) {
        __m512 factor = _mm512_set1_ps(1.0f + (float)quarters / 4.0f);
        steps.of[quarters][0] = quarters == 0 ? a : _mm512_mul_ps(a, factor);
        steps.of[quarters][1] = quarters == 0 ? b : _mm512_mul_ps(b, factor);
    }
    return steps;
}

INLINE uint32_t quarters_of(const uint8_t *block, const struct codes codes)
{
    uint32_t quarters;
    memcpy(&quarters, block + codes.tail + offsetof(struct cpu_panel_tail, quarters),
           sizeof quarters);
    return quarters;
}

/* sums += (float)(integer sums) * scale * step */
INLINE void add_wide(__m512 sums[2], const __m512i totals[2], __m512 a, __m512 b,
                     const uint8_t *block, const struct codes codes)
{
    __m512 scale = tail_float(block, codes, offsetof(struct cpu_panel_tail, scale));
    sums[0] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(totals[0]), scale), a, sums[0]);
    sums[1] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(totals[1]), scale), b, sums[1]);
}

/* The same of byte codes, where the conversion is done already, in few rows: what is left of the
 * scale is not worth a table of steps. */
INLINE void add_bytes_few(__m512 sums[2], const __m512i totals[2], __m512 a, __m512 b,
                          const uint8_t *block, const struct codes codes)
{
    static const float FACTORS[4] = {1.0f, 1.25f, 1.5f, 1.75f};
    __m512 factor = _mm512_set1_ps(FACTORS[quarters_of(block, codes)]);
    __m512 origin = tail_float(block, codes, offsetof(struct cpu_panel_tail, origin));
    __m512 total_a = _mm512_sub_ps(_mm512_castsi512_ps(totals[0]), origin);
    __m512 total_b = _mm512_sub_ps(_mm512_castsi512_ps(totals[1]), origin);
    sums[0] = _mm512_fmadd_ps(_mm512_mul_ps(total_a, factor), a, sums[0]);
    sums[1] = _mm512_fmadd_ps(_mm512_mul_ps(total_b, factor), b, sums[1]);
}

/* And in many, where it is in the steps. */
INLINE void add_bytes(__m512 sums[2], const __m512i totals[2], const struct steps *steps,
                      const uint8_t *block, const struct codes codes)
{
    const __m512 *step = steps->of[quarters_of(block, codes)];
    __m512 origin = tail_float(block, codes, offsetof(struct cpu_panel_tail, origin));
    __m512 a = _mm512_sub_ps(_mm512_castsi512_ps(totals[0]), origin);
    __m512 b = _mm512_sub_ps(_mm512_castsi512_ps(totals[1]), origin);
    sums[0] = _mm512_fmadd_ps(a, step[0], sums[0]);
    sums[1] = _mm512_fmadd_ps(b, step[1], sums[1]);
}

INLINE void add_group(__m512 sums[][2], const uint8_t *chunk, const uint8_t *group,
                      const uint8_t *block, const uint32_t rows, const struct panel_shape shape,
                      const struct codes codes)
{
    const size_t stride = (size_t)PANEL_CHUNK * codes.block_bytes;
    const uint8_t *scales = group + shape.codes_bytes;
    const uint32_t sub_quads = QUADS / shape.sub_count;
#pragma GCC unroll 2
    for (uint32_t sub = 0; sub < shape.sub_count; sub++) {
        __m512i totals[TILE_ROWS][2];
        __m512 a = step_of(chunk, scales, sub, 0, shape);
        __m512 b = step_of(chunk, scales, sub, 1, shape);
        struct steps steps;
        if (!codes.wide && rows > FEW_ROWS) {
            steps = quartered(a, b);
        }
#pragma GCC unroll 6
        for (uint32_t r = 0; r < rows; r++) {
            totals[r][0] = start_of(block + r * stride, codes, sub);
            totals[r][1] = totals[r][0];
        }
        if (shape.code_bits == 8) {
            add_quads_8(totals, group, block, stride, sub * sub_quads, (sub + 1) * sub_quads, rows,
                        codes);
        } else {
            add_quads_4(totals, group, block, stride, rows, codes);
        }
#pragma GCC unroll 6
        for (uint32_t r = 0; r < rows; r++) {
            if (codes.wide) {
                add_wide(sums[r], totals[r], a, b, block + r * stride, codes);
            } else if (rows <= FEW_ROWS) {
                add_bytes_few(sums[r], totals[r], a, b, block + r * stride, codes);
            } else {
                add_bytes(sums[r], totals[r], &steps, block + r * stride, codes);
            }
        }
    }
    if (shape.has_minimum) {
        add_minimums(sums, chunk, scales, block, stride, rows, shape, codes);
    }
}

/* ---- a chunk, tile by tile ---- */

/* The lines of each group that a tile fetches ahead: [first, end). */
struct share {
    uint32_t first;
    uint32_t end;
};

/* rows is a constant where this is inlined, so that all accumulators are registers. */
INLINE void add_tile(float *sums, const uint8_t *chunk, const uint8_t *block, uint32_t group_count,
                     bool first, struct share share, const uint32_t rows,
                     const struct panel_shape shape, const struct codes codes)
{
    const size_t ahead = shape.code_bits == 4 ? AHEAD_4 : AHEAD_8;
    const uint8_t *group = chunk + shape.header_bytes;
    __m512 registers[TILE_ROWS][2];
#pragma GCC unroll 6
    for (uint32_t r = 0; r < rows; r++) {
        registers[r][0] =
            first ? _mm512_setzero_ps() : _mm512_load_ps(sums + (size_t)r * PANEL_ROWS);
        registers[r][1] =
            first ? _mm512_setzero_ps() : _mm512_load_ps(sums + (size_t)r * PANEL_ROWS + HALF);
    }
    for (uint32_t g = 0; g < group_count; g++) {
        for (uint32_t line = share.first; line < share.end; line++) {
            _mm_prefetch((const char *)group + ahead + (size_t)line * UNIT, _MM_HINT_T0);
        }
        add_group(registers, chunk, group, block, rows, shape, codes);
        group += shape.group_bytes;
        block += codes.block_bytes;
    }
#pragma GCC unroll 6
    for (uint32_t r = 0; r < rows; r++) {
        _mm512_store_ps(sums + (size_t)r * PANEL_ROWS, registers[r][0]);
        _mm512_store_ps(sums + (size_t)r * PANEL_ROWS + HALF, registers[r][1]);
    }
}

INLINE void add_chunk(const struct cpu_panel_dot *args, const uint8_t *chunk, const uint8_t *inputs,
                      uint32_t group_count, bool first, const struct panel_shape shape,
                      const struct codes codes)
{
    uint32_t tile_count = (args->row_count + TILE_ROWS - 1) / TILE_ROWS;
    uint32_t lines = shape.group_bytes / UNIT;
    float *sums = args->sums;
    for (uint32_t tile = 0, row = 0; tile < tile_count; tile++) {
        struct share share = {lines * tile / tile_count, lines * (tile + 1) / tile_count};
        uint32_t tiles_left = tile_count - tile;
        uint32_t rows = (args->row_count - row + tiles_left - 1) / tiles_left; /* even tiles */
        switch (rows) {
        case 1:
            add_tile(sums, chunk, inputs, group_count, first, share, 1, shape, codes);
            break;
        case 2:
            add_tile(sums, chunk, inputs, group_count, first, share, 2, shape, codes);
            break;
        case 3:
            add_tile(sums, chunk, inputs, group_count, first, share, 3, shape, codes);
            break;
        case 4:
            add_tile(sums, chunk, inputs, group_count, first, share, 4, shape, codes);
            break;
        case 5:
            add_tile(sums, chunk, inputs, group_count, first, share, 5, shape, codes);
            break;
        default:
            add_tile(sums, chunk, inputs, group_count, first, share, 6, shape, codes);
            break;
        }
        row += rows;
        sums += (size_t)rows * PANEL_ROWS;
        inputs += (size_t)rows * PANEL_CHUNK * codes.block_bytes;
    }
}

/* ---- a panel ---- */

INLINE void store_half(const struct cpu_panel_dot *args, uint32_t row, uint32_t half,
                       __mmask16 mask)
{
    size_t place = row * args->out_stride + (size_t)half * HALF;
    __m512 value = _mm512_load_ps(args->sums + (size_t)row * PANEL_ROWS + (size_t)half * HALF);
    if (args->bias != NULL) {
        value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, args->bias + (size_t)half * HALF));
    }
    if (args->residual != NULL) {
        value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, args->residual + place));
    }
    _mm512_mask_storeu_ps(args->out + place, mask, value);
}

/* Whole panels without masks: a masked store costs several whole ones. */
static void store_whole(const struct cpu_panel_dot *args)
{
    __m512 bias_a = _mm512_setzero_ps();
    __m512 bias_b = _mm512_setzero_ps();
    if (args->bias != NULL) {
        bias_a = _mm512_loadu_ps(args->bias);
        bias_b = _mm512_loadu_ps(args->bias + HALF);
    }
    for (uint32_t row = 0; row < args->row_count; row++) {
        const float *sums = args->sums + (size_t)row * PANEL_ROWS;
        size_t place = row * args->out_stride;
        __m512 a = _mm512_load_ps(sums);
        __m512 b = _mm512_load_ps(sums + HALF);
        if (args->bias != NULL) {
            a = _mm512_add_ps(a, bias_a);
            b = _mm512_add_ps(b, bias_b);
        }
        if (args->residual != NULL) {
            a = _mm512_add_ps(a, _mm512_loadu_ps(args->residual + place));
            b = _mm512_add_ps(b, _mm512_loadu_ps(args->residual + place + HALF));
        }
        _mm512_storeu_ps(args->out + place, a);
        _mm512_storeu_ps(args->out + place + HALF, b);
    }
}

static void store(const struct cpu_panel_dot *args)
{
    if (args->column_count == PANEL_ROWS) {
        store_whole(args);
        return;
    }
    uint32_t mask = (uint32_t)((UINT64_C(1) << args->column_count) - 1);
    for (uint32_t row = 0; row < args->row_count; row++) {
        store_half(args, row, 0, (__mmask16)mask);
        if (args->column_count > HALF) {
            store_half(args, row, 1, (__mmask16)(mask >> HALF));
        }
    }
}

INLINE void dot(const struct cpu_panel_dot *args, const struct panel_shape shape,
                const struct codes codes)
{
    const uint8_t *chunk = args->panel;
    const uint8_t *inputs = args->inputs;
    for (uint32_t g = 0; g < args->group_count; g += PANEL_CHUNK) {
        uint32_t left = args->group_count - g;
        uint32_t group_count = left < PANEL_CHUNK ? left : PANEL_CHUNK;
        add_chunk(args, chunk, inputs, group_count, g == 0, shape, codes);
        chunk += shape.header_bytes + (size_t)PANEL_CHUNK * shape.group_bytes;
        inputs += args->chunk_stride;
    }
    store(args);
}

#define DOT(name, shape)                                                                           \
    static void dot_bytes_##name(const struct cpu_panel_dot *args)                                 \
    {                                                                                              \
        dot(args, shape, BYTES);                                                                   \
    }                                                                                              \
    static void dot_wide_##name(const struct cpu_panel_dot *args)                                  \
    {                                                                                              \
        dot(args, shape, WIDE);                                                                    \
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

/* Splits the scale as byte codes have it. */
static void split_scale(struct cpu_panel_tail *tail)
{
    uint32_t bits;
    float power;
    memcpy(&bits, &tail->scale, sizeof bits);
    tail->quarters = bits >> 21 & 3;
    bits &= 0x7f800000u;
    memcpy(&power, &bits, sizeof power);
    /* A group of zeros has no scale: any origin gives zero. */
    tail->origin = power == 0.0f ? 0x1.8p23f : power * 0x1.8p23f;
}

INLINE void store_tail(uint8_t *place, const struct cpu_panel_quantize *args, float scale,
                       int32_t low, int32_t high, bool wide)
{
    int32_t first = args->sub_count == 1 ? low + high : low;
    int32_t base = 0;
    struct cpu_panel_tail tail = {
        .scale = scale,
        .sum = {scale * (float)first, scale * (float)high},
    };
    if (!wide) {
        split_scale(&tail);
        memcpy(&base, &tail.origin, sizeof base);
    }
    tail.start[0] = base - args->code_offset * first;
    tail.start[1] = base - args->code_offset * high;
    memcpy(place, &tail, sizeof tail);
}

INLINE void quantize_group(uint8_t *block, const float *in, const struct cpu_panel_quantize *args,
                           const struct codes codes)
{
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512 a = _mm512_loadu_ps(in);
    __m512 b = _mm512_loadu_ps(in + HALF);
    __m512i largest_bits = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(a), magnitude),
                                            _mm512_and_si512(_mm512_castps_si512(b), magnitude));
    int32_t bits = _mm512_reduce_max_epi32(largest_bits);
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    __m512i code_a = _mm512_setzero_si512();
    __m512i code_b = _mm512_setzero_si512();
    float scale = 0.0f;
    if (!(largest <= 0x1.fffffep127f)) {
        scale = __builtin_nanf("");
    } else if (largest >= 0x1p-100f) {
        float inverse;
        scale = cpu_panel_scale(largest, args->limit, &inverse);
        code_a = _mm512_cvtps_epi32(_mm512_mul_ps(a, _mm512_set1_ps(inverse)));
        code_b = _mm512_cvtps_epi32(_mm512_mul_ps(b, _mm512_set1_ps(inverse)));
    }
    if (codes.wide) {
        const __m128i order = _mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
        __m512i pair = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(code_a)),
                                          _mm512_cvtepi32_epi16(code_b), 1);
        _mm512_storeu_si512(block, _mm512_shuffle_epi8(pair, _mm512_broadcast_i32x4(order)));
    } else {
        _mm_storeu_si128((__m128i *)(void *)block, _mm512_cvtepi32_epi8(code_a));
        _mm_storeu_si128((__m128i *)(void *)(block + HALF), _mm512_cvtepi32_epi8(code_b));
    }
    store_tail(block + codes.tail, args, scale, _mm512_reduce_add_epi32(code_a),
               _mm512_reduce_add_epi32(code_b), codes.wide);
}

INLINE void quantize(const struct cpu_panel_quantize *args, const struct codes codes)
{
    for (uint32_t g = 0; g < args->group_count; g++) {
        uint8_t *chunk = args->out + g / PANEL_CHUNK * args->chunk_stride;
        quantize_group(chunk + (size_t)(g % PANEL_CHUNK) * codes.block_bytes,
                       args->in + (size_t)g * PANEL_GROUP, args, codes);
    }
}

static void quantize_wide(const struct cpu_panel_quantize *args)
{
    quantize(args, WIDE);
}

static void quantize_bytes(const struct cpu_panel_quantize *args)
{
    quantize(args, BYTES);
}

void cpu_panel_avx512vnni_fill(struct cpu_ops *ops)
{
    static const struct {
        cpu_panel_dot_fn bytes;
        cpu_panel_dot_fn wide;
    } DOTS[PANEL_KIND_COUNT] = {
        [PANEL_4F] = {dot_bytes_4f, dot_wide_4f},
        [PANEL_8F] = {dot_bytes_8f, dot_wide_8f},
        [PANEL_4FM] = {dot_bytes_4fm, dot_wide_4fm},
        [PANEL_8FM] = {dot_bytes_8fm, dot_wide_8fm},
        [PANEL_4KM] = {dot_bytes_4km, dot_wide_4km},
        [PANEL_8K] = {dot_bytes_8k, dot_wide_8k},
        [PANEL_8KM] = {dot_bytes_8km, dot_wide_8km},
        [PANEL_8K16] = {dot_bytes_8k16, dot_wide_8k16},
        [PANEL_8K16M] = {dot_bytes_8k16m, dot_wide_8k16m},
    };
    for (int kind = 0; kind < PANEL_KIND_COUNT; kind++) {
        ops->panel_dot_bytes[kind] = DOTS[kind].bytes;
        ops->panel_dot_wide[kind] = DOTS[kind].wide;
    }
    ops->panel_quantize_bytes = quantize_bytes;
    ops->panel_quantize_wide = quantize_wide;
}
