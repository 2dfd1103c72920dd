/* forward_latent.c - a head's score is q . (K c) for the latent vector c of a token, and its output V
 * times the weighted sum of c: so q is taken through K once, and the sum through V once, and the
 * cache is read as it is, one vector for all heads (DeepSeek-V2, arXiv:2405.04434, 2.1.2). Unfolding
 * keys and values instead would cost less in long prompts, but add in another order: all rows go
 * this way, so that none depends on how many came with it. SPDX-License-Identifier: Apache-2.0 */
#include "engine/forward_latent.h"

#include "engine/forward_ops.h"

static const struct tensor no_bias = {.data = NULL};

static void run_heads(struct forward *f, float *out, const float *in, const struct tensor *weights,
                      struct heads_matmul_args sizes)
{
    sizes.out = out;
    sizes.in = in;
    sizes.weights = weights;
    sizes.head_count = f->model->params.head_count;
    f->be->ops->heads_matmul(f->be, &sizes);
}

/* The last values of each head. */
static void rotate(struct forward *f, const struct model_layer *layer, float *x,
                   uint32_t head_count, uint32_t head_dim, uint32_t row_count)
{
    const struct model_params *params = &f->model->params;
    const struct forward_angles *angles = &f->angles[layer->rope];
    f->be->ops->rope(f->be, &(struct rope_args){
                                .x = x + head_dim - params->rotary_dim,
                                .cos = angles->cos,
                                .sin = angles->sin,
                                .row_count = row_count,
                                .head_count = head_count,
                                .head_dim = head_dim,
                                .rotary_dim = params->rotary_dim,
                                .style = params->rope_style,
                            });
}

static void run_queries(struct forward *f, const struct model_layer *layer, const float *in,
                        uint32_t row_count)
{
    const struct model_params *params = &f->model->params;
    uint32_t query_dim = params->latent.still_dim + params->rotary_dim;
    if (params->latent.q_rank > 0) {
        forward_ops_matmul(f, f->q_down, in, &layer->q_down, NULL, NULL, row_count);
        forward_ops_norm(f, f->q_down, f->q_down, &layer->q_down_norm, &no_bias, row_count);
        in = f->q_down;
    }
    forward_ops_matmul(f, f->queries, in, &layer->q, NULL, NULL, row_count);
    rotate(f, layer, f->queries, params->head_count, query_dim, row_count);
    run_heads(f, f->q, f->queries, layer->key_turned,
              (struct heads_matmul_args){.row_count = row_count,
                                         .in_stride = query_dim,
                                         .out_stride = params->head_dim,
                                         .passed_count = params->rotary_dim});
}

void forward_latent_qkv(struct forward *f, const struct model_layer *layer, const float *in,
                        uint32_t row_count)
{
    const struct model_params *params = &f->model->params;
    run_queries(f, layer, in, row_count);
    forward_ops_matmul(f, f->k, in, &layer->kv_down, NULL, NULL, row_count);
    f->be->ops->rmsnorm(f->be, &(struct rmsnorm_args){
                                   .out = f->k,
                                   .in = f->k,
                                   .weight = layer->kv_down_norm.data,
                                   .row_count = row_count,
                                   .dim = params->latent.kv_rank,
                                   .stride = params->head_dim,
                                   .epsilon = params->norm_epsilon,
                               });
    rotate(f, layer, f->k, 1, params->head_dim, row_count);
}

const float *forward_latent_values(struct forward *f, const struct model_layer *layer,
                                   uint32_t row_count)
{
    const struct model_params *params = &f->model->params;
    run_heads(f, f->queries, f->attended, layer->value_up,
              (struct heads_matmul_args){.row_count = row_count,
                                         .in_stride = params->head_dim,
                                         .out_stride = params->latent.value_dim});
    return f->queries;
}
