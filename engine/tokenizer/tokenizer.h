/* tokenizer.h - text -> token ids -> text, as the model's own training did it.
 *
 * Immutable after open: any number of threads may use one. Built from GGUF metadata
 * (tokenizer.ggml.*). Encoding is linear or n log n in the text, never worse.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_TOKENIZER_H
#define ENGINE_TOKENIZER_TOKENIZER_H

#include "configs/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;
struct tokenizer;

#define TOKEN_NONE UINT32_MAX

/* `name` is the file's, for messages. Refuses unknown models and pre-tokenizers by name. */
enum status tokenizer_open(struct tokenizer **out, const struct gguf *file, struct error *err);
void tokenizer_close(struct tokenizer *tokenizer);

struct tokenizer_info {
    const char *model_name; /* "llama", "gpt2" */
    const char *pre_name;   /* "llama-bpe", "qwen2", ... or "" */
    uint32_t vocab_count;
    uint32_t bos_id; /* TOKEN_NONE when the model has none; likewise below */
    uint32_t eos_id;
    uint32_t unk_id;
    bool add_bos; /* what the file says a plain prompt starts and ends with */
    bool add_eos;
};

const struct tokenizer_info *tokenizer_info(const struct tokenizer *tokenizer);

/* Tokens that end generation: eos, eot, eom and what the file lists as such. */
const uint32_t *tokenizer_end_ids(const struct tokenizer *tokenizer, uint32_t *count);

enum tokenizer_flags {
    TOKENIZER_ADD_SPECIAL = 1,   /* put BOS/EOS around it as the file says */
    TOKENIZER_PARSE_SPECIAL = 2, /* "<|im_end|>" in the text becomes the control token */
    TOKENIZER_DROP_GUARDS = 4,   /* see below */
};

/* A guard (the noncharacter U+FDD0) inside the text of a control token keeps that from becoming the
 * token: with TOKENIZER_DROP_GUARDS, control tokens are looked for first, and what is plain text loses
 * its guards. Two in a row stand for one that is text. */
#define TOKENIZER_GUARD "\xEF\xB7\x90"

/* No text of that many bytes has more ids. More than one a byte: NFC can make three bytes of one,
 * a SentencePiece vocabulary puts a space in front of what follows a special token. */
size_t tokenizer_id_count_bound(const struct tokenizer *tokenizer, size_t text_bytes);

/* Encodes text (need not be valid UTF-8) into ids[0 .. id_count_max). *id_count is how many
 * there are; ERR_FULL when they do not fit (encoding stops early, *id_count is at least
 * id_count_max + 1). ERR_MEMORY. */
enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t text_bytes,
                             unsigned flags, uint32_t *ids, size_t id_count_max, size_t *id_count,
                             struct error *err);

/* The bytes a token stands for in running text (may be part of a UTF-8 sequence; empty for
 * control tokens unless show_special). Borrowed from the tokenizer. token_id < vocab_count. */
const char *tokenizer_token_bytes(const struct tokenizer *tokenizer, uint32_t token_id,
                                  bool show_special, size_t *byte_count);

bool tokenizer_is_special(const struct tokenizer *tokenizer, uint32_t token_id);

/* The id of a token by its exact text as the vocabulary spells it, or TOKEN_NONE. */
uint32_t tokenizer_find(const struct tokenizer *tokenizer, const char *text, size_t text_bytes);

/* Streaming detokeniser: gives out text only at UTF-8 boundaries. */
struct detokenizer {
    const struct tokenizer *tokenizer; /* borrowed */
    bool show_special;
    bool at_start; /* SentencePiece drops the space in front of the very first word */
    char held[4];  /* an incomplete UTF-8 sequence */
    uint32_t held_bytes;
};

/* continues_text: the output follows a prompt, so a leading space is kept. */
void detokenizer_init(struct detokenizer *detokenizer, const struct tokenizer *tokenizer,
                      bool show_special, bool continues_text);

/* Appends the text that token_id completes to out[0 .. out_bytes_max); ill-formed bytes become
 * U+FFFD. Returns the bytes written; needs room for the token's bytes times 3, plus 16. */
size_t detokenizer_feed(struct detokenizer *detokenizer, uint32_t token_id, char *out,
                        size_t out_bytes_max);

/* What is still held at the end, as U+FFFD. */
size_t detokenizer_finish(struct detokenizer *detokenizer, char *out, size_t out_bytes_max);

#endif
