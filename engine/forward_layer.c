/* forward_layer.c - every line one backend op; families differ by flags of the model.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/forward_layer.h"

#include "engine/forward_ops.h"

#include <math.h>

static void run_rope(struct forward *f, float *x, uint32_t head_count, uint32_t row_count)
{
    const struct model_params *params = &f->model->params;
    f->be->ops->rope(f->be, &(struct rope_args){
                                .x = x,
                                .cos = f->cos,
                                .sin = f->sin,
                                .row_count = row_count,
                                .head_count = head_count,
                                .head_dim = params->head_dim,
                                .rotary_dim = params->rotary_dim,
                                .style = params->rope_style,
                            });
}

/* hidden += attention of its norm, over the keys of this step and all before. */
static void run_attention(struct forward *f, const struct batch *batch, uint32_t layer_index)
{
    const struct model_params *params = &f->model->params;
    const struct model_layer *layer = &f->model->layers[layer_index];
    const struct kv_layer *kv = &f->store->layers[layer_index];
    const struct backend_ops *ops = f->be->ops;
    uint32_t rows = batch->token_count;

    forward_ops_norm(f, f->normed, f->hidden, &layer->attention_norm, rows);
    forward_ops_matmul(f, f->q, f->normed, &layer->q, &layer->q_bias, NULL, rows);
    forward_ops_matmul(f, f->k, f->normed, &layer->k, &layer->k_bias, NULL, rows);
    forward_ops_matmul(f, f->v, f->normed, &layer->v, &layer->v_bias, NULL, rows);
    if (params->qk_norm) {
        forward_ops_norm(f, f->q, f->q, &layer->q_norm, rows * params->head_count);
        forward_ops_norm(f, f->k, f->k, &layer->k_norm, rows * params->kv_head_count);
    }
    run_rope(f, f->q, params->head_count, rows);
    run_rope(f, f->k, params->kv_head_count, rows);
    ops->kv_write(f->be, &(struct kv_write_args){
                             .kv = kv,
                             .keys = f->k,
                             .values = f->v,
                             .slots = batch->slots,
                             .row_count = rows,
                         });
    ops->attention(f->be, &(struct attention_args){
                              .out = f->attended,
                              .q = f->q,
                              .kv = kv,
                              .spans = f->spans,
                              .span_count = batch->span_count,
                              .head_count = params->head_count,
                              .scale = (float)(1.0 / sqrt((double)params->head_dim)),
                          });
    forward_ops_matmul(f, f->hidden, f->attended, &layer->attention_output,
                       &layer->attention_output_bias, f->hidden, rows);
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

/* hidden += down(activation(gate) * up) of its norm. */
static void run_ffn(struct forward *f, const struct model_layer *layer, uint32_t row_count)
{
    forward_ops_norm(f, f->normed, f->hidden, &layer->ffn_norm, row_count);
    forward_ops_matmul(f, f->gate, f->normed, &layer->ffn_gate, &layer->ffn_gate_bias, NULL,
                       row_count);
    forward_ops_matmul(f, f->up, f->normed, &layer->ffn_up, &layer->ffn_up_bias, NULL, row_count);
    run_activation(f, row_count, f->model->params.ffn_dim);
    forward_ops_matmul(f, f->hidden, f->gate, &layer->ffn_down, &layer->ffn_down_bias, f->hidden,
                       row_count);
}

static void run_experts_matmul(struct forward *f, float *out, const float *in,
                               const struct tensor *weights)
{
    f->be->ops->experts_matmul(f->be, &(struct experts_matmul_args){
                                          .out = out,
                                          .in = in,
                                          .weights = weights,
                                          .routes = &f->routes,
                                      });
}

/* routed = what each chosen expert makes of the norm of the rows that chose it. */
static void run_routed(struct forward *f, const struct model_layer *layer)
{
    const struct expert_routes *routes = &f->routes;
    const struct model_params *params = &f->model->params;
    const struct backend_ops *ops = f->be->ops;
    forward_ops_matmul(f, f->scores, f->normed, &layer->router, NULL, NULL, routes->row_count);
    ops->experts_route(f->be, &(struct experts_route_args){
                                  .routes = routes,
                                  .scores = f->scores,
                                  .normalize = params->expert_normalize,
                              });
    ops->experts_gather(f->be, &(struct experts_gather_args){
                                   .out = f->routed,
                                   .in = f->normed,
                                   .routes = routes,
                                   .dim = params->dim,
                               });
    run_experts_matmul(f, f->gate, f->routed, layer->expert_gate);
    run_experts_matmul(f, f->up, f->routed, layer->expert_up);
    run_activation(f, routes->row_count * routes->used_count, params->expert_ffn_dim);
    run_experts_matmul(f, f->routed, f->gate, layer->expert_down);
}

/* shared = what the expert of all rows makes of the norm; shared_share = how much of it counts. */
static void run_shared(struct forward *f, const struct model_layer *layer, uint32_t row_count)
{
    forward_ops_matmul(f, f->gate, f->normed, &layer->shared_gate, NULL, NULL, row_count);
    forward_ops_matmul(f, f->up, f->normed, &layer->shared_up, NULL, NULL, row_count);
    run_activation(f, row_count, f->model->params.shared_ffn_dim);
    forward_ops_matmul(f, f->shared, f->gate, &layer->shared_down, NULL, NULL, row_count);
    forward_ops_matmul(f, f->shared_share, f->normed, &layer->shared_share, NULL, NULL, row_count);
}

/* hidden += the experts of its norm. */
static void run_experts(struct forward *f, const struct model_layer *layer, uint32_t row_count)
{
    bool shared = f->model->params.shared_ffn_dim > 0;
    forward_ops_norm(f, f->normed, f->hidden, &layer->ffn_norm, row_count);
    run_routed(f, layer);
    if (shared) {
        run_shared(f, layer, row_count);
    }
    f->be->ops->experts_combine(f->be, &(struct experts_combine_args){
                                           .out = f->hidden,
                                           .in = f->routed,
                                           .residual = f->hidden,
                                           .shared = shared ? f->shared : NULL,
                                           .shared_gate = shared ? f->shared_share : NULL,
                                           .routes = &f->routes,
                                           .dim = f->model->params.dim,
                                       });
}

void forward_layer_run(struct forward *f, const struct batch *batch, uint32_t layer_index)
{
    run_attention(f, batch, layer_index);
    if (f->model->params.expert_count > 0) {
        run_experts(f, &f->model->layers[layer_index], batch->token_count);
    } else {
        run_ffn(f, &f->model->layers[layer_index], batch->token_count);
    }
}
