/* cpu_matmul.c - the loops around the inner loops.
 *
 * One row of input: each group of four weight rows is dequantised in registers and multiplied on
 * the way (`dot`); memory bandwidth is the limit. More rows: a chunk of 256 values of four weight
 * rows is dequantised once into the first-level cache and multiplied with up to ROW_BLOCK input
 * rows (`accumulate`), whose unfolded sums wait in the second-level cache for the next chunk.
 * Both add the same products to the same lanes in the same order.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_matmul.h"

#include "kernels/quant.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROW_BLOCK = 48, /* input rows that share a dequantised chunk */
    PANEL = 16,     /* outputs that share a chunk of the inputs when all of them fit no cache */
    INPUT_BYTES = 384 << 10, /* inputs that stay in the second-level cache beside the weights */
    CACHE_LINE = 64,
    ITEM_BYTES = 65536 /* least weights of one work item: long runs for the prefetcher */
};

enum {
    WEIGHTS_FLOATS = CPU_OPS_TILE * CPU_OPS_CHUNK,
    LANES_FLOATS = ROW_BLOCK * PANEL * CPU_OPS_LANES_MAX,
    SCRATCH_FLOATS = WEIGHTS_FLOATS + LANES_FLOATS,
};

/* One call, as its work items see it. */
struct product {
    const struct cpu_matmul *matmul;
    const struct matmul_args *args;
    const uint8_t *weights;
    uint64_t row_bytes;
    uint32_t k_count;
    uint32_t out_dim;
    uint32_t in_stride;    /* values from one row of inputs to the next */
    uint32_t out_stride;   /* likewise of outputs and residual */
    uint32_t item_outputs; /* a multiple of PANEL */
    uint32_t panel;        /* outputs that advance through k together */
};

enum status cpu_matmul_init(struct cpu_matmul *matmul, const struct cpu_ops *ops,
                            struct threads *threads, struct error *err)
{
    size_t byte_count = sizeof(float) * SCRATCH_FLOATS * threads_count(threads);
    *matmul = (struct cpu_matmul){.ops = ops, .threads = threads};
    matmul->scratch = aligned_alloc(64, byte_count);
    if (matmul->scratch == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for %zu bytes of matmul scratch", byte_count);
    }
    return OK;
}

void cpu_matmul_release(struct cpu_matmul *matmul)
{
    free(matmul->scratch);
    *matmul = (struct cpu_matmul){0};
}

/* The tile's weight rows. Past the last output the last row stands in; its sums are dropped. */
static void tile_rows(const struct product *product, uint32_t output,
                      const void *rows[CPU_OPS_TILE])
{
    for (uint32_t i = 0; i < CPU_OPS_TILE; i++) {
        uint32_t row = output + i < product->out_dim ? output + i : product->out_dim - 1;
        rows[i] = product->weights + row * product->row_bytes;
    }
}

/* Writes a tile's sums of one input row, with bias and residual. */
static void store_sums(const struct product *product, const float *sums, uint32_t row,
                       uint32_t output)
{
    const struct matmul_args *args = product->args;
    size_t base = (size_t)row * product->out_stride;
    for (uint32_t i = 0; i < CPU_OPS_TILE && output + i < product->out_dim; i++) {
        float value = sums[i];
        if (args->bias != NULL) {
            value += args->bias[output + i];
        }
        if (args->residual != NULL) {
            value += args->residual[base + output + i];
        }
        args->out[base + output + i] = value;
    }
}

static void run_single_row(const struct product *product, uint32_t first, uint32_t end)
{
    const struct matmul_args *args = product->args;
    cpu_ops_dot_fn dot = product->matmul->ops->dot[args->weight->dtype];
    for (uint32_t output = first; output < end; output += CPU_OPS_TILE) {
        const void *rows[CPU_OPS_TILE];
        float sums[CPU_OPS_TILE];
        tile_rows(product, output, rows);
        dot(sums, rows, args->in, product->k_count);
        store_sums(product, sums, 0, output);
    }
}

static void prefetch(const uint8_t *bytes, size_t byte_count)
{
    for (size_t i = 0; i < byte_count; i += CACHE_LINE) {
        __builtin_prefetch(bytes + i);
    }
}

