/* response.h - one HTTP/1.1 response out of bytes that come in any pieces (RFC 9112).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_RESPONSE_H
#define TESTS_LOAD_RESPONSE_H

#include "tests/load/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum response_state {
    RESPONSE_HEAD,       /* status line and headers */
    RESPONSE_BODY,       /* remaining bytes, or until the connection ends */
    RESPONSE_CHUNK_SIZE, /* a line with a hexadecimal number */
    RESPONSE_CHUNK_DATA,
    RESPONSE_CHUNK_END, /* the line end after a chunk */
    RESPONSE_TRAILER,   /* lines until an empty one */
    RESPONSE_DONE,
    RESPONSE_BAD,
};

typedef void response_body_fn(void *context, const char *bytes, size_t byte_count);

struct response {
    enum response_state state;
    struct buffer line; /* head, or the size line, so far */
    size_t head_bytes;  /* all header lines, bounded */
    uint64_t remaining; /* of the body or chunk */
    int status;         /* 0 until the status line was read */
    bool until_close;   /* the body ends with the connection */
    bool close_after;   /* the connection is not to be used again */
    bool has_length;
    bool chunked;
    bool event_stream;
    uint32_t retry_after_s;
};

void response_reset(struct response *response);
void response_release(struct response *response);

/* Takes bytes up to the end of the response and hands the body on. Returns what it took; state
 * says whether it is DONE or BAD. */
size_t response_feed(struct response *response, const char *bytes, size_t byte_count,
                     response_body_fn *on_body, void *context);

/* The peer closed: completes a body that ends so, breaks every other. */
void response_end(struct response *response);

#endif
