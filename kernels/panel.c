/* panel.c - packing is a transposition of dwords: a row's codes come four at a time and go to places
 * 128 bytes apart. Reading them back one by one is for the scalar kernel and for tests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/panel.h"

#include "kernels/quant.h"
#include "kernels/quant_split.h"

#include <assert.h>
#include <string.h>

enum {
    HALF = PANEL_ROWS / 2,
    QUADS = PANEL_GROUP / 4,
    UNIT_BYTES = HALF * 4,
    SCALES_BYTES = PANEL_ROWS * 2, /* f16 */
};

static const struct panel_shape SHAPES[PANEL_KIND_COUNT] = {
    [PANEL_4F] = PANEL_SHAPE_4F,       [PANEL_8F] = PANEL_SHAPE_8F,
    [PANEL_4FM] = PANEL_SHAPE_4FM,     [PANEL_8FM] = PANEL_SHAPE_8FM,
    [PANEL_4KM] = PANEL_SHAPE_4KM,     [PANEL_8K] = PANEL_SHAPE_8K,
    [PANEL_8KM] = PANEL_SHAPE_8KM,     [PANEL_8K16] = PANEL_SHAPE_8K16,
    [PANEL_8K16M] = PANEL_SHAPE_8K16M,
};

struct dtype_panel {
    enum panel_kind kind;
    uint32_t code_offset;
};

static const struct dtype_panel PANELS[DTYPE_COUNT] = {
    [DTYPE_Q8_0] = {PANEL_8F, 128},   [DTYPE_Q4_0] = {PANEL_4F, 8},
    [DTYPE_Q4_1] = {PANEL_4FM, 0},    [DTYPE_Q5_0] = {PANEL_8F, 16},
    [DTYPE_Q5_1] = {PANEL_8FM, 0},    [DTYPE_Q2_K] = {PANEL_8K16M, 0},
    [DTYPE_Q3_K] = {PANEL_8K16, 4},   [DTYPE_Q4_K] = {PANEL_4KM, 0},
    [DTYPE_Q5_K] = {PANEL_8KM, 0},    [DTYPE_Q6_K] = {PANEL_8K16, 32},
    [DTYPE_IQ4_NL] = {PANEL_8F, 128}, [DTYPE_IQ4_XS] = {PANEL_8K, 128},
};

const struct panel_shape *panel_shape_get(enum panel_kind kind)
{
    assert((unsigned)kind < PANEL_KIND_COUNT);
    return &SHAPES[kind];
}

static size_t chunk_bytes(const struct panel_shape *shape)
{
    return shape->header_bytes + (size_t)PANEL_CHUNK * shape->group_bytes;
}

bool panel_describe(struct panel_weight *out, const struct tensor *weight)
{
    uint64_t k_count = tensor_row_values(weight);
    uint64_t row_count = tensor_row_count(weight);
    if (quant_split_find(weight->dtype) == NULL || k_count == 0 || k_count % PANEL_GROUP != 0 ||
        row_count == 0 || k_count > UINT32_MAX || row_count > UINT32_MAX - PANEL_ROWS) {
        return false;
    }
    const struct dtype_panel *panel = &PANELS[weight->dtype];
    const struct panel_shape *shape = &SHAPES[panel->kind];
    uint32_t group_count = (uint32_t)(k_count / PANEL_GROUP);
    uint32_t chunk_count = (group_count + PANEL_CHUNK - 1) / PANEL_CHUNK;
    *out = (struct panel_weight){
        .kind = panel->kind,
        .code_offset = panel->code_offset,
        .row_count = (uint32_t)row_count,
        .group_count = group_count,
        .panel_count = (uint32_t)((row_count + PANEL_ROWS - 1) / PANEL_ROWS),
        .panel_bytes =
            (size_t)chunk_count * shape->header_bytes + (size_t)group_count * shape->group_bytes,
    };
    return true;
}

size_t panel_weight_bytes(const struct panel_weight *weight)
{
    return weight->panel_bytes * weight->panel_count;
}

