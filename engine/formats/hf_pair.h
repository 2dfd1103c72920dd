/* hf_pair.h - the older files of a byte-level tokenizer, vocab.json and merges.txt, as the tokenizer.json
 * that transformers makes of them.
 *
 * What such a tokenizer does beside merging, its class says: GPT-2's and Qwen 2's are known.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_PAIR_H
#define ENGINE_FORMATS_HF_PAIR_H

#include "engine/formats/hf_roles.h"

/* *out: a tree like that of a tokenizer.json; the caller drops it. ERR_NOT_FOUND: no vocab.json. */
enum status hf_pair_read(json_t **out, const struct hf_roles_files *files, struct error *err);

#endif
