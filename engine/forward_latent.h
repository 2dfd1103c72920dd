/* forward_latent.h - the keys, values and queries of multi-head latent attention, and its output.
 *
 * Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORWARD_LATENT_H
#define ENGINE_FORWARD_LATENT_H

#include "engine/forward_state.h"

/* f->q: queries of the latent vectors and rotated values that the cache holds; f->k: those of these
 * rows. in: what the layer's attention reads. */
void forward_latent_qkv(struct forward *f, const struct model_layer *layer, const float *in,
                        uint32_t row_count);

/* What attention gave, latent vectors in f->attended, as the values of heads. Returns them: [rows,
 * head_count * value_dim]. */
const float *forward_latent_values(struct forward *f, const struct model_layer *layer,
                                   uint32_t row_count);

#endif
