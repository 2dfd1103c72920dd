/* fake_backend.c - every op in a few lines of whole numbers modulo a prime.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_backend.h"

#include "kernels/quant.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct fake_backend *fake_of(struct backend *be)
{
    struct fake_backend *fake = (struct fake_backend *)be;
    fake->op_count++;
    return fake;
}

static float wrap(uint64_t value)
{
    return (float)(value % FAKE_BACKEND_MODULUS);
}

static uint64_t whole(float value)
{
    return (uint64_t)value;
}

static void fake_close(struct backend *be)
{
    struct fake_backend *fake = fake_of(be);
    assert(fake->allocation_count == 0);
    (void)fake;
}

static void *fake_alloc(struct backend *be, size_t byte_count)
{
    struct fake_backend *fake = fake_of(be);
    assert(byte_count > 0);
    size_t rounded = (byte_count + 63) / 64 * 64;
    void *memory = fake->out_of_memory ? NULL : aligned_alloc(64, rounded);
    if (memory != NULL) {
        memset(memory, 0, rounded);
        fake->allocated_bytes += byte_count;
        fake->allocation_count++;
    }
    return memory;
}

static void fake_free(struct backend *be, void *memory, size_t byte_count)
{
    struct fake_backend *fake = fake_of(be);
    if (memory != NULL) {
        assert(fake->allocation_count > 0 && fake->allocated_bytes >= byte_count);
        fake->allocated_bytes -= byte_count;
        fake->allocation_count--;
        free(memory);
    }
}

static void fake_upload(struct backend *be, void *device, const void *host, size_t byte_count)
{
    fake_of(be);
    memcpy(device, host, byte_count);
}

static void fake_download(struct backend *be, void *host, const void *device, size_t byte_count)
{
    fake_of(be);
    memcpy(host, device, byte_count);
}

static void fake_copy(struct backend *be, void *out, const void *in, size_t byte_count)
{
    fake_of(be)->copy_count++;
    memcpy(out, in, byte_count);
}

static enum status fake_synchronize(struct backend *be, struct error *err)
{
    if (fake_of(be)->broken) {
        return error_set(err, ERR_DEVICE, "the fake device is broken");
    }
    return OK;
}

static enum status fake_weight_import(struct backend *be, struct tensor *weight, struct error *err)
{
    fake_of(be);
    return weight->data != NULL ? OK : error_set(err, ERR_INVALID, "a weight without data");
}

static void fake_embed(struct backend *be, const struct embed_args *args)
{
    fake_of(be);
    uint64_t dim = tensor_row_values(args->table);
    for (uint32_t row = 0; row < args->row_count; row++) {
        assert(args->token_ids[row] < tensor_row_count(args->table));
        for (uint64_t d = 0; d < dim; d++) {
            args->out[row * dim + d] = wrap((args->token_ids[row] + 1) * (d * d + 3 * d + 7));
        }
    }
}

static void fake_rmsnorm(struct backend *be, const struct rmsnorm_args *args)
{
    fake_of(be);
    assert(args->stride == 0);
    if (args->out != args->in) {
        memcpy(args->out, args->in, (size_t)args->row_count * args->dim * sizeof *args->out);
    }
}

static void fake_layernorm(struct backend *be, const struct layernorm_args *args)
{
    fake_rmsnorm(
        be, &(struct rmsnorm_args){
                .out = args->out, .in = args->in, .row_count = args->row_count, .dim = args->dim});
}

static void fake_matmul(struct backend *be, const struct matmul_args *args)
{
    fake_of(be);
    uint64_t in_dim = tensor_row_values(args->weight);
    uint64_t out_dim = tensor_row_count(args->weight);
    assert(in_dim > 0);
    for (uint64_t row = 0; row < args->row_count; row++) {
        const float *in = &args->in[row * in_dim];
        uint64_t sum = 1;
        for (uint64_t i = 0; i < in_dim; i++) {
            sum = (sum * 3 + whole(in[i])) % FAKE_BACKEND_MODULUS;
        }
        for (uint64_t o = 0; o < out_dim; o++) {
            uint64_t value = sum * (o + 1) + whole(in[o % in_dim]) * 5 + o;
            if (args->residual != NULL) {
                value += whole(args->residual[row * out_dim + o]);
            }
            args->out[row * out_dim + o] = wrap(value);
        }
    }
}

/* Positions enter through the order in which attention folds: nothing to do here. */
static void fake_rope(struct backend *be, const struct rope_args *args)
{
    fake_of(be);
    assert(args->rotary_dim <= args->head_dim && args->rotary_dim % 2 == 0);
}

