/* cpu_pack_avx2.c - eight rows of a group at a time: each row's 32 codes are one register, and eight
 * of those, seen as dwords, are transposed into eight stores of 32 bytes. In the types of four bits
 * whose nibbles lie as the panel wants them nothing is taken apart at all. Other types, and a last
 * panel with fewer rows, are left to panel.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_pack_avx2.h"

#include "kernels/panel.h"
#include "kernels/quant.h"
#include "kernels/quant_k.h"
#include "kernels/quant_split.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    LANE_ROWS = 8, /* rows whose dwords fill a register */
    HALF = PANEL_ROWS / 2,
    QUADS = PANEL_GROUP / 4,
    UNIT_BYTES = HALF * 4,
    SCALES_BYTES = PANEL_ROWS * 2,
};

/* The 32 codes of group g (in blocks of 256) of a block, in order. */
typedef __m256i (*codes_fn)(const uint8_t *block, uint32_t g);

/* What a type is made of; blocks of 32 have factors that are copied as they are. */
struct form {
    codes_fn codes;
    struct panel_shape shape;
    uint32_t block_bytes;
    quant_split_fn factors; /* of blocks of 256, else NULL */
};

/* ---- codes ---- */

INLINE __m256i load(const uint8_t *bytes)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)bytes);
}

INLINE __m128i load_half(const uint8_t *bytes)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* One field of each byte. */
INLINE __m256i fields(__m256i bytes, uint32_t shift, int mask)
{
    __m256i moved = _mm256_srl_epi16(bytes, _mm_cvtsi32_si128((int)shift));
    return _mm256_and_si256(moved, _mm256_set1_epi8((char)mask));
}

INLINE __m256i nibbles(const uint8_t *bytes)
{
    __m128i both = load_half(bytes);
    __m256i apart = _mm256_set_m128i(_mm_srli_epi16(both, 4), both);
    return _mm256_and_si256(apart, _mm256_set1_epi8(15));
}

/* 32 bits -> 16 in every byte whose bit is set. */
INLINE __m256i fifth_bits(const uint8_t *bytes)
{
    const __m256i spread = _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101,
                                              0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    int32_t bits;
    memcpy(&bits, bytes, sizeof bits);
    __m256i spread_bits = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), spread);
    __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread_bits, bit), bit);
    return _mm256_and_si256(set, _mm256_set1_epi8(16));
}

INLINE __m256i codes_q8_0(const uint8_t *block, uint32_t g)
{
    (void)g;
    return _mm256_xor_si256(load(block + 2), _mm256_set1_epi8((char)0x80));
}

INLINE __m256i codes_q4_0(const uint8_t *block, uint32_t g)
{
    (void)g;
    return nibbles(block + 2);
}

INLINE __m256i codes_q4_1(const uint8_t *block, uint32_t g)
{
    (void)g;
    return nibbles(block + 4);
}

INLINE __m256i codes_q5_0(const uint8_t *block, uint32_t g)
{
    (void)g;
    return _mm256_or_si256(nibbles(block + 6), fifth_bits(block + 2));
}

INLINE __m256i codes_q5_1(const uint8_t *block, uint32_t g)
{
    (void)g;
    return _mm256_or_si256(nibbles(block + 8), fifth_bits(block + 4));
}

INLINE __m256i codes_iq4_nl(const uint8_t *block, uint32_t g)
{
    (void)g;
    __m256i values = _mm256_broadcastsi128_si256(load_half((const uint8_t *)quant_k_iq4_values));
    return _mm256_xor_si256(_mm256_shuffle_epi8(values, nibbles(block + 2)),
                            _mm256_set1_epi8((char)0x80));
}

INLINE __m256i codes_q4_k(const uint8_t *block, uint32_t g)
{
    return fields(load(block + 16 + (size_t)(g / 2) * 32), g % 2 * 4, 15);
}

INLINE __m256i codes_q5_k(const uint8_t *block, uint32_t g)
{
    __m256i low = fields(load(block + 48 + (size_t)(g / 2) * 32), g % 2 * 4, 15);
    __m256i high = fields(load(block + 16), g, 1);
    return _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
}

