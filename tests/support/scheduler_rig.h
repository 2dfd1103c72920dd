/* scheduler_rig.h - a scheduler with cache and batch, and a model that is easy to write down.
 *
 * The model answers with the number of the output token: 1, 2, 3, ... Each test program has its own
 * rig, hence all static. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SCHEDULER_RIG_H
#define TESTS_SUPPORT_SCHEDULER_RIG_H

#include "tests/test.h"

#include "scheduler/scheduler.h"

enum {
    TOKENS = 4, /* of a block */
    REQUESTS_MAX = 16,
    LENGTH = 128
};

static struct kv_cache cache;
static struct scheduler scheduler;
static struct batch batch;
static uint32_t buffers[REQUESTS_MAX][LENGTH];
static uint32_t buffer_count;
static struct span_outcome outcomes[REQUESTS_MAX];
static uint32_t answers[REQUESTS_MAX][LENGTH];
static struct scheduler_options options;
static struct kv_cache_options kv_options;

/* Roomy in every respect; a test narrows what it is about before it calls open_all. */
static inline int set_defaults(void **state)
{
    (void)state;
    options = (struct scheduler_options){
        .running_max = 4,
        .waiting_max = 8,
        .batch_tokens_max = 64,
        .logits_rows_max = 16,
        .policy = policy_find("fcfs"),
    };
    kv_options = (struct kv_cache_options){
        .block_count = 64,
        .block_tokens = TOKENS,
        .layer_group_count = 1,
        .request_tokens_max = LENGTH,
        .prefix_caching = true,
        .hash_key = {1, 2},
    };
    buffer_count = 0;
    return 0;
}

static inline void open_all(void)
{
    assert_int_equal(kv_cache_init(&cache, &kv_options, NULL), OK);
    assert_int_equal(scheduler_init(&scheduler, &options, &cache, NULL), OK);
    assert_int_equal(batch_init(&batch, options.batch_tokens_max, options.running_max,
                                options.logits_rows_max, NULL),
                     OK);
}

static inline int close_all(void **state)
{
    (void)state;
    scheduler_check(&scheduler);
    while (!scheduler_idle(&scheduler)) {
        struct request *waiting = scheduler.waiting.head;
        scheduler_cancel(&scheduler, waiting != NULL ? waiting : scheduler.running.head,
                         FINISH_CANCELLED);
    }
    while (scheduler_first_finished(&scheduler) != NULL) {
        scheduler_remove(&scheduler, scheduler_first_finished(&scheduler));
    }
    scheduler_check(&scheduler);
    assert_int_equal(cache.pool.free_count, kv_options.block_count);
    batch_release(&batch);
    scheduler_release(&scheduler);
    kv_cache_close(&cache);
    return 0;
}

/* A request with a prompt of its own kind; `kind` also decides what it shares with others. */
static inline struct request_spec spec_of(uint32_t kind, uint32_t prompt_tokens,
                                          uint32_t output_tokens)
{
    assert_true(buffer_count < REQUESTS_MAX);
    uint32_t *token_ids = buffers[buffer_count++];
    for (uint32_t i = 0; i < prompt_tokens && i < LENGTH; i++) {
        token_ids[i] = 1000 * kind + i;
    }
    return (struct request_spec){
        .id = buffer_count,
        .token_ids = token_ids,
        .prompt_tokens = prompt_tokens,
        .token_count_max = prompt_tokens + output_tokens,
    };
}

static inline struct request *add_spec(const struct request_spec *spec)
{
    struct request *request;
    assert_int_equal(scheduler_add(&scheduler, spec, &request, NULL), OK);
    scheduler_check(&scheduler);
    return request;
}

static inline struct request *add(uint32_t kind, uint32_t prompt_tokens, uint32_t output_tokens)
{
    struct request_spec spec = spec_of(kind, prompt_tokens, output_tokens);
    return add_spec(&spec);
}

static inline void plan(uint64_t now_us)
{
    scheduler_plan(&scheduler, now_us, &batch);
    scheduler_check(&scheduler);
}

static inline const struct span *span_of(const struct request *request)
{
    for (uint32_t i = 0; i < batch.span_count; i++) {
        if (batch.spans[i].request == request) {
            return &batch.spans[i];
        }
    }
    return NULL;
}

static inline uint32_t rows_of(const struct request *request)
{
    const struct span *span = span_of(request);
    return span == NULL ? 0 : span->row_count;
}

/* Every span that reached its end gets output tokens numbered from 1; all guesses are right that
 * continue this numbering. */
static inline void answer(void)
{
    for (uint32_t i = 0; i < batch.span_count; i++) {
        const struct span *span = &batch.spans[i];
        uint32_t output = span->request->token_count - span->request->spec.prompt_tokens;
        bool at_end =
            span->start + span->row_count - span->guess_count == span->request->token_count;
        uint32_t count = at_end ? 1 : 0;
        answers[i][0] = output + 1;
        while (at_end && count <= span->guess_count &&
               batch.token_ids[span->first_row + span->row_count - span->guess_count + count - 1] ==
                   output + count) {
            answers[i][count] = output + count + 1;
            count++;
        }
        outcomes[i] = (struct span_outcome){.token_ids = answers[i], .token_count = count};
    }
}

static inline void apply(void)
{
    answer();
    scheduler_apply(&scheduler, &batch, outcomes);
    scheduler_check(&scheduler);
}

static inline void step(void)
{
    plan(1);
    apply();
}

static inline void run_until_idle(void)
{
    for (uint32_t i = 0; !scheduler_idle(&scheduler); i++) {
        assert_true(i < 1000);
        step();
    }
}

static inline void assert_text(const struct request *request, uint32_t output_tokens)
{
    assert_int_equal(request_output_tokens(request), output_tokens);
    for (uint32_t i = 0; i < output_tokens; i++) {
        assert_int_equal(request->spec.token_ids[request->spec.prompt_tokens + i], i + 1);
    }
}

#endif
