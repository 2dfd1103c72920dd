/* Rows are made sixteen at a time: GPTQ's and AWQ's words lie across rows, and sixteen rows of them
 * fill a line of the cache. Of each row first code - zero and the scales, then blocks or floats.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_quant_matrix.h"

#include "kernels/quant.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TILE_ROWS = 16,
    BLOCK = 32,
    E4M3_BITS = 4,     /* of a significand */
    BF16_BITS = 8,     /* likewise */
    EXPONENT_MAX = 100 /* of scales whose products stay normal numbers of bf16 */
};

static uint32_t load_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static float value_of_e4m3(uint8_t code)
{
    int exponent = (code >> 3) & 15;
    int mantissa = code & 7;
    float magnitude = exponent == 15 && mantissa == 7 ? NAN
                      : exponent == 0                 ? ldexpf((float)mantissa, -9)
                                      : ldexpf((float)(8 + mantissa), exponent - 10);
    return code & 128 ? -magnitude : magnitude;
}

/* Scale i as stored, in row-major order. E8M0 is a power of two. */
static float scale_at(const struct hf_quant_matrix *matrix, uint64_t i)
{
    const struct safetensors_tensor *scales = matrix->scales;
    if (!scales->supported) {
        return ldexpf(1.0f, (int)scales->data[i] - 127);
    }
    const struct quant_format *format = quant_format_get(scales->dtype);
    float value = 0.0f;
    format->dequantize(&value, scales->data + i * format->block_bytes, 1);
    return value;
}

static uint64_t scale_count(const struct hf_quant_matrix *matrix)
{
    return (matrix->row_count + matrix->scale_rows - 1) / matrix->scale_rows * matrix->group_count;
}

/* Where the scale of a row's group lies: GPTQ and AWQ have [groups, rows]. */
static uint64_t scale_index(const struct hf_quant_matrix *matrix, uint64_t row, uint64_t group)
{
    bool across = matrix->layout == HF_QUANT_COLUMNS || matrix->layout == HF_QUANT_INTERLEAVED;
    return across ? group * matrix->row_count + row
                  : row / matrix->scale_rows * matrix->group_count + group;
}

/* A field of a word. */
static int field(uint32_t word, uint32_t index, uint32_t bits)
{
    return (int)((word >> (index * bits)) & ((1u << bits) - 1));
}

/* Which nibble of an AWQ word is that of a row. */
static uint32_t interleaved(uint64_t row)
{
    static const uint8_t nibbles[8] = {0, 4, 1, 5, 2, 6, 3, 7};
    return nibbles[row % 8];
}

static int middle_of(const struct hf_quant_matrix *matrix)
{
    return matrix->layout == HF_QUANT_BYTES ? 0 : 1 << (matrix->bits - 1);
}

static int zero_at(const struct hf_quant_matrix *matrix, uint64_t row, uint64_t group)
{
    if (matrix->zeros == NULL) {
        return middle_of(matrix);
    }
    const uint8_t *zeros = matrix->zeros->data;
    uint32_t per_word = 32 / matrix->bits;
    uint64_t words = (matrix->row_count + per_word - 1) / per_word; /* of a group */
    if (matrix->layout == HF_QUANT_BYTES) {
        return (int8_t)zeros[scale_index(matrix, row, group)];
    }
    if (matrix->layout == HF_QUANT_ROWS) {
        const uint8_t *word = zeros + 4 * (row / per_word * matrix->group_count + group);
        return field(load_u32(word), (uint32_t)(row % per_word), matrix->bits);
    }
    uint32_t word = load_u32(zeros + 4 * (group * words + row / per_word));
    if (matrix->layout == HF_QUANT_INTERLEAVED) {
        return field(word, interleaved(row), matrix->bits);
    }
    /* One was taken from whole words, so that a zero of 0 has borrowed from its neighbour. */
    if (matrix->zeros_less_one) {
        word += matrix->bits == 4 ? 0x11111111u : 0x01010101u;
    }
    return field(word, (uint32_t)(row % per_word), matrix->bits);
}

static uint64_t group_of(const struct hf_quant_matrix *matrix, uint64_t i)
{
    return matrix->groups != NULL ? load_u32(matrix->groups + 4 * i) : i / matrix->group_values;
}

/* ---- the type ---- */

/* code - zero lies within. */
static void range_of(const struct hf_quant_matrix *matrix, int *low, int *high)
{
    int lowest = middle_of(matrix);
    int highest = lowest;
    for (uint64_t row = 0; row < matrix->row_count && matrix->zeros != NULL; row++) {
        for (uint64_t group = 0; group < matrix->group_count; group++) {
            int zero = zero_at(matrix, row, group);
            bool first = row == 0 && group == 0;
            lowest = first || zero < lowest ? zero : lowest;
            highest = first || zero > highest ? zero : highest;
        }
    }
    int code_low = matrix->layout == HF_QUANT_BYTES ? -128 : 0;
    *low = code_low - highest;
    *high = code_low + (1 << matrix->bits) - 1 - lowest;
}

