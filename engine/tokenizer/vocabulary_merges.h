/* vocabulary_merges.h - the merges of a vocabulary, in GGUF's form and as pairs of ids.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_VOCABULARY_MERGES_H
#define ENGINE_TOKENIZER_VOCABULARY_MERGES_H

#include "engine/tokenizer/vocabulary.h"

/* Of VOCABULARY_MERGES or VOCABULARY_PAIRS, whose tokens are indexed. Fills vocabulary->merges. */
enum status vocabulary_merges_load(struct vocabulary *vocabulary, const struct gguf *file,
                                   struct error *err);

#endif
