/* forward.c - one pass over the layers (forward_layer.c) for the whole ragged batch. Nothing here knows how a row came into the batch, so a
 * row's logits cannot depend on its neighbours. Rotary angles are computed in double precision from
 * each row's own position, once a step for all layers. The workspace is sized at open for the largest
 * batch. SPDX-License-Identifier: Apache-2.0 */
#include "engine/forward.h"

#include "engine/forward_layer.h"
#include "engine/forward_ops.h"
#include "engine/forward_state.h"
#include "engine/rope_params.h"
#include "kernels/workspace.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUFFER_COUNT = 21
};

/* One buffer of a step: which, and how large. */
struct buffer {
    float **place;
    uint64_t row_count;
    uint64_t width;
};

static uint64_t max_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Values of all arrays of the routes, each of four bytes. */
static uint64_t routing_values(const struct model_params *params, uint64_t rows)
{
    return 3 * rows * params->expert_used_count + params->expert_count;
}

/* Has the model angles of this kind? */
static bool kind_is_used(const struct model_params *params, enum layer_rope kind)
{
    return params->rotary_dim > 0 &&
           (kind == LAYER_ROPE_SCALED || (kind == LAYER_ROPE_PLAIN && params->window_rope_plain));
}

static void list_buffers(struct forward *f, const struct model_params *params, uint32_t rows,
                         uint32_t logits_rows, struct buffer buffers[BUFFER_COUNT])
{
    uint64_t q_width = (uint64_t)params->head_count * params->head_dim;
    uint64_t kv_width = (uint64_t)params->kv_head_count * params->head_dim;
    bool latent = params->latent.kv_rank > 0;
    uint64_t query_dim =
        max_of(params->latent.still_dim + params->rotary_dim, params->latent.value_dim);
    uint64_t used = params->expert_used_count;
    uint64_t expert_width = max_of(used * params->expert_ffn_dim, params->shared_ffn_dim);
    uint64_t ffn_width = max_of(params->ffn_dim, expert_width);
    uint64_t shared_rows = params->shared_ffn_dim > 0 ? rows : 0;
    bool has_branch = !model_adds_plainly(params) || params->learned_positions;
    uint64_t plain_rows = kind_is_used(params, LAYER_ROPE_PLAIN) ? rows : 0;
    uint64_t pairs = params->rotary_dim / 2;
    struct forward_angles *scaled = &f->angles[LAYER_ROPE_SCALED];
    struct forward_angles *plain = &f->angles[LAYER_ROPE_PLAIN];
    const struct buffer all[BUFFER_COUNT] = {
        {&f->hidden, rows, params->dim},
        {&f->normed, rows, params->dim},
        {&f->q, rows, q_width},
        {&f->k, rows, kv_width},
        {&f->v, latent ? 0 : rows, kv_width},
        {&f->attended, rows, q_width},
        {&f->queries, latent ? rows : 0, params->head_count * query_dim},
        {&f->q_down, latent ? rows : 0, params->latent.q_rank},
        {&f->gate, rows, ffn_width},
        {&f->up, rows, params->ffn == FFN_PLAIN ? 0 : ffn_width},
        {&f->branch, has_branch ? rows : 0, params->dim},
        {&scaled->cos, rows, pairs},
        {&scaled->sin, rows, pairs},
        {&plain->cos, plain_rows, pairs},
        {&plain->sin, plain_rows, pairs},
        {&f->scores, rows, params->expert_count},
        {&f->routing, 1, routing_values(params, rows)},
        {&f->routed, rows * used, params->dim},
        {&f->shared, shared_rows, params->dim},
        {&f->shared_share, shared_rows, 1},
        {&f->logits, logits_rows, params->vocab_count},
    };
    memcpy(buffers, all, sizeof all);
}

/* No product overflows: rows fit 32 bits, and limits.h keeps every width, also that of all experts
 * a row uses, below 2^24. */
static size_t buffer_bytes(const struct buffer *buffer)
{
    return buffer->row_count * buffer->width * sizeof(float);
}

static size_t workspace_bytes(const struct model_params *params,
                              const struct forward_options *options)
{
    struct forward unplaced;
    struct buffer buffers[BUFFER_COUNT];
    list_buffers(&unplaced, params, options->token_count_max, options->logits_count_max, buffers);
    size_t byte_count = 0;
    for (uint32_t i = 0; i < BUFFER_COUNT; i++) {
        byte_count += workspace_piece_bytes(buffer_bytes(&buffers[i]));
    }
    return byte_count;
}

