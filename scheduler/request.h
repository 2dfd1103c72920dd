/* request.h - one generation the engine works on: its tokens, how far they are computed, its state.
 *
 * tokens: [0, prompt_tokens) prompt | [prompt_tokens, token_count) output | guesses
 *         [0, computed_tokens) have KV. A step computes some of the difference.
 * There is no prefill and no decode phase: only computed_tokens catching up with token_count.
 * Ownership: token_ids is borrowed from the submitter until the request is removed.
 * Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_REQUEST_H
#define SCHEDULER_REQUEST_H

#include "kvcache/kv_cache.h"

#include <stdbool.h>
#include <stdint.h>

enum request_state {
    REQUEST_UNUSED,   /* in the scheduler's store of request structs */
    REQUEST_WAITING,  /* queued: new, or preempted and to be recomputed */
    REQUEST_RUNNING,  /* holds blocks; takes part in steps */
    REQUEST_FINISHED, /* holds nothing; its owner has yet to call scheduler_remove */
};

enum finish_reason {
    FINISH_NONE,
    FINISH_STOP,   /* an end token or a stop token id */
    FINISH_LENGTH, /* max_tokens or the context's end */
    FINISH_CANCELLED,
    FINISH_DEADLINE, /* its time ran out */
    FINISH_CAPACITY, /* preempted more often than allowed */
    FINISH_ERROR,    /* the model produced NaN, or the device failed */
};

/* What the owner asks for. */
struct request_spec {
    uint64_t id;              /* unique; ties in policies break by arrival, then id */
    uint32_t *token_ids;      /* [token_count_max + guesses], prompt filled in; borrowed */
    uint32_t prompt_tokens;   /* >= 1 */
    uint32_t token_count_max; /* prompt and output together */
    uint64_t salt;            /* prefix-cache namespace; equal salts may share KV */
    int32_t priority;         /* lower runs first (policy "priority") */
    uint64_t arrival_us;
    uint64_t deadline_us;      /* 0 = none */
    bool all_logits;           /* logits of every prompt row are wanted: no cached prefix is used */
    struct request *fork_from; /* a request with the same prompt and salt, whose prompt KV is shared
                                  once computed; NULL once it is gone or cannot be waited for */
    void *owner;               /* the engine's side of it; not touched here */
};

struct request {
    struct request_spec spec;
    enum request_state state;
    enum finish_reason finish_reason;
    uint32_t token_count;     /* prompt + output so far */
    uint32_t computed_tokens; /* tokens whose KV is in the cache, <= token_count */
    uint32_t guess_count;     /* draft tokens behind token_count, for the next step only */
    uint32_t cached_tokens;   /* found in the prefix cache at first admission: for `usage` */
    uint32_t scored_tokens;   /* all_logits: prompt rows whose logits were given already */
    uint32_t child_count;     /* waiting requests whose fork_from this is */
    uint32_t preempt_count;
    uint64_t arrival_number; /* order of scheduler_add, from 1; never reused */
    uint64_t admit_number;   /* order of first admission, from 1; 0 = never yet */
    uint64_t admitted_us;    /* time of first admission */
    struct kv_request kv;
    struct request *next; /* request_queue links */
    struct request *prev;
};

/* Output tokens so far. */
static inline uint32_t request_output_tokens(const struct request *request)
{
    return request->token_count - request->spec.prompt_tokens;
}

/* Whether all but the newest token is computed: the next step gives a token (a decode). */
static inline bool request_caught_up(const struct request *request)
{
    return request->computed_tokens + 1 == request->token_count;
}

/* Cleared but for its memory, for the next use of the struct. Holds nothing at this point. */
void request_reset(struct request *request);

/* Asserts the relations between the counters. */
void request_check(const struct request *request);

const char *request_finish_reason_name(enum finish_reason reason);

#endif
