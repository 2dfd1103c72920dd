/* submission.c - everything of one request in one piece of memory, sized with checked arithmetic.
 *
 * The room for output tokens is not touched here, so that a large max_tokens costs address space
 * and no more until tokens are made. SPDX-License-Identifier: Apache-2.0 */
#include "engine/submission.h"

#include "configs/checked.h"
#include "engine/sampler.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What lies where behind the struct; every piece is aligned by the order of the types. */
struct layout {
    size_t choices;
    size_t biases;
    size_t stop_ids;
    size_t token_ids;
    size_t choice_tokens; /* token ids a choice has room for */
    size_t total_bytes;
};

static bool add_piece(size_t *at, size_t count, size_t element_bytes, size_t *offset)
{
    size_t bytes;
    *offset = *at;
    return checked_mul_size(count, element_bytes, &bytes) && checked_add_size(*at, bytes, at);
}

static bool lay_out(struct layout *layout, const struct generate_params *params)
{
    size_t at = sizeof(struct submission);
    size_t token_count;
    uint64_t choice_tokens =
        (uint64_t)params->prompt_tokens + params->max_tokens + LIMIT_DRAFT_TOKENS;
    layout->choice_tokens = (size_t)choice_tokens;
    if (choice_tokens > UINT32_MAX ||
        !checked_mul_size(params->choice_count, layout->choice_tokens, &token_count) ||
        !add_piece(&at, params->choice_count, sizeof(struct choice), &layout->choices) ||
        !add_piece(&at, params->sampling.logit_bias_count, sizeof(struct logit_bias),
                   &layout->biases) ||
        !add_piece(&at, params->sampling.stop_token_count, sizeof(uint32_t), &layout->stop_ids) ||
        !add_piece(&at, token_count, sizeof(uint32_t), &layout->token_ids)) {
        return false;
    }
    layout->total_bytes = at;
    return true;
}

static void fill_choice(struct submission *submission, uint32_t index, uint32_t *token_ids)
{
    const struct generate_params *params = &submission->params;
    struct choice *choice = &submission->choices[index];
    *choice = (struct choice){
        .submission = submission,
        .index = index,
        .token_ids = token_ids,
        .sampling = params->sampling,
        .finish = {.kind = REPLY_FINISH, .choice = index},
    };
    choice->sampling.seed = sampler_choice_seed(params->sampling.seed, index);
    memcpy(token_ids, params->prompt_ids, params->prompt_tokens * sizeof *token_ids);
}

enum status submission_open(struct submission **out, const struct generate_params *params,
                            struct reply *reply, uint64_t now_us, struct error *err)
{
    struct layout layout;
    char *memory = lay_out(&layout, params) ? malloc(layout.total_bytes) : NULL;
    if (memory == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for %u choices of %u + %u tokens",
                         params->choice_count, params->prompt_tokens, params->max_tokens);
    }
    struct submission *submission = (struct submission *)(void *)memory;
    *submission = (struct submission){
        .reply = reply,
        .params = *params,
        .arrival_us = now_us,
        .open_count = params->choice_count,
        .choices = (struct choice *)(void *)(memory + layout.choices),
    };
    struct sampling_params *sampling = &submission->params.sampling;
    struct logit_bias *biases = (struct logit_bias *)(void *)(memory + layout.biases);
    uint32_t *stop_ids = (uint32_t *)(void *)(memory + layout.stop_ids);
    if (sampling->logit_bias_count > 0) {
        memcpy(biases, sampling->logit_bias, sampling->logit_bias_count * sizeof *biases);
    }
    if (sampling->stop_token_count > 0) {
        memcpy(stop_ids, sampling->stop_token_ids, sampling->stop_token_count * sizeof *stop_ids);
    }
    sampling->logit_bias = biases;
    sampling->stop_token_ids = stop_ids;
    uint32_t *token_ids = (uint32_t *)(void *)(memory + layout.token_ids);
    for (uint32_t i = 0; i < params->choice_count; i++) {
        fill_choice(submission, i, token_ids + i * layout.choice_tokens);
    }
    submission->params.prompt_ids = NULL;
    reply_get(reply);
    *out = submission;
    return OK;
}

void submission_close(struct submission *submission)
{
    if (submission != NULL) {
        reply_put(submission->reply);
        free(submission);
    }
}

struct request_spec submission_spec(const struct submission *submission, struct choice *choice,
                                    uint64_t id)
{
    const struct generate_params *params = &submission->params;
    return (struct request_spec){
        .id = id,
        .token_ids = choice->token_ids,
        .prompt_tokens = params->prompt_tokens,
        .token_count_max = params->prompt_tokens + params->max_tokens,
        .salt = params->salt,
        .priority = params->priority,
        .arrival_us = submission->arrival_us,
        .deadline_us = params->timeout_us == 0 ? 0 : submission->arrival_us + params->timeout_us,
        .all_logits = params->prompt_logprobs && choice->index == 0,
        /* The first choice computes the prompt for all. */
        .fork_from = choice->index > 0 ? submission->choices[0].request : NULL,
        .owner = choice,
    };
}
