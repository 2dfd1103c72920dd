/* forward_layer.h - one layer of the model for the whole batch: attention, then ffn or experts.
 *
 * Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORWARD_LAYER_H
#define ENGINE_FORWARD_LAYER_H

#include "engine/forward_state.h"

/* Adds the layer to the residual stream; stores the keys and values of every row. */
void forward_layer_run(struct forward *f, const struct batch *batch, uint32_t layer_index);

#endif
