/* bpe.h - one word of text -> token ids, by merging neighbours.
 *
 * The merge order is fixed by the vocabulary: the best-ranked pair first, the leftmost of equals.
 * Time is n log n in the word. Thread: any; the scratch and the output are the caller's.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_BPE_H
#define ENGINE_TOKENIZER_BPE_H

#include "configs/error.h"
#include "engine/tokenizer/vocabulary.h"

struct bpe_symbol;

/* What long words need; grows, and serves one call after another. Zero it to begin. */
struct bpe_scratch {
    struct bpe_symbol *symbols;
    uint64_t *heap;
    size_t capacity;
};

void bpe_release_scratch(struct bpe_scratch *scratch);

struct bpe_output {
    uint32_t *ids;
    size_t max;
    size_t count;      /* goes on past max: nothing is written there */
    uint32_t unknown;  /* for what the vocabulary cannot spell; TOKEN_NONE: leave that out */
    bool unknown_last; /* the last id stands for such text */
    bool fuse_unknown; /* more of it then adds no second one */
};

void bpe_push(struct bpe_output *output, uint32_t id);

/* A character that is no token: its bytes if all of them are, else the unknown token. */
void bpe_push_unspelled(const struct vocabulary *vocabulary, const uint8_t *bytes,
                        size_t byte_count, struct bpe_output *output);

/* word_bytes in 1 .. LIMIT_ENCODE_BYTES. ERR_MEMORY. */
enum status bpe_encode(const struct vocabulary *vocabulary, struct bpe_scratch *scratch,
                       const uint8_t *word, size_t word_bytes, struct bpe_output *output,
                       struct error *err);

/* Notes which tokens a word equal to them encodes to, so that encoding most words is one
 * look-up. always: every ordinary token, as some families demand, whatever the merges say. */
enum status bpe_mark_whole(struct vocabulary *vocabulary, bool always, struct error *err);

#endif
