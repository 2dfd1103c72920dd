/* char_class.h - one character at a time: its code, its length and what kind it is.
 *
 * The scanners of pretokenizer_*.c are written in these classes. ASCII is a table look-up here;
 * everything else goes through utf8proc, whose tables know the Unicode categories.
 * Thread: any; no state. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_CHAR_CLASS_H
#define ENGINE_TOKENIZER_CHAR_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum char_class {
    CLASS_UPPER = 1,        /* \p{Lu} \p{Lt} */
    CLASS_LOWER = 2,        /* \p{Ll} */
    CLASS_CASELESS = 4,     /* \p{Lm} \p{Lo} */
    CLASS_NUMBER = 8,       /* \p{N} */
    CLASS_MARK = 16,        /* \p{M} */
    CLASS_PUNCTUATION = 32, /* \p{P} */
    CLASS_SYMBOL = 64,      /* \p{S} */
    CLASS_SPACE = 128,      /* \s: White_Space, not a general category */
    CLASS_NEWLINE = 256,    /* CR and LF; these are CLASS_SPACE too */
    CLASS_LETTER = CLASS_UPPER | CLASS_LOWER | CLASS_CASELESS,
};

#define CHAR_REPLACEMENT 0xFFFDu

struct character {
    uint32_t code;    /* CHAR_REPLACEMENT for a byte that is not UTF-8; UINT32_MAX at the end */
    uint16_t classes; /* of enum char_class; 0 at the end */
    uint16_t bytes;   /* 0 at the end; 1 for a byte that is not UTF-8 */
};

extern const uint16_t char_class_ascii[128];

struct character char_class_decode(const uint8_t *at, const uint8_t *end);

/* Bytes of the well-formed UTF-8 sequence at `at`, its code in *code; 0 when ill-formed. */
uint32_t char_class_utf8(const uint8_t *at, const uint8_t *end, uint32_t *code);

/* How many bytes at `at` (at < end) are one maximal ill-formed or unfinished subpart of a UTF-8
 * sequence. *unfinished: only the end of the input stopped it. Not for well-formed ones. */
uint32_t char_class_ill_formed(const uint8_t *at, const uint8_t *end, bool *unfinished);

static inline struct character char_class_at(const uint8_t *at, const uint8_t *end)
{
    if (at < end && *at < 128) {
        return (struct character){.code = *at, .classes = char_class_ascii[*at], .bytes = 1};
    }
    return char_class_decode(at, end);
}

/* The end of the run of characters from `at` that have (any of) the classes. */
const uint8_t *char_class_skip(const uint8_t *at, const uint8_t *end, uint16_t classes);

/* The end of the run of characters that have none of them. */
const uint8_t *char_class_skip_not(const uint8_t *at, const uint8_t *end, uint16_t classes);

/* Where the character in front of `at` starts; a byte that is not UTF-8 is one. start < at. */
const uint8_t *char_class_before(const uint8_t *start, const uint8_t *at);

/* Where the white space at the end of [start, end) begins. */
const uint8_t *char_class_trailing_space(const uint8_t *start, const uint8_t *end);

/* \w: letters, marks, digits, joiners and what joins words, as Unicode's annex on regular
 * expressions has it. */
bool char_class_is_word(struct character c);

#endif
