/* buffer.c - doubling, so that appending a byte at a time stays linear.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_ROOM = 256
};

static bool make_room(struct buffer *buffer, size_t byte_count)
{
    if (buffer->failed || byte_count > (size_t)-1 / 4 - buffer->used) {
        buffer->failed = true;
        return false;
    }
    size_t wanted = buffer->used + byte_count;
    if (wanted <= buffer->room) {
        return true;
    }
    size_t room = buffer->room > 0 ? buffer->room : FIRST_ROOM;
    while (room < wanted) {
        room *= 2;
    }
    char *bytes = realloc(buffer->bytes, room);
    if (bytes == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->bytes = bytes;
    buffer->room = room;
    return true;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t byte_count)
{
    if (byte_count > 0 && make_room(buffer, byte_count)) {
        memcpy(buffer->bytes + buffer->used, bytes, byte_count);
        buffer->used += byte_count;
    }
}

void buffer_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_format(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int needed = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (needed >= 0 && make_room(buffer, (size_t)needed + 1)) {
        vsnprintf(buffer->bytes + buffer->used, (size_t)needed + 1, format, again);
        buffer->used += (size_t)needed;
    }
    va_end(again);
}

void buffer_json(struct buffer *buffer, const char *text, size_t byte_count)
{
    for (size_t i = 0; i < byte_count; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            char escaped[2] = {'\\', (char)c};
            buffer_append(buffer, escaped, sizeof escaped);
        } else if (c < 0x20) {
            buffer_format(buffer, "\\u%04x", c);
        } else {
            buffer_append(buffer, &text[i], 1);
        }
    }
}

void buffer_html(struct buffer *buffer, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            buffer_text(buffer, "&lt;");
            break;
        case '>':
            buffer_text(buffer, "&gt;");
            break;
        case '&':
            buffer_text(buffer, "&amp;");
            break;
        case '"':
            buffer_text(buffer, "&quot;");
            break;
        default:
            buffer_append(buffer, text, 1);
        }
    }
}

const char *buffer_string(struct buffer *buffer)
{
    if (!make_room(buffer, 1)) {
        return "";
    }
    buffer->bytes[buffer->used] = '\0';
    return buffer->bytes;
}

void buffer_clear(struct buffer *buffer)
{
    buffer->used = 0;
    buffer->failed = false;
}

void buffer_release(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}