static void store_value(const struct kv_layer *kv, void *region, size_t index, float value)
{
    switch (kv->dtype) {
    case DTYPE_F32:
        ((float *)region)[index] = value;
        break;
    case DTYPE_F16:
        ((uint16_t *)region)[index] = quant_f32_to_f16(value);
        break;
    default:
        assert(kv->dtype == DTYPE_BF16);
        ((uint16_t *)region)[index] = quant_f32_to_bf16(value);
    }
}

static float load_value(const struct kv_layer *kv, const void *region, size_t index)
{
    switch (kv->dtype) {
    case DTYPE_F32:
        return ((const float *)region)[index];
    case DTYPE_F16:
        return quant_f16_to_f32(((const uint16_t *)region)[index]);
    default:
        assert(kv->dtype == DTYPE_BF16);
        return quant_bf16_to_f32(((const uint16_t *)region)[index]);
    }
}

/* Where head `head` of a block's token starts in a region, in values. */
static size_t kv_index(const struct kv_layer *kv, uint32_t block_id, uint32_t head, uint32_t offset)
{
    assert(block_id < kv->block_count && head < kv->kv_head_count && offset < kv->block_tokens);
    return (((size_t)block_id * kv->kv_head_count + head) * kv->block_tokens + offset) *
           kv->head_dim;
}

static void fake_kv_write(struct backend *be, const struct kv_write_args *args)
{
    fake_of(be);
    const struct kv_layer *kv = args->kv;
    for (uint32_t row = 0; row < args->row_count; row++) {
        uint32_t block_id = args->slots[row] / kv->block_tokens;
        uint32_t offset = args->slots[row] % kv->block_tokens;
        for (uint32_t head = 0; head < kv->kv_head_count; head++) {
            size_t to = kv_index(kv, block_id, head, offset);
            size_t from = ((size_t)row * kv->kv_head_count + head) * kv->head_dim;
            for (uint32_t d = 0; d < kv->head_dim; d++) {
                store_value(kv, kv->keys, to + d, args->keys[from + d]);
                store_value(kv, kv->values, to + d, args->values[from + d]);
            }
        }
    }
}

/* One head of one row: folds positions 0 .. position. */
static void attend(const struct attention_args *args, const struct attention_span *span,
                   uint32_t row, uint32_t head)
{
    const struct kv_layer *kv = args->kv;
    uint32_t position = span->start + row - span->first_row;
    uint32_t kv_head = head / (args->head_count / kv->kv_head_count);
    uint32_t first =
        args->window != 0 && position >= args->window ? position - args->window + 1 : 0;
    size_t out = ((size_t)row * args->head_count + head) * kv->head_dim;
    for (uint32_t d = 0; d < kv->head_dim; d++) {
        uint64_t fold = whole(args->q[out + d]);
        for (uint32_t p = first; p <= position; p++) {
            size_t at =
                kv_index(kv, span->block_ids[p / kv->block_tokens], kv_head, p % kv->block_tokens) +
                d;
            fold = (fold * 7 + whole(load_value(kv, kv->keys, at)) * 3 +
                    whole(load_value(kv, kv->values, at)) + 1) %
                   FAKE_BACKEND_MODULUS;
        }
        args->out[out + d] = wrap(fold);
    }
    if (args->lse != NULL) {
        args->lse[(size_t)row * args->head_count + head] = (float)(position - first + 1);
    }
}

