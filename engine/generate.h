/* generate.h - what one request asks of the engine, already validated.
 *
 * Filled by server/params.c, which is the one validator; read by the engine and the sampler.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_GENERATE_H
#define ENGINE_GENERATE_H

#include <stdbool.h>
#include <stdint.h>

struct logit_bias {
    uint32_t token_id;
    float bias; /* -100..100; -100 and below in effect bans */
};

struct sampling_params {
    float temperature;        /* 0 = greedy; 0..2 on the wire, finite */
    float top_p;              /* (0, 1]; 1 = off */
    float min_p;              /* [0, 1]; 0 = off */
    uint32_t top_k;           /* 0 = off */
    float repetition_penalty; /* > 0; 1 = off; over prompt and output */
    float presence_penalty;   /* -2..2; over the output */
    float frequency_penalty;  /* -2..2; over the output */
    uint64_t seed;            /* always set: drawn at random when the client names none */
    const struct logit_bias *logit_bias; /* [logit_bias_count] */
    uint32_t logit_bias_count;
    const uint32_t *stop_token_ids; /* [stop_token_count] */
    uint32_t stop_token_count;
    uint32_t min_tokens; /* no end or stop token before that many output tokens */
    bool ignore_eos;
    bool logprobs;         /* the chosen token's log-probability is wanted */
    uint32_t top_logprobs; /* 0..LIMIT_TOP_LOGPROBS best alternatives beside it */
};

struct generate_params {
    const uint32_t *prompt_ids; /* [prompt_tokens], each < vocabulary */
    uint32_t prompt_tokens;     /* 1 .. context - 1 */
    uint32_t max_tokens;        /* >= 1; prompt_tokens + max_tokens <= context */
    uint32_t choice_count;      /* n: 1..LIMIT_CHOICES */
    int32_t priority;           /* lower runs first */
    uint64_t timeout_us;        /* from submission; 0 = none */
    uint64_t salt;              /* prefix-cache namespace */
    bool prompt_logprobs;       /* log-probabilities of the prompt's own tokens (echo + logprobs) */
    struct sampling_params sampling;
};

#endif
