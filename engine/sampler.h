/* sampler.h - logits -> token, a pure function of (logits, the request's own tokens, its params).
 *
 * Order: logit_bias, penalties, ban of end tokens below min_tokens; greedy: argmax (lowest id
 * wins a tie); else temperature, top_k, top_p, min_p, then one draw. The draw is counter-based:
 * a function of (seed, position, kind), so neither batching nor preemption nor drafting moves it
 * (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
 * top_k keeps exactly k (among equals the lower ids); top_p then the smallest set, best first, of
 * at least that share, never less than one; min_p those at least that share of the likeliest.
 * Log-probabilities are of the raw distribution: log-softmax of the logits before any of this.
 * Thread: engine. Scratch is taken at open. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SAMPLER_H
#define ENGINE_SAMPLER_H

#include "configs/error.h"
#include "configs/limits.h"
#include "engine/generate.h"
#include "engine/reply.h"

#include <stdbool.h>
#include <stdint.h>

struct sampler;

enum status sampler_open(struct sampler **out, uint32_t vocab_count, const uint32_t *end_ids,
                         uint32_t end_count, struct error *err);
void sampler_close(struct sampler *sampler);
uint64_t sampler_bytes(uint32_t vocab_count); /* what sampler_open takes, for the plan */

struct sample_args {
    float *logits;             /* [vocab] f32; overwritten */
    const uint32_t *token_ids; /* the request's tokens so far, prompt first */
    uint32_t prompt_tokens;
    uint32_t token_count; /* tokens so far = the position being drawn */
    const struct sampling_params *params;
};

struct sample {
    uint32_t token_id;
    bool end_token; /* ends the request: end of text (unless ignored) or a stop token id */
    bool failed;    /* a logit was NaN or +inf, or none was left: token_id is meaningless */
    float logprob;  /* when params->logprobs, else NaN */
    uint32_t rank;  /* from 1; among equals the lower id is first */
    uint32_t top_count;
    struct reply_logprob top[LIMIT_TOP_LOGPROBS];
};

void sampler_pick(struct sampler *sampler, const struct sample_args *args, struct sample *out);

/* Log-probability of a given token (a prompt's own) with its rank and the best top_count. */
void sampler_score(struct sampler *sampler, const float *logits, uint32_t token_id,
                   uint32_t top_count, struct sample *out);

enum draw_kind {
    DRAW_TOKEN,
    DRAW_ACCEPT, /* acceptance of a guess */
};

/* Uniform in [0, 1): the same for the same three arguments, for ever. Philox 4x32-10 with the seed
 * as key and (position, kind, 0) as counter; the top 53 of its first 64 bits. */
double sampler_draw(uint64_t seed, uint64_t position, enum draw_kind kind);

/* The seed of one choice out of n: the request's own for choice 0, else the first 64 bits of
 * Philox with the seed as key and (choice, 0, 1) as counter. A request sent alone with that seed
 * gives the same tokens. */
uint64_t sampler_choice_seed(uint64_t seed, uint32_t choice);

#endif