/* Adds the chunk of k that begins at k to the sums of a panel. The same chunk of the next panel is
 * fetched meanwhile: rows are too short for the hardware to see the stream. */
static void add_chunk(const struct product *product, float *weights, struct cpu_accumulate chunk,
                      uint32_t k, uint32_t first, uint32_t end)
{
    const struct cpu_ops *ops = product->matmul->ops;
    enum dtype dtype = product->args->weight->dtype;
    uint32_t left = product->k_count - k;
    size_t skip = quant_row_bytes(dtype, k);

    chunk.weights = weights;
    chunk.k_count = left < CPU_OPS_CHUNK ? left : CPU_OPS_CHUNK;
    chunk.first = k == 0;
    chunk.x += k;
    size_t chunk_bytes = quant_row_bytes(dtype, chunk.k_count);
    size_t ahead = product->panel * product->row_bytes;
    for (uint32_t output = first; output < end; output += CPU_OPS_TILE) {
        const void *rows[CPU_OPS_TILE];
        tile_rows(product, output, rows);
        for (uint32_t i = 0; i < CPU_OPS_TILE; i++) {
            float *out = weights + (size_t)i * CPU_OPS_CHUNK;
            const uint8_t *bytes = (const uint8_t *)rows[i] + skip;
            prefetch(bytes + ahead, chunk_bytes);
            ops->dequantize[dtype](out, bytes, chunk.k_count);
            for (uint32_t pad = chunk.k_count; pad % CPU_OPS_LANES_MAX != 0; pad++) {
                out[pad] = 0.0f;
            }
        }
        ops->accumulate(&chunk);
        chunk.lanes += (size_t)ROW_BLOCK * CPU_OPS_TILE * ops->lane_count;
    }
}

static void run_panel(const struct product *product, float *scratch, uint32_t first, uint32_t end,
                      uint32_t first_row)
{
    const struct cpu_ops *ops = product->matmul->ops;
    uint32_t rows_left = product->args->row_count - first_row;
    struct cpu_accumulate chunk = {
        .lanes = scratch + WEIGHTS_FLOATS,
        .x = product->args->in + (size_t)first_row * product->in_stride,
        .x_stride = product->in_stride,
        .row_count = rows_left < ROW_BLOCK ? rows_left : ROW_BLOCK,
    };
    for (uint32_t k = 0; k < product->k_count; k += CPU_OPS_CHUNK) {
        add_chunk(product, scratch, chunk, k, first, end);
    }
    size_t sum_lanes = (size_t)CPU_OPS_TILE * ops->lane_count;
    for (uint32_t output = first; output < end; output += CPU_OPS_TILE) {
        for (uint32_t row = 0; row < chunk.row_count; row++) {
            float sums[CPU_OPS_TILE];
            ops->fold(sums, chunk.lanes + row * sum_lanes);
            store_sums(product, sums, first_row + row, output);
        }
        chunk.lanes += ROW_BLOCK * sum_lanes;
    }
}

static void run_outputs(const struct product *product, uint32_t item, uint32_t worker)
{
    uint32_t first = item * product->item_outputs;
    uint32_t end = first + product->item_outputs;
    end = end < product->out_dim ? end : product->out_dim;
    if (product->args->row_count == 1) {
        run_single_row(product, first, end);
        return;
    }
    float *scratch = product->matmul->scratch + (size_t)worker * SCRATCH_FLOATS;
    for (uint32_t row = 0; row < product->args->row_count; row += ROW_BLOCK) {
        for (uint32_t output = first; output < end; output += product->panel) {
            uint32_t panel_end = output + product->panel < end ? output + product->panel : end;
            run_panel(product, scratch, output, panel_end, row);
        }
    }
}

static void run_item(void *context, uint32_t item, uint32_t worker)
{
    run_outputs(context, item, worker);
}

