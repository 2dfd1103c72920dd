/* generation_state.h - what generation.c and its two helpers share: prompts, choices, counters.
 *
 * Thread: http, that of the request. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_GENERATION_STATE_H
#define SERVER_GENERATION_STATE_H

#include "server/answer.h"
#include "server/generation.h"
#include "server/text_stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct generation_choice {
    struct text_stream stream;
    struct text_buffer text;      /* whole answer: all of it; stream: one chunk's */
    struct output_parser *parser; /* NULL: the text is content as it is */
    struct text_buffer raw;       /* not parsed yet */
    struct answer_run *runs;      /* of text, when it is parsed */
    size_t run_capacity;
    size_t run_count;
    uint32_t call_count;
    struct answer_token *tokens; /* whole answer with logprobs or ids: all of them */
    size_t token_capacity;
    size_t token_count;
    uint64_t output_count;     /* output tokens so far, the end token included */
    bool begun;                /* stream: role and echo are out */
    const char *finish_reason; /* NULL: goes on */
};

struct generation_prompt {
    struct generate_params generate;
    struct reply *reply;
    uint32_t *ids; /* owned */
    uint32_t id_count;
    struct text_buffer echo;     /* filled when echo is wanted */
    struct answer_token *tokens; /* [id_count] echo with log-probabilities, else NULL */
    uint32_t open_choices;
    struct generation_choice *choices; /* [choice_count] */
};

struct generation {
    struct engine *engine;
    struct params params;
    struct answer_head head;
    struct generation_output output;
    reply_wake_fn wake;
    void *wake_context;
    struct generation_prompt *prompts; /* [prompt_count] */
    uint32_t prompt_capacity;
    uint32_t prompt_count;
    uint32_t open_prompts;
    uint32_t next_prompt; /* whose reply is asked first: no prompt starves another */
    bool ended;
    bool failed;
    struct refusal failure;
    struct answer_usage usage;
    uint64_t first_token_us;
    const char *finish_reason; /* of the choice that finished last */
};

/* Whether tokens are kept and shown one by one. */
static inline bool generation_state_wants_tokens(const struct generation *generation)
{
    return generation->head.logprobs || generation->head.token_ids;
}

#endif
