/* text_buffer.c - doubling growth below the caller's maximum.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/text_buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_BUFFER_FIRST_BYTES = 256
};

void text_buffer_init(struct text_buffer *buffer, size_t bytes_max)
{
    *buffer = (struct text_buffer){.bytes_max = bytes_max};
}

void text_buffer_release(struct text_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct text_buffer){.bytes_max = buffer->bytes_max};
}

void text_buffer_clear(struct text_buffer *buffer)
{
    buffer->byte_count = 0;
    buffer->failed = false;
    if (buffer->bytes != NULL) {
        buffer->bytes[0] = '\0';
    }
}

/* Room for extra_bytes more and the terminator. */
static bool reserve(struct text_buffer *buffer, size_t extra_bytes)
{
    if (buffer->failed || extra_bytes > buffer->bytes_max - buffer->byte_count) {
        buffer->failed = true;
        return false;
    }
    size_t needed = buffer->byte_count + extra_bytes + 1;
    if (needed <= buffer->capacity_bytes) {
        return true;
    }
    size_t capacity = buffer->capacity_bytes > 0 ? buffer->capacity_bytes : TEXT_BUFFER_FIRST_BYTES;
    while (capacity < needed) {
        capacity *= 2;
    }
    char *bytes = realloc(buffer->bytes, capacity);
    if (bytes == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->bytes = bytes;
    buffer->capacity_bytes = capacity;
    return true;
}

bool text_buffer_append(struct text_buffer *buffer, const char *bytes, size_t byte_count)
{
    if (!reserve(buffer, byte_count)) {
        return false;
    }
    if (byte_count > 0) {
        memcpy(buffer->bytes + buffer->byte_count, bytes, byte_count);
    }
    buffer->byte_count += byte_count;
    buffer->bytes[buffer->byte_count] = '\0';
    return true;
}

bool text_buffer_append_text(struct text_buffer *buffer, const char *text)
{
    return text_buffer_append(buffer, text, strlen(text));
}

char *text_buffer_room(struct text_buffer *buffer, size_t byte_count)
{
    return reserve(buffer, byte_count) ? buffer->bytes + buffer->byte_count : NULL;
}

bool text_buffer_printf(struct text_buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int needed = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (needed < 0 || !reserve(buffer, (size_t)needed)) {
        buffer->failed = true;
        return false;
    }
    va_start(args, format);
    vsnprintf(buffer->bytes + buffer->byte_count, (size_t)needed + 1, format, args);
    va_end(args);
    buffer->byte_count += (size_t)needed;
    return true;
}