INLINE __m256i codes_q6_k(const uint8_t *block, uint32_t g)
{
    __m256i low =
        fields(load(block + (size_t)(g / 4) * 64 + (size_t)(g % 2) * 32), g % 4 / 2 * 4, 15);
    __m256i high = fields(load(block + 128 + (size_t)(g / 4) * 32), g % 4 * 2, 3);
    return _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
}

/* ---- eight rows of one group ---- */

/* rows[i] has four dwords of row i, then four of row i + 4; they become those of one place each. */
INLINE void store_transposed(uint8_t *units, const __m256i rows[4])
{
    __m256i low01 = _mm256_unpacklo_epi32(rows[0], rows[1]);
    __m256i high01 = _mm256_unpackhi_epi32(rows[0], rows[1]);
    __m256i low23 = _mm256_unpacklo_epi32(rows[2], rows[3]);
    __m256i high23 = _mm256_unpackhi_epi32(rows[2], rows[3]);
    const __m256i places[4] = {
        _mm256_unpacklo_epi64(low01, low23),
        _mm256_unpackhi_epi64(low01, low23),
        _mm256_unpacklo_epi64(high01, high23),
        _mm256_unpackhi_epi64(high01, high23),
    };
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) {
        _mm256_storeu_si256((__m256i *)(void *)(units + (size_t)q * 2 * UNIT_BYTES), places[q]);
    }
}

INLINE void put_rows(uint8_t *group, uint32_t first_row, const uint8_t *block, size_t row_bytes,
                     uint32_t g, const struct form form)
{
    uint8_t *units =
        group + (size_t)(first_row / HALF) * UNIT_BYTES + (size_t)(first_row % HALF) * 4;
    __m256i firsts[4];
    __m256i seconds[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        __m256i above = form.codes(block + i * row_bytes, g);
        __m256i below = form.codes(block + (i + 4) * row_bytes, g);
        firsts[i] = _mm256_permute2x128_si256(above, below, 0x20);
        seconds[i] = _mm256_permute2x128_si256(above, below, 0x31);
    }
    if (form.shape.code_bits == 8) {
        store_transposed(units, firsts);
        store_transposed(units + (size_t)QUADS * UNIT_BYTES, seconds);
        return;
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        firsts[i] = _mm256_or_si256(firsts[i], _mm256_slli_epi16(seconds[i], 4));
    }
    store_transposed(units, firsts);
}

/* ---- one chunk ---- */

/* Groups whose factors are the stored f16. */
INLINE void pack_plain_group(uint8_t *group, const uint8_t *block, size_t row_bytes,
                             const struct form form)
{
    uint8_t *scales = group + form.shape.codes_bytes;
    for (uint32_t row = 0; row < PANEL_ROWS; row += LANE_ROWS) {
        put_rows(group, row, block + row * row_bytes, row_bytes, 0, form);
    }
    for (size_t row = 0; row < PANEL_ROWS; row++) {
        memcpy(scales + row * 2, block + row * row_bytes, 2);
        if (form.shape.has_minimum) {
            memcpy(scales + SCALES_BYTES + row * 2, block + row * row_bytes + 2, 2);
        }
    }
}

/* The header, and the integer factors of all groups. */
INLINE void put_factors(uint8_t *chunk, const uint8_t *block, size_t row_bytes,
                        const struct form form)
{
    const struct panel_shape shape = form.shape;
    struct quant_split split;
    for (size_t row = 0; row < PANEL_ROWS; row++) {
        form.factors(&split, block + row * row_bytes);
        memcpy(chunk + row * 2, &split.scale, 2);
        if (shape.has_minimum) {
            memcpy(chunk + SCALES_BYTES + row * 2, &split.minimum, 2);
        }
        uint8_t *scales = chunk + shape.header_bytes + shape.codes_bytes + row;
        for (size_t i = 0; i < (size_t)PANEL_CHUNK * shape.sub_count; i++) {
            uint8_t *place =
                scales + i / shape.sub_count * shape.group_bytes + i % shape.sub_count * PANEL_ROWS;
            *place = (uint8_t)split.scales[i];
            if (shape.has_minimum) {
                place[(size_t)shape.sub_count * PANEL_ROWS] = split.minimums[i];
            }
        }
    }
}

