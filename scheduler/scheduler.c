/* scheduler.c - the life of requests outside of planning: add, apply, preempt, finish, remove.
 *
 * A request is always on the one queue that its state names. Whoever takes blocks from a running
 * request also cuts its children loose, so that fork_from is either NULL or points to a request
 * that is running or about to. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/scheduler.h"

#include "configs/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static enum status check_options(const struct scheduler_options *options, struct error *err)
{
    if (options->running_max == 0 || options->running_max > LIMIT_SPANS) {
        return error_set(err, ERR_INVALID, "running_max is %u: must be 1 to %u",
                         options->running_max, LIMIT_SPANS);
    }
    if (options->waiting_max == 0 || options->waiting_max > UINT32_MAX / 2) {
        return error_set(err, ERR_INVALID, "waiting_max is %u: must be 1 to %u",
                         options->waiting_max, UINT32_MAX / 2);
    }
    if (options->batch_tokens_max == 0) {
        return error_set(err, ERR_INVALID, "batch_tokens_max is 0: must be at least 1");
    }
    if (options->logits_rows_max < options->running_max) {
        return error_set(err, ERR_INVALID, "logits_rows_max is %u: must be at least running_max %u",
                         options->logits_rows_max, options->running_max);
    }
    return OK;
}

static uint32_t request_store_count(const struct scheduler *scheduler)
{
    return scheduler->options.running_max + scheduler->options.waiting_max;
}

enum status scheduler_init(struct scheduler *scheduler, const struct scheduler_options *options,
                           struct kv_cache *cache, struct error *err)
{
    *scheduler = (struct scheduler){.options = *options, .cache = cache};
    assert(options->policy != NULL);
    assert(cache != NULL);
    enum status status = check_options(options, err);
    if (status != OK) {
        return status;
    }
    uint32_t request_count = request_store_count(scheduler);
    scheduler->requests = calloc(request_count, sizeof *scheduler->requests);
    if (scheduler->requests == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for %u requests", request_count);
    }
    for (uint32_t i = 0; i < request_count && status == OK; i++) {
        status = kv_request_init(&scheduler->requests[i].kv, cache, err);
        request_queue_push(&scheduler->unused, &scheduler->requests[i]);
    }
    if (status != OK) {
        scheduler_release(scheduler);
    }
    return status;
}

void scheduler_release(struct scheduler *scheduler)
{
    if (scheduler->requests != NULL) {
        for (uint32_t i = 0; i < request_store_count(scheduler); i++) {
            kv_request_close(&scheduler->requests[i].kv);
        }
    }
    free(scheduler->requests);
    *scheduler = (struct scheduler){0};
}

bool scheduler_has_room(const struct scheduler *scheduler, uint32_t request_count,
                        uint64_t prompt_tokens)
{
    const struct scheduler_options *options = &scheduler->options;
    assert(scheduler->queued_count <= options->waiting_max);
    assert(scheduler->queued_tokens <= options->waiting_tokens_max ||
           options->waiting_tokens_max == 0);
    return request_count <= options->waiting_max - scheduler->queued_count &&
           request_count <= scheduler->unused.request_count &&
           (options->waiting_tokens_max == 0 ||
            prompt_tokens <= options->waiting_tokens_max - scheduler->queued_tokens);
}

/* Whether the request could run if it were alone. Its last token needs no KV: it is never read. */
static enum status check_spec(const struct scheduler *scheduler, const struct request_spec *spec,
                              struct error *err)
{
    const struct kv_cache_options *kv = &scheduler->cache->options;
    if (spec->prompt_tokens == 0 || spec->token_count_max <= spec->prompt_tokens) {
        return error_set(err, ERR_INVALID,
                         "prompt of %u tokens in a limit of %u: needs 1, and room for 1 more",
                         spec->prompt_tokens, spec->token_count_max);
    }
    if (spec->token_count_max > kv->request_tokens_max) {
        return error_set(err, ERR_INVALID, "request of up to %u tokens: at most %u fit a request",
                         spec->token_count_max, kv->request_tokens_max);
    }
    uint32_t blocks = kv_cache_blocks(scheduler->cache, spec->token_count_max - 1);
    if (blocks > kv->block_count) {
        return error_set(err, ERR_INVALID,
                         "request of up to %u tokens needs %u KV blocks: there are %u",
                         spec->token_count_max, blocks, kv->block_count);
    }
    uint64_t queue_tokens_max = scheduler->options.waiting_tokens_max;
    if (queue_tokens_max != 0 && spec->prompt_tokens > queue_tokens_max) {
        return error_set(err, ERR_INVALID, "prompt of %u tokens: the queue takes at most %llu",
                         spec->prompt_tokens, (unsigned long long)queue_tokens_max);
    }
    return OK;
}

