/* forward_ops.h - backend ops as the layers of a model call them.
 *
 * Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORWARD_OPS_H
#define ENGINE_FORWARD_OPS_H

#include "engine/forward_state.h"

/* out = the model's kind of norm of in; out may be in. An absent bias holds no data. */
void forward_ops_norm(struct forward *f, float *out, const float *in, const struct tensor *weight,
                      const struct tensor *bias, uint32_t row_count);

/* hidden-sized: out += scale * in. */
void forward_ops_add(struct forward *f, float *out, const float *in, float scale,
                     uint32_t row_count);

/* out = in x weight^T + bias + residual. An absent bias holds no data; residual may be NULL. */
void forward_ops_matmul(struct forward *f, float *out, const float *in, const struct tensor *weight,
                        const struct tensor *bias, const float *residual, uint32_t row_count);

#endif
