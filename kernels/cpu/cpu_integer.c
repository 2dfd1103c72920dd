/* cpu_integer.c - work items are panels: each worker's stretch of them is one straight read. Inputs
 * come in blocks of rows, each quantised as a whole, row by row among the workers, before it is
 * multiplied. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_integer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    INPUT_ROWS = 192,   /* rows that are quantised together: they share one pass over the weights */
    ITEM_BYTES = 16384, /* least weights of one work item */
    SMALL = 65536,      /* multiplications: below, the other workers are not worth waking */
    ALIGNMENT = 64,
};

/* What tensor.packed points to; panels follow. */
struct packed {
    struct panel_weight panels;
    bool wide; /* 16 bits an input instead of 8 */
};

enum {
    PACKED_BYTES = (sizeof(struct packed) + PANEL_ALIGNMENT - 1) / PANEL_ALIGNMENT * PANEL_ALIGNMENT
};

/* One call, as its work items see it: rows [first_row, first_row + row_count) of the inputs. */
struct integer_product {
    struct cpu_integer *integer;
    const struct matmul_args *args;
    const struct packed *packed;
    cpu_panel_quantize_fn quantize;
    cpu_panel_dot_fn dot;
    size_t row_stride;   /* of quantised inputs: a chunk of one row */
    size_t chunk_stride; /* of quantised inputs */
    uint32_t first_row;
    uint32_t row_count;
    uint32_t item_panels;
};

enum status cpu_integer_init(struct cpu_integer *integer, const struct cpu_ops *ops,
                             struct threads *threads, enum precision precision, struct error *err)
{
    size_t byte_count = sizeof(float) * CPU_PANEL_SUMS * threads_count(threads);
    *integer = (struct cpu_integer){.ops = ops, .threads = threads, .precision = precision};
    integer->sums = aligned_alloc(ALIGNMENT, byte_count);
    if (integer->sums == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for %zu bytes of matmul scratch", byte_count);
    }
    return OK;
}

void cpu_integer_release(struct cpu_integer *integer)
{
    arena_release(&integer->weights);
    free(integer->inputs);
    free(integer->sums);
    *integer = (struct cpu_integer){0};
}

/* ---- import ---- */

struct packing {
    cpu_panel_pack_fn pack;
    const struct panel_weight *panels;
    const struct tensor *stored;
};

static void pack_item(void *context, uint32_t item, uint32_t worker)
{
    const struct packing *packing = context;
    (void)worker;
    packing->pack(packing->panels, packing->stored, item);
}

static bool is_packed(struct panel_weight *panels, const struct tensor *weight,
                      enum precision precision)
{
    return precision != PRECISION_F32 && weight->use != TENSOR_TABLE &&
           panel_describe(panels, weight);
}

uint64_t cpu_integer_packed_bytes(const struct tensor *weight, enum precision precision)
{
    struct panel_weight panels;
    return is_packed(&panels, weight, precision) ? PACKED_BYTES + panel_weight_bytes(&panels) : 0;
}

static size_t chunk_count_of(const struct panel_weight *panels)
{
    return (panels->group_count + PANEL_CHUNK - 1) / PANEL_CHUNK;
}

/* A block of rows, every one in whole chunks of wide codes. */
static size_t input_bytes_of(const struct panel_weight *panels)
{
    return chunk_count_of(panels) * PANEL_CHUNK * CPU_PANEL_WIDE_BLOCK * (size_t)INPUT_ROWS;
}

uint64_t cpu_integer_input_bytes(const struct tensor *weight, enum precision precision)
{
    struct panel_weight panels;
    return is_packed(&panels, weight, precision) ? input_bytes_of(&panels) : 0;
}

static bool is_wide(const struct tensor *weight, enum precision precision)
{
    return precision == PRECISION_A16 ||
           (precision == PRECISION_AUTO && weight->use == TENSOR_PRODUCT_FINE);
}

/* The inputs of the widest product so far fit. */
static enum status reserve_inputs(struct cpu_integer *integer, const struct panel_weight *panels,
                                  struct error *err)
{
    size_t byte_count = input_bytes_of(panels);
    if (byte_count <= integer->inputs_bytes) {
        return OK;
    }
    free(integer->inputs);
    integer->inputs_bytes = 0;
    integer->inputs = aligned_alloc(ALIGNMENT, byte_count);
    if (integer->inputs == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for %zu bytes of quantised inputs",
                         byte_count);
    }
    integer->inputs_bytes = byte_count;
    return OK;
}

enum status cpu_integer_import(struct cpu_integer *integer, struct tensor *weight,
                               struct error *err)
{
    struct panel_weight panels;
    weight->packed = NULL;
    if (!is_packed(&panels, weight, integer->precision)) {
        return OK;
    }
    enum status status = reserve_inputs(integer, &panels, err);
    if (status != OK) {
        return status;
    }
    size_t byte_count = PACKED_BYTES + panel_weight_bytes(&panels);
    struct packed *packed = arena_take(&integer->weights, byte_count);
    if (packed == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for %zu bytes of packed weights", byte_count);
    }
    panels.panels = (uint8_t *)packed + PACKED_BYTES;
    *packed = (struct packed){.panels = panels, .wide = is_wide(weight, integer->precision)};
    struct packing packing = {.pack = integer->ops->panel_pack[weight->dtype],
                              .panels = &packed->panels,
                              .stored = weight};
    threads_parallel_for(integer->threads, panels.panel_count, pack_item, &packing);
    weight->packed = packed;
    return OK;
}

