/* submission.h - one accepted request with all it needs, and its choices.
 *
 * Made on the submitter's thread in one allocation: the engine only reads it and writes tokens
 * into the room it brings. Holds a reference of its reply.
 * Thread: http until pushed into the mailbox, engine until retired, then whoever frees it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SUBMISSION_H
#define ENGINE_SUBMISSION_H

#include "configs/error.h"
#include "configs/limits.h"
#include "engine/generate.h"
#include "engine/reply.h"
#include "scheduler/request.h"

#include <stdbool.h>
#include <stdint.h>

struct choice {
    struct submission *submission;
    uint32_t index;
    struct request *request; /* NULL before it is queued and after it is finished */
    uint32_t *token_ids;     /* [prompt + max_tokens + LIMIT_DRAFT_TOKENS], the prompt filled in */
    struct sampling_params sampling; /* with this choice's own seed */
    uint64_t last_token_us;          /* 0: none yet */
    uint32_t sampled_id;             /* what the step that runs gave it */
    struct reply_event finish;       /* kept from the end token until its blocks are back */
    struct reply_logprob finish_top[LIMIT_TOP_LOGPROBS];
};

struct submission {
    struct submission *next; /* in the engine's list of live ones, or of retired ones */
    struct submission *prev;
    struct reply *reply;
    struct generate_params params; /* prompt_ids is the caller's: not used after submission_open */
    uint64_t arrival_us;
    uint32_t open_count;    /* choices whose finish is not reported yet */
    struct choice *choices; /* [params.choice_count] */
};

/* Copies all that params points to and takes a reference of reply. */
enum status submission_open(struct submission **out, const struct generate_params *params,
                            struct reply *reply, uint64_t now_us, struct error *err);

/* Drops the reference and frees. */
void submission_close(struct submission *submission);

/* What the scheduler is to know of a choice. */
struct request_spec submission_spec(const struct submission *submission, struct choice *choice,
                                    uint64_t id);

#endif
