/* quant_codes_avx2.h - the integer codes of 32 stored weights at a time, for both vector tables.
 *
 * A granule is 32 consecutive values of a block. Each function gives their codes in order as
 * signed bytes, and a step and an offset for each half: value = code * step + offset, the two
 * roundings of quant.c (whose "- minimum" is an exact "+ -minimum"). The layouts are described
 * there and in quant_k.c. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_QUANT_CODES_AVX2_H
#define KERNELS_CPU_QUANT_CODES_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define QUANT_CODES_INLINE static inline __attribute__((always_inline, unused))

struct quant_codes {
    __m256i codes;
    float step[2];   /* of values 0..15, 16..31 */
    float offset[2]; /* set by the formats that have a minimum only */
};

/* What a function of this header looks like; `granule` counts within the block. */
typedef struct quant_codes (*quant_codes_fn)(const uint8_t *block, uint32_t granule);

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

QUANT_CODES_INLINE struct quant_codes quant_codes_q8_0(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    float step = quant_codes_f16(block);
    return (struct quant_codes){.codes = quant_codes_load(block + 2), .step = {step, step}};
}

QUANT_CODES_INLINE struct quant_codes quant_codes_q4_0(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    float step = quant_codes_f16(block);
    __m256i codes = _mm256_sub_epi8(quant_codes_nibbles(block + 2), _mm256_set1_epi8(8));
    return (struct quant_codes){.codes = codes, .step = {step, step}};
}

QUANT_CODES_INLINE struct quant_codes quant_codes_q4_1(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    float step = quant_codes_f16(block);
    float offset = quant_codes_f16(block + 2);
    return (struct quant_codes){
        .codes = quant_codes_nibbles(block + 4), .step = {step, step}, .offset = {offset, offset}};
}

/* The codes are value + 16: where the fifth bit is clear, take 16 away. */
QUANT_CODES_INLINE struct quant_codes quant_codes_q5_0(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    float step = quant_codes_f16(block);
    __m256i set = quant_codes_spread_bits(block + 2);
    __m256i away = _mm256_andnot_si256(set, _mm256_set1_epi8(16));
    __m256i codes = _mm256_sub_epi8(quant_codes_nibbles(block + 6), away);
    return (struct quant_codes){.codes = codes, .step = {step, step}};
}

QUANT_CODES_INLINE struct quant_codes quant_codes_q5_1(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    float step = quant_codes_f16(block);
    float offset = quant_codes_f16(block + 2);
    __m256i set = quant_codes_spread_bits(block + 4);
    __m256i codes = _mm256_or_si256(quant_codes_nibbles(block + 8),
                                    _mm256_and_si256(set, _mm256_set1_epi8(16)));
    return (struct quant_codes){.codes = codes, .step = {step, step}, .offset = {offset, offset}};
}

QUANT_CODES_INLINE struct quant_codes quant_codes_from_table(const uint8_t *nibbles,
                                                             const int8_t *table, float step)
{
    __m256i values = _mm256_broadcastsi128_si256(quant_codes_load_half((const uint8_t *)table));
    return (struct quant_codes){.codes = _mm256_shuffle_epi8(values, quant_codes_nibbles(nibbles)),
                                .step = {step, step}};
}

static const int8_t QUANT_CODES_IQ4[16] __attribute__((unused)) = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int8_t QUANT_CODES_MXFP4[16]
    __attribute__((unused)) = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

QUANT_CODES_INLINE struct quant_codes quant_codes_iq4_nl(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    return quant_codes_from_table(block + 2, QUANT_CODES_IQ4, quant_codes_f16(block));
}

/* 2^(exponent - 128); the two smallest are subnormal. */
QUANT_CODES_INLINE float quant_codes_mxfp4_step(uint8_t exponent)
{
    uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (uint32_t)(exponent - 1) << 23;
    float step;
    memcpy(&step, &bits, sizeof step);
    return step;
}

QUANT_CODES_INLINE struct quant_codes quant_codes_mxfp4(const uint8_t *block, uint32_t granule)
{
    (void)granule;
    return quant_codes_from_table(block + 1, QUANT_CODES_MXFP4, quant_codes_mxfp4_step(block[0]));
}

QUANT_CODES_INLINE float quant_codes_iq4_xs_step(const uint8_t *block, uint32_t granule)
{
    int low = (block[4 + granule / 2] >> (granule % 2 * 4)) & 15;
    int high = (block[2 + granule / 4] >> (granule % 4 * 2)) & 3;
    return quant_codes_f16(block) * (float)((low | (high << 4)) - 32);
}

QUANT_CODES_INLINE struct quant_codes quant_codes_iq4_xs(const uint8_t *block, uint32_t granule)
{
    return quant_codes_from_table(block + 8 + (size_t)granule * 16, QUANT_CODES_IQ4,
                                  quant_codes_iq4_xs_step(block, granule));
}