const uint8_t *panel_chunk(const struct panel_weight *weight, uint32_t panel_index,
                           uint32_t chunk_index)
{
    return weight->panels + panel_index * weight->panel_bytes +
           chunk_index * chunk_bytes(&SHAPES[weight->kind]);
}

/* ---- packing ---- */

/* A row's place in a unit of 16 rows. */
static uint8_t *unit_place(uint8_t *codes, uint32_t quad, uint32_t row)
{
    return codes + (size_t)(quad * 2 + row / HALF) * UNIT_BYTES + (size_t)(row % HALF) * 4;
}

static void put_codes(uint8_t *group, const struct panel_shape *shape, uint32_t row,
                      const uint8_t *codes)
{
    uint32_t quads[QUADS];
    memcpy(quads, codes, sizeof quads);
    if (shape->code_bits == 8) {
        for (uint32_t q = 0; q < QUADS; q++) {
            memcpy(unit_place(group, q, row), &quads[q], 4);
        }
        return;
    }
    for (uint32_t q = 0; q < QUADS / 2; q++) {
        uint32_t pairs = quads[q] | (quads[q + QUADS / 2] << 4);
        memcpy(unit_place(group, q, row), &pairs, 4);
    }
}

static void put_u16(uint8_t *place, uint16_t value)
{
    place[0] = (uint8_t)value;
    place[1] = (uint8_t)(value >> 8);
}

/* One row of one group: sub-scales `first` and on of the block belong to it. */
static void put_factors(uint8_t *group, const struct panel_shape *shape, uint32_t row,
                        const struct quant_split *split, uint32_t first)
{
    uint8_t *scales = group + shape->codes_bytes;
    if (!shape->has_header) {
        put_u16(scales + (size_t)row * 2, split->scale);
        if (shape->has_minimum) {
            put_u16(scales + SCALES_BYTES + (size_t)row * 2, split->minimum);
        }
        return;
    }
    uint8_t *minimums = scales + (size_t)shape->sub_count * PANEL_ROWS;
    for (uint32_t sub = 0; sub < shape->sub_count; sub++) {
        scales[sub * PANEL_ROWS + row] = (uint8_t)split->scales[first + sub];
        if (shape->has_minimum) {
            minimums[sub * PANEL_ROWS + row] = split->minimums[first + sub];
        }
    }
}

/* `group_count` groups of one row, in one chunk. */
static void pack_row(uint8_t *chunk, const struct panel_shape *shape, uint32_t row,
                     uint32_t group_count, enum dtype dtype, const uint8_t *blocks)
{
    struct quant_split split;
    quant_split_fn take_apart = quant_split_find(dtype);
    uint32_t block_bytes = quant_format_get(dtype)->block_bytes;
    uint8_t *group = chunk + shape->header_bytes;
    for (uint32_t g = 0; g < group_count; g++, group += shape->group_bytes) {
        if (!shape->has_header) {
            take_apart(&split, blocks + (size_t)g * block_bytes);
            put_codes(group, shape, row, split.codes);
            put_factors(group, shape, row, &split, 0);
            continue;
        }
        if (g == 0) { /* a chunk is a block */
            take_apart(&split, blocks);
            put_u16(chunk + (size_t)row * 2, split.scale);
            if (shape->has_minimum) {
                put_u16(chunk + SCALES_BYTES + (size_t)row * 2, split.minimum);
            }
        }
        put_codes(group, shape, row, split.codes + (size_t)g * PANEL_GROUP);
        put_factors(group, shape, row, &split, g * shape->sub_count);
    }
}