/* The request to fork from, if waiting for it makes sense. */
static struct request *useful_parent(const struct request_spec *spec)
{
    struct request *parent = spec->fork_from;
    if (parent == NULL || spec->all_logits || spec->prompt_tokens == 1) {
        return NULL;
    }
    bool fresh = parent->state == REQUEST_WAITING && parent->admit_number == 0;
    if (!fresh && parent->state != REQUEST_RUNNING) {
        return NULL;
    }
    assert(parent->spec.salt == spec->salt);
    assert(parent->spec.prompt_tokens == spec->prompt_tokens);
    assert(memcmp(parent->spec.token_ids, spec->token_ids,
                  spec->prompt_tokens * sizeof *spec->token_ids) == 0);
    return parent;
}

enum status scheduler_add(struct scheduler *scheduler, const struct request_spec *spec,
                          struct request **out, struct error *err)
{
    assert(spec->token_ids != NULL);
    *out = NULL;
    enum status status = check_spec(scheduler, spec, err);
    if (status != OK) {
        return status;
    }
    if (!scheduler_has_room(scheduler, 1, spec->prompt_tokens)) {
        return error_set(err, ERR_FULL, "the queue is full: %u requests, %llu prompt tokens",
                         scheduler->queued_count, (unsigned long long)scheduler->queued_tokens);
    }
    struct request *request = request_queue_take(&scheduler->unused);
    assert(request->state == REQUEST_UNUSED);
    request_reset(request);
    request->spec = *spec;
    request->spec.fork_from = useful_parent(spec);
    if (request->spec.fork_from != NULL) {
        request->spec.fork_from->child_count++;
    }
    request->state = REQUEST_WAITING;
    request->token_count = spec->prompt_tokens;
    request->arrival_number = ++scheduler->arrival_count;
    scheduler->queued_count++;
    scheduler->queued_tokens += spec->prompt_tokens;
    policy_push(scheduler->options.policy, &scheduler->waiting, request);
    *out = request;
    return OK;
}

void scheduler_detach(struct scheduler *scheduler, struct request *request)
{
    if (request->spec.fork_from != NULL) {
        assert(request->spec.fork_from->child_count > 0);
        request->spec.fork_from->child_count--;
        request->spec.fork_from = NULL;
    }
    for (struct request *r = scheduler->waiting.head; r != NULL && request->child_count > 0;
         r = r->next) {
        if (r->spec.fork_from == request) {
            r->spec.fork_from = NULL;
            request->child_count--;
        }
    }
    assert(request->child_count == 0); /* children only ever wait */
}

void scheduler_leave_queue(struct scheduler *scheduler, struct request *request)
{
    assert(request->state == REQUEST_WAITING);
    request_queue_remove(&scheduler->waiting, request);
    if (request->admit_number == 0) {
        assert(scheduler->queued_count > 0);
        assert(scheduler->queued_tokens >= request->spec.prompt_tokens);
        scheduler->queued_count--;
        scheduler->queued_tokens -= request->spec.prompt_tokens;
    }
}

/* Takes a running request out of the running, with empty hands. */
static void stop_running(struct scheduler *scheduler, struct request *request)
{
    assert(request->state == REQUEST_RUNNING);
    request_queue_remove(&scheduler->running, request);
    kv_cache_release(scheduler->cache, &request->kv);
    request->computed_tokens = 0;
    request->guess_count = 0;
}

void scheduler_cancel(struct scheduler *scheduler, struct request *request,
                      enum finish_reason reason)
{
    assert(reason != FINISH_NONE);
    if (request->state == REQUEST_WAITING) {
        scheduler_leave_queue(scheduler, request);
    } else if (request->state == REQUEST_RUNNING) {
        stop_running(scheduler, request);
    } else {
        return; /* finished before: the first reason stands */
    }
    scheduler_detach(scheduler, request);
    request->state = REQUEST_FINISHED;
    request->finish_reason = reason;
    request_queue_push(&scheduler->finished, request);
    scheduler->counters.finish_count++;
    assert(request->kv.table.block_count == 0);
}

