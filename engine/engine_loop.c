/* engine_loop.c - the loop: take in, plan, run, sample, apply, report.
 *
 * One turn is one step of the model. Whatever ends a choice (a token, its reader, its deadline,
 * the device) passes through the scheduler's list of finished requests, so there is one place
 * that reports and one that forgets; by then its blocks are back in the pool. Submissions are
 * freed by the next submitter, or here when there is nothing else to do.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine_loop.h"

#include "engine/clock.h"
#include "engine/log.h"

#include <assert.h>
#include <math.h>

#define STUCK_WAIT_US 500000u /* requests live, none can run: a time of theirs may pass */

enum {
    FAILED_STEPS_MAX = 3 /* in a row, before the engine no longer counts as healthy */
};

/* ---- reporting ---- */

static enum reply_finish reply_finish_of(enum finish_reason reason)
{
    switch (reason) {
    case FINISH_STOP:
        return REPLY_FINISH_STOP;
    case FINISH_LENGTH:
        return REPLY_FINISH_LENGTH;
    case FINISH_CANCELLED:
        return REPLY_FINISH_CANCELLED;
    case FINISH_DEADLINE:
        return REPLY_FINISH_DEADLINE;
    case FINISH_CAPACITY:
        return REPLY_FINISH_CAPACITY;
    default:
        return REPLY_FINISH_ERROR;
    }
}

static void count_finish(struct stats *stats, enum reply_finish finish)
{
    if (finish == REPLY_FINISH_STOP) {
        stats_add(&stats->success_stop, 1);
    } else if (finish == REPLY_FINISH_LENGTH) {
        stats_add(&stats->success_length, 1);
    } else if (finish == REPLY_FINISH_CANCELLED || finish == REPLY_FINISH_DEADLINE) {
        stats_add(&stats->success_abort, 1);
    } else {
        stats_add(&stats->success_error, 1);
    }
}

static void retire(struct engine *engine, struct submission *submission)
{
    if (submission->prev != NULL) {
        submission->prev->next = submission->next;
    } else {
        engine->live = submission->next;
    }
    if (submission->next != NULL) {
        submission->next->prev = submission->prev;
    }
    submission->next = atomic_load_explicit(&engine->retired, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&engine->retired, &submission->next, submission,
                                                  memory_order_release, memory_order_relaxed)) {
    }
}

void engine_loop_free_retired(struct engine *engine)
{
    if (atomic_load_explicit(&engine->retired, memory_order_relaxed) == NULL) {
        return;
    }
    struct submission *submission =
        atomic_exchange_explicit(&engine->retired, NULL, memory_order_acquire);
    while (submission != NULL) {
        struct submission *next = submission->next;
        submission_close(submission);
        submission = next;
    }
}

/* The last event of a choice. Its submission may be freed by another thread on return. */
static void finish_choice(struct engine *engine, struct choice *choice, enum finish_reason reason,
                          uint32_t output_tokens)
{
    struct submission *submission = choice->submission;
    choice->finish.finish = reply_finish_of(reason);
    if (!choice->finish.end_token) {
        choice->finish.index = output_tokens;
        choice->finish.logprob = NAN;
    }
    choice->request = NULL;
    count_finish(&engine->stats, choice->finish.finish);
    stats_observe_time(&engine->stats.e2e_latency_us, clock_now_us() - submission->arrival_us);
    stats_observe_count(&engine->stats.request_generation_tokens, output_tokens);
    atomic_fetch_add_explicit(&engine->finished_count, 1, memory_order_release);
    reply_push(submission->reply, &choice->finish);
    assert(submission->open_count > 0);
    submission->open_count--;
    if (submission->open_count == 0) {
        retire(engine, submission);
    }
}

