/* scheduler_plan.c - picks the spans of one step: deadlines, growth, decodes, prompts, admissions.
 *
 * In that order, so that a request is never preempted after its span was planned: blocks for the
 * tokens that running requests are owed are found first (preempting from the end of the policy's
 * order), and nothing after that preempts. Admission takes blocks for all known tokens at once, so
 * a prompt's chunks never wait for blocks. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/scheduler.h"

#include <assert.h>
#include <stddef.h>

/* What is left of the step that is being planned. */
struct step_plan {
    struct scheduler *scheduler;
    struct batch *batch;
    uint64_t now_us;
    uint32_t tokens_left;
    uint32_t logits_left;
    bool preempted;
};

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void expire(struct scheduler *scheduler, const struct request_queue *queue, uint64_t now_us)
{
    struct request *next;
    for (struct request *r = queue->head; r != NULL; r = next) {
        next = r->next;
        if (r->spec.deadline_us != 0 && now_us >= r->spec.deadline_us) {
            scheduler_cancel(scheduler, r, FINISH_DEADLINE);
            assert(r->state == REQUEST_FINISHED);
        }
    }
}

/* Blocks for every token that a running request knows. Only the last in order can end without: it
 * then sits out this step, which costs less than giving its blocks up. */
static void grow_running(struct step_plan *plan)
{
    struct scheduler *scheduler = plan->scheduler;
    struct request_queue *running = &scheduler->running;
    for (struct request *r = running->head; r != NULL; r = r->next) {
        while (!kv_cache_reserve(scheduler->cache, &r->kv, r->token_count)) {
            struct request *victim = running->tail;
            if (victim == r) {
                assert(r != running->head); /* alone it fits: scheduler_add saw to that */
                return;
            }
            assert(scheduler->options.policy->compare(r, victim) < 0);
            scheduler_preempt(scheduler, victim);
            plan->preempted = true;
        }
    }
}

static void add_span(struct step_plan *plan, struct request *request, uint32_t row_count,
                     uint32_t guess_count, uint32_t logits_count)
{
    struct kv_cache *cache = plan->scheduler->cache;
    assert(row_count <= plan->tokens_left);
    assert(logits_count <= plan->logits_left);
    assert(kv_cache_writable(cache, &request->kv, request->computed_tokens, row_count));
    batch_add(plan->batch, request, row_count, guess_count, logits_count,
              cache->options.block_tokens);
    plan->tokens_left -= row_count;
    plan->logits_left -= logits_count;
}

static bool is_owed_token(const struct scheduler *scheduler, const struct request *request)
{
    return request_caught_up(request) &&
           kv_cache_needed(scheduler->cache, &request->kv, request->token_count) == 0;
}

/* How many guesses all requests together may have in this step. Nobody's owed token is touched,
 * and while a prompt wants rows too, it gets half of what is left. */
static uint32_t guess_room(const struct step_plan *plan)
{
    const struct scheduler *scheduler = plan->scheduler;
    uint32_t owed = 0;
    bool prompts = scheduler->waiting.head != NULL;
    for (const struct request *r = scheduler->running.head; r != NULL; r = r->next) {
        owed += is_owed_token(scheduler, r);
        prompts = prompts || !request_caught_up(r);
    }
    assert(owed <= plan->tokens_left);
    assert(scheduler->running.request_count <= plan->logits_left);
    uint32_t tokens = plan->tokens_left - owed;
    uint32_t logits = plan->logits_left - scheduler->running.request_count;
    return min_u32(prompts ? tokens / 2 : tokens, logits);
}

