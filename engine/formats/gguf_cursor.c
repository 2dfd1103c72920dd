/* Each read asks whether the bytes are there, then moves; nothing else in the parser touches the
 * position. Messages are made here alone, so that each has the path and an offset.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/gguf_cursor.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum status gguf_cursor_fail(const struct gguf_cursor *cursor, uint64_t offset, enum status status,
                             const char *format, ...)
{
    char what[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return error_set(cursor->err, status, "%s: offset %llu: %s", cursor->file->path,
                     (unsigned long long)offset, what);
}

struct gguf_shown_name gguf_cursor_show(struct gguf_string name)
{
    struct gguf_shown_name shown;
    size_t count = name.byte_count < 64 ? name.byte_count : 64;
    for (size_t i = 0; i < count; i++) {
        unsigned char c = (unsigned char)name.bytes[i];
        shown.text[i] = (char)(c >= 0x20 && c < 0x7f ? c : '?');
    }
    memcpy(shown.text + count, count < name.byte_count ? "..." : "",
           count < name.byte_count ? 4 : 1);
    return shown;
}

uint64_t gguf_cursor_load(const uint8_t *bytes, size_t byte_count)
{
    uint64_t value = 0;
    memcpy(&value, bytes, byte_count);
    return le64toh(value);
}

uint64_t gguf_cursor_left(const struct gguf_cursor *cursor)
{
    return cursor->file->byte_count - cursor->at;
}

enum status gguf_cursor_need(const struct gguf_cursor *cursor, uint64_t byte_count,
                             const char *what)
{
    if (byte_count > gguf_cursor_left(cursor)) {
        return gguf_cursor_fail(
            cursor, cursor->at, ERR_FORMAT, "the file ends inside %s: %llu bytes needed, %llu left",
            what, (unsigned long long)byte_count, (unsigned long long)gguf_cursor_left(cursor));
    }
    return OK;
}

enum status gguf_cursor_read_u32(struct gguf_cursor *cursor, const char *what, uint32_t *out)
{
    enum status status = gguf_cursor_need(cursor, 4, what);
    if (status == OK) {
        *out = (uint32_t)gguf_cursor_load(cursor->file->bytes + cursor->at, 4);
        cursor->at += 4;
    }
    return status;
}

enum status gguf_cursor_read_u64(struct gguf_cursor *cursor, const char *what, uint64_t *out)
{
    enum status status = gguf_cursor_need(cursor, 8, what);
    if (status == OK) {
        *out = gguf_cursor_load(cursor->file->bytes + cursor->at, 8);
        cursor->at += 8;
    }
    return status;
}

enum status gguf_cursor_read_string(struct gguf_cursor *cursor, const char *what,
                                    uint64_t bytes_max, struct gguf_string *out)
{
    uint64_t start = cursor->at;
    uint64_t byte_count = 0;
    enum status status = gguf_cursor_read_u64(cursor, what, &byte_count);
    if (status != OK) {
        return status;
    }
    if (byte_count > bytes_max) {
        return gguf_cursor_fail(cursor, start, ERR_FORMAT, "%s of %llu bytes, limit %llu", what,
                                (unsigned long long)byte_count, (unsigned long long)bytes_max);
    }
    status = gguf_cursor_need(cursor, byte_count, what);
    if (status == OK) {
        out->bytes = (const char *)cursor->file->bytes + cursor->at;
        out->byte_count = byte_count;
        cursor->at += byte_count;
    }
    return status;
}

/* Bytes of one UTF-8 sequence at text, or 0 when it is ill-formed (overlong and surrogate forms
 * included). */
static size_t utf8_sequence_bytes(const unsigned char *text, size_t left)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t byte_count = text[0] < 0x80             ? 1
                        : (text[0] & 0xe0) == 0xc0 ? 2
                        : (text[0] & 0xf0) == 0xe0 ? 3
                        : (text[0] & 0xf8) == 0xf0 ? 4
                                                   : 0;
    if (byte_count <= 1 || byte_count > left) {
        return byte_count == 1 ? 1 : 0;
    }
    uint32_t code = text[0] & (0x7fu >> byte_count);
    for (size_t i = 1; i < byte_count; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (text[i] & 0x3fu);
    }
    bool valid =
        code >= smallest[byte_count] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return valid ? byte_count : 0;
}

/* Keys and tensor names end up in messages, logs and file names of tools: text without control
 * bytes, and for tensors without '/'. */
enum status gguf_cursor_read_name(struct gguf_cursor *cursor, const char *what, uint64_t bytes_max,
                                  bool slash_allowed, struct gguf_string *out)
{
    uint64_t start = cursor->at;
    enum status status = gguf_cursor_read_string(cursor, what, bytes_max, out);
    if (status != OK) {
        return status;
    }
    if (out->byte_count == 0) {
        return gguf_cursor_fail(cursor, start, ERR_FORMAT, "%s is empty", what);
    }
    const unsigned char *text = (const unsigned char *)out->bytes;
    for (uint64_t i = 0; i < out->byte_count;) {
        size_t step = utf8_sequence_bytes(text + i, out->byte_count - i);
        if (step == 0 || text[i] < 0x20 || text[i] == 0x7f || (text[i] == '/' && !slash_allowed)) {
            return gguf_cursor_fail(cursor, start + 8 + i, ERR_FORMAT,
                                    "%s has byte 0x%02x, which %s", what, text[i],
                                    step == 0 ? "is not UTF-8" : "no name may have");
        }
        i += step;
    }
    return OK;
}
