/* cpu_backend.c - the ops as loops over rows, split among threads; the inner loops come from a
 * cpu_ops table, the large ops from cpu_matmul.c, cpu_integer.c and cpu_attention.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_backend.h"

#include "kernels/cpu/cpu_attention.h"
#include "kernels/cpu/cpu_experts.h"
#include "kernels/cpu/cpu_integer.h"
#include "kernels/cpu/cpu_matmul.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/populate.h"
#include "kernels/cpu/threads.h"
#include "kernels/quant.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGNMENT = 64,
    POPULATE_BYTES = 32 << 20, /* from here on zeroing would be felt at the start */
    ITEM_VALUES = 16384,       /* least values of one work item: about what a wake-up costs */
};

struct cpu_backend {
    struct backend base;
    struct cpu_ops ops;
    struct threads *threads;
    struct cpu_matmul matmul;
    struct cpu_integer integer;
    struct cpu_attention attention;
};

/* ---- memory ---- */

static struct cpu_backend *cpu_of(struct backend *be)
{
    return (struct cpu_backend *)be;
}

static void cpu_close(struct backend *be)
{
    struct cpu_backend *cpu = cpu_of(be);
    cpu_attention_release(&cpu->attention);
    cpu_integer_release(&cpu->integer);
    cpu_matmul_release(&cpu->matmul);
    threads_close(cpu->threads);
    free(cpu);
}

/* Small memory is zeroed now; large memory, the KV cache before all, behind the caller's back. */
static void *cpu_alloc(struct backend *be, size_t byte_count)
{
    (void)be;
    if (byte_count >= POPULATE_BYTES) {
        return populate_alloc(byte_count);
    }
    size_t rounded = (byte_count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, rounded > 0 ? rounded : ALIGNMENT);
    if (memory != NULL) {
        memset(memory, 0, rounded);
    }
    return memory;
}

static void cpu_free(struct backend *be, void *memory, size_t byte_count)
{
    (void)be;
    if (byte_count >= POPULATE_BYTES && memory != NULL) {
        populate_free(memory);
    } else {
        free(memory);
    }
}

static void cpu_upload(struct backend *be, void *device, const void *host, size_t byte_count)
{
    (void)be;
    memcpy(device, host, byte_count);
}

static void cpu_download(struct backend *be, void *host, const void *device, size_t byte_count)
{
    (void)be;
    memcpy(host, device, byte_count);
}

static void cpu_copy(struct backend *be, void *out, const void *in, size_t byte_count)
{
    (void)be;
    memmove(out, in, byte_count);
}

static enum status cpu_synchronize(struct backend *be, struct error *err)
{
    (void)be;
    (void)err;
    return OK;
}

static enum status cpu_weight_import(struct backend *be, struct tensor *weight, struct error *err)
{
    if (weight->data == NULL) {
        return error_set(err, ERR_INVALID, "a weight without data cannot be imported");
    }
    if ((unsigned)weight->dtype >= DTYPE_COUNT) {
        return error_set(err, ERR_UNSUPPORTED, "weight type %u is not known",
                         (unsigned)weight->dtype);
    }
    const struct quant_format *format = quant_format_get(weight->dtype);
    if (tensor_row_values(weight) % format->block_values != 0) {
        return error_set(err, ERR_INVALID,
                         "a %s weight's row of %llu values is not a multiple of %u", format->name,
                         (unsigned long long)tensor_row_values(weight), format->block_values);
    }
    return cpu_integer_import(&cpu_of(be)->integer, weight, err);
}

/* ---- loops over rows ---- */

/* Runs fn over pieces of `count` rows of `row_values` each, large enough to be worth a worker. The
 * split never changes a result: rows are independent. */
struct row_loop {
    const struct cpu_ops *ops;
    const void *args;
    uint32_t row_count;
    uint32_t item_rows;
};

static void for_rows(struct cpu_backend *cpu, const void *args, uint32_t row_count,
                     uint32_t row_values, threads_fn fn)
{
    uint32_t item_rows = row_values < ITEM_VALUES ? ITEM_VALUES / (row_values + 1) + 1 : 1;
    struct row_loop loop = {
        .ops = &cpu->ops, .args = args, .row_count = row_count, .item_rows = item_rows};
    threads_parallel_for(cpu->threads, row_count / item_rows + (row_count % item_rows != 0), fn,
                         &loop);
}

static uint32_t first_row(const struct row_loop *loop, uint32_t item)
{
    return item * loop->item_rows;
}

