/* reply.h - the way back: engine thread -> one HTTP request.
 *
 * A reply has room for every event its request can produce, taken by reply_open, so a push never
 * fails, waits or allocates. It has two references, the engine's and the reader's; the last
 * reply_put frees it. The lock inside is a leaf: nothing is called with it held but the waker.
 * The waker runs on the engine's thread, at most once per reply_take that found nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REPLY_H
#define ENGINE_REPLY_H

#include "configs/error.h"
#include "engine/generate.h"

#include <stdbool.h>
#include <stdint.h>

struct reply;

enum reply_event_kind {
    REPLY_PROMPT_TOKEN, /* log-probability of prompt token `index` (prompt_logprobs): choice 0, index
                           1, 2, ... in order; the first token has none */
    REPLY_TOKEN,        /* the next output token of a choice, but for one that ends it */
    REPLY_FINISH,       /* a choice is done; the last event of that choice */
};

enum reply_finish {
    REPLY_FINISH_STOP,
    REPLY_FINISH_LENGTH,
    REPLY_FINISH_CANCELLED,
    REPLY_FINISH_DEADLINE,
    REPLY_FINISH_CAPACITY,
    REPLY_FINISH_ERROR,
};

struct reply_logprob {
    uint32_t token_id;
    float logprob; /* natural logarithm, floored at -9999 */
};

struct reply_event {
    enum reply_event_kind kind;
    uint32_t choice;
    uint32_t index; /* prompt position, or output token number from 0 */
    uint32_t token_id;
    float logprob;                   /* of token_id; NaN when not asked for */
    uint32_t rank;                   /* of token_id among all, from 1; 0 when not asked for */
    const struct reply_logprob *top; /* [top_count] best first; valid as long as the reply */
    uint32_t top_count;
    enum reply_finish finish; /* REPLY_FINISH */
    bool end_token; /* REPLY_FINISH_STOP by a token (its id in token_id), not shown as text. It had
                       no REPLY_TOKEN; its log-probability stands here */
};

typedef void (*reply_wake_fn)(void *context);

/* Room for params' choices, tokens and log-probabilities. Thread: http. */
enum status reply_open(struct reply **out, const struct generate_params *params, struct error *err);

/* Who is told when events arrive after a reply_take that found none; both NULL for reply_wait
 * users. Set before submitting. */
void reply_set_waker(struct reply *reply, reply_wake_fn wake, void *context);

void reply_get(struct reply *reply);
void reply_put(struct reply *reply);

/* Reader's side. Takes the next event: true; or notes that the reader waits, and false. Thread: http. */
bool reply_take(struct reply *reply, struct reply_event *event);

/* As reply_take, but sleeps up to timeout_us for an event. For readers without a waker. */
bool reply_wait(struct reply *reply, struct reply_event *event, uint64_t timeout_us);

/* The reader has left: the engine drops the whole request at its next step. Any thread. */
void reply_abandon(struct reply *reply);

/* The reader has seen enough of one choice (a stop string). Any thread. */
void reply_stop_choice(struct reply *reply, uint32_t choice);

/* Prompt tokens that were found in the prefix cache (choice 0); final once a token has come. */
uint32_t reply_cached_tokens(const struct reply *reply);

/* Engine's side. Thread: engine. Never blocks or allocates. */
void reply_push(struct reply *reply, const struct reply_event *event);
void reply_set_cached_tokens(struct reply *reply, uint32_t token_count);
bool reply_abandoned(const struct reply *reply);
bool reply_choice_stopped(const struct reply *reply, uint32_t choice);

#endif
