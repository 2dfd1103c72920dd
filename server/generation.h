/* generation.h - one generating HTTP request: prompts in, events out, bytes for the client.
 *
 * Holds one reply per prompt and one text stream per choice. The HTTP side asks for bytes with
 * generation_advance and sleeps when it says so; `wake` then tells it that asking again pays.
 * Thread: http, one at a time; generation_abandon from any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_GENERATION_H
#define SERVER_GENERATION_H

#include "engine/engine.h"
#include "server/answer.h"
#include "server/params.h"
#include "server/refusal.h"
#include "server/text_buffer.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct generation;

struct generation_setup {
    struct engine *engine;  /* borrowed */
    struct params *params;  /* taken on success: left empty */
    const char *id;         /* "chatcmpl-...", copied */
    const char *model_name; /* borrowed for good */
    int64_t created;        /* seconds since 1970 */
    uint32_t prompt_count;
    reply_wake_fn wake; /* called from the engine's thread */
    void *wake_context;
};

enum status generation_open(struct generation **out, const struct generation_setup *setup,
                            struct refusal *refusal);

/* How answers are taken apart. family NULL: they are not. */
struct generation_output {
    const struct output_family *family; /* borrowed for good */
    json_t *tools;                      /* owned; NULL: calls are text */
    bool reasoning_open;                /* the prompt has opened the reasoning */
    bool one_call;
    char *forced; /* [forced_bytes] owned: the beginning of a call, which ends the prompt, as the
                     parser sees it */
    size_t forced_bytes;
};

/* Before the first prompt is added. Takes what output owns. */
void generation_set_output(struct generation *generation, struct generation_output *output);

/* Adds the next prompt: checks its length. ids are taken (freed with the generation), also on
 * failure. echo_text: what echo repeats, copied; NULL: what the ids say. */
enum status generation_add_prompt(struct generation *generation, uint32_t *ids, size_t id_count,
                                  const char *echo_text, size_t echo_bytes,
                                  const struct params_limits *limits, struct refusal *refusal);

/* Hands all prompts to the engine: all of them, or none. */
enum status generation_submit(struct generation *generation, struct refusal *refusal);

bool generation_streams(const struct generation *generation);

enum generation_state {
    GENERATION_WAITS, /* nothing now; `wake` will be called */
    GENERATION_MORE,  /* bytes were appended, ask again */
    GENERATION_ENDED, /* the last bytes were appended */
};

/* Appends what can be said to out: events of a stream, or the whole answer at the end. */
enum generation_state generation_advance(struct generation *generation, struct text_buffer *out);

/* Why it failed, or NULL. Once ended. A stream has already told its client. */
const struct refusal *generation_failure(const struct generation *generation);

/* Makes the next generation_advance end with this failure (the daemon stops). */
void generation_fail(struct generation *generation, const struct refusal *failure);

/* The client has left: the engine drops the work at its next step. Any thread. */
void generation_abandon(struct generation *generation);

/* Abandons what is unfinished; afterwards `wake` is not called any more. Accepts NULL. */
void generation_close(struct generation *generation);

/* For the log. */
struct generation_summary {
    uint64_t prompt_tokens;
    uint64_t completion_tokens;
    uint64_t cached_tokens;
    uint64_t first_token_us; /* when it was taken; 0: never */
    const char *finish_reason;
};
void generation_summarise(const struct generation *generation, struct generation_summary *out);

#endif