/* Reports and forgets every request that has ended. */
static void report_finished(struct engine *engine)
{
    struct request *request;
    if (scheduler_first_finished(&engine->scheduler) != NULL) {
        engine_loop_publish(engine); /* first, so that who hears of the end finds room */
    }
    while ((request = scheduler_first_finished(&engine->scheduler)) != NULL) {
        struct choice *choice = request->spec.owner;
        enum finish_reason reason = request->finish_reason;
        uint32_t output_tokens = request_output_tokens(request);
        scheduler_remove(&engine->scheduler, request);
        finish_choice(engine, choice, reason, output_tokens);
    }
}

/* ---- taking in ---- */

void engine_loop_publish(struct engine *engine)
{
    const struct scheduler *scheduler = &engine->scheduler;
    struct stats *stats = &engine->stats;
    uint32_t running = scheduler->running.request_count;
    uint32_t waiting = scheduler->waiting.request_count;
    uint64_t spare = engine->pool_short ? 0 : engine->place_count - running;
    uint64_t limit = engine->taken_count + engine->config->max_waiting + spare;
    atomic_store_explicit(&engine->accept_limit, limit > waiting ? limit - waiting : 0,
                          memory_order_release);
    uint64_t accepted = atomic_load_explicit(&engine->accepted_count, memory_order_relaxed);
    stats_set(&stats->requests_running, running);
    stats_set(&stats->requests_waiting, waiting + (accepted - engine->taken_count));
    stats_set(&stats->blocks_total, engine->cache.options.block_count);
    stats_set(&stats->blocks_used,
              engine->cache.options.block_count - engine->cache.pool.free_count);
    stats_set(&stats->prefix_cache_queries, engine->cache.query_tokens);
    stats_set(&stats->prefix_cache_hits, engine->cache.hit_tokens);
    stats_set(&stats->preemptions, scheduler->counters.preempt_count);
}

static void add_choice(struct engine *engine, struct choice *choice)
{
    struct error err;
    engine->request_count++;
    struct request_spec spec = submission_spec(choice->submission, choice, engine->request_count);
    enum status status = scheduler_add(&engine->scheduler, &spec, &choice->request, &err);
    if (status != OK) {
        /* engine_submit lets in only what fits, so this is a fault of ours, but not a fatal one. */
        log_event(LOG_ERROR, "request_lost", "%s", err.message);
        finish_choice(engine, choice, FINISH_ERROR, 0);
    }
}

static void take_submissions(struct engine *engine)
{
    struct submission *submission;
    while ((submission = mailbox_take(engine->mailbox)) != NULL) {
        uint32_t choice_count = submission->params.choice_count;
        submission->next = engine->live;
        submission->prev = NULL;
        if (engine->live != NULL) {
            engine->live->prev = submission;
        }
        engine->live = submission;
        engine->taken_count += choice_count;
        stats_add(&engine->stats.prompt_tokens, submission->params.prompt_tokens);
        stats_observe_count(&engine->stats.request_prompt_tokens, submission->params.prompt_tokens);
        for (uint32_t i = 0; i < choice_count; i++) {
            add_choice(engine, &submission->choices[i]);
        }
    }
}

/* Ends what readers have left, or have seen enough of. */
static void drop_unwanted(struct engine *engine)
{
    for (struct submission *s = engine->live; s != NULL; s = s->next) {
        bool abandoned = reply_abandoned(s->reply);
        for (uint32_t i = 0; i < s->params.choice_count; i++) {
            struct request *request = s->choices[i].request;
            if (request != NULL && abandoned) {
                scheduler_cancel(&engine->scheduler, request, FINISH_CANCELLED);
            } else if (request != NULL && reply_choice_stopped(s->reply, i)) {
                scheduler_cancel(&engine->scheduler, request, FINISH_STOP);
            }
        }
    }
}

/* ---- results of a step ---- */

static struct reply_event event_of(enum reply_event_kind kind, uint32_t choice, uint32_t index,
                                   const struct sample *sample)
{
    return (struct reply_event){
        .kind = kind,
        .choice = choice,
        .index = index,
        .token_id = sample->token_id,
        .logprob = sample->logprob,
        .rank = sample->rank,
        .top = sample->top_count > 0 ? sample->top : NULL,
        .top_count = sample->top_count,
    };
}