static void fake_attention(struct backend *be, const struct attention_args *args)
{
    fake_of(be);
    assert(args->head_count % args->kv->kv_head_count == 0);
    for (uint32_t i = 0; i < args->span_count; i++) {
        const struct attention_span *span = &args->spans[i];
        for (uint32_t row = span->first_row; row < span->first_row + span->row_count; row++) {
            for (uint32_t head = 0; head < args->head_count; head++) {
                attend(args, span, row, head);
            }
        }
    }
}

static void fake_attention_merge(struct backend *be, const struct attention_merge_args *args)
{
    fake_of(be);
    size_t lse_count = (size_t)args->row_count * args->head_count;
    for (size_t i = 0; i < lse_count * args->head_dim; i++) {
        args->out_a[i] = wrap(whole(args->out_a[i]) + whole(args->out_b[i]));
    }
    for (size_t i = 0; i < lse_count; i++) {
        args->lse_a[i] += args->lse_b[i];
    }
}

static void fake_activate(struct backend *be, const struct activate_args *args)
{
    fake_of(be);
    for (size_t i = 0; i < (size_t)args->row_count * args->dim; i++) {
        args->x[i] = wrap(whole(args->x[i]) * 2 + args->activation);
    }
}

static void fake_gated_activation(struct backend *be, const struct gated_activation_args *args)
{
    fake_of(be);
    for (size_t i = 0; i < (size_t)args->row_count * args->dim; i++) {
        args->out[i] = wrap(whole(args->gate[i]) * 2 + whole(args->up[i]) + args->activation);
    }
}

/* Scales are fractions, which whole numbers cannot show. */
static void fake_add_scaled(struct backend *be, const struct add_scaled_args *args)
{
    fake_of(be);
    for (size_t i = 0; i < (size_t)args->row_count * args->dim; i++) {
        args->out[i] = wrap(whole(args->a[i]) + whole(args->b[i]));
    }
}

static void fake_scale_cap(struct backend *be, const struct scale_cap_args *args)
{
    fake_of(be);
    assert(args->scale != 0.0f && args->cap >= 0.0f);
}

static void fake_gather_rows(struct backend *be, const struct gather_rows_args *args)
{
    fake_of(be);
    for (size_t row = 0; row < args->row_count; row++) {
        memcpy(&args->out[row * args->dim], &args->in[(size_t)args->rows[row] * args->dim],
               args->dim * sizeof *args->out);
    }
}

/* places holds experts. By expert, among equals by row: every choice counts those before it. */
static void sort_choices(const struct expert_routes *routes)
{
    uint32_t choice_count = routes->row_count * routes->used_count;
    memset(routes->ends, 0, routes->expert_count * sizeof *routes->ends);
    for (uint32_t i = 0; i < choice_count; i++) {
        uint32_t place = 0;
        for (uint32_t j = 0; j < choice_count; j++) {
            bool before = routes->places[j] < routes->places[i] ||
                          (j < i && routes->places[j] == routes->places[i]);
            place += before ? 1 : 0;
        }
        routes->rows[place] = i;
        for (uint32_t expert = routes->places[i]; expert < routes->expert_count; expert++) {
            routes->ends[expert]++;
        }
    }
    for (uint32_t place = 0; place < choice_count; place++) {
        routes->places[routes->rows[place]] = place;
        routes->rows[place] /= routes->used_count;
    }
}

