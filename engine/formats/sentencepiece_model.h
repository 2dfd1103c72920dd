/* sentencepiece_model.h - a SentencePiece model file, as the metadata of a GGUF file.
 *
 * BPE and unigram models whose text is normalised by nothing but the treatment of spaces. Numbers
 * of fields: sentencepiece_model.proto of google/sentencepiece.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_SENTENCEPIECE_MODEL_H
#define ENGINE_FORMATS_SENTENCEPIECE_MODEL_H

#include "engine/formats/gguf_builder.h"

/* Sets tokenizer.* entries. token_count_min: the embedding's rows, where that is known, else 0;
 * ids beyond the pieces become unused tokens. path: for messages. */
enum status sentencepiece_model_read(struct gguf_builder *out, const uint8_t *bytes,
                                     uint64_t byte_count, uint32_t token_count_min,
                                     const char *path, struct error *err);

#endif