static void note_first_token(struct engine *engine, struct choice *choice, uint64_t now_us)
{
    const struct request *request = choice->request;
    uint64_t arrival_us = choice->submission->arrival_us;
    stats_observe_time(&engine->stats.time_to_first_token_us, now_us - arrival_us);
    stats_observe_time(&engine->stats.queue_time_us,
                       request->admitted_us > arrival_us ? request->admitted_us - arrival_us : 0);
    if (choice->index == 0) {
        stats_add(&engine->stats.prompt_tokens_cached, request->cached_tokens);
        reply_set_cached_tokens(choice->submission->reply, request->cached_tokens);
    }
}

/* A token goes out at once; one that ends the choice waits for the finish event. */
static void give_token(struct engine *engine, struct choice *choice, const struct sample *sample,
                       uint64_t now_us)
{
    uint32_t index = request_output_tokens(choice->request);
    if (choice->last_token_us == 0) {
        note_first_token(engine, choice, now_us);
    } else {
        stats_observe_time(&engine->stats.inter_token_latency_us, now_us - choice->last_token_us);
    }
    choice->last_token_us = now_us;
    stats_add(&engine->stats.generation_tokens, 1);
    if (!sample->end_token) {
        struct reply_event event = event_of(REPLY_TOKEN, choice->index, index, sample);
        reply_push(choice->submission->reply, &event);
        return;
    }
    choice->finish = event_of(REPLY_FINISH, choice->index, index, sample);
    choice->finish.end_token = true;
    for (uint32_t i = 0; i < sample->top_count; i++) {
        choice->finish_top[i] = sample->top[i];
    }
    choice->finish.top = sample->top_count > 0 ? choice->finish_top : NULL;
}

/* Log-probabilities of the prompt's own tokens: the row at position p predicts token p + 1. */
static bool score_prompt(struct engine *engine, struct choice *choice, const struct span *span,
                         const float *logits, uint32_t vocab_stride)
{
    const struct generate_params *params = &choice->submission->params;
    uint32_t position = span->start + span->row_count - span->logits_count;
    for (uint32_t i = 0; i < span->logits_count; i++, position++) {
        if (position + 1 >= params->prompt_tokens) {
            break;
        }
        struct sample sample;
        sampler_score(engine->sampler, logits + (size_t)i * vocab_stride,
                      choice->token_ids[position + 1], params->sampling.top_logprobs, &sample);
        if (sample.failed) {
            return false;
        }
        struct reply_event event =
            event_of(REPLY_PROMPT_TOKEN, choice->index, position + 1, &sample);
        reply_push(choice->submission->reply, &event);
    }
    return true;
}

/* Turns a span's logits into its outcome. A row that is not numbers ends its own request only. */
static void sample_span(struct engine *engine, const struct span *span, float *logits,
                        struct span_outcome *outcome)
{
    struct request *request = span->request;
    struct choice *choice = request->spec.owner;
    uint32_t vocab_stride = engine->model.params.vocab_count;
    struct sample sample;
    *outcome = (struct span_outcome){.finish_reason = FINISH_NONE};
    if (span->logits_count == 0) {
        return;
    }
    assert(span->guess_count == 0);
    bool usable = true;
    if (request->spec.all_logits) {
        usable = score_prompt(engine, choice, span, logits, vocab_stride);
    }
    bool reaches_end = span->start + span->row_count == request->token_count;
    if (usable && reaches_end) {
        sampler_pick(engine->sampler,
                     &(struct sample_args){
                         .logits = logits + (size_t)(span->logits_count - 1) * vocab_stride,
                         .token_ids = choice->token_ids,
                         .prompt_tokens = request->spec.prompt_tokens,
                         .token_count = request->token_count,
                         .params = &choice->sampling,
                     },
                     &sample);
        usable = !sample.failed;
    }
    if (!usable) {
        stats_add(&engine->stats.corrupted_requests, 1);
        outcome->finish_reason = FINISH_ERROR;
    } else if (reaches_end) {
        choice->sampled_id = sample.token_id;
        outcome->token_ids = &choice->sampled_id;
        outcome->token_count = 1;
        outcome->finish_reason = sample.end_token ? FINISH_STOP : FINISH_NONE;
        give_token(engine, choice, &sample, clock_now_us());
    }
}