uint64_t forward_bytes(const struct model_params *params, const struct forward_options *options)
{
    uint64_t byte_count = sizeof(struct forward) + workspace_bytes(params, options);
    for (enum layer_rope kind = 0; kind < LAYER_ROPE_COUNT; kind++) {
        uint64_t pairs = kind_is_used(params, kind) ? params->rotary_dim / 2 : 0;
        byte_count += pairs * sizeof(double);
        byte_count += 2 * pairs * options->token_count_max * sizeof(float);
    }
    byte_count += (uint64_t)options->logits_count_max * params->vocab_count * sizeof(float);
    byte_count += options->span_count_max * sizeof(struct attention_span);
    return byte_count;
}

static bool take_angles(struct forward *f, enum layer_rope kind)
{
    struct forward_angles *angles = &f->angles[kind];
    size_t pairs = f->model->params.rotary_dim / 2;
    size_t count = f->options.token_count_max * pairs;
    angles->frequencies = calloc(pairs, sizeof *angles->frequencies);
    angles->host_cos = calloc(count, sizeof *angles->host_cos);
    angles->host_sin = calloc(count, sizeof *angles->host_sin);
    return angles->frequencies != NULL && angles->host_cos != NULL && angles->host_sin != NULL;
}

static bool take_host_buffers(struct forward *f, const struct model_params *params)
{
    size_t logits = (size_t)f->options.logits_count_max * params->vocab_count;
    f->host_logits = calloc(logits, sizeof *f->host_logits);
    f->spans = calloc(f->options.span_count_max, sizeof *f->spans);
    bool taken = f->host_logits != NULL && f->spans != NULL;
    for (enum layer_rope kind = 0; kind < LAYER_ROPE_COUNT && taken; kind++) {
        taken = !kind_is_used(params, kind) || take_angles(f, kind);
    }
    return taken;
}

static void make_frequencies(struct forward *f)
{
    const struct model_params *params = &f->model->params;
    uint32_t context_tokens =
        f->options.context_tokens != 0 ? f->options.context_tokens : params->context_tokens;
    for (enum layer_rope kind = 0; kind < LAYER_ROPE_COUNT; kind++) {
        struct forward_angles *angles = &f->angles[kind];
        if (kind_is_used(params, kind)) {
            rope_params_frequencies(f->model, kind, context_tokens, angles->frequencies,
                                    &angles->magnitude);
        }
    }
}

enum status forward_open(struct forward **out, const struct model *model, struct backend *be,
                         struct kv_store *store, const struct forward_options *options,
                         struct error *err)
{
    assert(options->token_count_max > 0 && options->span_count_max > 0);
    assert(options->logits_count_max > 0);
    *out = NULL;
    struct forward *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the forward pass");
    }
    f->model = model;
    f->be = be;
    f->store = store;
    f->options = *options;
    enum status status =
        workspace_init(&f->workspace, be, workspace_bytes(&model->params, options), err);
    if (status == OK && !take_host_buffers(f, &model->params)) {
        status =
            error_set(err, ERR_MEMORY, "no memory for the logits of %u rows and the angles of %u",
                      options->logits_count_max, options->token_count_max);
    }
    if (status != OK) {
        forward_close(f);
        return status;
    }
    make_frequencies(f);
    *out = f;
    return OK;
}

void forward_close(struct forward *forward)
{
    if (forward == NULL) {
        return;
    }
    workspace_release(&forward->workspace);
    for (uint32_t i = 0; i < LAYER_ROPE_COUNT; i++) {
        free(forward->angles[i].frequencies);
        free(forward->angles[i].host_cos);
        free(forward->angles[i].host_sin);
    }
    free(forward->host_logits);
    free(forward->spans);
    free(forward);
}

/* Its arrays lie in `routing`, one behind the other. */
static void place_routes(struct forward *f, uint32_t row_count)
{
    const struct model_params *params = &f->model->params;
    size_t choice_count = (size_t)row_count * params->expert_used_count;
    void *memory = f->routing;
    uint32_t *ends = memory;
    uint32_t *rows = ends + params->expert_count;
    uint32_t *places = rows + choice_count;
    void *weights = places + choice_count;
    f->routes = (struct expert_routes){
        .ends = ends,
        .rows = rows,
        .places = places,
        .weights = weights,
        .row_count = row_count,
        .used_count = params->expert_used_count,
        .expert_count = params->expert_count,
    };
}

/* A small step touches little memory: buffers are as large as its rows, one behind the other. */
static void place_buffers(struct forward *f, const struct batch *batch)
{
    struct buffer buffers[BUFFER_COUNT];
    list_buffers(f, &f->model->params, batch->token_count, batch->logits_count, buffers);
    workspace_reset(&f->workspace);
    for (uint32_t i = 0; i < BUFFER_COUNT; i++) {
        *buffers[i].place = workspace_take(&f->workspace, buffer_bytes(&buffers[i]));
    }
    place_routes(f, batch->token_count);
}

