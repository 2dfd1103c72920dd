/* forward_ops.c - fills in what a model and its tensors already say.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/forward_ops.h"

void forward_ops_norm(struct forward *f, float *out, const float *in, const struct tensor *weight,
                      uint32_t row_count)
{
    f->be->ops->rmsnorm(f->be, &(struct rmsnorm_args){
                                   .out = out,
                                   .in = in,
                                   .weight = weight->data,
                                   .row_count = row_count,
                                   .dim = (uint32_t)tensor_row_values(weight),
                                   .epsilon = f->model->params.norm_epsilon,
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