/* Shrinks a draft to the room in the step and in the free blocks, and reserves those. */
static void fit_guesses(struct scheduler *scheduler, struct request *request, uint32_t room)
{
    struct kv_cache *cache = scheduler->cache;
    uint64_t slots = ((uint64_t)request->kv.table.block_count + cache->pool.free_count) *
                     cache->options.block_tokens;
    assert(slots >= request->token_count);
    uint64_t slots_left = slots - request->token_count;
    uint32_t guess_count = min_u32(request->guess_count, room);
    request->guess_count = guess_count < slots_left ? guess_count : (uint32_t)slots_left;
    bool reserved =
        kv_cache_reserve(cache, &request->kv, request->token_count + request->guess_count);
    assert(reserved);
    (void)reserved;
}

static void plan_decodes(struct step_plan *plan)
{
    struct scheduler *scheduler = plan->scheduler;
    uint32_t room = guess_room(plan);
    for (struct request *r = scheduler->running.head; r != NULL; r = r->next) {
        if (!is_owed_token(scheduler, r)) {
            r->guess_count = 0; /* guesses are for one step only */
            continue;
        }
        fit_guesses(scheduler, r, room);
        assert(r->guess_count <= room);
        room -= r->guess_count;
        add_span(plan, r, 1 + r->guess_count, r->guess_count, 1 + r->guess_count);
    }
}

/* One chunk of a request that is more than one token behind, as large as the limits allow. */
static void plan_chunk(struct step_plan *plan, struct request *request)
{
    uint32_t chunk_max = plan->scheduler->options.chunk_tokens_max;
    uint32_t behind = request->token_count - request->computed_tokens;
    uint32_t row_count = min_u32(behind, plan->tokens_left);
    if (chunk_max != 0) {
        row_count = min_u32(row_count, chunk_max);
    }
    uint32_t silent_rows = behind - 1; /* the leading rows that nobody wants logits of */
    if (request->spec.all_logits && request->scored_tokens < request->spec.prompt_tokens) {
        assert(request->computed_tokens <= request->scored_tokens);
        silent_rows = request->scored_tokens - request->computed_tokens;
    }
    row_count = (uint32_t)(row_count < (uint64_t)silent_rows + plan->logits_left
                               ? row_count
                               : (uint64_t)silent_rows + plan->logits_left);
    if (row_count > 0) {
        assert(request->guess_count == 0);
        add_span(plan, request, row_count, 0,
                 row_count > silent_rows ? row_count - silent_rows : 0);
    }
}

static void plan_running_prompts(struct step_plan *plan)
{
    for (struct request *r = plan->scheduler->running.head; r != NULL; r = r->next) {
        if (!request_caught_up(r)) {
            plan_chunk(plan, r);
        }
    }
    assert(plan->batch->span_count > 0 || plan->scheduler->running.request_count == 0);
}

/* A child is better off once its parent's prompt is there to be shared. */
static bool waits_for_parent(const struct request *request)
{
    const struct request *parent = request->spec.fork_from;
    assert(parent == NULL || parent->state == REQUEST_RUNNING || parent->admit_number == 0);
    return parent != NULL && parent->kv.committed_tokens + 1 < request->token_count;
}

/* How many tokens of the front the prefix cache may give; the rest is computed. */
static uint32_t matchable_tokens(const struct request *request)
{
    if (request->spec.all_logits && request->scored_tokens < request->spec.prompt_tokens) {
        return request->scored_tokens + 1;
    }
    return request->token_count;
}

/* Blocks to be kept free for running requests: one each, if it can still grow. */
static uint32_t growth_blocks(const struct scheduler *scheduler)
{
    uint32_t block_count = 0;
    for (const struct request *r = scheduler->running.head; r != NULL; r = r->next) {
        assert(r->token_count < r->spec.token_count_max);
        block_count += kv_cache_needed(scheduler->cache, &r->kv, r->spec.token_count_max - 1) > 0;
    }
    return block_count;
}

static bool has_blocks_for(const struct scheduler *scheduler, const struct request *request)
{
    const struct kv_cache *cache = scheduler->cache;
    uint32_t demand = kv_cache_blocks(cache, request->token_count);
    if (request->spec.fork_from != NULL) {
        demand -= (request->token_count - 1) / cache->options.block_tokens;
    } else {
        demand = kv_cache_demand(cache, request->spec.salt, request->spec.token_ids,
                                 matchable_tokens(request), request->token_count);
    }
    assert(demand > 0);
    return (uint64_t)demand + growth_blocks(scheduler) <= cache->pool.free_count;
}