/* The device failed: nothing of this step can be trusted, nor what else it may have touched. */
static void fail_batch(struct engine *engine, const struct error *err)
{
    log_event(LOG_ERROR, "step_failed", "%u requests end: %s", engine->batch.span_count,
              err->message);
    for (uint32_t i = 0; i < engine->batch.span_count; i++) {
        engine->outcomes[i] = (struct span_outcome){.finish_reason = FINISH_ERROR};
    }
    engine->failed_steps++;
    if (engine->failed_steps >= FAILED_STEPS_MAX) {
        atomic_store_explicit(&engine->failing, true, memory_order_relaxed);
    }
}

static void run_batch(struct engine *engine)
{
    struct error err;
    float *logits = NULL;
    const struct batch *batch = &engine->batch;
    bool ran = forward_run(engine->forward, batch, &logits, &err) == OK;
    if (!ran) {
        fail_batch(engine, &err);
    } else {
        size_t vocab_stride = engine->model.params.vocab_count;
        engine->failed_steps = 0;
        atomic_store_explicit(&engine->failing, false, memory_order_relaxed);
        for (uint32_t i = 0; i < batch->span_count; i++) {
            const struct span *span = &batch->spans[i];
            sample_span(engine, span, logits + span->first_logits * vocab_stride,
                        &engine->outcomes[i]);
        }
    }
    scheduler_apply(&engine->scheduler, batch, engine->outcomes);
    if (!ran) {
        kv_cache_flush(&engine->cache);
    }
}

/* ---- the loop ---- */

/* One turn. False when there was nothing to run. */
static bool step(struct engine *engine)
{
    uint64_t begun_us = clock_now_us();
    const struct scheduler *scheduler = &engine->scheduler;
    atomic_store_explicit(&engine->step_begun_us, begun_us, memory_order_relaxed);
    take_submissions(engine);
    drop_unwanted(engine);
    scheduler_plan(&engine->scheduler, begun_us, &engine->batch);
    engine->pool_short = scheduler->waiting.request_count > 0 &&
                         scheduler->running.request_count < engine->place_count;
    engine_loop_publish(engine);
    report_finished(engine);
    if (engine->batch.span_count == 0) {
        return false;
    }
    run_batch(engine);
    stats_add(&engine->stats.steps, 1);
    stats_observe_count(&engine->stats.step_tokens, engine->batch.token_count);
    stats_observe_time(&engine->stats.step_time_us, clock_now_us() - begun_us);
    report_finished(engine);
    return true;
}

static void cancel_everything(struct engine *engine)
{
    take_submissions(engine);
    for (struct submission *s = engine->live; s != NULL; s = s->next) {
        for (uint32_t i = 0; i < s->params.choice_count; i++) {
            if (s->choices[i].request != NULL) {
                scheduler_cancel(&engine->scheduler, s->choices[i].request, FINISH_CANCELLED);
            }
        }
    }
    report_finished(engine);
    assert(engine->live == NULL);
}

void *engine_loop_run(void *context)
{
    struct engine *engine = context;
    pthread_setname_np(pthread_self(), "engine");
    while (!atomic_load_explicit(&engine->stopping, memory_order_acquire)) {
        if (!step(engine)) {
            engine_loop_free_retired(engine);
            atomic_store_explicit(&engine->step_begun_us, 0, memory_order_relaxed);
            /* Without requests nothing can come but a message: an idle engine wakes for nothing. */
            mailbox_wait(engine->mailbox,
                         engine->live == NULL ? MAILBOX_NO_TIMEOUT : STUCK_WAIT_US);
        }
    }
    cancel_everything(engine);
    return NULL;
}