static bool fits_blocks(const struct hf_quant_matrix *matrix)
{
    bool aligned = matrix->value_count % BLOCK == 0 && matrix->groups == NULL &&
                   (matrix->group_count == 1 || matrix->group_values % BLOCK == 0);
    for (uint64_t i = 0; i < scale_count(matrix) && aligned; i++) {
        float scale = scale_at(matrix, i);
        aligned = quant_f16_to_f32(quant_f32_to_f16(scale)) == scale;
    }
    return aligned;
}

/* Bits between the first and the last one that is set. */
static int width_of(uint32_t bits)
{
    return bits == 0 ? 0 : 32 - __builtin_clz(bits) - __builtin_ctz(bits);
}

/* Whether bf16 holds every product: scales whose significands leave room for that of a code. */
static bool fits_bf16(const struct hf_quant_matrix *matrix, int code_bits)
{
    bool fits = true;
    for (uint64_t i = 0; i < scale_count(matrix) && fits; i++) {
        int exponent = 0;
        float fraction = frexpf(scale_at(matrix, i), &exponent);
        fits = isfinite(fraction) && abs(exponent) < EXPONENT_MAX &&
               width_of((uint32_t)ldexpf(fabsf(fraction), 24)) + code_bits <= BF16_BITS;
    }
    return fits;
}

enum dtype hf_quant_matrix_type(const struct hf_quant_matrix *matrix)
{
    static const struct {
        int low;
        int high;
        enum dtype dtype;
    } types[] = {{-8, 7, DTYPE_Q4_0}, {-16, 15, DTYPE_Q5_0}, {-128, 127, DTYPE_Q8_0}};
    int low = 0;
    int high = 0;
    int code_bits = E4M3_BITS;
    if (matrix->layout != HF_QUANT_E4M3) {
        range_of(matrix, &low, &high);
        uint32_t largest = (uint32_t)(-low > high ? -low : high);
        code_bits = 32 - __builtin_clz(largest | 1u);
        bool blocks = fits_blocks(matrix);
        for (size_t i = 0; i < sizeof types / sizeof types[0] && blocks; i++) {
            if (low >= types[i].low && high <= types[i].high) {
                return types[i].dtype;
            }
        }
    }
    return fits_bf16(matrix, code_bits) ? DTYPE_BF16 : DTYPE_F32;
}

/* ---- the rows ---- */

/* Some rows on their way. */
struct tile {
    const struct hf_quant_matrix *matrix;
    uint64_t first_row;
    uint64_t row_count; /* at most TILE_ROWS */
    int16_t *codes;     /* [TILE_ROWS, value_count]; of e4m3 as stored */
    float *scales;      /* [group_count] of one row */
    int16_t *zeros;     /* likewise */
};

/* Words that hold one value of several rows each. */
static void read_across(const struct tile *tile)
{
    const struct hf_quant_matrix *matrix = tile->matrix;
    bool awq = matrix->layout == HF_QUANT_INTERLEAVED;
    uint32_t bits = matrix->bits;
    uint32_t per_word = 32 / bits;
    uint64_t words = awq ? matrix->row_count / per_word : matrix->row_count; /* of a line */
    for (uint64_t i = 0; i < matrix->value_count; i++) {
        for (uint64_t r = 0; r < tile->row_count; r++) {
            uint64_t row = tile->first_row + r;
            uint64_t at = awq ? i * words + row / per_word : i / per_word * words + row;
            uint32_t index = awq ? interleaved(row) : (uint32_t)(i % per_word);
            tile->codes[r * matrix->value_count + i] =
                (int16_t)field(load_u32(matrix->codes->data + 4 * at), index, bits);
        }
    }
}

static void read_along(const struct tile *tile)
{
    const struct hf_quant_matrix *matrix = tile->matrix;
    uint32_t per_word = 32 / matrix->bits;
    uint64_t words = (matrix->value_count + per_word - 1) / per_word;
    for (uint64_t r = 0; r < tile->row_count; r++) {
        uint64_t row = tile->first_row + r;
        int16_t *codes = tile->codes + r * matrix->value_count;
        const uint8_t *bytes = matrix->codes->data + row * matrix->value_count;
        for (uint64_t i = 0; i < matrix->value_count; i++) {
            if (matrix->layout == HF_QUANT_ROWS) {
                uint32_t word = load_u32(matrix->codes->data + 4 * (row * words + i / per_word));
                codes[i] = (int16_t)field(word, (uint32_t)(i % per_word), matrix->bits);
            } else if (matrix->layout == HF_QUANT_BYTES) {
                codes[i] = (int16_t)((bytes[i] ^ 128) - 128); /* as a signed byte */
            } else {
                codes[i] = bytes[i];
            }
        }
    }
}