/* Gives an admitted request its blocks: from its parent, or from prefix cache and pool. */
static void attach_blocks(struct step_plan *plan, struct request *request)
{
    struct kv_cache *cache = plan->scheduler->cache;
    struct request *parent = request->spec.fork_from;
    if (parent != NULL) {
        struct kv_copy copy;
        bool forked =
            kv_cache_fork(cache, &parent->kv, &request->kv, request->token_count - 1, &copy);
        assert(forked);
        (void)forked;
        if (copy.token_count > 0) {
            assert(plan->batch->copy_count < plan->batch->span_count_max);
            plan->batch->copies[plan->batch->copy_count++] = copy;
        }
        scheduler_detach(plan->scheduler, request);
        plan->scheduler->counters.fork_count++;
    } else {
        kv_cache_match(cache, &request->kv, request->spec.salt, request->spec.token_ids,
                       matchable_tokens(request));
    }
    bool reserved = kv_cache_reserve(cache, &request->kv, request->token_count);
    assert(reserved);
    (void)reserved;
    request->computed_tokens = request->kv.committed_tokens;
}

static void admit(struct step_plan *plan, struct request *request)
{
    struct scheduler *scheduler = plan->scheduler;
    assert(request->computed_tokens == 0);
    scheduler_leave_queue(scheduler, request);
    attach_blocks(plan, request);
    request->state = REQUEST_RUNNING;
    policy_push(scheduler->options.policy, &scheduler->running, request);
    scheduler->counters.admit_count++;
    if (request->admit_number == 0) {
        request->admit_number = scheduler->counters.admit_count;
        request->admitted_us = plan->now_us;
        request->cached_tokens = request->computed_tokens;
    }
    assert(request_output_tokens(request) == 0 || request->preempt_count > 0);
}

/* In strict order, so that a large request is not overtaken for ever by small ones. */
static void plan_admissions(struct step_plan *plan)
{
    struct scheduler *scheduler = plan->scheduler;
    /* Each running request must be able to have one row in every step. */
    uint32_t running_max =
        min_u32(scheduler->options.running_max, scheduler->options.batch_tokens_max);
    struct request *next;
    for (struct request *r = scheduler->waiting.head; r != NULL; r = next) {
        next = r->next;
        if (plan->tokens_left == 0 || plan->logits_left == 0 ||
            scheduler->running.request_count == running_max) {
            return;
        }
        if (waits_for_parent(r)) {
            continue;
        }
        if (!has_blocks_for(scheduler, r)) {
            return;
        }
        admit(plan, r);
        plan_chunk(plan, r);
    }
}

void scheduler_plan(struct scheduler *scheduler, uint64_t now_us, struct batch *batch)
{
    const struct scheduler_options *options = &scheduler->options;
    assert(batch->token_count_max >= options->batch_tokens_max);
    assert(batch->span_count_max >= options->running_max);
    assert(batch->logits_count_max >= options->logits_rows_max);
    struct step_plan plan = {
        .scheduler = scheduler,
        .batch = batch,
        .now_us = now_us,
        .tokens_left = options->batch_tokens_max,
        .logits_left = options->logits_rows_max,
    };
    batch_reset(batch);
    expire(scheduler, &scheduler->waiting, now_us);
    expire(scheduler, &scheduler->running, now_us);
    grow_running(&plan);
    plan_decodes(&plan);
    plan_running_prompts(&plan);
    /* What was just taken from one request must not go to the next in the queue: the blocks are
     * short, and whoever runs will want more. */
    if (!plan.preempted) {
        plan_admissions(&plan);
    }
    assert(batch->span_count > 0 || scheduler_idle(scheduler));
}
