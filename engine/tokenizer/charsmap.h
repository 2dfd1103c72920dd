/* charsmap.h - SentencePiece's compiled table of which characters become which before tokenising.
 *
 * The table ("precompiled_charsmap", as in normalizer.cc of google/sentencepiece): u32 bytes of a
 * trie; the trie, a double array of u32 units as darts-clone lays it out; texts that end in NUL, which
 * the trie's values are offsets into. All little-endian. Where the trie leads nowhere, a character
 * stays as it is. Thread: any once loaded. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_CHARSMAP_H
#define ENGINE_TOKENIZER_CHARSMAP_H

#include "configs/error.h"

#include <stddef.h>
#include <stdint.h>

struct gguf;

#define CHARSMAP_KEY "tokenizer.ggml.precompiled_charsmap"

struct charsmap {
    uint32_t *units; /* [unit_count], owned; NULL: no table */
    char *texts;     /* [text_bytes], owned; the last is NUL */
    uint32_t unit_count;
    uint32_t text_bytes;
    uint32_t growth; /* no text grows by more than that factor */
};

enum charsmap_way {
    CHARSMAP_LONGEST,   /* the longest match at each place: sentencepiece */
    CHARSMAP_GRAPHEMES, /* the shortest match of a short grapheme stands for it whole, else each
                           character by itself: huggingface/tokenizers */
};

/* An absent or empty key leaves no table. ERR_FORMAT: not such a table, by the key. */
enum status charsmap_load(struct charsmap *map, const struct gguf *file, struct error *err);
void charsmap_release(struct charsmap *map);

/* *out: *out_bytes bytes from malloc. */
enum status charsmap_apply(const struct charsmap *map, enum charsmap_way way, const uint8_t *text,
                           size_t text_bytes, uint8_t **out, size_t *out_bytes, struct error *err);

#endif
