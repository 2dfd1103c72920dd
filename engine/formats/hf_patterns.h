/* hf_patterns.h - which of the known pre-tokenizers a row of Hugging Face's steps is.
 *
 * A step is written as one item: the text of its regular expression, or one of the names below.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_PATTERNS_H
#define ENGINE_FORMATS_HF_PATTERNS_H

#include "engine/formats/gguf.h"

#include <stdbool.h>
#include <stdint.h>

#define HF_PATTERNS_BYTES       "bytes"       /* ByteLevel: from here on, letters stand for bytes */
#define HF_PATTERNS_GPT2        "gpt2"        /* ByteLevel's own expression, in front of that */
#define HF_PATTERNS_DIGITS      "digits"      /* Digits, each by itself */
#define HF_PATTERNS_NUMBERS     "numbers"     /* Digits, runs of them */
#define HF_PATTERNS_PUNCTUATION "punctuation" /* Punctuation, runs of it */

enum {
    HF_PATTERNS_ITEMS_MAX = 8
};

struct hf_patterns_items {
    struct gguf_string texts[HF_PATTERNS_ITEMS_MAX];
    uint32_t count;
    bool matches_only; /* some step keeps only what its expression matches */
};

struct hf_patterns_names {
    const char *pre;   /* for tokenizer.ggml.pre */
    const char *exact; /* for TOKENIZER_KEY_PRE, where the public name means nearly the same */
};

/* False when nothing known does the same. nfc, whole_words: what else the name should imply. */
bool hf_patterns_find(const struct hf_patterns_items *items, bool nfc, bool whole_words,
                      struct hf_patterns_names *out);

#endif
