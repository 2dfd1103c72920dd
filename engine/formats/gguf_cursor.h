/* gguf_cursor.h - reading a GGUF header from front to back, never past its end.
 *
 * For the parser's parts only. Invariant: at <= file->byte_count.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_GGUF_CURSOR_H
#define ENGINE_FORMATS_GGUF_CURSOR_H

#include "engine/formats/gguf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where parsing stands. */
struct gguf_cursor {
    struct gguf *file;
    uint64_t at;
    struct error *err;
};

/* Fills the error with "path: offset N: ..." and returns status. */
enum status gguf_cursor_fail(const struct gguf_cursor *cursor, uint64_t offset, enum status status,
                             const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A name from the file, fit for a message: short and plain ASCII. */
struct gguf_shown_name {
    char text[72];
};

struct gguf_shown_name gguf_cursor_show(struct gguf_string name);

/* A little-endian number of 1 to 8 bytes. */
uint64_t gguf_cursor_load(const uint8_t *bytes, size_t byte_count);

uint64_t gguf_cursor_left(const struct gguf_cursor *cursor);

/* ERR_FORMAT, saying inside what the file ends, unless byte_count bytes are left. */
enum status gguf_cursor_need(const struct gguf_cursor *cursor, uint64_t byte_count,
                             const char *what);

/* Each reads one thing and moves past it; `what` names it in messages. */
enum status gguf_cursor_read_u32(struct gguf_cursor *cursor, const char *what, uint32_t *out);
enum status gguf_cursor_read_u64(struct gguf_cursor *cursor, const char *what, uint64_t *out);
enum status gguf_cursor_read_string(struct gguf_cursor *cursor, const char *what,
                                    uint64_t bytes_max, struct gguf_string *out);

/* A string that is a key or a tensor's name: 1 to bytes_max bytes of UTF-8, no control bytes. */
enum status gguf_cursor_read_name(struct gguf_cursor *cursor, const char *what, uint64_t bytes_max,
                                  bool slash_allowed, struct gguf_string *out);

#endif
