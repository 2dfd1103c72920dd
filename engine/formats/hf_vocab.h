/* hf_vocab.h - the tokens and merges of a Hugging Face tokenizer.json.
 *
 * Reads `model` (BPE, Unigram) and `added_tokens`; ids without a token become unused ones named
 * [PADn], as the public converter names them. Texts are views into the tree, which must stay.
 * Format: huggingface/tokenizers, models/bpe and added_vocabulary.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_VOCAB_H
#define ENGINE_FORMATS_HF_VOCAB_H

#include "engine/formats/gguf_builder.h"

#include <jansson.h>

struct hf_vocab {
    const char *path; /* borrowed, for messages */
    const json_t *model;
    const json_t *by_text; /* model.vocab of a BPE model: text -> id */
    uint32_t count;
    struct gguf_string *texts; /* [count] */
    int32_t *types;            /* [count] as in tokenizer.ggml.token_type */
    uint32_t *flags;           /* [count] of enum tokenizer_token_flags */
    float *scores;             /* [count] */
    char *hole_texts;
    uint32_t unknown; /* UINT32_MAX: none */
    bool unigram;
    bool byte_fallback;
    bool fuse_unknown;
    bool ignore_merges;
};

/* root: the whole tokenizer.json. count_min: the embedding's rows, where that is known, else 0.
 * hf_vocab_release after it, whatever it returned. */
enum status hf_vocab_read(struct hf_vocab *vocab, const json_t *root, const char *path,
                          uint32_t count_min, struct error *err);
void hf_vocab_release(struct hf_vocab *vocab);

/* The id of a token, or UINT32_MAX. */
uint32_t hf_vocab_find(const struct hf_vocab *vocab, struct gguf_string text);

/* Sets tokens, types, flags, scores and merges; byte_level: the merges' alphabet is bytes. */
enum status hf_vocab_write(const struct hf_vocab *vocab, bool byte_level, struct gguf_builder *out,
                           struct error *err);

#endif