INLINE void pack_chunk(uint8_t *chunk, const uint8_t *blocks, size_t row_bytes,
                       uint32_t group_count, const struct form form)
{
    uint8_t *group = chunk + form.shape.header_bytes;
    if (form.factors != NULL) {
        put_factors(chunk, blocks, row_bytes, form);
    }
    for (uint32_t g = 0; g < group_count; g++, group += form.shape.group_bytes) {
        if (form.factors == NULL) {
            pack_plain_group(group, blocks + (size_t)g * form.block_bytes, row_bytes, form);
            continue;
        }
        for (uint32_t row = 0; row < PANEL_ROWS; row += LANE_ROWS) {
            put_rows(group, row, blocks + row * row_bytes, row_bytes, g, form);
        }
    }
}

/* A whole panel, by a form that is constant where this is inlined. */
INLINE void pack(const struct panel_weight *weight, const struct tensor *stored,
                 uint32_t panel_index, const struct form form)
{
    const struct panel_shape shape = form.shape;
    if (weight->row_count - panel_index * PANEL_ROWS < PANEL_ROWS) {
        panel_pack(weight, stored, panel_index);
        return;
    }
    uint32_t chunk_blocks = form.factors != NULL ? 1 : PANEL_CHUNK;
    uint32_t row_blocks =
        form.factors != NULL ? weight->group_count / PANEL_CHUNK : weight->group_count;
    size_t row_bytes = (size_t)row_blocks * form.block_bytes;
    size_t chunk_bytes = shape.header_bytes + (size_t)PANEL_CHUNK * shape.group_bytes;
    const uint8_t *blocks = (const uint8_t *)stored->data + panel_index * row_bytes * PANEL_ROWS;
    uint8_t *chunk = weight->panels + panel_index * weight->panel_bytes;
    for (uint32_t g = 0; g < weight->group_count; g += PANEL_CHUNK) {
        uint32_t left = weight->group_count - g;
        pack_chunk(chunk, blocks, row_bytes, left < PANEL_CHUNK ? left : PANEL_CHUNK, form);
        chunk += chunk_bytes;
        blocks += (size_t)chunk_blocks * form.block_bytes;
    }
}

/* ---- the types ---- */

#define PACK(name, shape, block_bytes, factors)                                                    \
    static void pack_##name(const struct panel_weight *weight, const struct tensor *stored,        \
                            uint32_t panel_index)                                                  \
    {                                                                                              \
        pack(weight, stored, panel_index,                                                          \
             (struct form){codes_##name, shape, block_bytes, factors});                            \
    }

PACK(q8_0, PANEL_SHAPE_8F, 34, NULL)
PACK(q4_0, PANEL_SHAPE_4F, 18, NULL)
PACK(q4_1, PANEL_SHAPE_4FM, 20, NULL)
PACK(q5_0, PANEL_SHAPE_8F, 22, NULL)
PACK(q5_1, PANEL_SHAPE_8FM, 24, NULL)
PACK(iq4_nl, PANEL_SHAPE_8F, 18, NULL)
PACK(q4_k, PANEL_SHAPE_4KM, 144, quant_split_q4_k_factors)
PACK(q5_k, PANEL_SHAPE_8KM, 176, quant_split_q4_k_factors)
PACK(q6_k, PANEL_SHAPE_8K16, 210, quant_split_q6_k_factors)

void cpu_pack_avx2_fill(struct cpu_ops *ops)
{
    ops->panel_pack[DTYPE_Q8_0] = pack_q8_0;
    ops->panel_pack[DTYPE_Q4_0] = pack_q4_0;
    ops->panel_pack[DTYPE_Q4_1] = pack_q4_1;
    ops->panel_pack[DTYPE_Q5_0] = pack_q5_0;
    ops->panel_pack[DTYPE_Q5_1] = pack_q5_1;
    ops->panel_pack[DTYPE_IQ4_NL] = pack_iq4_nl;
    ops->panel_pack[DTYPE_Q4_K] = pack_q4_k;
    ops->panel_pack[DTYPE_Q5_K] = pack_q5_k;
    ops->panel_pack[DTYPE_Q6_K] = pack_q6_k;
}
