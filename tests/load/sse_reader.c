/* sse_reader.c - line by line; only `data` matters to a client of a language model, other fields
 * and comments are read and dropped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/sse_reader.h"

#include "tests/load/bounds.h"

#include <string.h>

struct sink {
    sse_event_fn *on_event;
    void *context;
};

/* A view points into the piece being read: before that goes away, its bytes must be ours. */
static void keep_view(struct sse_reader *reader)
{
    if (reader->view != NULL) {
        buffer_append(&reader->joined, reader->view, reader->view_bytes);
        reader->view = NULL;
    }
}

static void take_data(struct sse_reader *reader, const char *data, size_t data_bytes, bool stays)
{
    if (!reader->has_data && stays) {
        reader->view = data;
        reader->view_bytes = data_bytes;
    } else {
        keep_view(reader);
        if (reader->has_data) {
            buffer_append(&reader->joined, "\n", 1);
        }
        buffer_append(&reader->joined, data, data_bytes);
    }
    reader->has_data = true;
    reader->too_long = reader->too_long || reader->joined.used > BOUND_EVENT_BYTES;
}

static void dispatch(struct sse_reader *reader, const struct sink *sink)
{
    if (reader->has_data && reader->view != NULL) {
        sink->on_event(sink->context, reader->view, reader->view_bytes);
    } else if (reader->has_data) {
        const char *data = reader->joined.used > 0 ? reader->joined.bytes : "";
        sink->on_event(sink->context, data, reader->joined.used);
    }
    reader->view = NULL;
    reader->has_data = false;
    reader->joined.used = 0;
}

/* `stays`: the line's bytes outlive this call. */
static void take_line(struct sse_reader *reader, const char *line, size_t line_bytes, bool stays,
                      const struct sink *sink)
{
    if (!reader->begun && line_bytes >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        line_bytes -= 3;
    }
    reader->begun = true;
    if (line_bytes == 0) {
        dispatch(reader, sink);
        return;
    }
    if (line_bytes < 4 || memcmp(line, "data", 4) != 0 || (line_bytes > 4 && line[4] != ':')) {
        return;
    }
    size_t skip = line_bytes > 4 ? 5 : 4;
    skip += skip < line_bytes && line[skip] == ' ';
    take_data(reader, line + skip, line_bytes - skip, stays);
}

/* Bytes before the next line end; byte_count where there is none. */
static size_t line_length(const char *bytes, size_t byte_count)
{
    const char *newline = memchr(bytes, '\n', byte_count);
    size_t length = newline != NULL ? (size_t)(newline - bytes) : byte_count;
    const char *back = memchr(bytes, '\r', length);
    return back != NULL ? (size_t)(back - bytes) : length;
}

static void end_line(struct sse_reader *reader, const char *bytes, size_t length,
                     const struct sink *sink)
{
    if (reader->line.used == 0) {
        take_line(reader, bytes, length, true, sink);
        return;
    }
    buffer_append(&reader->line, bytes, length);
    take_line(reader, reader->line.bytes, reader->line.used, false, sink);
    reader->line.used = 0;
}

bool sse_reader_feed(struct sse_reader *reader, const char *bytes, size_t byte_count,
                     sse_event_fn *on_event, void *context)
{
    struct sink sink = {.on_event = on_event, .context = context};
    size_t at = 0;
    while (at < byte_count && !reader->too_long) {
        if (reader->skip_newline && bytes[at] == '\n') {
            at++;
        }
        reader->skip_newline = false;
        size_t length = line_length(bytes + at, byte_count - at);
        if (at + length == byte_count) {
            buffer_append(&reader->line, bytes + at, length);
            break;
        }
        end_line(reader, bytes + at, length, &sink);
        reader->skip_newline = bytes[at + length] == '\r';
        at += length + 1;
    }
    keep_view(reader);
    reader->too_long = reader->too_long || reader->line.used > BOUND_LINE_BYTES;
    return !reader->too_long && !reader->line.failed && !reader->joined.failed;
}

void sse_reader_reset(struct sse_reader *reader)
{
    buffer_clear(&reader->line);
    buffer_clear(&reader->joined);
    *reader = (struct sse_reader){.line = reader->line, .joined = reader->joined};
}

void sse_reader_release(struct sse_reader *reader)
{
    buffer_release(&reader->line);
    buffer_release(&reader->joined);
}