QUANT_CODES_INLINE struct quant_codes quant_codes_q2_k(const uint8_t *block, uint32_t granule)
{
    const uint8_t *scales = block + granule * 2;
    float d = quant_codes_f16(block + 80);
    float dmin = quant_codes_f16(block + 82);
    __m256i bytes = quant_codes_load(block + 16 + (size_t)(granule / 4) * 32);
    return (struct quant_codes){
        .codes = quant_codes_field(bytes, granule % 4 * 2, 3),
        .step = {d * (float)(scales[0] & 15), d * (float)(scales[1] & 15)},
        .offset = {-(dmin * (float)(scales[0] >> 4)), -(dmin * (float)(scales[1] >> 4))}};
}

QUANT_CODES_INLINE float quant_codes_q3_step(const uint8_t *scales, float d, uint32_t group)
{
    int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
    int high = (scales[8 + group % 4] >> (group / 4 * 2)) & 3;
    return d * (float)((low | (high << 4)) - 32);
}

QUANT_CODES_INLINE struct quant_codes quant_codes_q3_k(const uint8_t *block, uint32_t granule)
{
    float d = quant_codes_f16(block + 108);
    __m256i low = quant_codes_field(quant_codes_load(block + 32 + (size_t)(granule / 4) * 32),
                                    granule % 4 * 2, 3);
    __m256i bit = quant_codes_field(quant_codes_load(block), granule, 1);
    /* low - 4 where the bit is clear: low + 4 * bit - 4 */
    __m256i codes =
        _mm256_sub_epi8(_mm256_add_epi8(low, _mm256_slli_epi16(bit, 2)), _mm256_set1_epi8(4));
    return (struct quant_codes){.codes = codes,
                                .step = {quant_codes_q3_step(block + 96, d, granule * 2),
                                         quant_codes_q3_step(block + 96, d, granule * 2 + 1)}};
}

/* Step and offset of a granule of q4_K and q5_K, whose first 16 bytes are alike. */
QUANT_CODES_INLINE void quant_codes_q4_k_scales(const uint8_t *block, uint32_t granule, float *step,
                                                float *offset)
{
    const uint8_t *scales = block + 4;
    int scale;
    int minimum;
    if (granule < 4) {
        scale = scales[granule] & 63;
        minimum = scales[granule + 4] & 63;
    } else {
        scale = (scales[granule + 4] & 15) | ((scales[granule - 4] >> 6) << 4);
        minimum = (scales[granule + 4] >> 4) | ((scales[granule] >> 6) << 4);
    }
    *step = quant_codes_f16(block) * (float)scale;
    *offset = -(quant_codes_f16(block + 2) * (float)minimum);
}

QUANT_CODES_INLINE struct quant_codes quant_codes_q4_k(const uint8_t *block, uint32_t granule)
{
    float step;
    float offset;
    quant_codes_q4_k_scales(block, granule, &step, &offset);
    __m256i bytes = quant_codes_load(block + 16 + (size_t)(granule / 2) * 32);
    return (struct quant_codes){.codes = quant_codes_field(bytes, granule % 2 * 4, 15),
                                .step = {step, step},
                                .offset = {offset, offset}};
}

QUANT_CODES_INLINE struct quant_codes quant_codes_q5_k(const uint8_t *block, uint32_t granule)
{
    float step;
    float offset;
    quant_codes_q4_k_scales(block, granule, &step, &offset);
    __m256i low = quant_codes_field(quant_codes_load(block + 48 + (size_t)(granule / 2) * 32),
                                    granule % 2 * 4, 15);
    __m256i bit = quant_codes_field(quant_codes_load(block + 16), granule, 1);
    return (struct quant_codes){.codes = _mm256_or_si256(low, _mm256_slli_epi16(bit, 4)),
                                .step = {step, step},
                                .offset = {offset, offset}};
}

QUANT_CODES_INLINE struct quant_codes quant_codes_q6_k(const uint8_t *block, uint32_t granule)
{
    const uint8_t *low_bytes = block + (size_t)(granule / 4) * 64 + (size_t)(granule % 2) * 32;
    float d = quant_codes_f16(block + 208);
    int8_t scales[2];
    memcpy(scales, block + 192 + (size_t)granule * 2, sizeof scales);
    __m256i low = quant_codes_field(quant_codes_load(low_bytes), granule % 4 / 2 * 4, 15);
    __m256i high = quant_codes_field(quant_codes_load(block + 128 + (size_t)(granule / 4) * 32),
                                     granule % 4 * 2, 3);
    __m256i codes = _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
    return (struct quant_codes){.codes = _mm256_sub_epi8(codes, _mm256_set1_epi8(32)),
                                .step = {d * (float)scales[0], d * (float)scales[1]}};
}

#endif
