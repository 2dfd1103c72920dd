/* pretokenizer_scan.h - the scanners behind the rows of pretokenizer.c.
 *
 * Each function's comment gives the regular expression whose matches it finds.
 * Thread: any; no state. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_PRETOKENIZER_SCAN_H
#define ENGINE_TOKENIZER_PRETOKENIZER_SCAN_H

#include "engine/tokenizer/char_class.h"

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+   (no options) */
const uint8_t *pretokenizer_scan_gpt2(const void *options, const uint8_t *at, const uint8_t *end);

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?WORD+|\p{N}{1,DIGITS}| ?[^\s\p{N}WORD]+[TAIL]*
 * |\s*[\r\n]+|\s+(?!\S)|\s+ */
struct scan_words {
    uint16_t word_classes;
    uint32_t digits_max;
    bool newlines_after_symbols; /* TAIL is \r\n, else nothing */
    bool contractions;
};
const uint8_t *pretokenizer_scan_words(const void *options, const uint8_t *at, const uint8_t *end);

/* [^\r\n\p{L}\p{N}]?UPPER*LOWER+SUFFIX?|[^\r\n\p{L}\p{N}]?UPPER+LOWER*SUFFIX?|\p{N}{1,DIGITS}
 * | ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * UPPER is [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], LOWER is [\p{Ll}\p{Lm}\p{Lo}\p{M}] and SUFFIX is
 * (?i:'s|'t|'re|'ve|'m|'ll|'d), or absent. */
struct scan_cased {
    uint32_t digits_max;
    bool contractions;
};
const uint8_t *pretokenizer_scan_cased(const void *options, const uint8_t *at, const uint8_t *end);

/* [ASCII punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*
 * |\s*[\r\n]+|\s+(?!\S)|\s+   (no options) */
const uint8_t *pretokenizer_scan_deepseek(const void *options, const uint8_t *at,
                                          const uint8_t *end);

/* \s?X{1,count_max} or X{1,count_max}, where X is what `holds` says. */
typedef bool (*scan_run_fn)(struct character c);
struct scan_run {
    scan_run_fn holds;
    uint32_t count_max;
    uint32_t count_min;
    bool after_space;       /* any \s in front belongs to it */
    bool after_plain_space; /* a ' ' in front belongs to it */
};
const uint8_t *pretokenizer_scan_run(const void *options, const uint8_t *at, const uint8_t *end);

/* \s+$   (no options) */
const uint8_t *pretokenizer_scan_trailing_space(const void *options, const uint8_t *at,
                                                const uint8_t *end);

#endif
