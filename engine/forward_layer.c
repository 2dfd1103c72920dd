/* forward_layer.c - a layer's two branches, attention and ffn, every line one backend op. Families
 * differ by flags of the model: which norms stand where, and whether the branches read the residual
 * stream one after the other or both at once. A branch that adds as it is lets its last product do
 * so; any other is finished in a buffer of its own first. SPDX-License-Identifier: Apache-2.0 */
#include "engine/forward_layer.h"

#include "engine/forward_latent.h"
#include "engine/forward_ops.h"

/* What the last product of a branch adds to, and where: out = product + residual. */
struct branch {
    float *out;
    const float *residual; /* NULL: nothing */
};

static void run_rope(struct forward *f, enum layer_rope kind, float *x, uint32_t head_count,
                     uint32_t row_count)
{
    const struct model_params *params = &f->model->params;
    f->be->ops->rope(f->be, &(struct rope_args){
                                .x = x,
                                .cos = f->angles[kind].cos,
                                .sin = f->angles[kind].sin,
                                .row_count = row_count,
                                .head_count = head_count,
                                .head_dim = params->head_dim,
                                .rotary_dim = params->rotary_dim,
                                .style = params->rope_style,
                            });
}

/* q, k and v of what the layer's attention reads, normalised and rotated. */
static void run_qkv(struct forward *f, const struct model_layer *layer, const float *in,
                    uint32_t row_count)
{
    const struct model_params *params = &f->model->params;
    forward_ops_matmul(f, f->q, in, &layer->q, &layer->q_bias, NULL, row_count);
    forward_ops_matmul(f, f->k, in, &layer->k, &layer->k_bias, NULL, row_count);
    forward_ops_matmul(f, f->v, in, &layer->v, &layer->v_bias, NULL, row_count);
    if (params->qk_norm != QK_NORM_NONE) {
        bool by_head = params->qk_norm != QK_NORM_ROW;
        uint32_t q_rows = by_head ? row_count * params->head_count : row_count;
        uint32_t k_rows = by_head ? row_count * params->kv_head_count : row_count;
        const struct tensor no_bias = {.data = NULL};
        forward_ops_norm(f, f->q, f->q, &layer->q_norm, &no_bias, q_rows);
        forward_ops_norm(f, f->k, f->k, &layer->k_norm, &no_bias, k_rows);
    }
    if (layer->rope != LAYER_ROPE_NONE) {
        run_rope(f, layer->rope, f->q, params->head_count, row_count);
        run_rope(f, layer->rope, f->k, params->kv_head_count, row_count);
    }
}

/* Attention over the keys of this step and all before. */
static void run_attention(struct forward *f, const struct batch *batch, uint32_t layer_index,
                          const float *in, struct branch branch)
{
    const struct model_params *params = &f->model->params;
    const struct model_layer *layer = &f->model->layers[layer_index];
    const struct kv_layer *kv = &f->store->layers[layer_index];
    uint32_t rows = batch->token_count;
    bool latent = params->latent.kv_rank > 0;
    if (latent) {
        forward_latent_qkv(f, layer, in, rows);
    } else {
        run_qkv(f, layer, in, rows);
    }
    f->be->ops->kv_write(f->be, &(struct kv_write_args){
                                    .kv = kv,
                                    .keys = f->k,
                                    .values = f->v,
                                    .slots = batch->slots,
                                    .row_count = rows,
                                });
    f->be->ops->attention(f->be, &(struct attention_args){
                                     .out = f->attended,
                                     .q = f->q,
                                     .kv = kv,
                                     .spans = f->spans,
                                     .span_count = batch->span_count,
                                     .head_count = params->head_count,
                                     .scale = params->attention_scale,
                                     .window = layer->window,
                                     .softcap = params->attention_softcap,
                                     .sinks = layer->attention_sinks.data,
                                 });
    const float *attended = latent ? forward_latent_values(f, layer, rows) : f->attended;
    forward_ops_matmul(f, branch.out, attended, &layer->attention_output,
                       &layer->attention_output_bias, branch.residual, rows);
}

/* gate = activation(gate) * up. */
static void run_activation(struct forward *f, uint32_t row_count, uint32_t dim)
{
    f->be->ops->gated_activation(f->be, &(struct gated_activation_args){
                                            .out = f->gate,
                                            .gate = f->gate,
                                            .up = f->up,
                                            .row_count = row_count,
                                            .dim = dim,
                                            .activation = f->model->params.activation,
                                        });
}

