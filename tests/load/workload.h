/* workload.h - what each request says: session by session, turn by turn, from the seed alone, so
 * that two servers are asked exactly the same.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_WORKLOAD_H
#define TESTS_LOAD_WORKLOAD_H

#include "tests/load/buffer.h"
#include "tests/load/settings.h"
#include "tests/load/trace.h"

struct workload;

struct turn {
    uint32_t wanted_tokens; /* output asked for */
    uint32_t cancel_after;  /* chunks after which the client leaves; 0: stays */
};

/* trace: NULL, or the rows that sessions replay; it must outlive the workload. */
enum status workload_open(struct workload **out, const struct settings *settings,
                          const struct trace *trace, const char *model, struct error *err);
void workload_close(struct workload *workload);

/* Turns of session number `session`. */
uint32_t workload_turns(const struct workload *workload, uint32_t session);

/* Adds the turn's user text to the conversation (empty at the first turn) and writes the request's
 * body, which sends all of it. */
void workload_ask(const struct workload *workload, uint32_t session, uint32_t turn,
                  struct buffer *conversation, struct buffer *body, struct turn *out);

/* Adds what the server answered, as it stood between the quotes of its JSON. */
void workload_answered(const struct workload *workload, struct buffer *conversation,
                       const char *escaped, size_t escaped_bytes);

/* Exponential with the configured mean, in nanoseconds; the same for the same session and turn. */
uint64_t workload_think(const struct workload *workload, uint32_t session, uint32_t turn);

#endif