static uint32_t end_row(const struct row_loop *loop, uint32_t item)
{
    uint32_t left = loop->row_count - first_row(loop, item);
    return first_row(loop, item) + (left < loop->item_rows ? left : loop->item_rows);
}

/* The values of an item's rows, for what is done element by element. */
struct stretch {
    size_t first;
    size_t count;
};

static struct stretch stretch_of(const struct row_loop *loop, uint32_t item, uint32_t dim)
{
    uint32_t row_count = end_row(loop, item) - first_row(loop, item);
    return (struct stretch){.first = (size_t)first_row(loop, item) * dim,
                            .count = (size_t)row_count * dim};
}

static void embed_rows(void *context, uint32_t item, uint32_t worker)
{
    (void)worker;
    const struct row_loop *loop = context;
    const struct embed_args *args = loop->args;
    uint64_t dim = tensor_row_values(args->table);
    uint64_t row_bytes = quant_row_bytes(args->table->dtype, dim);
    for (uint32_t row = first_row(loop, item); row < end_row(loop, item); row++) {
        float *out = args->out + row * dim;
        const uint8_t *in = (const uint8_t *)args->table->data + args->token_ids[row] * row_bytes;
        loop->ops->dequantize[args->table->dtype](out, in, dim);
        for (uint64_t i = 0; args->scale != 1.0f && i < dim; i++) {
            out[i] *= args->scale;
        }
    }
}

static void cpu_embed(struct backend *be, const struct embed_args *args)
{
    uint64_t dim = tensor_row_values(args->table);
    for (uint32_t row = 0; row < args->row_count; row++) {
        assert(args->token_ids[row] < tensor_row_count(args->table));
    }
    for_rows(cpu_of(be), args, args->row_count, (uint32_t)dim, embed_rows);
}

static void rmsnorm_rows(void *context, uint32_t item, uint32_t worker)
{
    (void)worker;
    const struct row_loop *loop = context;
    const struct rmsnorm_args *args = loop->args;
    for (uint32_t row = first_row(loop, item); row < end_row(loop, item); row++) {
        size_t base = (size_t)row * (args->stride != 0 ? args->stride : args->dim);
        loop->ops->rmsnorm(args->out + base, args->in + base, args->weight, args->dim,
                           args->epsilon);
    }
}

static void cpu_rmsnorm(struct backend *be, const struct rmsnorm_args *args)
{
    for_rows(cpu_of(be), args, args->row_count, args->dim, rmsnorm_rows);
}

static void layernorm_rows(void *context, uint32_t item, uint32_t worker)
{
    (void)worker;
    const struct row_loop *loop = context;
    const struct layernorm_args *args = loop->args;
    for (uint32_t row = first_row(loop, item); row < end_row(loop, item); row++) {
        size_t base = (size_t)row * args->dim;
        uint32_t weight_row = args->weight_rows > 1 ? row % args->weight_rows : 0;
        const float *weight = args->weight + (size_t)weight_row * args->dim;
        loop->ops->layernorm(args->out + base, args->in + base, weight, args->bias, args->dim,
                             args->epsilon);
    }
}

static void cpu_layernorm(struct backend *be, const struct layernorm_args *args)
{
    for_rows(cpu_of(be), args, args->row_count, args->dim, layernorm_rows);
}

static void cpu_matmul(struct backend *be, const struct matmul_args *args)
{
    if (args->weight->packed != NULL) {
        cpu_integer_run(&cpu_of(be)->integer, args);
    } else {
        cpu_matmul_run(&cpu_of(be)->matmul, args);
    }
}

static void cpu_heads_matmul(struct backend *be, const struct heads_matmul_args *args)
{
    cpu_matmul_run_heads(&cpu_of(be)->matmul, args);
}

static void rope_rows(void *context, uint32_t item, uint32_t worker)
{
    (void)worker;
    const struct row_loop *loop = context;
    const struct rope_args *args = loop->args;
    uint32_t pair_count = args->rotary_dim / 2;
    for (uint32_t row = first_row(loop, item); row < end_row(loop, item); row++) {
        const float *cos = args->cos + (size_t)row * pair_count;
        const float *sin = args->sin + (size_t)row * pair_count;
        float *head = args->x + (size_t)row * args->head_count * args->head_dim;
        for (uint32_t h = 0; h < args->head_count; h++, head += args->head_dim) {
            loop->ops->rope(head, cos, sin, pair_count, args->style);
        }
    }
}

static void cpu_rope(struct backend *be, const struct rope_args *args)
{
    assert(args->rotary_dim % 2 == 0 && args->rotary_dim <= args->head_dim);
    for_rows(cpu_of(be), args, args->row_count, args->head_count * args->head_dim, rope_rows);
}