void panel_pack(const struct panel_weight *weight, const struct tensor *stored,
                uint32_t panel_index)
{
    const struct panel_shape *shape = &SHAPES[weight->kind];
    uint64_t row_bytes = quant_row_bytes(stored->dtype, tensor_row_values(stored));
    uint32_t first_row = panel_index * PANEL_ROWS;
    uint32_t left = weight->row_count - first_row;
    uint32_t row_count = left < PANEL_ROWS ? left : PANEL_ROWS;
    const uint8_t *rows = (const uint8_t *)stored->data + first_row * row_bytes;
    uint8_t *chunk = weight->panels + panel_index * weight->panel_bytes;
    if (row_count < PANEL_ROWS || shape->has_header) {
        memset(chunk, 0, weight->panel_bytes); /* rows that are not there, and padding */
    }
    for (uint32_t g = 0; g < weight->group_count; g += PANEL_CHUNK, chunk += chunk_bytes(shape)) {
        uint32_t groups_left = weight->group_count - g;
        uint32_t group_count = groups_left < PANEL_CHUNK ? groups_left : PANEL_CHUNK;
        uint64_t skip = quant_row_bytes(stored->dtype, (uint64_t)g * PANEL_GROUP);
        for (uint32_t row = 0; row < row_count; row++) {
            pack_row(chunk, shape, row, group_count, stored->dtype, rows + row * row_bytes + skip);
        }
    }
}

/* ---- reading ---- */

static const uint8_t *group_of(const struct panel_shape *shape, const uint8_t *chunk,
                               uint32_t group)
{
    return chunk + shape->header_bytes + (size_t)group * shape->group_bytes;
}

static float get_f16(const uint8_t *place)
{
    return quant_f16_to_f32((uint16_t)(place[0] | (place[1] << 8)));
}

void panel_factors_read(struct panel_factors *out, const struct panel_shape *shape,
                        const uint8_t *chunk, uint32_t group, uint32_t row)
{
    const uint8_t *scales = group_of(shape, chunk, group) + shape->codes_bytes;
    *out = (struct panel_factors){0};
    if (!shape->has_header) {
        out->step[0] = get_f16(scales + (size_t)row * 2);
        out->minimum[0] =
            shape->has_minimum ? get_f16(scales + SCALES_BYTES + (size_t)row * 2) : 0.0f;
        return;
    }
    const uint8_t *minimums = scales + (size_t)shape->sub_count * PANEL_ROWS;
    float scale = get_f16(chunk + (size_t)row * 2);
    float minimum = shape->has_minimum ? get_f16(chunk + SCALES_BYTES + (size_t)row * 2) : 0.0f;
    for (uint32_t sub = 0; sub < shape->sub_count; sub++) {
        out->step[sub] = scale * (float)(int8_t)scales[sub * PANEL_ROWS + row];
        if (shape->has_minimum) {
            out->minimum[sub] = -(minimum * (float)minimums[sub * PANEL_ROWS + row]);
        }
    }
}

void panel_codes_read(uint8_t out[PANEL_GROUP], const struct panel_shape *shape,
                      const uint8_t *chunk, uint32_t group, uint32_t row)
{
    const uint8_t *codes = group_of(shape, chunk, group) + (size_t)(row / HALF) * UNIT_BYTES +
                           (size_t)(row % HALF) * 4;
    for (uint32_t k = 0; k < PANEL_GROUP; k++) {
        if (shape->code_bits == 8) {
            out[k] = codes[(size_t)(k / 4) * 2 * UNIT_BYTES + k % 4];
        } else {
            uint8_t pair = codes[(size_t)(k % 16 / 4) * 2 * UNIT_BYTES + k % 4];
            out[k] = k < PANEL_GROUP / 2 ? pair & 15 : pair >> 4;
        }
    }
}

float panel_value(const struct panel_weight *weight, uint32_t row, uint32_t k)
{
    const struct panel_shape *shape = &SHAPES[weight->kind];
    uint32_t group = k / PANEL_GROUP;
    uint32_t sub = k % PANEL_GROUP * shape->sub_count / PANEL_GROUP;
    const uint8_t *chunk = panel_chunk(weight, row / PANEL_ROWS, group / PANEL_CHUNK);
    uint8_t codes[PANEL_GROUP];
    struct panel_factors factors;
    panel_codes_read(codes, shape, chunk, group % PANEL_CHUNK, row % PANEL_ROWS);
    panel_factors_read(&factors, shape, chunk, group % PANEL_CHUNK, row % PANEL_ROWS);
    int value = (int)codes[k % PANEL_GROUP] - (int)weight->code_offset;
    return factors.step[sub] * (float)value + factors.minimum[sub];
}
