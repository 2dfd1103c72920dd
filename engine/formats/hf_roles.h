/* hf_roles.h - which tokens begin and end, and the chat template: the files beside tokenizer.json.
 *
 * Format: transformers' tokenization_utils_base.py and its fast tokenizers.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_ROLES_H
#define ENGINE_FORMATS_HF_ROLES_H

#include "engine/formats/gguf_builder.h"
#include "engine/formats/hf_pipeline.h"
#include "engine/formats/hf_vocab.h"

#include <jansson.h>

enum {
    HF_ROLES_PATH_BYTES = 4096,
    HF_ROLES_ENDS_MAX = 32
};

/* Trees of the files; NULL for one that is absent. */
struct hf_roles_files {
    const char *dir; /* borrowed */
    json_t *tokenizer_config;
    json_t *special_tokens_map;
    json_t *generation_config;
    json_t *config;
};

struct hf_roles {
    uint32_t bos; /* UINT32_MAX: none; likewise below */
    uint32_t eos;
    uint32_t pad;
    bool add_bos;
    bool add_eos;
    uint32_t begins[HF_PIPELINE_BEGINS_MAX]; /* in front of a prompt, where add_bos */
    uint32_t begin_count;
    uint32_t ends[HF_ROLES_ENDS_MAX];
    uint32_t end_count;
};

enum status hf_roles_open(struct hf_roles_files *files, const char *dir, struct error *err);
void hf_roles_close(struct hf_roles_files *files);

/* config.json's vocab_size; leaves *out alone where it does not say. */
enum status hf_roles_vocab_size(const struct hf_roles_files *files, uint32_t *out,
                                struct error *err);

enum status hf_roles_read(struct hf_roles *roles, const struct hf_roles_files *files,
                          const struct hf_vocab *vocab, const struct hf_pipeline *pipeline,
                          struct error *err);
void hf_roles_write(const struct hf_roles *roles, struct gguf_builder *out);

/* Only the list of ends, for a vocabulary that has its roles from elsewhere. */
enum status hf_roles_write_ends(const struct hf_roles_files *files, struct gguf_builder *out,
                                struct error *err);

#endif
