/* panel.h - quantised weights laid out for integer products: 32 output rows side by side.
 *
 *     panel | panel | ...           32 rows each; the last is filled up with rows of zero scale
 *     panel: chunk | chunk | ...    256 values of k each; the last may be shorter
 *     chunk: header | group | ...   header: f16 scale[32], f16 minimum[32] where scales are integers
 *     group: codes | scales | minimums        32 values of k
 *
 * Codes are unsigned. Four consecutive values of k of one row make a dword, the dwords of 16 rows
 * a unit of 64 bytes: [k / 4][row / 16][row % 16][k % 4]. With four bits, low nibbles hold the first
 * 16 values of k and high ones the others. Scales and minimums: f16 [32], or, below a header, bytes
 * [sub][32] with sub = k % 32 / 16 where a scale spans 16 values. A panel means exactly what the
 * stored weights mean: step * (code - code_offset) + minimum, with the factors of quant_split.h.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_PANEL_H
#define KERNELS_PANEL_H

#include "kernels/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PANEL_ROWS = 32,
    PANEL_GROUP = 32, /* values of k that are summed as integers, at most */
    PANEL_CHUNK = 8,  /* groups of a chunk */
    PANEL_ALIGNMENT = 64,
};

/* Codes of 4 or 8 bits; F: an f16 scale for 32 values; K: integer scales under a header, for 32
 * values or 16; M: with minimums. */
enum panel_kind {
    PANEL_4F,
    PANEL_8F,
    PANEL_4FM,
    PANEL_8FM,
    PANEL_4KM,
    PANEL_8K,
    PANEL_8KM,
    PANEL_8K16,
    PANEL_8K16M,
    PANEL_KIND_COUNT,
};

struct panel_shape {
    uint32_t code_bits;
    uint32_t sub_count; /* scales of a row in a group: 1 or 2 */
    bool has_header;
    bool has_minimum;
    uint32_t header_bytes;
    uint32_t codes_bytes; /* of a group; scales follow */
    uint32_t group_bytes; /* a multiple of 64 */
};

/* The shapes as constants, for kernels that are made for each. Integer scales of 32 bytes alone
 * are padded to a line. */
#define PANEL_SHAPE_4F    ((struct panel_shape){4, 1, false, false, 0, 512, 576})
#define PANEL_SHAPE_8F    ((struct panel_shape){8, 1, false, false, 0, 1024, 1088})
#define PANEL_SHAPE_4FM   ((struct panel_shape){4, 1, false, true, 0, 512, 640})
#define PANEL_SHAPE_8FM   ((struct panel_shape){8, 1, false, true, 0, 1024, 1152})
#define PANEL_SHAPE_4KM   ((struct panel_shape){4, 1, true, true, 128, 512, 576})
#define PANEL_SHAPE_8K    ((struct panel_shape){8, 1, true, false, 64, 1024, 1088})
#define PANEL_SHAPE_8KM   ((struct panel_shape){8, 1, true, true, 128, 1024, 1088})
#define PANEL_SHAPE_8K16  ((struct panel_shape){8, 2, true, false, 64, 1024, 1088})
#define PANEL_SHAPE_8K16M ((struct panel_shape){8, 2, true, true, 128, 1024, 1152})

/* A weight in panels. */
struct panel_weight {
    uint8_t *panels;
    enum panel_kind kind;
    uint32_t code_offset;
    uint32_t row_count;   /* outputs */
    uint32_t group_count; /* k / 32 */
    uint32_t panel_count;
    size_t panel_bytes;
};

const struct panel_shape *panel_shape_get(enum panel_kind kind);

/* Fills all but `panels` and returns true when the weight can be laid out in panels: its type has
 * integer codes, and k is a multiple of 32. */
bool panel_describe(struct panel_weight *out, const struct tensor *weight);

/* Bytes of all panels. */
size_t panel_weight_bytes(const struct panel_weight *weight);

/* Writes one panel, every byte of it, from the stored weight that was described. */
void panel_pack(const struct panel_weight *weight, const struct tensor *stored,
                uint32_t panel_index);

/* The value at (row, k) as the panels state it: the definition, for tests. */
float panel_value(const struct panel_weight *weight, uint32_t row, uint32_t k);

/* What an inner loop finds for one row of a group; sub < sub_count. */
struct panel_factors {
    float step[2];
    float minimum[2]; /* 0 in shapes without */
};

const uint8_t *panel_chunk(const struct panel_weight *weight, uint32_t panel_index,
                           uint32_t chunk_index);
void panel_factors_read(struct panel_factors *out, const struct panel_shape *shape,
                        const uint8_t *chunk, uint32_t group, uint32_t row);
/* The 32 codes of one row. */
void panel_codes_read(uint8_t out[PANEL_GROUP], const struct panel_shape *shape,
                      const uint8_t *chunk, uint32_t group, uint32_t row);

#endif
