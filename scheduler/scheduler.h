/* scheduler.h - decides who runs next. plan: pick the step's spans; apply: take in its results.
 *
 * A pure step function over (state, events, time): no I/O, no clock, no device, no thread.
 * Within the token budget, running requests go first with the token each is owed (and guesses if
 * there is room), then prompts in policy order, cut into chunks (Dynamic SplitFuse). A prompt is
 * admitted only if blocks for all its known tokens are free, and one more for each running request
 * that still grows. When blocks run out all the same, the running request that is last in policy
 * order is preempted: its blocks go back, it waits in its old place and is recomputed later. So
 * the first in order always gets on, and no two requests can take turns in undoing each other.
 * Thread: engine. Nothing allocates after init. SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_SCHEDULER_H
#define SCHEDULER_SCHEDULER_H

#include "scheduler/batch.h"
#include "scheduler/policy.h"
#include "scheduler/request_queue.h"

struct scheduler_options {
    uint32_t running_max;        /* --max-num-seqs; at most batch_tokens_max of them are used */
    uint32_t waiting_max;        /* requests queued and never run yet; more are refused */
    uint64_t waiting_tokens_max; /* their prompt tokens; 0 = no limit */
    uint32_t batch_tokens_max;   /* --max-num-batched-tokens: the budget of one step */
    uint32_t chunk_tokens_max;   /* most of one prompt in one step; 0 = the whole budget */
    uint32_t logits_rows_max;    /* rows of logits one step may produce; >= running_max */
    uint32_t preempt_max;        /* preemptions of one request before it fails; 0 = no limit */
    const struct policy *policy;
};

struct scheduler_counters {
    uint64_t preempt_count;
    uint64_t admit_count;
    uint64_t fork_count; /* admissions that shared a running request's prompt */
    uint64_t finish_count;
};

struct scheduler {
    struct scheduler_options options;
    struct kv_cache *cache;   /* borrowed */
    struct request *requests; /* [running_max + waiting_max]: all there will ever be */
    struct request_queue unused;
    struct request_queue waiting;  /* in policy order; preempted ones keep their place */
    struct request_queue running;  /* in policy order: the last is the first to be preempted */
    struct request_queue finished; /* until scheduler_remove, in order of finishing */
    uint32_t queued_count;         /* waiting, and never admitted yet: what waiting_max bounds */
    uint64_t queued_tokens;        /* their prompt tokens */
    uint64_t arrival_count;
    struct scheduler_counters counters;
};

enum status scheduler_init(struct scheduler *scheduler, const struct scheduler_options *options,
                           struct kv_cache *cache, struct error *err);
void scheduler_release(struct scheduler *scheduler);

/* Whether that many more requests with that many prompt tokens in all would be queued now. */
bool scheduler_has_room(const struct scheduler *scheduler, uint32_t request_count,
                        uint64_t prompt_tokens);

/* Queues a request. ERR_FULL when the queue is; ERR_INVALID when it could never fit the cache. */
enum status scheduler_add(struct scheduler *scheduler, const struct request_spec *spec,
                          struct request **out, struct error *err);

/* Ends a request in any state: its blocks are back in the pool on return. Idempotent. */
void scheduler_cancel(struct scheduler *scheduler, struct request *request,
                      enum finish_reason reason);

/* Takes a running request's blocks back: it waits in its place in the queue, keeps its output, and
 * is recomputed later. Finishes with FINISH_CAPACITY instead once preempt_max is reached. */
void scheduler_preempt(struct scheduler *scheduler, struct request *request);

/* Puts guesses behind a running request's tokens, to be verified by the next step as far as budget
 * and blocks allow; guesses never preempt anyone. They are written behind the request's tokens in
 * spec.token_ids. Ignored unless the request is caught up. */
void scheduler_propose(struct scheduler *scheduler, struct request *request,
                       const uint32_t *guess_ids, uint32_t guess_count);

/* Fills batch with the next step; it is empty only when the scheduler is idle. Requests past their
 * deadline finish here. Every plan is followed by its apply before the next. */
void scheduler_plan(struct scheduler *scheduler, uint64_t now_us, struct batch *batch);

/* What a step produced for one span. */
struct span_outcome {
    const uint32_t *token_ids; /* accepted guesses, then one new token; borrowed */
    uint32_t token_count;      /* 0 while a prompt is being read; else 1 .. 1 + guess_count, or 0
                                  together with a finish reason */
    enum finish_reason finish_reason; /* FINISH_NONE: goes on, unless its length limit is reached */
};

/* Takes in a step's results, outcomes[i] for batch->spans[i]: advances, commits, rolls rejected
 * guesses back, finishes. Spans of requests cancelled (or removed) meanwhile are ignored. After
 * FINISH_ERROR nothing of the step is published. */
void scheduler_apply(struct scheduler *scheduler, const struct batch *batch,
                     const struct span_outcome *outcomes);

/* Forgets a finished request, whose struct may be reused at once. */
void scheduler_remove(struct scheduler *scheduler, struct request *request);

/* Requests that finished in whatever way, to be reported and removed: the first to finish, or
 * NULL. */
struct request *scheduler_first_finished(const struct scheduler *scheduler);

/* For scheduler_plan.c. Cuts the ties between a request and those that would fork from it, or that
 * it would fork from; takes a request off the waiting queue. */
void scheduler_detach(struct scheduler *scheduler, struct request *request);
void scheduler_leave_queue(struct scheduler *scheduler, struct request *request);

/* True when nothing waits or runs; finished requests may still be there to be removed. */
bool scheduler_idle(const struct scheduler *scheduler);

/* Asserts every invariant, block accounting included. Linear in everything: tests and idle time. */
void scheduler_check(const struct scheduler *scheduler);

#endif