/* A product of dense rows. */
static struct product product_of(const struct cpu_matmul *matmul, const struct matmul_args *args)
{
    const struct tensor *weight = args->weight;
    uint64_t k_count = tensor_row_values(weight);
    uint64_t out_dim = tensor_row_count(weight);
    assert(k_count > 0 && k_count <= UINT32_MAX && out_dim <= UINT32_MAX - ITEM_BYTES);
    struct product product = {
        .matmul = matmul,
        .args = args,
        .weights = weight->data,
        .row_bytes = quant_row_bytes(weight->dtype, k_count),
        .k_count = (uint32_t)k_count,
        .out_dim = (uint32_t)out_dim,
        .in_stride = (uint32_t)k_count,
        .out_stride = (uint32_t)out_dim,
    };
    uint64_t panels = ITEM_BYTES / (product.row_bytes * PANEL);
    uint64_t rows = args->row_count < ROW_BLOCK ? args->row_count : ROW_BLOCK;
    product.panel = rows * k_count * sizeof(float) <= INPUT_BYTES ? CPU_OPS_TILE : PANEL;
    product.item_outputs = (uint32_t)(panels > 1 ? panels : 1) * PANEL;
    return product;
}

static uint32_t item_count_of(const struct product *product)
{
    return (product->out_dim + product->item_outputs - 1) / product->item_outputs;
}

/* Small inputs are cheaper done here than announced to the other workers. */
static bool is_small(const struct product *product, uint64_t head_count)
{
    uint64_t outputs = (uint64_t)product->out_dim * head_count;
    return product->k_count * outputs * product->args->row_count < 65536;
}

void cpu_matmul_run(struct cpu_matmul *matmul, const struct matmul_args *args)
{
    if (args->row_count == 0 || tensor_row_count(args->weight) == 0) {
        return;
    }
    struct product product = product_of(matmul, args);
    if (is_small(&product, 1)) {
        product.item_outputs = product.out_dim + PANEL;
    }
    threads_parallel_for(matmul->threads, item_count_of(&product), run_item, &product);
}

/* ---- heads ---- */

struct heads {
    const struct heads_matmul_args *args;
    const struct cpu_matmul *matmul;
    uint32_t head_items; /* of one head */
};

static void pass_on(const struct heads_matmul_args *args, uint32_t head)
{
    uint64_t in_dim = tensor_row_values(args->weights);
    uint64_t out_dim = tensor_row_count(args->weights);
    for (uint32_t row = 0; row < args->row_count; row++) {
        size_t index = (size_t)row * args->head_count + head;
        memcpy(args->out + index * args->out_stride + out_dim,
               args->in + index * args->in_stride + in_dim, args->passed_count * sizeof(float));
    }
}

static void run_head_item(void *context, uint32_t item, uint32_t worker)
{
    const struct heads *heads = context;
    const struct heads_matmul_args *args = heads->args;
    uint32_t head = item / heads->head_items;
    const struct matmul_args of_head = {
        .out = args->out + (size_t)head * args->out_stride,
        .in = args->in + (size_t)head * args->in_stride,
        .weight = &args->weights[head],
        .row_count = args->row_count,
    };
    struct product product = product_of(heads->matmul, &of_head);
    product.in_stride = args->head_count * args->in_stride;
    product.out_stride = args->head_count * args->out_stride;
    run_outputs(&product, item % heads->head_items, worker);
    if (args->passed_count > 0 && item % heads->head_items == 0) {
        pass_on(args, head);
    }
}

void cpu_matmul_run_heads(struct cpu_matmul *matmul, const struct heads_matmul_args *args)
{
    uint64_t in_dim = tensor_row_values(args->weights);
    uint64_t out_dim = tensor_row_count(args->weights);
    assert(args->in_stride >= in_dim + args->passed_count);
    assert(args->out_stride >= out_dim + args->passed_count);
    assert((uint64_t)args->head_count * args->in_stride <= UINT32_MAX);
    assert((uint64_t)args->head_count * args->out_stride <= UINT32_MAX);
    if (args->row_count == 0 || args->head_count == 0 || out_dim == 0) {
        return;
    }
    const struct matmul_args first = {.weight = args->weights, .row_count = args->row_count};
    struct product product = product_of(matmul, &first);
    struct heads heads = {.args = args, .matmul = matmul, .head_items = item_count_of(&product)};
    uint32_t item_count = args->head_count * heads.head_items;
    if (!is_small(&product, args->head_count)) {
        threads_parallel_for(matmul->threads, item_count, run_head_item, &heads);
        return;
    }
    for (uint32_t item = 0; item < item_count; item++) {
        run_head_item(&heads, item, 0);
    }
}
