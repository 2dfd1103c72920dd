/* quant_codes_avx2.h - the integer codes of 32 stored weights at a time, for both vector tables.
 *
 * For each format: its scales, unpacked once a block, and the codes of a granule (32 consecutive
 * values) in order as signed bytes. value = code * step + offset, the two roundings of quant.c
 * (whose "- minimum" is an exact "+ -minimum"). The layouts are described there and in quant_k.c. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_QUANT_CODES_AVX2_H
#define KERNELS_CPU_QUANT_CODES_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define QUANT_CODES_INLINE static inline __attribute__((always_inline, unused))

/* The scales of one block, unpacked at once. Formats with one scale for 32 values use entry
 * `granule`; those with one for 16 use 2 granule and 2 granule + 1. */
struct quant_scales {
    float step[16];
    float offset[16]; /* set by the formats that have a minimum only */
};

typedef void (*quant_codes_scales_fn)(struct quant_scales *scales, const uint8_t *block);

QUANT_CODES_INLINE float quant_codes_f16(const uint8_t *bytes)
{
    uint16_t bits;
    memcpy(&bits, bytes, sizeof bits);
    return _cvtsh_ss(bits);
}

QUANT_CODES_INLINE __m256i quant_codes_load(const uint8_t *bytes)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)bytes);
}

QUANT_CODES_INLINE __m128i quant_codes_load_half(const uint8_t *bytes)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* The field of `mask` at bit `shift` of each byte; never reaches into the neighbour's bits. */
QUANT_CODES_INLINE __m256i quant_codes_field(__m256i bytes, uint32_t shift, int mask)
{
    __m256i moved = _mm256_srl_epi16(bytes, _mm_cvtsi32_si128((int)shift));
    return _mm256_and_si256(moved, _mm256_set1_epi8((char)mask));
}

/* 16 bytes: the low nibbles, then the high ones. */
QUANT_CODES_INLINE __m256i quant_codes_nibbles(const uint8_t *bytes)
{
    __m128i pairs = quant_codes_load_half(bytes);
    __m256i spread =
        _mm256_inserti128_si256(_mm256_castsi128_si256(pairs), _mm_srli_epi16(pairs, 4), 1);
    return _mm256_and_si256(spread, _mm256_set1_epi8(15));
}

/* Bytes of 0xff where the value's bit in the 32-bit word is set. */
QUANT_CODES_INLINE __m256i quant_codes_spread_bits(const uint8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    const __m256i byte_of =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32((int)word), byte_of);
    return _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
}

/* ---- blocks of 32 ---- */

QUANT_CODES_INLINE void quant_codes_scales_f16(struct quant_scales *scales, const uint8_t *block)
{
    scales->step[0] = quant_codes_f16(block);
}

QUANT_CODES_INLINE void quant_codes_scales_f16_pair(struct quant_scales *scales,
                                                    const uint8_t *block)
{
    scales->step[0] = quant_codes_f16(block);
    scales->offset[0] = quant_codes_f16(block + 2);
}

/* 2^(exponent - 128); the two smallest are subnormal. */
QUANT_CODES_INLINE void quant_codes_scales_mxfp4(struct quant_scales *scales, const uint8_t *block)
{
    uint32_t exponent = block[0];
    uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23;
    memcpy(&scales->step[0], &bits, sizeof bits);
}

QUANT_CODES_INLINE __m256i quant_codes_q8_0(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    return quant_codes_load(block + 2);
}

QUANT_CODES_INLINE __m256i quant_codes_q4_0(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    return _mm256_sub_epi8(quant_codes_nibbles(block + 2), _mm256_set1_epi8(8));
}

QUANT_CODES_INLINE __m256i quant_codes_q4_1(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    return quant_codes_nibbles(block + 4);
}