void scheduler_preempt(struct scheduler *scheduler, struct request *request)
{
    assert(request->state == REQUEST_RUNNING);
    uint32_t preempt_max = scheduler->options.preempt_max;
    if (preempt_max != 0 && request->preempt_count == preempt_max) {
        scheduler_cancel(scheduler, request, FINISH_CAPACITY);
        return;
    }
    stop_running(scheduler, request);
    scheduler_detach(scheduler, request);
    request->preempt_count++;
    scheduler->counters.preempt_count++;
    request->state = REQUEST_WAITING;
    policy_push(scheduler->options.policy, &scheduler->waiting, request);
    assert(request->admit_number > 0); /* so that it does not count as queued */
}

void scheduler_propose(struct scheduler *scheduler, struct request *request,
                       const uint32_t *guess_ids, uint32_t guess_count)
{
    (void)scheduler;
    assert(guess_count <= LIMIT_DRAFT_TOKENS);
    if (request->state != REQUEST_RUNNING || !request_caught_up(request)) {
        return;
    }
    /* One token always comes after the accepted guesses: leave it room below the length limit. */
    assert(request->token_count < request->spec.token_count_max);
    uint32_t guess_max = request->spec.token_count_max - request->token_count - 1;
    request->guess_count = guess_count < guess_max ? guess_count : guess_max;
    if (request->guess_count > 0) {
        memcpy(request->spec.token_ids + request->token_count, guess_ids,
               request->guess_count * sizeof *guess_ids);
    }
}

/* Takes in output tokens: guesses that proved right, which stand in their place already and are
 * computed, and behind them one that is not. */
static void take_tokens(struct request *request, const struct span_outcome *outcome)
{
    uint32_t accepted = outcome->token_count - 1;
    uint32_t *end = request->spec.token_ids + request->token_count;
    assert(outcome->token_count <= request->spec.token_count_max - request->token_count);
    assert(memcmp(end, outcome->token_ids, accepted * sizeof *end) == 0);
    end[accepted] = outcome->token_ids[accepted];
    request->token_count += outcome->token_count;
    request->computed_tokens = request->token_count - 1;
}

/* Notes what a span's rows have computed; returns whether the request goes on. */
static bool advance(struct scheduler *scheduler, const struct span *span,
                    const struct span_outcome *outcome)
{
    struct request *request = span->request;
    uint32_t end = span->start + span->row_count;
    bool caught_up = end == request->token_count + span->guess_count;
    assert(request->computed_tokens == span->start);
    assert(request->guess_count == span->guess_count);
    request->guess_count = 0;
    if (outcome->finish_reason == FINISH_ERROR) {
        return false; /* nothing of this step can be trusted, so nothing is committed */
    }
    kv_cache_fill(scheduler->cache, &request->kv, end);
    request->computed_tokens = end - span->guess_count;
    if (request->spec.all_logits && request->computed_tokens > request->scored_tokens) {
        uint32_t prompt_tokens = request->spec.prompt_tokens;
        request->scored_tokens =
            request->computed_tokens < prompt_tokens ? request->computed_tokens : prompt_tokens;
    }
    if (outcome->token_count > 0) {
        assert(caught_up && outcome->token_count <= 1 + span->guess_count);
        take_tokens(request, outcome);
    } else {
        assert(!caught_up || outcome->finish_reason != FINISH_NONE);
    }
    kv_cache_commit(scheduler->cache, &request->kv, request->spec.salt, request->spec.token_ids,
                    request->computed_tokens);
    if (span->guess_count > 0) {
        kv_cache_rollback(scheduler->cache, &request->kv, request->computed_tokens);
    }
    return outcome->finish_reason == FINISH_NONE &&
           request->token_count < request->spec.token_count_max;
}

