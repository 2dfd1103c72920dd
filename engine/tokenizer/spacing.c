/* spacing.c - one pass; only the input decides what is a doubled space.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/spacing.h"

#include <string.h>

size_t spacing_copy(bool trim, const uint8_t *text, size_t text_bytes, uint8_t *out)
{
    size_t written = 0;
    for (size_t at = 0; at < text_bytes;) {
        if (text_bytes - at >= 3 && memcmp(text + at, "\xE2\x96\x81", 3) == 0) {
            out[written++] = ' '; /* the sign in a text is no space, and doubles none */
            at += 3;
            continue;
        }
        bool doubled = text[at] == ' ' && (at == 0 || text[at - 1] == ' ');
        if (!(trim && doubled)) {
            out[written++] = text[at];
        }
        at++;
    }
    while (trim && written > 0 && out[written - 1] == ' ') {
        written--;
    }
    return written;
}