/* gate = what ffn_down reads. */
static void run_ffn_inner(struct forward *f, const struct model_layer *layer, const float *in,
                          uint32_t row_count)
{
    const struct model_params *params = &f->model->params;
    if (params->ffn == FFN_PLAIN) {
        forward_ops_matmul(f, f->gate, in, &layer->ffn_up, &layer->ffn_up_bias, NULL, row_count);
        f->be->ops->activate(f->be, &(struct activate_args){
                                        .x = f->gate,
                                        .row_count = row_count,
                                        .dim = params->ffn_dim,
                                        .activation = params->activation,
                                    });
        return;
    }
    forward_ops_matmul(f, f->gate, in, &layer->ffn_gate, &layer->ffn_gate_bias, NULL, row_count);
    forward_ops_matmul(f, f->up, in, &layer->ffn_up, &layer->ffn_up_bias, NULL, row_count);
    run_activation(f, row_count, params->ffn_dim);
}

static void run_experts_matmul(struct forward *f, float *out, const float *in,
                               const struct tensor *weights, const struct tensor *bias)
{
    f->be->ops->experts_matmul(f->be, &(struct experts_matmul_args){
                                          .out = out,
                                          .in = in,
                                          .weights = weights,
                                          .routes = &f->routes,
                                          .bias = bias->data,
                                      });
}

/* routed = what each chosen expert makes of the rows of in that chose it. */
static void run_routed(struct forward *f, const struct model_layer *layer, const float *in)
{
    const struct expert_routes *routes = &f->routes;
    const struct model_params *params = &f->model->params;
    const struct backend_ops *ops = f->be->ops;
    forward_ops_matmul(f, f->scores, in, &layer->router, &layer->router_bias, NULL,
                       routes->row_count);
    ops->experts_route(f->be, &(struct experts_route_args){
                                  .routes = routes,
                                  .scores = f->scores,
                                  .gating = params->expert_gating,
                                  .bias = layer->expert_merit_bias.data,
                                  .group_count = params->expert_group_count,
                                  .groups_used = params->expert_groups_used,
                                  .group_best = params->expert_group_best,
                                  .normalize = params->expert_normalize,
                                  .weight_scale = params->expert_scale,
                              });
    ops->experts_gather(f->be, &(struct experts_gather_args){
                                   .out = f->routed,
                                   .in = in,
                                   .routes = routes,
                                   .dim = params->dim,
                               });
    run_experts_matmul(f, f->gate, f->routed, layer->expert_gate, &layer->expert_gate_bias);
    run_experts_matmul(f, f->up, f->routed, layer->expert_up, &layer->expert_up_bias);
    run_activation(f, routes->row_count * routes->used_count, params->expert_ffn_dim);
    run_experts_matmul(f, f->routed, f->gate, layer->expert_down, &layer->expert_down_bias);
}

/* shared = what the expert of all rows makes of in; shared_share = how much of it counts. */
static void run_shared(struct forward *f, const struct model_layer *layer, const float *in,
                       uint32_t row_count)
{
    forward_ops_matmul(f, f->gate, in, &layer->shared_gate, NULL, NULL, row_count);
    forward_ops_matmul(f, f->up, in, &layer->shared_up, NULL, NULL, row_count);
    run_activation(f, row_count, f->model->params.shared_ffn_dim);
    forward_ops_matmul(f, f->shared, f->gate, &layer->shared_down, NULL, NULL, row_count);
    if (f->model->params.shared_gated) {
        forward_ops_matmul(f, f->shared_share, in, &layer->shared_share, NULL, NULL, row_count);
    }
}

/* Models with experts add plainly (model_adds_plainly): there is always a residual. */
static void run_experts(struct forward *f, const struct model_layer *layer, const float *in,
                        struct branch branch, uint32_t row_count)
{
    bool shared = f->model->params.shared_ffn_dim > 0;
    bool gated = f->model->params.shared_gated;
    run_routed(f, layer, in);
    if (shared) {
        run_shared(f, layer, in, row_count);
    }
    f->be->ops->experts_combine(f->be, &(struct experts_combine_args){
                                           .out = branch.out,
                                           .in = f->routed,
                                           .residual = branch.residual,
                                           .shared = shared ? f->shared : NULL,
                                           .shared_gate = gated ? f->shared_share : NULL,
                                           .routes = &f->routes,
                                           .dim = f->model->params.dim,
                                       });
}

