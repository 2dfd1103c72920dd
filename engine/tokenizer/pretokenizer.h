/* pretokenizer.h - cuts text into words that merges never cross.
 *
 * Each model family was trained with a regular expression, or a row of them applied one after
 * the other to the pieces of the one before. Here each is a hand-written scanner that looks at
 * every character a bounded number of times, so no text can make it slow.
 * Thread: any; no state. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_PRETOKENIZER_H
#define ENGINE_TOKENIZER_PRETOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PRETOKENIZER_STAGES_MAX = 6
};

/* The end of the piece that starts at `at` (at < end): a match, or the stretch up to the next
 * match. `options` is the stage's own. */
typedef const uint8_t *(*pretokenizer_next_fn)(const void *options, const uint8_t *at,
                                               const uint8_t *end);

struct pretokenizer_stage {
    pretokenizer_next_fn next; /* NULL after the last */
    const void *options;
};

struct pretokenizer {
    const char *name; /* as in tokenizer.ggml.pre */
    const struct pretokenizer_stage *stages;
    bool nfc;             /* the text is normalised first */
    bool whole_words;     /* a word that is a token is that token, whatever the merges say */
    bool begins_with_bos; /* where the file does not say */
};

/* By name, or NULL. */
const struct pretokenizer *pretokenizer_find(const char *name, size_t name_bytes);

struct pretokenizer_cursor {
    const struct pretokenizer_stage *stages;
    uint32_t stage_count;
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *piece_end[PRETOKENIZER_STAGES_MAX];
};

void pretokenizer_start(struct pretokenizer_cursor *cursor, const struct pretokenizer *pretokenizer,
                        const uint8_t *text, size_t text_bytes);

/* The next word in [*begin, *end); false when there is none left. Words cover the text. */
bool pretokenizer_next_word(struct pretokenizer_cursor *cursor, const uint8_t **begin,
                            const uint8_t **end);

#endif
