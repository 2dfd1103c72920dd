/* forward_ops.c - fills in what a model and its tensors already say.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/forward_ops.h"

void forward_ops_norm(struct forward *f, float *out, const float *in, const struct tensor *weight,
                      const struct tensor *bias, uint32_t row_count)
{
    uint32_t dim = (uint32_t)tensor_row_values(weight);
    float epsilon = f->model->params.norm_epsilon;
    if (f->model->params.norm == NORM_LAYER) {
        f->be->ops->layernorm(f->be, &(struct layernorm_args){
                                         .out = out,
                                         .in = in,
                                         .weight = weight->data,
                                         .bias = bias->data,
                                         .weight_rows = (uint32_t)tensor_row_count(weight),
                                         .row_count = row_count,
                                         .dim = dim,
                                         .epsilon = epsilon,
                                     });
        return;
    }
    f->be->ops->rmsnorm(f->be, &(struct rmsnorm_args){
                                   .out = out,
                                   .in = in,
                                   .weight = weight->data,
                                   .row_count = row_count,
                                   .dim = dim,
                                   .epsilon = epsilon,
                               });
}

void forward_ops_add(struct forward *f, float *out, const float *in, float scale,
                     uint32_t row_count)
{
    f->be->ops->add_scaled(f->be, &(struct add_scaled_args){
                                      .out = out,
                                      .a = out,
                                      .b = in,
                                      .row_count = row_count,
                                      .dim = f->model->params.dim,
                                      .scale = scale,
                                  });
}

void forward_ops_matmul(struct forward *f, float *out, const float *in, const struct tensor *weight,
                        const struct tensor *bias, const float *residual, uint32_t row_count)
{
    f->be->ops->matmul(f->be, &(struct matmul_args){
                                  .out = out,
                                  .in = in,
                                  .weight = weight,
                                  .bias = bias == NULL ? NULL : bias->data,
                                  .residual = residual,
                                  .row_count = row_count,
                              });
}
