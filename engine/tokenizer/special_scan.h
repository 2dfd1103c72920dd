/* special_scan.h - finds tokens that are taken out of text before it is cut into words.
 *
 * User-defined tokens always are ("<|im_start|>" of a vocabulary that says so, runs of spaces);
 * control tokens only where the caller asks for it, because user text must not forge them.
 * Where tokens are looked for in normalised text, so are their own spellings.
 * Thread: any once sealed. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_SPECIAL_SCAN_H
#define ENGINE_TOKENIZER_SPECIAL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct special_spelling {
    uint32_t at; /* in text */
    uint32_t byte_count;
    uint32_t id;
    uint32_t flags; /* of enum tokenizer_token_flags: strips and single word */
};

struct special_scan {
    uint8_t *text;
    size_t text_bytes;
    size_t text_capacity;
    struct special_spelling *spellings; /* [count] sorted by text once sealed */
    uint32_t count;
    uint32_t capacity;
    bool plain_spaces_stay;  /* a ' ' stands for a sign that is no white space: never stripped */
    uint64_t first_bytes[4]; /* bit b: some text starts with byte b */
};

/* Zero a scan to begin. Empty texts are left out. False when memory is short. */
bool special_scan_add(struct special_scan *scan, uint32_t id, uint32_t flags, const uint8_t *text,
                      size_t text_bytes);
void special_scan_seal(struct special_scan *scan);
void special_scan_close(struct special_scan *scan);

struct special_match {
    const uint8_t *begin;
    const uint8_t *end;
    uint32_t id;
};

/* The leftmost at or behind `at` in [text, text_end), and there the longest, with the white space
 * its flags take along, but none in front of `at`; false when there is none. */
bool special_scan_find(const struct special_scan *scan, const uint8_t *text, const uint8_t *at,
                       const uint8_t *text_end, struct special_match *match);

#endif
