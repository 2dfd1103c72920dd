/* hf_pipeline.h - what a tokenizer.json does around its model: normalizer, pre_tokenizer, decoder
 * and post_processor.
 *
 * Steps are recognised by what they are, a regular expression by its text; what is not known
 * exactly is refused by its name, never approximated.
 * Format: huggingface/tokenizers, one file a step. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_PIPELINE_H
#define ENGINE_FORMATS_HF_PIPELINE_H

#include "engine/formats/gguf_builder.h"
#include "engine/formats/hf_patterns.h"
#include "engine/formats/hf_vocab.h"

#include <jansson.h>

enum {
    HF_PIPELINE_STEP_TEXTS_MAX = 48, /* names and texts of normalisation */
    HF_PIPELINE_BEGINS_MAX = 8       /* tokens in front of a prompt */
};

struct hf_pipeline {
    const char *path;                                          /* borrowed, for messages */
    struct gguf_string step_texts[HF_PIPELINE_STEP_TEXTS_MAX]; /* as TOKENIZER_KEY_NORMALIZER */
    uint32_t step_text_count;
    struct gguf_string charsmap;    /* base64, of a Precompiled normalizer */
    struct hf_patterns_items items; /* of the pre-tokenizer */
    bool byte_level;
    bool spaces_replaced; /* by the normalizer or the pre-tokenizer */
    bool split_words;
    uint32_t prefix;      /* of enum tokenizer_prefix */
    uint32_t strip;       /* enum tokenizer_strip */
    bool bytes_fall_back; /* the decoder makes bytes of byte tokens */
    bool has_template;    /* the post-processor says what goes around a prompt */
    uint32_t begins[HF_PIPELINE_BEGINS_MAX];
    uint32_t begin_count;
    uint32_t end; /* UINT32_MAX: none */
};

/* Strings are views into the tree. */
enum status hf_pipeline_read(struct hf_pipeline *pipeline, const json_t *root, const char *path,
                             struct error *err);

/* Sets the keys that say all that, and refuses what does not go with the vocabulary's kind. */
enum status hf_pipeline_write(const struct hf_pipeline *pipeline, const struct hf_vocab *vocab,
                              struct gguf_builder *out, struct error *err);

#endif