/* Highest score first, the lower index among equals; a choice weighs its rank + 1. */
static void fake_experts_route(struct backend *be, const struct experts_route_args *args)
{
    fake_of(be);
    const struct expert_routes *routes = args->routes;
    assert(routes->used_count <= routes->expert_count);
    for (size_t i = 0; i < (size_t)routes->row_count * routes->used_count; i++) {
        uint32_t rank = (uint32_t)(i % routes->used_count);
        const float *scores = &args->scores[i / routes->used_count * routes->expert_count];
        const uint32_t *earlier = &routes->places[i - rank];
        uint32_t best = routes->expert_count;
        for (uint32_t expert = 0; expert < routes->expert_count; expert++) {
            bool taken = false;
            for (uint32_t r = 0; r < rank; r++) {
                taken = taken || earlier[r] == expert;
            }
            if (!taken && (best == routes->expert_count || scores[expert] > scores[best])) {
                best = expert;
            }
        }
        routes->places[i] = best;
        routes->weights[i] = (float)(rank + 1);
    }
    sort_choices(routes);
}

static void fake_experts_gather(struct backend *be, const struct experts_gather_args *args)
{
    fake_gather_rows(be, &(struct gather_rows_args){
                             .out = args->out,
                             .in = args->in,
                             .rows = args->routes->rows,
                             .row_count = args->routes->row_count * args->routes->used_count,
                             .dim = args->dim,
                         });
}

/* As of any weight, only the shape is seen; so that it matters which expert it was, its index is
 * added. */
static void fake_experts_matmul(struct backend *be, const struct experts_matmul_args *args)
{
    const struct expert_routes *routes = args->routes;
    uint64_t in_dim = tensor_row_values(args->weights);
    uint64_t out_dim = tensor_row_count(args->weights);
    uint32_t expert = 0;
    for (uint32_t place = 0; place < routes->row_count * routes->used_count; place++) {
        while (place == routes->ends[expert]) {
            expert++;
        }
        float *out = &args->out[place * out_dim];
        fake_matmul(be, &(struct matmul_args){.out = out,
                                              .in = &args->in[place * in_dim],
                                              .weight = &args->weights[expert],
                                              .row_count = 1});
        for (uint64_t o = 0; o < out_dim; o++) {
            out[o] = wrap(whole(out[o]) + expert);
        }
    }
}

static void fake_experts_combine(struct backend *be, const struct experts_combine_args *args)
{
    fake_of(be);
    const struct expert_routes *routes = args->routes;
    for (size_t i = 0; i < (size_t)routes->row_count * args->dim; i++) {
        size_t row = i / args->dim;
        uint64_t sum = whole(args->residual[i]);
        for (uint32_t rank = 0; rank < routes->used_count; rank++) {
            size_t choice = row * routes->used_count + rank;
            sum += whole(routes->weights[choice]) *
                   whole(args->in[(size_t)routes->places[choice] * args->dim + i % args->dim]);
        }
        if (args->shared != NULL) {
            uint64_t share = args->shared_gate != NULL ? whole(args->shared_gate[row]) : 1;
            sum += share * whole(args->shared[i]);
        }
        args->out[i] = wrap(sum);
    }
}

static const struct backend_ops fake_ops = {
    .name = "fake",
    .close = fake_close,
    .alloc = fake_alloc,
    .free = fake_free,
    .upload = fake_upload,
    .download = fake_download,
    .copy = fake_copy,
    .synchronize = fake_synchronize,
    .weight_import = fake_weight_import,
    .embed = fake_embed,
    .rmsnorm = fake_rmsnorm,
    .layernorm = fake_layernorm,
    .matmul = fake_matmul,
    .rope = fake_rope,
    .kv_write = fake_kv_write,
    .attention = fake_attention,
    .attention_merge = fake_attention_merge,
    .activate = fake_activate,
    .gated_activation = fake_gated_activation,
    .add_scaled = fake_add_scaled,
    .scale_cap = fake_scale_cap,
    .gather_rows = fake_gather_rows,
    .experts_route = fake_experts_route,
    .experts_gather = fake_experts_gather,
    .experts_matmul = fake_experts_matmul,
    .experts_combine = fake_experts_combine,
};

void fake_backend_init(struct fake_backend *fake)
{
    *fake = (struct fake_backend){.be = {.ops = &fake_ops}};
}
