/* hf_model.h - a Hugging Face directory as the GGUF file that could be made of it.
 *
 * config.json (of transformers 4 and 5), model.safetensors or its shards, and the tokenizer's files
 * become entries and tensors under the names of public GGUF files; weights stay mapped. What differs
 * from such a file is said by keys of our own: `sluice.rope.halves` (q and k rows lie as in the
 * checkpoint), `sluice.layer_windows` (how far back each layer sees, 0: everything),
 * `sluice.dense_layers`, `sluice.unrotated_layers` and `sluice.activation`, and experts that are a
 * tensor each. Model types, keys and tensors that are not known are refused by name.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_MODEL_H
#define ENGINE_FORMATS_HF_MODEL_H

#include "configs/error.h"
#include "engine/formats/gguf.h"

/* gguf_close gives it back. general.name is the directory's own name. */
enum status hf_model_open(struct gguf *out, const char *dir, struct error *err);

#endif
