/* text_buffer.h - bytes that grow up to a stated maximum.
 *
 * Once an append fails (memory, or the maximum) the buffer stays failed and later appends do
 * nothing, so a writer checks once at the end. Always NUL-terminated when not failed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_TEXT_BUFFER_H
#define SERVER_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct text_buffer {
    char *bytes; /* owned; NULL while empty */
    size_t byte_count;
    size_t capacity_bytes;
    size_t bytes_max;
    bool failed;
};

void text_buffer_init(struct text_buffer *buffer, size_t bytes_max);
void text_buffer_release(struct text_buffer *buffer);
void text_buffer_clear(struct text_buffer *buffer); /* empty, not failed, capacity kept */
bool text_buffer_append(struct text_buffer *buffer, const char *bytes, size_t byte_count);
bool text_buffer_append_text(struct text_buffer *buffer, const char *text);
/* Room for byte_count bytes at the end, for a writer that then adds to byte_count (and keeps the
 * terminator). NULL when the buffer has failed. */
char *text_buffer_room(struct text_buffer *buffer, size_t byte_count);

bool text_buffer_printf(struct text_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
