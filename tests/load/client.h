/* client.h - many HTTP requests under way at once, in one thread: one epoll set, non-blocking
 * sockets, connections kept alive and used again.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_CLIENT_H
#define TESTS_LOAD_CLIENT_H

#include "tests/load/buffer.h"
#include "tests/load/outcome.h"
#include "tests/load/target.h"

struct client;

enum {
    CLIENT_WHY_BYTES = 200
};

/* One finished request. record's sent, first, last, ended, tokens, chunk_count and outcome are
 * filled. text: the answer as it stood in the JSON, where it was to be kept. */
struct client_answer {
    uint32_t tag;
    struct record *record;
    const char *text;
    size_t text_bytes;
    const char *why; /* of a failure: a line for people */
};

struct client_events {
    void (*on_answer)(void *context, const struct client_answer *answer);
    /* A chunk with output came (record->last says when), `gap` ticks after the one before it. */
    void (*on_chunk)(void *context, struct record *record, uint64_t gap);
    void *context;
};

struct client_options {
    uint32_t open_max; /* requests under way */
    uint64_t timeout;  /* of each, in ticks */
    const char *path;  /* "/v1/completions" */
};

enum status client_open(struct client **out, const struct target *target,
                        const struct client_options *options, const struct client_events *events,
                        struct error *err);
void client_close(struct client *client);

uint32_t client_under_way(const struct client *client);

/* Starts a request; fewer than open_max must be under way. record belongs to the caller and must
 * stay where it is until the answer. A request that cannot even start is answered by the next
 * client_wait. */
void client_send(struct client *client, uint32_t tag, struct record *record,
                 const struct buffer *body, uint32_t cancel_after, bool keep_text);

/* Handles what comes until `until`, at most one round of events; returns early when something
 * came. */
void client_wait(struct client *client, uint64_t until);

#endif