/* Blocks of 32 whose scale is that of their group. */
static void write_blocks(const struct tile *tile, const int16_t *codes, enum dtype dtype,
                         uint8_t *out)
{
    const struct hf_quant_matrix *matrix = tile->matrix;
    for (uint64_t base = 0; base < matrix->value_count; base += BLOCK, codes += BLOCK) {
        uint64_t group = group_of(matrix, base);
        uint16_t scale = quant_f32_to_f16(tile->scales[group]);
        int zero = tile->zeros[group];
        uint32_t high = 0;
        *out++ = (uint8_t)scale;
        *out++ = (uint8_t)(scale >> 8);
        if (dtype == DTYPE_Q8_0) {
            for (int j = 0; j < BLOCK; j++) {
                *out++ = (uint8_t)(codes[j] - zero);
            }
            continue;
        }
        int offset = (dtype == DTYPE_Q4_0 ? 8 : 16) - zero;
        for (int j = 0; j < BLOCK && dtype == DTYPE_Q5_0; j++) {
            high |= (uint32_t)((codes[j] + offset) >> 4) << j;
        }
        for (int j = 0; j < 4 && dtype == DTYPE_Q5_0; j++) {
            *out++ = (uint8_t)(high >> (8 * j));
        }
        for (int j = 0; j < BLOCK / 2; j++) {
            int low = (codes[j] + offset) & 15;
            *out++ = (uint8_t)(low | ((codes[j + BLOCK / 2] + offset) & 15) << 4);
        }
    }
}

static void write_floats(const struct tile *tile, const int16_t *codes, const float *e4m3,
                         enum dtype dtype, uint8_t *out)
{
    const struct hf_quant_matrix *matrix = tile->matrix;
    const struct quant_format *format = quant_format_get(dtype);
    for (uint64_t i = 0; i < matrix->value_count; i++) {
        uint64_t group = group_of(matrix, i);
        double code = matrix->layout == HF_QUANT_E4M3 ? (double)e4m3[codes[i]]
                                                      : (double)(codes[i] - tile->zeros[group]);
        /* The product of at most 9 and 24 bits is exact: one rounding. */
        float value = (float)((double)tile->scales[group] * code);
        format->quantize(out + i * format->block_bytes, &value, 1);
    }
}

static void read_scales(const struct tile *tile, uint64_t row)
{
    for (uint64_t group = 0; group < tile->matrix->group_count; group++) {
        tile->scales[group] = scale_at(tile->matrix, scale_index(tile->matrix, row, group));
        tile->zeros[group] = 0;
        if (tile->matrix->layout != HF_QUANT_E4M3) {
            tile->zeros[group] = (int16_t)zero_at(tile->matrix, row, group);
        }
    }
}

static void convert_tile(const struct tile *tile, const float *e4m3, enum dtype dtype, uint8_t *out)
{
    const struct hf_quant_matrix *matrix = tile->matrix;
    uint64_t row_bytes = quant_row_bytes(dtype, matrix->value_count);
    bool across = matrix->layout == HF_QUANT_COLUMNS || matrix->layout == HF_QUANT_INTERLEAVED;
    (across ? read_across : read_along)(tile);
    for (uint64_t r = 0; r < tile->row_count; r++) {
        uint64_t row = tile->first_row + r;
        const int16_t *codes = tile->codes + r * matrix->value_count;
        read_scales(tile, row);
        if (dtype == DTYPE_F32 || dtype == DTYPE_BF16) {
            write_floats(tile, codes, e4m3, dtype, out + row * row_bytes);
        } else {
            write_blocks(tile, codes, dtype, out + row * row_bytes);
        }
    }
}

bool hf_quant_matrix_convert(const struct hf_quant_matrix *matrix, enum dtype dtype, void *out)
{
    assert(matrix->scale_rows > 0 && matrix->group_count > 0);
    float e4m3[256];
    for (int i = 0; i < 256; i++) {
        e4m3[i] = value_of_e4m3((uint8_t)i);
    }
    struct tile tile = {
        .matrix = matrix,
        .codes = malloc(TILE_ROWS * matrix->value_count * sizeof *tile.codes),
        .scales = malloc(matrix->group_count * sizeof *tile.scales),
        .zeros = malloc(matrix->group_count * sizeof *tile.zeros),
    };
    bool memory = tile.codes != NULL && tile.scales != NULL && tile.zeros != NULL;
    for (; memory && tile.first_row < matrix->row_count; tile.first_row += TILE_ROWS) {
        uint64_t left = matrix->row_count - tile.first_row;
        tile.row_count = left < TILE_ROWS ? left : TILE_ROWS;
        convert_tile(&tile, e4m3, dtype, out);
    }
    free(tile.codes);
    free(tile.scales);
    free(tile.zeros);
    return memory;
}
