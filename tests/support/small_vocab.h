/* small_vocab.h - vocabularies of a few tokens, and tokenizers opened from them in memory.
 *
 * Collects tokens and merges, then writes and parses a GGUF file of them. Runs out of memory by
 * abort. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SMALL_VOCAB_H
#define TESTS_SUPPORT_SMALL_VOCAB_H

#include "engine/tokenizer/tokenizer.h"
#include "tests/support/gguf_writer.h"

#include <stddef.h>

enum {
    SMALL_VOCAB_TOKENS_MAX = 2048,
    SMALL_VOCAB_TEXT_BYTES = 1 << 16,

    SMALL_NORMAL = 1, /* token types, as stored */
    SMALL_UNKNOWN = 2,
    SMALL_CONTROL = 3,
    SMALL_USER_DEFINED = 4,
    SMALL_UNUSED = 5,
    SMALL_BYTE = 6,
};

struct small_vocab {
    struct gguf_writer writer; /* for further entries */
    bool sentence;             /* SentencePiece BPE, else byte-level */
    uint32_t count;
    uint32_t merge_count;
    struct gguf_string tokens[SMALL_VOCAB_TOKENS_MAX];
    float scores[SMALL_VOCAB_TOKENS_MAX];
    int32_t types[SMALL_VOCAB_TOKENS_MAX];
    struct gguf_string merges[SMALL_VOCAB_TOKENS_MAX];
    char text[SMALL_VOCAB_TEXT_BYTES];
    size_t text_bytes;
};

/* From malloc; released by small_vocab_open or small_vocab_drop. */
struct small_vocab *small_vocab_sentence(void);              /* <unk> <s> </s> and "▁" */
struct small_vocab *small_vocab_byte_level(const char *pre); /* a token for each byte, in order */
void small_vocab_drop(struct small_vocab *vocab);

/* "<0x00>" to "<0xFF>". */
void small_vocab_add_bytes(struct small_vocab *vocab);

/* Returns its id. */
uint32_t small_vocab_add(struct small_vocab *vocab, const char *text, int32_t type, float score);

/* Adds a merge of two tokens, and the token it makes if that is new; returns its id. */
uint32_t small_vocab_merge(struct small_vocab *vocab, const char *left, const char *right);

/* The id of a token, or TOKEN_NONE. */
uint32_t small_vocab_id(const struct small_vocab *vocab, const char *text);

struct small_tokenizer {
    struct tokenizer *tokenizer;
    struct gguf file;
    uint8_t *bytes;
};

/* Adds the collected arrays that writer does not have yet, and opens. On failure *out is empty.
 * Releases vocab. */
enum status small_vocab_open(struct small_tokenizer *out, struct small_vocab *vocab,
                             struct error *err);
void small_vocab_close(struct small_tokenizer *opened);

#endif
