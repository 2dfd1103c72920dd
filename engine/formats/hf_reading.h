/* hf_reading.h - what the parts of the Hugging Face reader have in hand, and how they name keys.
 *
 * For those parts only. Thread: one. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_READING_H
#define ENGINE_FORMATS_HF_READING_H

#include "engine/formats/gguf_builder.h"
#include "engine/formats/hf_config.h"
#include "engine/formats/hf_family.h"
#include "engine/formats/hf_weights.h"

#include <stdio.h>

struct hf_reading {
    const char *dir;
    struct hf_config config; /* config.json */
    const struct hf_family *family;
    struct hf_weights weights;
    struct gguf_builder *out;

    /* Filled by hf_keys_read. */
    uint32_t layer_count;
    uint32_t dim;
    uint32_t head_count;
    uint32_t kv_head_count;
    uint32_t head_dim;
    uint32_t expert_count;
    uint32_t context_tokens;
    uint32_t rotary_dim; /* of latent attention; else 0 */
    bool qk_norm;        /* layers have qk_norm_tensors */

    uint8_t *dense_layers;     /* [layer_count] 1 = no experts; from calloc, by hf_layers_read */
    uint32_t next_layer_count; /* by hf_tensors_read */
};

struct hf_key {
    char text[96];
};

/* "llama.block_count" of "block_count". */
static inline struct hf_key hf_key_of(const struct hf_reading *reading, const char *suffix)
{
    struct hf_key key;
    snprintf(key.text, sizeof key.text, "%s.%s", reading->family->architecture, suffix);
    return key;
}

#endif
