/* hf_merges.h - the merges of a BPE model in a tokenizer.json, in both forms files have.
 *
 * A merge is "left right" or ["left", "right"]; both parts and what they make must be tokens.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_MERGES_H
#define ENGINE_FORMATS_HF_MERGES_H

#include "engine/formats/gguf_builder.h"

struct hf_vocab;

/* Sets tokenizer.ggml.merges of a byte-level vocabulary, else TOKENIZER_KEY_MERGE_PAIRS and, for
 * readers that know only scores, scores[id] = minus the rank of the first merge that makes id. */
enum status hf_merges_write(const struct hf_vocab *vocab, bool byte_level, float *scores,
                            struct gguf_builder *out, struct error *err);

#endif
