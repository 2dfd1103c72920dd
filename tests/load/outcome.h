/* outcome.h - how a request ended. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_OUTCOME_H
#define TESTS_LOAD_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

enum outcome {
    OUTCOME_DONE,
    OUTCOME_CANCELLED, /* our client left, as it was told to */
    OUTCOME_CONNECT,   /* no connection */
    OUTCOME_RESET,     /* the connection ended before an answer */
    OUTCOME_TRUNCATED, /* the stream ended without [DONE] */
    OUTCOME_TIMEOUT,
    OUTCOME_BAD_HTTP,     /* not HTTP, or no event stream where one must be */
    OUTCOME_BAD_JSON,     /* an event that is not a JSON object */
    OUTCOME_STREAM_ERROR, /* an error event inside the stream */
    OUTCOME_HTTP_4XX,
    OUTCOME_HTTP_429,
    OUTCOME_HTTP_503,
    OUTCOME_HTTP_5XX,
    OUTCOME_UNSENT, /* the run ended first */
    OUTCOME_COUNT
};

const char *outcome_name(enum outcome outcome);

static inline bool outcome_is_failure(enum outcome outcome)
{
    return outcome != OUTCOME_DONE && outcome != OUTCOME_CANCELLED;
}

/* What happened to one request; times in ticks. */
struct record {
    uint64_t intended; /* when it should have started */
    uint64_t noticed;  /* when the client got to it */
    uint64_t sent;     /* when its connection was asked for: after `noticed` where requests queue */
    uint64_t first;    /* first chunk with output */
    uint64_t last;     /* last chunk with output */
    uint64_t ended;
    uint64_t gap_most;     /* longest pause between two chunks */
    uint32_t input_tokens; /* by the server's usage */
    uint32_t output_tokens;
    uint32_t cached_tokens;
    uint32_t wanted_tokens;
    uint32_t chunk_count; /* chunks with output */
    uint32_t session;
    uint16_t turn;
    uint8_t outcome;
    bool has_usage;
    float *gaps; /* seconds, chunk_count - 1 of them, where they are kept one by one */
};

#endif
