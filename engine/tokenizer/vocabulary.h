/* vocabulary.h - the tokens of a model and how they may merge, checked once and then constant.
 *
 * A token has two spellings: its text, as the file has it ("Ġthe", "▁the", "<0x0A>"), and its
 * bytes, which it stands for in running text (" the", "\n"). Only tokens of ordinary text are
 * found by bytes: control tokens never come out of user text by merging.
 * Thread: any once loaded. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_VOCABULARY_H
#define ENGINE_TOKENIZER_VOCABULARY_H

#include "configs/error.h"
#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/string_table.h"
#include "engine/tokenizer/tokenizer_keys.h"

#include <stdbool.h>
#include <stdint.h>

struct gguf;

enum token_type { /* as in tokenizer.ggml.token_type */
    TOKEN_UNDEFINED = 0,
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6,
    TOKEN_TYPE_COUNT,
};

enum vocabulary_kind {
    VOCABULARY_SCORES, /* SentencePiece BPE, "llama": the best-scored merge first */
    VOCABULARY_MERGES, /* byte-level BPE, "gpt2": the lowest-ranked merge first */
    VOCABULARY_PAIRS,  /* BPE over characters, merged by rank: what Hugging Face makes of "llama" */
    VOCABULARY_UNIGRAM, /* "t5": the best sum of scores */
};

struct vocabulary {
    enum vocabulary_kind kind;
    uint32_t count;
    uint32_t token_bytes_max;
    float score_min; /* of normal tokens; likewise score_max */
    float score_max;
    bool has_types;  /* the file says which; else all are TOKEN_NORMAL at first */
    bool has_flags;  /* the file says which; else they follow from the types */
    bool float_sums; /* TOKENIZER_KEY_FLOAT_SUMS */
    bool has_all_bytes;
    uint8_t *text; /* token i: text[text_at[i] .. text_at[i + 1]) */
    uint32_t *text_at;
    uint8_t *bytes; /* likewise */
    uint32_t *bytes_at;
    uint8_t *types;       /* enum token_type */
    uint8_t *flags;       /* [count] of enum tokenizer_token_flags */
    bool *is_whole;       /* [count] a word that is exactly this token needs no merging */
    uint32_t *score_keys; /* [count] VOCABULARY_SCORES: smaller merges earlier */
    float *scores;        /* [count] VOCABULARY_UNIGRAM: log probabilities */
    struct string_table by_text;
    struct string_table by_bytes; /* ordinary tokens only */
    struct merge_table merges;    /* VOCABULARY_MERGES, VOCABULARY_PAIRS */
    uint32_t byte_ids[256];       /* the token of one byte, or TOKEN_NONE */
};

/* Words are bytes and letters stand for them; in the other kinds they are characters. */
static inline bool vocabulary_is_byte_level(const struct vocabulary *vocabulary)
{
    return vocabulary->kind == VOCABULARY_MERGES;
}

/* Merges have ranks; else tokens have scores. */
static inline bool vocabulary_has_merges(const struct vocabulary *vocabulary)
{
    return vocabulary->kind == VOCABULARY_MERGES || vocabulary->kind == VOCABULARY_PAIRS;
}

/* Loading has two steps, because what the ids of a role say about types comes in between.
 * vocabulary_release after either, whatever it returned. */
enum status vocabulary_load(struct vocabulary *vocabulary, const struct gguf *file,
                            enum vocabulary_kind kind, struct error *err);
enum status vocabulary_index(struct vocabulary *vocabulary, const struct gguf *file,
                             struct error *err);
void vocabulary_release(struct vocabulary *vocabulary);

/* What the text of merged or unmerged user input may become. Once indexed. */
static inline bool vocabulary_is_ordinary(const struct vocabulary *vocabulary, uint32_t id)
{
    return (vocabulary->flags[id] & TOKENIZER_TOKEN_IN_MODEL) != 0;
}

/* Control and unknown: never shown unless asked for. */
static inline bool vocabulary_is_special(const struct vocabulary *vocabulary, uint32_t id)
{
    return vocabulary->types[id] == TOKEN_CONTROL || vocabulary->types[id] == TOKEN_UNKNOWN;
}

#endif
