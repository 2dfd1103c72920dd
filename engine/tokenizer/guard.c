/* guard.c - one pass that never writes ahead of where it reads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/guard.h"

#include "engine/tokenizer/tokenizer.h"

#include <string.h>

enum {
    GUARD_BYTES = sizeof TOKENIZER_GUARD - 1
};

bool guard_is_in(const uint8_t *text, size_t text_bytes)
{
    return memmem(text, text_bytes, TOKENIZER_GUARD, GUARD_BYTES) != NULL;
}

static bool starts_here(const uint8_t *text, size_t text_bytes, size_t at)
{
    return text_bytes - at >= GUARD_BYTES && memcmp(text + at, TOKENIZER_GUARD, GUARD_BYTES) == 0;
}

size_t guard_drop(const uint8_t *text, size_t text_bytes, uint8_t *out)
{
    size_t written = 0;
    for (size_t at = 0; at < text_bytes;) {
        if (!starts_here(text, text_bytes, at)) {
            out[written++] = text[at++];
            continue;
        }
        at += GUARD_BYTES;
        if (starts_here(text, text_bytes, at)) {
            memmove(out + written, text + at, GUARD_BYTES);
            written += GUARD_BYTES;
            at += GUARD_BYTES;
        }
    }
    return written;
}