/* The codes are value + 16: where the fifth bit is clear, take 16 away. */
QUANT_CODES_INLINE __m256i quant_codes_q5_0(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    __m256i set = quant_codes_spread_bits(block + 2);
    __m256i away = _mm256_andnot_si256(set, _mm256_set1_epi8(16));
    return _mm256_sub_epi8(quant_codes_nibbles(block + 6), away);
}

QUANT_CODES_INLINE __m256i quant_codes_q5_1(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    __m256i set = quant_codes_spread_bits(block + 4);
    return _mm256_or_si256(quant_codes_nibbles(block + 8),
                           _mm256_and_si256(set, _mm256_set1_epi8(16)));
}

QUANT_CODES_INLINE __m256i quant_codes_from_table(const uint8_t *nibbles, const int8_t *table)
{
    __m256i values = _mm256_broadcastsi128_si256(quant_codes_load_half((const uint8_t *)table));
    return _mm256_shuffle_epi8(values, quant_codes_nibbles(nibbles));
}

static const int8_t QUANT_CODES_IQ4[16] __attribute__((unused)) = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int8_t QUANT_CODES_MXFP4[16]
    __attribute__((unused)) = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

QUANT_CODES_INLINE __m256i quant_codes_iq4_nl(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    return quant_codes_from_table(block + 2, QUANT_CODES_IQ4);
}

QUANT_CODES_INLINE __m256i quant_codes_mxfp4(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    return quant_codes_from_table(block + 1, QUANT_CODES_MXFP4);
}

/* ---- blocks of 256: scales ---- */

/* out[i] = codes[i] * factor for 8 integers */
QUANT_CODES_INLINE void quant_codes_scale_8(float *out, __m256i codes, float factor)
{
    _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_cvtepi32_ps(codes), _mm256_set1_ps(factor)));
}

/* The same for 16 signed bytes. */
QUANT_CODES_INLINE void quant_codes_scale_16(float *out, __m128i codes, float factor)
{
    quant_codes_scale_8(out, _mm256_cvtepi8_epi32(codes), factor);
    quant_codes_scale_8(out + 8, _mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)), factor);
}

QUANT_CODES_INLINE void quant_codes_scales_q2_k(struct quant_scales *scales, const uint8_t *block)
{
    __m128i bytes = quant_codes_load_half(block);
    __m128i low = _mm_and_si128(bytes, _mm_set1_epi8(15));
    __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
    quant_codes_scale_16(scales->step, low, quant_codes_f16(block + 80));
    quant_codes_scale_16(scales->offset, high, -quant_codes_f16(block + 82));
}

QUANT_CODES_INLINE void quant_codes_scales_q3_k(struct quant_scales *scales, const uint8_t *block)
{
    uint32_t pairs;
    memcpy(&pairs, block + 104, sizeof pairs);
    __m128i nibbles = _mm_loadl_epi64((const __m128i *)(const void *)(block + 96));
    __m128i low =
        _mm_and_si128(_mm_unpacklo_epi64(nibbles, _mm_srli_epi16(nibbles, 4)), _mm_set1_epi8(15));
    __m128i high = _mm_srlv_epi32(_mm_set1_epi32((int)pairs), _mm_setr_epi32(0, 2, 4, 6));
    high = _mm_slli_epi16(_mm_and_si128(high, _mm_set1_epi8(3)), 4);
    __m128i codes = _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
    quant_codes_scale_16(scales->step, codes, quant_codes_f16(block + 108));
}

/* q4_K and q5_K, whose first 16 bytes are alike: four bytes of scales or minimums at a time. */
QUANT_CODES_INLINE void quant_codes_scales_q4_k(struct quant_scales *scales, const uint8_t *block)
{
    uint32_t words[3];
    memcpy(words, block + 4, sizeof words);
    uint32_t step_high = (words[2] & 0x0f0f0f0fu) | ((words[0] >> 2) & 0x30303030u);
    uint32_t offset_high = ((words[2] >> 4) & 0x0f0f0f0fu) | ((words[1] >> 2) & 0x30303030u);
    uint64_t steps = (words[0] & 0x3f3f3f3fu) | ((uint64_t)step_high << 32);
    uint64_t offsets = (words[1] & 0x3f3f3f3fu) | ((uint64_t)offset_high << 32);
    quant_codes_scale_8(scales->step, _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)steps)),
                        quant_codes_f16(block));
    quant_codes_scale_8(scales->offset, _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)offsets)),
                        -quant_codes_f16(block + 2));
}

