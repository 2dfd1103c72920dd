/* forward_ops.h - backend ops as the layers of a model call them.
 *
 * Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORWARD_OPS_H
#define ENGINE_FORWARD_OPS_H

#include "engine/forward_state.h"

/* out may be in. */
void forward_ops_norm(struct forward *f, float *out, const float *in, const struct tensor *weight,
                      uint32_t row_count);

/* out = in x weight^T + bias + residual. An absent bias holds no data; residual may be NULL. */
void forward_ops_matmul(struct forward *f, float *out, const float *in, const struct tensor *weight,
                        const struct tensor *bias, const float *residual, uint32_t row_count);

#endif
