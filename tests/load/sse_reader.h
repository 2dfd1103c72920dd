/* sse_reader.h - server-sent events out of bytes that come in any pieces (WHATWG HTML, 9.2).
 *
 * The pieces make no difference: the same bytes give the same events. Data that lies whole inside
 * one piece is handed on where it lies, without a copy.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_SSE_READER_H
#define TESTS_LOAD_SSE_READER_H

#include "tests/load/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* data is valid during the call and not zero-terminated. */
typedef void sse_event_fn(void *context, const char *data, size_t data_bytes);

struct sse_reader {
    struct buffer line;   /* the start of a line whose end has not come */
    struct buffer joined; /* data lines of the event so far, where they had to be copied */
    const char *view;     /* or: its only data line, inside the piece being read */
    size_t view_bytes;
    bool has_data;
    bool skip_newline; /* the last piece ended in CR: a LF that follows belongs to it */
    bool begun;        /* something was read, so a byte order mark is no longer one */
    bool too_long;
};

/* False when a line or an event is longer than the bounds, or memory ran out: the stream is then
 * unusable. */
bool sse_reader_feed(struct sse_reader *reader, const char *bytes, size_t byte_count,
                     sse_event_fn *on_event, void *context);

/* Ready for another stream, with the room it has. */
void sse_reader_reset(struct sse_reader *reader);
void sse_reader_release(struct sse_reader *reader);

#endif