static void copy_blocks(struct forward *f, const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->copy_count; i++) {
        const struct kv_copy *copy = &batch->copies[i];
        kv_store_copy(f->store, copy->from_block, copy->to_block, copy->token_count);
    }
}

static void fill_spans(struct forward *f, const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        f->spans[i] = (struct attention_span){
            .first_row = span->first_row,
            .row_count = span->row_count,
            .start = span->start,
            .block_ids = span->block_ids,
        };
    }
}

static void fill_angles(struct forward *f, const struct batch *batch, enum layer_rope kind)
{
    struct forward_angles *angles = &f->angles[kind];
    uint32_t pairs = f->model->params.rotary_dim / 2;
    for (uint32_t row = 0; row < batch->token_count; row++) {
        for (uint32_t i = 0; i < pairs; i++) {
            double angle = batch->positions[row] * angles->frequencies[i];
            size_t place = (size_t)row * pairs + i;
            angles->host_cos[place] = (float)(cos(angle) * angles->magnitude);
            angles->host_sin[place] = (float)(sin(angle) * angles->magnitude);
        }
    }
    size_t byte_count = (size_t)batch->token_count * pairs * sizeof(float);
    f->be->ops->upload(f->be, angles->cos, angles->host_cos, byte_count);
    f->be->ops->upload(f->be, angles->sin, angles->host_sin, byte_count);
}

static void fill_all_angles(struct forward *f, const struct batch *batch)
{
    for (enum layer_rope kind = 0; kind < LAYER_ROPE_COUNT; kind++) {
        if (kind_is_used(&f->model->params, kind)) {
            fill_angles(f, batch, kind);
        }
    }
}

static void run_embed(struct forward *f, float *out, const struct tensor *table,
                      const uint32_t *indices, uint32_t row_count, float scale)
{
    f->be->ops->embed(f->be, &(struct embed_args){
                                 .out = out,
                                 .table = table,
                                 .token_ids = indices,
                                 .row_count = row_count,
                                 .scale = scale,
                             });
}

/* hidden = the tokens' rows of the embedding, and of their positions where those are learned. */
static void run_input(struct forward *f, const struct batch *batch)
{
    const struct model *model = f->model;
    uint32_t rows = batch->token_count;
    run_embed(f, f->hidden, &model->embedding, batch->token_ids, rows,
              model->params.embedding_scale);
    if (model->params.learned_positions) {
        run_embed(f, f->branch, &model->positions, batch->positions, rows, 1.0f);
        forward_ops_add(f, f->hidden, f->branch, 1.0f, rows);
    }
}

/* Only the wanted rows go through the output matrix, often the largest of the model. */
static void run_logits(struct forward *f, const struct batch *batch)
{
    const struct model *model = f->model;
    uint32_t rows = batch->logits_count;
    f->be->ops->gather_rows(f->be, &(struct gather_rows_args){
                                       .out = f->normed,
                                       .in = f->hidden,
                                       .rows = batch->logits_rows,
                                       .row_count = rows,
                                       .dim = model->params.dim,
                                   });
    forward_ops_norm(f, f->normed, f->normed, &model->output_norm, &model->output_norm_bias, rows);
    forward_ops_matmul(f, f->logits, f->normed, &model->output, NULL, NULL, rows);
    if (model->params.logit_scale != 1.0f || model->params.logit_softcap > 0.0f) {
        f->be->ops->scale_cap(f->be, &(struct scale_cap_args){
                                         .x = f->logits,
                                         .row_count = rows,
                                         .dim = model->params.vocab_count,
                                         .scale = model->params.logit_scale,
                                         .cap = model->params.logit_softcap,
                                     });
    }
    f->be->ops->download(f->be, f->host_logits, f->logits,
                         (size_t)rows * model->params.vocab_count * sizeof(float));
}

enum status forward_run(struct forward *forward, const struct batch *batch, float **logits,
                        struct error *err)
{
    struct forward *f = forward;
    assert(batch->token_count <= f->options.token_count_max);
    assert(batch->span_count <= f->options.span_count_max);
    assert(batch->logits_count <= f->options.logits_count_max);
    assert(batch->logits_count <= batch->token_count);

    copy_blocks(f, batch);
    place_buffers(f, batch);
    if (batch->token_count > 0) {
        fill_spans(f, batch);
        fill_all_angles(f, batch);
        run_input(f, batch);
        for (uint32_t i = 0; i < f->model->params.layer_count; i++) {
            forward_layer_run(f, batch, i);
        }
    }
    if (batch->logits_count > 0) {
        run_logits(f, batch);
    }
    *logits = f->host_logits;
    return f->be->ops->synchronize(f->be, err);
}
