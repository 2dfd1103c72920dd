/* guard.h - taking guards (TOKENIZER_GUARD) out of text again.
 *
 * Thread: any; no state. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_GUARD_H
#define ENGINE_TOKENIZER_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool guard_is_in(const uint8_t *text, size_t text_bytes);

/* Copies text without single guards, and with one for each two; out may be text. Returns the bytes
 * written. */
size_t guard_drop(const uint8_t *text, size_t text_bytes, uint8_t *out);

#endif