static void kv_write_rows(void *context, uint32_t item, uint32_t worker)
{
    (void)worker;
    const struct row_loop *loop = context;
    const struct kv_write_args *args = loop->args;
    const struct kv_layer *kv = args->kv;
    cpu_ops_store_fn store = loop->ops->store[kv->dtype];
    size_t head_bytes = quant_row_bytes(kv->dtype, kv->head_dim);
    for (uint32_t row = first_row(loop, item); row < end_row(loop, item); row++) {
        size_t block_id = args->slots[row] / kv->block_tokens;
        size_t offset = args->slots[row] % kv->block_tokens;
        assert(block_id < kv->block_count);
        for (uint32_t h = 0; h < kv->kv_head_count; h++) {
            size_t from = ((size_t)row * kv->kv_head_count + h) * kv->head_dim;
            size_t to = (block_id * kv->kv_head_count + h) * kv->block_tokens + offset;
            store((uint8_t *)kv->keys + to * head_bytes, args->keys + from, kv->head_dim);
            if (kv->values != kv->keys) {
                store((uint8_t *)kv->values + to * head_bytes, args->values + from, kv->head_dim);
            }
        }
    }
}

static void cpu_kv_write(struct backend *be, const struct kv_write_args *args)
{
    assert((int)args->kv->dtype < CPU_OPS_STORED);
    for_rows(cpu_of(be), args, args->row_count, args->kv->kv_head_count * args->kv->head_dim * 2,
             kv_write_rows);
}

static void cpu_attention(struct backend *be, const struct attention_args *args)
{
    cpu_attention_run(&cpu_of(be)->attention, args);
}

static void cpu_merge(struct backend *be, const struct attention_merge_args *args)
{
    (void)be;
    cpu_attention_merge(args);
}

static void activate_rows(void *context, uint32_t item, uint32_t worker)
{
    (void)worker;
    const struct row_loop *loop = context;
    const struct activate_args *args = loop->args;
    struct stretch values = stretch_of(loop, item, args->dim);
    loop->ops->activate[args->activation](args->x + values.first, values.count);
}

static void cpu_activate(struct backend *be, const struct activate_args *args)
{
    assert(cpu_of(be)->ops.activate[args->activation] != NULL);
    for_rows(cpu_of(be), args, args->row_count, args->dim, activate_rows);
}

static void gated_activation_rows(void *context, uint32_t item, uint32_t worker)
{
    (void)worker;
    const struct row_loop *loop = context;
    const struct gated_activation_args *args = loop->args;
    struct stretch values = stretch_of(loop, item, args->dim);
    loop->ops->gated[args->activation](args->out + values.first, args->gate + values.first,
                                       args->up + values.first, values.count);
}

static void cpu_gated_activation(struct backend *be, const struct gated_activation_args *args)
{
    for_rows(cpu_of(be), args, args->row_count, args->dim, gated_activation_rows);
}

static void add_scaled_rows(void *context, uint32_t item, uint32_t worker)
{
    (void)worker;
    const struct row_loop *loop = context;
    const struct add_scaled_args *args = loop->args;
    struct stretch values = stretch_of(loop, item, args->dim);
    loop->ops->add_scaled(args->out + values.first, args->a + values.first, args->b + values.first,
                          args->scale, values.count);
}

static void cpu_add_scaled(struct backend *be, const struct add_scaled_args *args)
{
    for_rows(cpu_of(be), args, args->row_count, args->dim, add_scaled_rows);
}

static void scale_cap_rows(void *context, uint32_t item, uint32_t worker)
{
    (void)worker;
    const struct row_loop *loop = context;
    const struct scale_cap_args *args = loop->args;
    struct stretch values = stretch_of(loop, item, args->dim);
    loop->ops->scale_cap(args->x + values.first, args->scale, args->cap, values.count);
}

static void cpu_scale_cap(struct backend *be, const struct scale_cap_args *args)
{
    for_rows(cpu_of(be), args, args->row_count, args->dim, scale_cap_rows);
}

static void cpu_gather_rows(struct backend *be, const struct gather_rows_args *args)
{
    (void)be;
    for (uint32_t row = 0; row < args->row_count; row++) {
        memcpy(args->out + (size_t)row * args->dim, args->in + (size_t)args->rows[row] * args->dim,
               args->dim * sizeof *args->out);
    }
}

/* ---- mixtures of experts ---- */

static void experts_route_rows(void *context, uint32_t item, uint32_t worker)
{
    (void)worker;
    const struct row_loop *loop = context;
    for (uint32_t row = first_row(loop, item); row < end_row(loop, item); row++) {
        cpu_experts_choose(loop->args, row);
    }
}

