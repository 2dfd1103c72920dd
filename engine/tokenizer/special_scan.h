/* special_scan.h - finds tokens that are taken out of text before it is cut into words.
 *
 * User-defined tokens always are ("<|im_start|>" of a vocabulary that says so, runs of spaces);
 * control tokens only where the caller asks for it, because user text must not forge them.
 * Ownership: borrows the vocabulary. Thread: any once open. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_SPECIAL_SCAN_H
#define ENGINE_TOKENIZER_SPECIAL_SCAN_H

#include "engine/tokenizer/vocabulary.h"

struct special_scan {
    uint32_t *ids; /* [count] sorted by text */
    uint32_t count;
    uint64_t first_bytes[4]; /* bit b: some text starts with byte b */
};

/* False when memory is short. with_control: control and unknown tokens, too. */
bool special_scan_open(struct special_scan *scan, const struct vocabulary *vocabulary,
                       bool with_control);
void special_scan_close(struct special_scan *scan);

struct special_match {
    const uint8_t *begin;
    const uint8_t *end;
    uint32_t id;
};

/* The leftmost and there the longest; false when there is none. */
bool special_scan_find(const struct special_scan *scan, const struct vocabulary *vocabulary,
                       const uint8_t *text, const uint8_t *text_end, struct special_match *match);

#endif
