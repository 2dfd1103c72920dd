/* spacing.h - the spaces of text as a vocabulary of characters sees them.
 *
 * Thread: any; no state. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_SPACING_H
#define ENGINE_TOKENIZER_SPACING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies text with the sign for a space (U+2581) taken as one, and, if trim, with spaces single and
 * none at the ends, as SentencePiece normalises. Returns the bytes written, at most text_bytes. */
size_t spacing_copy(bool trim, const uint8_t *text, size_t text_bytes, uint8_t *out);

#endif