void scheduler_apply(struct scheduler *scheduler, const struct batch *batch,
                     const struct span_outcome *outcomes)
{
    assert(batch->span_count <= scheduler->options.running_max);
    for (uint32_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        struct request *request = span->request;
        if (request->arrival_number != span->request_number || request->state != REQUEST_RUNNING) {
            continue; /* cancelled meanwhile, its struct perhaps in use for another */
        }
        if (!advance(scheduler, span, &outcomes[i])) {
            enum finish_reason reason = outcomes[i].finish_reason;
            scheduler_cancel(scheduler, request, reason == FINISH_NONE ? FINISH_LENGTH : reason);
        }
        assert(request->state == REQUEST_FINISHED ||
               request->computed_tokens < request->token_count);
    }
}

void scheduler_remove(struct scheduler *scheduler, struct request *request)
{
    assert(request->state == REQUEST_FINISHED);
    assert(request->kv.table.block_count == 0);
    request_queue_remove(&scheduler->finished, request);
    request->state = REQUEST_UNUSED;
    /* At the front: the struct last used is the one most likely still in the processor's cache. */
    request_queue_push_before(&scheduler->unused, scheduler->unused.head, request);
}

struct request *scheduler_first_finished(const struct scheduler *scheduler)
{
    assert(scheduler->finished.head == NULL || scheduler->finished.head->state == REQUEST_FINISHED);
    return scheduler->finished.head;
}

bool scheduler_idle(const struct scheduler *scheduler)
{
    assert(scheduler->requests != NULL);
    return scheduler->waiting.request_count == 0 && scheduler->running.request_count == 0;
}

static void check_order(const struct scheduler *scheduler, const struct request_queue *queue)
{
    for (const struct request *r = queue->head; r != NULL && r->next != NULL; r = r->next) {
        assert(scheduler->options.policy->compare(r, r->next) < 0);
        assert(scheduler->options.policy->compare(r->next, r) > 0);
    }
}

static void check_queued(const struct scheduler *scheduler)
{
    uint32_t queued_count = 0;
    uint64_t queued_tokens = 0;
    for (const struct request *r = scheduler->waiting.head; r != NULL; r = r->next) {
        if (r->admit_number == 0) {
            queued_count++;
            queued_tokens += r->spec.prompt_tokens;
        }
        const struct request *parent = r->spec.fork_from;
        assert(parent == NULL || parent->child_count > 0);
        assert(parent == NULL || parent->state == REQUEST_RUNNING || parent->admit_number == 0);
    }
    assert(queued_count == scheduler->queued_count);
    assert(queued_tokens == scheduler->queued_tokens);
    assert(queued_count <= scheduler->options.waiting_max);
}

/* Every reference that the pool counts is one that a running request holds. */
static void check_blocks(const struct scheduler *scheduler)
{
    const struct kv_cache *cache = scheduler->cache;
    uint64_t held = 0;
    for (const struct request *r = scheduler->running.head; r != NULL; r = r->next) {
        uint32_t block_count = r->kv.table.block_count;
        assert(block_count >= kv_cache_blocks(cache, r->computed_tokens));
        assert(block_count <= kv_cache_blocks(cache, r->token_count + r->guess_count));
        kv_cache_check_request(cache, &r->kv);
        held += block_count;
    }
    uint64_t counted = 0;
    for (uint32_t i = 0; i < cache->options.block_count; i++) {
        counted += block_pool_refcount(&cache->pool, i);
    }
    assert(held == counted);
}

void scheduler_check(const struct scheduler *scheduler)
{
    kv_cache_check(scheduler->cache);
    request_queue_check(&scheduler->unused, REQUEST_UNUSED);
    request_queue_check(&scheduler->waiting, REQUEST_WAITING);
    request_queue_check(&scheduler->running, REQUEST_RUNNING);
    request_queue_check(&scheduler->finished, REQUEST_FINISHED);
    check_order(scheduler, &scheduler->waiting);
    check_order(scheduler, &scheduler->running);
    uint32_t request_count = request_store_count(scheduler);
    assert(scheduler->unused.request_count + scheduler->waiting.request_count +
               scheduler->running.request_count + scheduler->finished.request_count ==
           request_count);
    assert(scheduler->running.request_count <= scheduler->options.running_max);
    uint32_t children = 0;
    for (uint32_t i = 0; i < request_count; i++) {
        request_check(&scheduler->requests[i]);
        children += scheduler->requests[i].child_count;
    }
    for (const struct request *r = scheduler->waiting.head; r != NULL; r = r->next) {
        children -= r->spec.fork_from != NULL;
    }
    assert(children == 0);
    check_queued(scheduler);
    check_blocks(scheduler);
}
