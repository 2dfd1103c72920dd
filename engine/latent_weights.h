/* latent_weights.h - the one matrix that makes keys and values of latent vectors, by head.
 *
 * Files of today store two tensors by head; earlier ones, and Hugging Face directories, one: of each
 * head the rows of keys, then the rows of values. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LATENT_WEIGHTS_H
#define ENGINE_LATENT_WEIGHTS_H

#include "engine/model.h"

#include <stdint.h>

/* Bytes of the part that has to be turned, for latent_weights_cut. */
uint64_t latent_weights_turned_bytes(const struct model_params *params, enum dtype dtype);

/* Points layer->key_turned and value_up at their parts of a checked tensor: values where they lie,
 * keys turned into memory of that many bytes, as they are stored or, of blocks, as f32. */
void latent_weights_cut(struct model_layer *layer, const struct model_params *params,
                        const struct tensor *stored, void *memory);

#endif