QUANT_CODES_INLINE void quant_codes_scales_q6_k(struct quant_scales *scales, const uint8_t *block)
{
    quant_codes_scale_16(scales->step, quant_codes_load_half(block + 192),
                         quant_codes_f16(block + 208));
}

QUANT_CODES_INLINE void quant_codes_scales_iq4_xs(struct quant_scales *scales, const uint8_t *block)
{
    uint16_t high_bits;
    uint32_t low_bits;
    memcpy(&high_bits, block + 2, sizeof high_bits);
    memcpy(&low_bits, block + 4, sizeof low_bits);
    const __m256i shifts = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(high_bits), shifts);
    __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32((int)low_bits), _mm256_slli_epi32(shifts, 1));
    high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4);
    low = _mm256_and_si256(low, _mm256_set1_epi32(15));
    __m256i codes = _mm256_sub_epi32(_mm256_or_si256(low, high), _mm256_set1_epi32(32));
    quant_codes_scale_8(scales->step, codes, quant_codes_f16(block));
}

/* ---- blocks of 256: codes ---- */

QUANT_CODES_INLINE __m256i quant_codes_q2_k(const uint8_t *block, uint32_t granule)
{
    return quant_codes_field(quant_codes_load(block + 16 + (size_t)(granule / 4) * 32),
                             granule % 4 * 2, 3);
}

QUANT_CODES_INLINE __m256i quant_codes_q3_k(const uint8_t *block, uint32_t granule)
{
    __m256i low = quant_codes_field(quant_codes_load(block + 32 + (size_t)(granule / 4) * 32),
                                    granule % 4 * 2, 3);
    __m256i bit = quant_codes_field(quant_codes_load(block), granule, 1);
    /* low - 4 where the bit is clear: low + 4 * bit - 4 */
    return _mm256_sub_epi8(_mm256_add_epi8(low, _mm256_slli_epi16(bit, 2)), _mm256_set1_epi8(4));
}

QUANT_CODES_INLINE __m256i quant_codes_q4_k(const uint8_t *block, uint32_t granule)
{
    return quant_codes_field(quant_codes_load(block + 16 + (size_t)(granule / 2) * 32),
                             granule % 2 * 4, 15);
}

QUANT_CODES_INLINE __m256i quant_codes_q5_k(const uint8_t *block, uint32_t granule)
{
    __m256i low = quant_codes_field(quant_codes_load(block + 48 + (size_t)(granule / 2) * 32),
                                    granule % 2 * 4, 15);
    __m256i bit = quant_codes_field(quant_codes_load(block + 16), granule, 1);
    return _mm256_or_si256(low, _mm256_slli_epi16(bit, 4));
}

QUANT_CODES_INLINE __m256i quant_codes_q6_k(const uint8_t *block, uint32_t granule)
{
    const uint8_t *low_bytes = block + (size_t)(granule / 4) * 64 + (size_t)(granule % 2) * 32;
    __m256i low = quant_codes_field(quant_codes_load(low_bytes), granule % 4 / 2 * 4, 15);
    __m256i high = quant_codes_field(quant_codes_load(block + 128 + (size_t)(granule / 4) * 32),
                                     granule % 4 * 2, 3);
    __m256i codes = _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
    return _mm256_sub_epi8(codes, _mm256_set1_epi8(32));
}

QUANT_CODES_INLINE __m256i quant_codes_iq4_xs(const uint8_t *block, uint32_t granule)
{
    return quant_codes_from_table(block + 8 + (size_t)granule * 16, QUANT_CODES_IQ4);
}

#endif
