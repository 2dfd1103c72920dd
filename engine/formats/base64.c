/* base64.c - four characters at a time; padding only at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/base64.h"

#include <string.h>

/* The six bits of a character, or -1. */
static int value_of(char c)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c != '\0' ? strchr(alphabet, c) : NULL;
    return found != NULL ? (int)(found - alphabet) : -1;
}

bool base64_decode(const char *text, size_t text_bytes, uint8_t *out, size_t *out_bytes)
{
    *out_bytes = 0;
    if (text_bytes % 4 != 0) {
        return false;
    }
    for (size_t at = 0; at < text_bytes; at += 4) {
        uint32_t bits = 0;
        size_t padding = 0;
        for (size_t i = 0; i < 4; i++) {
            int value = value_of(text[at + i]);
            bool pads = text[at + i] == '=' && i >= 2 && at + 4 == text_bytes;
            if (pads ? false : value < 0 || padding > 0) {
                return false;
            }
            padding += pads;
            bits = bits << 6 | (pads ? 0 : (uint32_t)value);
        }
        for (size_t i = 0; i < 3 - padding; i++) {
            out[(*out_bytes)++] = (uint8_t)(bits >> (16 - 8 * i));
        }
    }
    return true;
}
