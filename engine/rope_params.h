/* rope_params.h - rotary embedding: what a file says of it, and the angles that follow.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_ROPE_PARAMS_H
#define ENGINE_ROPE_PARAMS_H

#include "engine/model.h"
#include "engine/params_reader.h"

/* Needs the sizes of heads and context. */
enum status rope_params_read(const struct params_reader *reader, struct model_params *params,
                             struct error *err);

/* Of a model whose tensors are bound: refuses factors that would make angles infinite or NaN, and
 * settles which scaling it is. */
enum status rope_params_finish(struct model *model, const struct gguf *file, struct error *err);

/* The angle per position of each rotary pair and the factor on cos and sin, for layers of this
 * kind, which is not LAYER_ROPE_NONE. context_tokens: the longest request. LongRoPE has factors
 * for contexts within the original one and others for those beyond, and keys already stored
 * cannot change theirs: so the longest request decides for all, as in llama.cpp and vLLM.
 * out: [rotary_dim / 2]. */
void rope_params_frequencies(const struct model *model, enum layer_rope rope,
                             uint32_t context_tokens, double *out, double *magnitude);

#endif
