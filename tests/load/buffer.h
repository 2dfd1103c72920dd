/* buffer.h - bytes that grow. After a failed allocation it takes nothing more and says so once, at
 * the end: building a text needs one check, not twenty.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_BUFFER_H
#define TESTS_LOAD_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *bytes;
    size_t used;
    size_t room;
    bool failed;
};

void buffer_append(struct buffer *buffer, const void *bytes, size_t byte_count);
void buffer_text(struct buffer *buffer, const char *text);
void buffer_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* text as the inside of a JSON string: quotes, backslashes and control characters escaped. */
void buffer_json(struct buffer *buffer, const char *text, size_t byte_count);

/* text where HTML is expected. */
void buffer_html(struct buffer *buffer, const char *text);

/* Zero-terminates without counting the zero; "" where there is nothing. */
const char *buffer_string(struct buffer *buffer);

/* Forgets the content and keeps the room. */
void buffer_clear(struct buffer *buffer);
void buffer_release(struct buffer *buffer);

#endif