static void run_ffn(struct forward *f, uint32_t layer_index, const float *in, struct branch branch,
                    uint32_t row_count)
{
    const struct model_layer *layer = &f->model->layers[layer_index];
    if (!model_layer_is_dense(&f->model->params, layer_index)) {
        run_experts(f, layer, in, branch, row_count);
        return;
    }
    run_ffn_inner(f, layer, in, row_count);
    forward_ops_matmul(f, branch.out, f->gate, &layer->ffn_down, &layer->ffn_down_bias,
                       branch.residual, row_count);
}

/* What a branch reads: the residual stream, through the norm if there is one. */
static const float *run_input_norm(struct forward *f, const struct tensor *weight,
                                   const struct tensor *bias, uint32_t row_count)
{
    if (weight->data == NULL) {
        return f->hidden;
    }
    forward_ops_norm(f, f->normed, f->hidden, weight, bias, row_count);
    return f->normed;
}

static struct branch open_branch(const struct forward *f)
{
    bool plainly = model_adds_plainly(&f->model->params);
    return plainly ? (struct branch){f->hidden, f->hidden} : (struct branch){f->branch, NULL};
}

/* Adds what stands in the branch's own buffer, if it has one. */
static void close_branch(struct forward *f, struct branch branch, const struct tensor *post_norm,
                         uint32_t row_count)
{
    if (branch.out == f->hidden) {
        return;
    }
    if (post_norm->data != NULL) {
        const struct tensor no_bias = {.data = NULL};
        forward_ops_norm(f, branch.out, branch.out, post_norm, &no_bias, row_count);
    }
    forward_ops_add(f, f->hidden, branch.out, f->model->params.residual_scale, row_count);
}

static void run_one_after_the_other(struct forward *f, const struct batch *batch,
                                    uint32_t layer_index)
{
    const struct model_layer *layer = &f->model->layers[layer_index];
    uint32_t rows = batch->token_count;
    struct branch branch = open_branch(f);
    const float *in = run_input_norm(f, &layer->attention_norm, &layer->attention_norm_bias, rows);
    run_attention(f, batch, layer_index, in, branch);
    close_branch(f, branch, &layer->attention_post_norm, rows);
    in = run_input_norm(f, &layer->ffn_norm, &layer->ffn_norm_bias, rows);
    run_ffn(f, layer_index, in, branch, rows);
    close_branch(f, branch, &layer->ffn_post_norm, rows);
}

/* hidden += ffn and attention of what it was: the ffn first, then attention on top of it. Where
 * one norm serves both it is not made twice. */
static void run_at_once(struct forward *f, const struct batch *batch, uint32_t layer_index)
{
    const struct model_layer *layer = &f->model->layers[layer_index];
    uint32_t rows = batch->token_count;
    bool own_ffn_norm = layer->ffn_norm.data != NULL;
    bool second_norm = layer->attention_norm_2.data != NULL;
    const float *in =
        run_input_norm(f, own_ffn_norm ? &layer->ffn_norm : &layer->attention_norm,
                       own_ffn_norm ? &layer->ffn_norm_bias : &layer->attention_norm_bias, rows);
    run_ffn(f, layer_index, in, (struct branch){f->branch, NULL}, rows);
    if (own_ffn_norm || second_norm) {
        in = run_input_norm(
            f, second_norm ? &layer->attention_norm_2 : &layer->attention_norm,
            second_norm ? &layer->attention_norm_2_bias : &layer->attention_norm_bias, rows);
    }
    run_attention(f, batch, layer_index, in, (struct branch){f->branch, f->branch});
    forward_ops_add(f, f->hidden, f->branch, f->model->params.residual_scale, rows);
}

void forward_layer_run(struct forward *f, const struct batch *batch, uint32_t layer_index)
{
    if (f->model->params.parallel) {
        run_at_once(f, batch, layer_index);
    } else {
        run_one_after_the_other(f, batch, layer_index);
    }
}
