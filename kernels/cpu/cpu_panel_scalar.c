/* cpu_panel_scalar.c - the specification of integer products, written to be read. Tables without an
 * instruction for byte codes take wide ones at every precision; the sums are the same integers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_panel_scalar.h"

#include "kernels/cpu/cpu_panel.h"

#include <math.h>
#include <string.h>

enum {
    WIDE_BYTES = 2 * PANEL_GROUP
};

/* Where value k of a group has its wide code: 0 2 1 3 within a quad. */
static uint32_t wide_place(uint32_t k)
{
    uint32_t in_quad = k % 4;
    return k - in_quad + (in_quad == 1 ? 2 : in_quad == 2 ? 1 : in_quad);
}

/* Among magnitudes the order of floats is that of their bits; NaN is above all. */
static uint32_t largest_magnitude(const float *in)
{
    uint32_t largest = 0;
    for (uint32_t k = 0; k < PANEL_GROUP; k++) {
        uint32_t bits;
        memcpy(&bits, &in[k], sizeof bits);
        bits &= 0x7fffffffu;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

static void quantize_group(uint8_t *block, const float *in, const struct cpu_panel_quantize *args)
{
    int16_t codes[PANEL_GROUP] = {0};
    int32_t sums[2] = {0, 0};
    struct cpu_panel_tail tail = {0};
    uint32_t bits = largest_magnitude(in);
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    if (!(largest <= 0x1.fffffep127f)) {
        tail.scale = NAN;
    } else if (largest >= 0x1p-100f) {
        float inverse;
        tail.scale = cpu_panel_scale(largest, args->limit, &inverse);
        for (uint32_t k = 0; k < PANEL_GROUP; k++) {
            int32_t code = (int32_t)rintf(in[k] * inverse);
            codes[wide_place(k)] = (int16_t)code;
            sums[args->sub_count == 2 && k >= PANEL_GROUP / 2] += code;
        }
    }
    for (uint32_t sub = 0; sub < 2; sub++) {
        tail.start[sub] = -args->code_offset * sums[sub];
        tail.sum[sub] = tail.scale * (float)sums[sub];
    }
    memcpy(block, codes, sizeof codes);
    memcpy(block + WIDE_BYTES, &tail, sizeof tail);
}

static void quantize(const struct cpu_panel_quantize *args)
{
    for (uint32_t g = 0; g < args->group_count; g++) {
        uint8_t *chunk = args->out + g / PANEL_CHUNK * args->chunk_stride;
        quantize_group(chunk + (size_t)(g % PANEL_CHUNK) * CPU_PANEL_WIDE_BLOCK,
                       args->in + (size_t)g * PANEL_GROUP, args);
    }
}

/* One group of one column, for all rows. */
static void add_group(const struct cpu_panel_dot *args, const struct panel_shape *shape,
                      uint32_t group, uint32_t column)
{
    uint8_t codes[PANEL_GROUP];
    struct panel_factors factors;
    size_t chunk_bytes = shape->header_bytes + (size_t)PANEL_CHUNK * shape->group_bytes;
    const uint8_t *chunk = args->panel + group / PANEL_CHUNK * chunk_bytes;
    const uint8_t *block = args->inputs + group / PANEL_CHUNK * args->chunk_stride +
                           (size_t)(group % PANEL_CHUNK) * CPU_PANEL_WIDE_BLOCK;
    panel_codes_read(codes, shape, chunk, group % PANEL_CHUNK, column);
    panel_factors_read(&factors, shape, chunk, group % PANEL_CHUNK, column);
    uint32_t sub_values = PANEL_GROUP / shape->sub_count;
    for (uint32_t row = 0; row < args->row_count; row++) {
        int16_t inputs[PANEL_GROUP];
        struct cpu_panel_tail tail;
        memcpy(inputs, block, sizeof inputs);
        memcpy(&tail, block + WIDE_BYTES, sizeof tail);
        float sum = args->sums[row];
        for (uint32_t sub = 0; sub < shape->sub_count; sub++) {
            int32_t total = tail.start[sub];
            for (uint32_t k = sub * sub_values; k < (sub + 1) * sub_values; k++) {
                total += codes[k] * inputs[wide_place(k)];
            }
            sum = fmaf((float)total * tail.scale, factors.step[sub], sum);
        }
        for (uint32_t sub = 0; shape->has_minimum && sub < shape->sub_count; sub++) {
            sum = fmaf(factors.minimum[sub], tail.sum[sub], sum);
        }
        args->sums[row] = sum;
        block += (size_t)PANEL_CHUNK * CPU_PANEL_WIDE_BLOCK;
    }
}

static void dot(const struct cpu_panel_dot *args, enum panel_kind kind)
{
    const struct panel_shape *shape = panel_shape_get(kind);
    for (uint32_t column = 0; column < args->column_count; column++) {
        memset(args->sums, 0, args->row_count * sizeof *args->sums);
        for (uint32_t g = 0; g < args->group_count; g++) {
            add_group(args, shape, g, column);
        }
        for (uint32_t row = 0; row < args->row_count; row++) {
            size_t place = row * args->out_stride + column;
            float value = args->sums[row];
            value = args->bias != NULL ? value + args->bias[column] : value;
            value = args->residual != NULL ? value + args->residual[place] : value;
            args->out[place] = value;
        }
    }
}

#define DOT(name, kind)                                                                            \
    static void name(const struct cpu_panel_dot *args)                                             \
    {                                                                                              \
        dot(args, kind);                                                                           \
    }

DOT(dot_4f, PANEL_4F)
DOT(dot_8f, PANEL_8F)
DOT(dot_4fm, PANEL_4FM)
DOT(dot_8fm, PANEL_8FM)
DOT(dot_4km, PANEL_4KM)
DOT(dot_8k, PANEL_8K)
DOT(dot_8km, PANEL_8KM)
DOT(dot_8k16, PANEL_8K16)
DOT(dot_8k16m, PANEL_8K16M)

void cpu_panel_scalar_fill(struct cpu_ops *ops)
{
    static const cpu_panel_dot_fn DOTS[PANEL_KIND_COUNT] = {
        [PANEL_4F] = dot_4f,   [PANEL_8F] = dot_8f,     [PANEL_4FM] = dot_4fm,
        [PANEL_8FM] = dot_8fm, [PANEL_4KM] = dot_4km,   [PANEL_8K] = dot_8k,
        [PANEL_8KM] = dot_8km, [PANEL_8K16] = dot_8k16, [PANEL_8K16M] = dot_8k16m,
    };
    ops->panel_quantize_wide = quantize;
    ops->panel_quantize_bytes = NULL;
    for (int kind = 0; kind < PANEL_KIND_COUNT; kind++) {
        ops->panel_dot_wide[kind] = DOTS[kind];
        ops->panel_dot_bytes[kind] = NULL;
    }
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        ops->panel_pack[dtype] = panel_pack;
    }
}
