/* json_text.c - escapes what JSON demands and passes runs of plain bytes through in one copy.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/json_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LOGPROB_FLOOR (-9999.0f)

static bool continues(unsigned char byte)
{
    return (byte & 0xC0u) == 0x80u;
}

/* Length by lead byte; 0 for bytes that start nothing (continuations, overlong C0 C1, F5 up). */
static size_t length_by_lead(unsigned char lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        return 3;
    }
    return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

size_t json_text_character_bytes(const char *bytes, size_t byte_count)
{
    const unsigned char *at = (const unsigned char *)bytes;
    size_t length = byte_count > 0 ? length_by_lead(at[0]) : 0;
    if (length == 0 || length > byte_count) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if (!continues(at[i])) {
            return 0;
        }
    }
    /* Overlong forms, surrogates and what lies above U+10FFFF show in the second byte. */
    bool ill = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) ||
               (at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F);
    return ill ? 0 : length;
}

static void write_escape(struct text_buffer *out, unsigned char byte)
{
    switch (byte) {
    case '"':
        text_buffer_append(out, "\\\"", 2);
        return;
    case '\\':
        text_buffer_append(out, "\\\\", 2);
        return;
    case '\n':
        text_buffer_append(out, "\\n", 2);
        return;
    case '\r':
        text_buffer_append(out, "\\r", 2);
        return;
    case '\t':
        text_buffer_append(out, "\\t", 2);
        return;
    default:
        text_buffer_printf(out, "\\u%04x", byte);
    }
}

/* U+007F is legal in JSON but upsets terminals; U+2028 and U+2029 are left as they are. */
static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

void json_text_inside(struct text_buffer *out, const char *bytes, size_t byte_count)
{
    size_t at = 0;
    while (at < byte_count) {
        size_t run = 0;
        while (at + run < byte_count && is_plain((unsigned char)bytes[at + run])) {
            run++;
        }
        text_buffer_append(out, bytes + at, run);
        at += run;
        if (at == byte_count) {
            break;
        }
        size_t length = json_text_character_bytes(bytes + at, byte_count - at);
        if (length == 1) {
            write_escape(out, (unsigned char)bytes[at]);
        } else if (length > 1) {
            text_buffer_append(out, bytes + at, length);
        } else {
            text_buffer_append(out, "\xEF\xBF\xBD", 3);
            length = 1;
        }
        at += length;
    }
}

void json_text_string(struct text_buffer *out, const char *bytes, size_t byte_count)
{
    text_buffer_append(out, "\"", 1);
    json_text_inside(out, bytes, byte_count);
    text_buffer_append(out, "\"", 1);
}

void json_text_string_or_null(struct text_buffer *out, const char *text)
{
    if (text == NULL) {
        text_buffer_append_text(out, "null");
        return;
    }
    json_text_string(out, text, strlen(text));
}

void json_text_float(struct text_buffer *out, float value)
{
    text_buffer_printf(out, "%.9g", isfinite(value) ? (double)value : (double)LOGPROB_FLOOR);
}

void json_text_bytes(struct text_buffer *out, const char *bytes, size_t byte_count)
{
    text_buffer_append(out, "[", 1);
    for (size_t i = 0; i < byte_count; i++) {
        text_buffer_printf(out, i > 0 ? ",%u" : "%u", (unsigned)(unsigned char)bytes[i]);
    }
    text_buffer_append(out, "]", 1);
}

void json_text_ids(struct text_buffer *out, const uint32_t *ids, size_t id_count)
{
    text_buffer_append(out, "[", 1);
    for (size_t i = 0; i < id_count; i++) {
        text_buffer_printf(out, i > 0 ? ",%u" : "%u", ids[i]);
    }
    text_buffer_append(out, "]", 1);
}
