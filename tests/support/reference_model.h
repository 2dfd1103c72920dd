/* reference_model.h - the transformer in double precision: the executable specification.
 *
 * Plain loops over a whole token sequence: no cache, no batch, no backend. It reads the GGUF file
 * by itself, so that it shares nothing with the engine but the parser and the definition of stored
 * bytes. Files it is given are valid; anything missing aborts.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_REFERENCE_MODEL_H
#define TESTS_SUPPORT_REFERENCE_MODEL_H

#include "engine/formats/gguf.h"

#include <stdint.h>

struct reference_model;

/* Dequantises every tensor. file is borrowed. */
struct reference_model *reference_model_open(const struct gguf *file);
void reference_model_close(struct reference_model *model);

uint32_t reference_model_vocab_count(const struct reference_model *model);

/* logits: [token_count, vocab], of each token with those before it. */
void reference_model_run(const struct reference_model *model, const uint32_t *token_ids,
                         uint32_t token_count, double *logits);

#endif