/* ---- run ---- */

static void quantize_row(void *context, uint32_t item, uint32_t worker)
{
    const struct integer_product *product = context;
    const struct panel_weight *panels = &product->packed->panels;
    size_t row = (size_t)product->first_row + item;
    (void)worker;
    product->quantize(&(struct cpu_panel_quantize){
        .out = product->integer->inputs + item * product->row_stride,
        .chunk_stride = product->chunk_stride,
        .in = product->args->in + row * panels->group_count * PANEL_GROUP,
        .group_count = panels->group_count,
        .code_offset = (int32_t)panels->code_offset,
        .sub_count = panel_shape_get(panels->kind)->sub_count,
        .limit = product->packed->wide ? 32767.0f : 127.0f,
    });
}

static void multiply_panel(const struct integer_product *product, uint32_t panel, float *sums)
{
    const struct panel_weight *panels = &product->packed->panels;
    const struct matmul_args *args = product->args;
    uint32_t column = panel * PANEL_ROWS;
    uint32_t columns_left = panels->row_count - column;
    size_t out_dim = panels->row_count;
    struct cpu_panel_dot dot = {
        .panel = panels->panels + panel * panels->panel_bytes,
        .chunk_stride = product->chunk_stride,
        .group_count = panels->group_count,
        .column_count = columns_left < PANEL_ROWS ? columns_left : PANEL_ROWS,
        .sums = sums,
        .out_stride = out_dim,
        .bias = args->bias != NULL ? args->bias + column : NULL,
    };
    for (uint32_t row = 0; row < product->row_count; row += CPU_PANEL_ROWS_MAX) {
        uint32_t rows_left = product->row_count - row;
        size_t place = ((size_t)product->first_row + row) * out_dim + column;
        dot.row_count = rows_left < CPU_PANEL_ROWS_MAX ? rows_left : CPU_PANEL_ROWS_MAX;
        dot.inputs = product->integer->inputs + row * product->row_stride;
        dot.out = args->out + place;
        dot.residual = args->residual != NULL ? args->residual + place : NULL;
        product->dot(&dot);
    }
}

static void multiply_item(void *context, uint32_t item, uint32_t worker)
{
    const struct integer_product *product = context;
    float *sums = product->integer->sums + (size_t)worker * CPU_PANEL_SUMS;
    uint32_t panel_count = product->packed->panels.panel_count;
    uint32_t first = item * product->item_panels;
    for (uint32_t i = 0; i < product->item_panels && first + i < panel_count; i++) {
        multiply_panel(product, first + i, sums);
    }
}

/* Does the items here, without the other workers, where there is little to do. */
static void run_items(const struct cpu_integer *integer, bool alone, uint32_t item_count,
                      threads_fn fn, void *context)
{
    if (!alone) {
        threads_parallel_for(integer->threads, item_count, fn, context);
        return;
    }
    for (uint32_t item = 0; item < item_count; item++) {
        fn(context, item, 0);
    }
}

static void choose_kernels(struct integer_product *product)
{
    const struct cpu_ops *ops = product->integer->ops;
    enum panel_kind kind = product->packed->panels.kind;
    bool bytes = !product->packed->wide && ops->panel_dot_bytes[kind] != NULL;
    product->quantize = bytes ? ops->panel_quantize_bytes : ops->panel_quantize_wide;
    product->dot = bytes ? ops->panel_dot_bytes[kind] : ops->panel_dot_wide[kind];
    product->row_stride =
        (size_t)PANEL_CHUNK * (bytes ? CPU_PANEL_BYTE_BLOCK : CPU_PANEL_WIDE_BLOCK);
}

void cpu_integer_run(struct cpu_integer *integer, const struct matmul_args *args)
{
    const struct packed *packed = args->weight->packed;
    const struct panel_weight *panels = &packed->panels;
    struct integer_product product = {.integer = integer, .args = args, .packed = packed};
    uint64_t k_count = (uint64_t)panels->group_count * PANEL_GROUP;
    size_t item_panels = ITEM_BYTES / panels->panel_bytes;
    product.item_panels = item_panels > 1 ? (uint32_t)item_panels : 1;
    uint32_t item_count = (panels->panel_count + product.item_panels - 1) / product.item_panels;
    choose_kernels(&product);
    for (uint32_t row = 0; row < args->row_count; row += INPUT_ROWS) {
        uint32_t rows_left = args->row_count - row;
        product.first_row = row;
        product.row_count = rows_left < INPUT_ROWS ? rows_left : INPUT_ROWS;
        product.chunk_stride = product.row_count * product.row_stride;
        assert(chunk_count_of(panels) * product.chunk_stride <= integer->inputs_bytes);
        /* Quantising a value costs about as much as some ten products. */
        run_items(integer, k_count * product.row_count < SMALL / 8, product.row_count, quantize_row,
                  &product);
        run_items(integer, k_count * panels->row_count * product.row_count < SMALL, item_count,
                  multiply_item, &product);
    }
}
