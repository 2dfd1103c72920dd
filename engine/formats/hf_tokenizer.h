/* hf_tokenizer.h - the tokenizer of a Hugging Face directory, as the metadata of a GGUF file.
 *
 * Reads tokenizer.json, or tokenizer.model, or vocab.json and merges.txt, and beside it tokenizer_config.json,
 * special_tokens_map.json, generation_config.json, config.json, chat_template.jinja or .json and
 * additional_chat_templates/, each of which may be absent. What GGUF has no key for goes under the keys of tokenizer_keys.h.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_TOKENIZER_H
#define ENGINE_FORMATS_HF_TOKENIZER_H

#include "engine/formats/gguf_builder.h"

/* Sets tokenizer.* entries. Errors are one line naming file and field. */
enum status hf_tokenizer_read(struct gguf_builder *out, const char *dir, struct error *err);

/* The same of a tokenizer.json alone. path: for messages. */
enum status hf_tokenizer_parse(struct gguf_builder *out, const char *bytes, uint64_t byte_count,
                               const char *path, struct error *err);

#endif