static void cpu_route_experts(struct backend *be, const struct experts_route_args *args)
{
    const struct expert_routes *routes = args->routes;
    assert(routes->used_count > 0 && routes->used_count <= routes->expert_count);
    for_rows(cpu_of(be), args, routes->row_count, routes->expert_count * routes->used_count,
             experts_route_rows);
    cpu_experts_sort(routes);
}

static void experts_gather_rows(void *context, uint32_t item, uint32_t worker)
{
    (void)worker;
    const struct row_loop *loop = context;
    const struct experts_gather_args *args = loop->args;
    for (uint32_t place = first_row(loop, item); place < end_row(loop, item); place++) {
        memcpy(args->out + (size_t)place * args->dim,
               args->in + (size_t)args->routes->rows[place] * args->dim,
               args->dim * sizeof *args->out);
    }
}

static void cpu_gather_experts(struct backend *be, const struct experts_gather_args *args)
{
    for_rows(cpu_of(be), args, args->routes->row_count * args->routes->used_count, args->dim,
             experts_gather_rows);
}

/* An expert without rows costs one comparison: its weights are not touched. */
static void cpu_matmul_experts(struct backend *be, const struct experts_matmul_args *args)
{
    size_t in_dim = tensor_row_values(args->weights);
    size_t out_dim = tensor_row_count(args->weights);
    uint32_t first = 0;
    for (uint32_t expert = 0; expert < args->routes->expert_count; expert++) {
        uint32_t end = args->routes->ends[expert];
        if (end > first) {
            cpu_matmul(be, &(struct matmul_args){
                               .out = args->out + first * out_dim,
                               .in = args->in + first * in_dim,
                               .weight = &args->weights[expert],
                               .bias = args->bias != NULL ? args->bias + expert * out_dim : NULL,
                               .row_count = end - first,
                           });
        }
        first = end;
    }
}

static void experts_combine_rows(void *context, uint32_t item, uint32_t worker)
{
    (void)worker;
    const struct row_loop *loop = context;
    for (uint32_t row = first_row(loop, item); row < end_row(loop, item); row++) {
        cpu_experts_combine(loop->args, row);
    }
}

static void cpu_combine_experts(struct backend *be, const struct experts_combine_args *args)
{
    for_rows(cpu_of(be), args, args->routes->row_count, args->dim * (args->routes->used_count + 2),
             experts_combine_rows);
}

static const struct backend_ops CPU_BACKEND_OPS = {
    .name = "cpu",
    .close = cpu_close,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .upload = cpu_upload,
    .download = cpu_download,
    .copy = cpu_copy,
    .synchronize = cpu_synchronize,
    .weight_import = cpu_weight_import,
    .embed = cpu_embed,
    .rmsnorm = cpu_rmsnorm,
    .layernorm = cpu_layernorm,
    .matmul = cpu_matmul,
    .heads_matmul = cpu_heads_matmul,
    .rope = cpu_rope,
    .kv_write = cpu_kv_write,
    .attention = cpu_attention,
    .attention_merge = cpu_merge,
    .activate = cpu_activate,
    .gated_activation = cpu_gated_activation,
    .add_scaled = cpu_add_scaled,
    .scale_cap = cpu_scale_cap,
    .gather_rows = cpu_gather_rows,
    .experts_route = cpu_route_experts,
    .experts_gather = cpu_gather_experts,
    .experts_matmul = cpu_matmul_experts,
    .experts_combine = cpu_combine_experts,
};

enum status cpu_backend_open(struct backend **out, const struct backend_options *options,
                             struct error *err)
{
    *out = NULL;
    struct cpu_backend *cpu = calloc(1, sizeof *cpu);
    if (cpu == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the cpu backend");
    }
    cpu->base.ops = &CPU_BACKEND_OPS;
    cpu_ops_select(&cpu->ops, options->isa_max);
    enum status status = threads_open(&cpu->threads, options->thread_count, err);
    if (status == OK) {
        status = cpu_matmul_init(&cpu->matmul, &cpu->ops, cpu->threads, err);
    }
    if (status == OK) {
        status = cpu_integer_init(&cpu->integer, &cpu->ops, cpu->threads, options->precision, err);
    }
    if (status == OK) {
        status = cpu_attention_init(&cpu->attention, &cpu->ops, cpu->threads, err);
    }
    if (status != OK) {
        cpu_close(&cpu->base);
        return status;
    }
    *out = &cpu->base;
    return OK;
}
