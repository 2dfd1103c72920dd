/* Any bytes as a server's answer to the load generator, in pieces of any size: HTTP, then events,
 * then chunks. What comes out must not depend on the pieces.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/chunk.h"
#include "tests/load/response.h"
#include "tests/load/sse_reader.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count);

struct outcome {
    struct response response;
    struct sse_reader reader;
    struct buffer seen; /* all events, and what was understood of them */
    bool broken;
};

static void take_event(void *context, const char *data, size_t data_bytes)
{
    struct outcome *outcome = context;
    struct chunk chunk;
    bool fine = chunk_parse(&chunk, data, data_bytes);
    buffer_append(&outcome->seen, data, data_bytes);
    buffer_format(&outcome->seen, "|%d%d%d%d%zu;", fine, chunk.has_output, chunk.has_usage,
                  chunk.has_error, chunk.text.byte_count);
    /* Where a text is claimed, it lies inside the data. */
    if (chunk.text.bytes != NULL &&
        (chunk.text.bytes < data || chunk.text.bytes + chunk.text.byte_count > data + data_bytes)) {
        abort();
    }
}

static void take_body(void *context, const char *bytes, size_t byte_count)
{
    struct outcome *outcome = context;
    if (!outcome->broken) {
        outcome->broken =
            !sse_reader_feed(&outcome->reader, bytes, byte_count, take_event, outcome);
    }
}

/* Pieces are copies of their own, so that reading beyond one is seen. */
static void feed(struct outcome *outcome, const uint8_t *bytes, size_t byte_count, size_t piece_max)
{
    *outcome = (struct outcome){0};
    size_t at = 0;
    while (at < byte_count) {
        size_t piece_bytes = byte_count - at < piece_max ? byte_count - at : piece_max;
        char *piece = malloc(piece_bytes);
        if (piece == NULL) {
            break;
        }
        memcpy(piece, bytes + at, piece_bytes);
        size_t taken = response_feed(&outcome->response, piece, piece_bytes, take_body, outcome);
        free(piece);
        at += taken;
        if (taken < piece_bytes) {
            break;
        }
    }
    response_end(&outcome->response);
}

static void release(struct outcome *outcome)
{
    response_release(&outcome->response);
    sse_reader_release(&outcome->reader);
    buffer_release(&outcome->seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count)
{
    if (byte_count < 2) {
        return 0;
    }
    /* Half of the inputs start behind a head that fits, so that events are reached at once. */
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
    bool with_head = (bytes[0] & 1) != 0;
    size_t head_bytes = with_head ? sizeof head - 1 : 0;
    size_t piece_max = 1 + bytes[1] % 32;
    uint8_t *input = malloc(head_bytes + byte_count);
    if (input == NULL) {
        return 0;
    }
    memcpy(input, head, head_bytes);
    memcpy(input + head_bytes, bytes + 2, byte_count - 2);
    struct outcome whole;
    struct outcome pieces;
    feed(&whole, input, head_bytes + byte_count - 2, SIZE_MAX);
    feed(&pieces, input, head_bytes + byte_count - 2, piece_max);
    if (whole.response.state != pieces.response.state || whole.broken != pieces.broken ||
        whole.seen.used != pieces.seen.used ||
        (whole.seen.used > 0 &&
         memcmp(whole.seen.bytes, pieces.seen.bytes, whole.seen.used) != 0)) {
        abort();
    }
    release(&whole);
    release(&pieces);
    free(input);
    return 0;
}
