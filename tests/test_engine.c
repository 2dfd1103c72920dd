/* test_engine.c - the engine from outside: submit, stream, leave, fill the queue.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/sampler.h"
#include "tests/support/engine_rig.h"
#include "tests/support/synth_model.h"
#include "tests/support/thread_switches.h"

#include <math.h>

static uint32_t prompt[512];

static struct rig_answer answers[64];

/* ---- life of a request ---- */

static void a_request_streams_its_tokens_and_then_its_finish(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "1"));
    engine_rig_prompt(prompt, 40, 1);
    struct generate_params params = engine_rig_params(prompt, 40, 16);
    engine_rig_answer(&rig, &params, answers);
    assert_int_equal(answers[0].token_count, 16);
    assert_int_equal(answers[0].finish, REPLY_FINISH_LENGTH);
    assert_false(answers[0].end_token);
    assert_true(isnan(answers[0].logprobs[0]));
    engine_rig_expect_empty(&rig);

    const struct stats *stats = engine_stats(rig.engine);
    assert_int_equal(stats->prompt_tokens, 40);
    assert_int_equal(stats->generation_tokens, 16);
    assert_int_equal(stats->success_length, 1);
    assert_int_equal(stats->time_to_first_token_us.buckets[STATS_BUCKETS], 0);
    assert_int_equal(stats->steps, 16);
    engine_rig_close(&rig);
}

static void an_idle_engine_wakes_for_nothing(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "2"));
    engine_rig_prompt(prompt, 40, 1);
    struct generate_params params = engine_rig_params(prompt, 40, 4);
    engine_rig_answer(&rig, &params, answers);
    assert_true(thread_switches_stay("engine", 1, 500));
    assert_true(thread_switches_stay("worker", 1, 0));
    engine_rig_answer(&rig, &params, answers); /* and wakes for what there is */
    engine_rig_close(&rig);
}

static void facts_and_plan_describe_what_is_served(void **state)
{
    (void)state;
    struct engine_rig rig;
    struct engine_plan plan;
    struct error err;
    engine_rig_open(&rig, FLAGS("--block-size", "16", "--max-num-seqs", "4"));
    const struct engine_info *info = engine_info(rig.engine);
    assert_string_equal(info->architecture, "llama");
    assert_int_equal(info->context_tokens, 512);
    assert_int_equal(info->block_tokens, 16);
    assert_int_equal(info->block_count, 4 * 512 / 16);
    assert_int_equal(info->vocab_count, SYNTH_VOCAB_MIN);
    assert_true(info->parameter_count > 50000);
    assert_int_equal(strlen(info->chat_template), info->chat_template_bytes);

    assert_int_equal(engine_plan(&rig.config, &plan, &err), OK);
    assert_int_equal(plan.block_count, info->block_count);
    assert_int_equal(plan.context_tokens, info->context_tokens);
    /* two layers, keys and values, two heads of 16, two bytes a value */
    assert_int_equal(plan.block_bytes, 2 * 2 * 2 * 16 * 2 * 16);
    assert_int_equal(plan.kv_bytes, plan.block_bytes * plan.block_count);
    assert_int_equal(plan.total_bytes, plan.weight_bytes + plan.packed_bytes + plan.kv_bytes +
                                           plan.workspace_bytes + plan.request_bytes);
    engine_rig_close(&rig);
}

static void what_cannot_be_opened_says_why_and_leaves_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *flag;
        const char *value;
        enum status status;
        const char *words[2];
    } cases[] = {
        {"--max-model-len", "513", ERR_INVALID, {"513", "512"}},
        {"--max-model-len", "1", ERR_INVALID, {"max-model-len", "2"}},
        {"--kv-cache-memory-bytes", "100", ERR_INVALID, {"kv-cache-memory-bytes", "100"}},
        {"--model", "/nonexistent/file.gguf", ERR_IO, {"/nonexistent/file.gguf", ""}},
        {"--model", "tests/test.h", ERR_FORMAT, {"tests/test.h", "GGUF"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct engine_rig rig;
        struct engine_plan plan;
        struct error err = {0};
        engine_rig_prepare(&rig, FLAGS(cases[i].flag, cases[i].value));
        enum status status = engine_open(&rig.engine, &rig.config, NULL, &err);
        assert_true(status == cases[i].status || (status == ERR_NOT_FOUND && i == 3));
        assert_null(rig.engine);
        assert_non_null(strstr(err.message, cases[i].words[0]));
        assert_non_null(strstr(err.message, cases[i].words[1]));
        assert_int_equal(engine_plan(&rig.config, &plan, &err), status);
        engine_rig_close(&rig);
    }
}

static void the_pool_limits_the_context(void **state)
{
    (void)state;
    struct engine_rig rig;
    /* f16: 256 bytes a token; five blocks of 16 tokens */
    engine_rig_open(&rig, FLAGS("--kv-cache-memory-bytes", "20480", "--block-size", "16"));
    assert_int_equal(engine_info(rig.engine)->context_tokens, 80);
    engine_rig_prompt(prompt, 40, 2);
    struct generate_params params = engine_rig_params(prompt, 40, 40);
    engine_rig_answer(&rig, &params, answers);
    assert_int_equal(answers[0].token_count, 40);
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

static void requests_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--max-num-seqs", "2", "--max-waiting", "2"));
    engine_rig_prompt(prompt, 512, 4);
    const struct logit_bias bias = {.token_id = SYNTH_VOCAB_MIN, .bias = 1};
    const uint32_t stop_id = SYNTH_VOCAB_MIN;
    struct generate_params cases[8];
    for (size_t i = 0; i < 8; i++) {
        cases[i] = engine_rig_params(prompt, 8, 8);
    }
    uint32_t bad_prompt[8] = {0, 0, 0, SYNTH_VOCAB_MIN};
    cases[0].prompt_tokens = 0;
    cases[1].max_tokens = 0;
    cases[2].max_tokens = 505;
    cases[3].choice_count = 0;
    cases[4].choice_count = 5; /* more than two running and two waiting */
    cases[5].prompt_ids = bad_prompt;
    cases[6].sampling.logit_bias = &bias;
    cases[6].sampling.logit_bias_count = 1;
    cases[7].sampling.stop_token_ids = &stop_id;
    cases[7].sampling.stop_token_count = 1;
    for (size_t i = 0; i < 8; i++) {
        struct generate_params valid = engine_rig_params(prompt, 8, 8);
        struct reply *reply = NULL;
        struct error err = {0};
        assert_int_equal(reply_open(&reply, &valid, &err), OK);
        assert_int_equal(engine_submit(rig.engine, &cases[i], reply, &err), ERR_INVALID);
        assert_true(err.message[0] != '\0');
        reply_put(reply);
    }
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

/* The ids a sampled run of this model gives, to find one that can serve as a stop token. */
static void stop_tokens_end_a_choice_and_are_not_shown(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "1"));
    engine_rig_prompt(prompt, 20, 5);
    struct generate_params params = engine_rig_params(prompt, 20, 30);
    params.sampling.temperature = 1.0f;
    params.sampling.seed = 11;
    params.sampling.logprobs = true;
    params.sampling.top_logprobs = 3;
    engine_rig_answer(&rig, &params, answers);
    assert_int_equal(answers[0].token_count, 30);
    uint32_t stop_id = answers[0].token_ids[7];
    uint32_t first = 0;
    while (answers[0].token_ids[first] != stop_id) {
        first++;
    }
    params.sampling.stop_token_ids = &stop_id;
    params.sampling.stop_token_count = 1;
    struct reply *reply = engine_rig_submit(&rig, &params);
    struct reply_event event;
    uint32_t tokens = 0;
    for (;;) {
        assert_true(reply_wait(reply, &event, RIG_WAIT_US));
        if (event.kind == REPLY_FINISH) {
            break;
        }
        assert_int_equal(event.token_id, answers[0].token_ids[tokens++]);
    }
    assert_int_equal(tokens, first);
    assert_int_equal(event.finish, REPLY_FINISH_STOP);
    assert_true(event.end_token);
    assert_int_equal(event.token_id, stop_id);
    assert_memory_equal(&event.logprob, &answers[0].logprobs[first], sizeof event.logprob);
    assert_int_equal(event.top_count, 3);
    assert_int_equal(event.top[0].token_id, answers[0].tops[first].token_id);
    reply_put(reply);
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

static void an_end_token_the_model_knows_ends_unless_ignored(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "1"));
    const struct logit_bias bias = {SYNTH_VOCAB_MIN - SYNTH_IM_END_FROM_END, 100.0f};
    engine_rig_prompt(prompt, 5, 6);
    struct generate_params params = engine_rig_params(prompt, 5, 12);
    params.sampling.logit_bias = &bias;
    params.sampling.logit_bias_count = 1;
    engine_rig_answer(&rig, &params, answers);
    assert_int_equal(answers[0].token_count, 12);

    params.sampling.ignore_eos = false;
    engine_rig_answer(&rig, &params, answers);
    assert_int_equal(answers[0].token_count, 0);
    assert_true(answers[0].end_token);
    assert_int_equal(answers[0].end_id, bias.token_id);

    params.sampling.min_tokens = 4;
    engine_rig_answer(&rig, &params, answers);
    assert_int_equal(answers[0].token_count, 4);
    assert_true(answers[0].end_token);
    engine_rig_close(&rig);
}

static void forked_choices_equal_solo_runs_with_their_seeds(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "1", "--block-size", "16"));
    for (uint32_t prompt_tokens = 1; prompt_tokens <= 49; prompt_tokens += 12) {
        engine_rig_prompt(prompt, prompt_tokens, 7);
        struct generate_params params = engine_rig_params(prompt, prompt_tokens, 24);
        params.choice_count = 5;
        params.sampling.temperature = 1.0f;
        params.sampling.seed = 1234 + prompt_tokens;
        params.sampling.logprobs = true;
        params.sampling.top_logprobs = 1;
        engine_rig_answer(&rig, &params, answers);
        params.choice_count = 1;
        for (uint32_t i = 0; i < 5; i++) {
            struct rig_answer solo;
            params.sampling.seed = sampler_choice_seed(1234 + prompt_tokens, i);
            engine_rig_answer(&rig, &params, &solo);
            assert_true(rig_answers_equal(&answers[i], &solo));
        }
        assert_false(rig_answers_equal(&answers[0], &answers[1]));
    }
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

static void prompt_tokens_are_scored_in_order_whatever_the_chunks(void **state)
{
    (void)state;
    static float first_run[100];
    const char *const chunks[] = {"0", "1", "7", "64"};
    for (size_t c = 0; c < 4; c++) {
        struct engine_rig rig;
        engine_rig_open(&rig, FLAGS("--max-chunk-tokens", chunks[c], "--threads", "1"));
        engine_rig_prompt(prompt, 100, 8);
        struct generate_params params = engine_rig_params(prompt, 100, 3);
        params.prompt_logprobs = true;
        params.choice_count = 2;
        params.sampling.logprobs = true;
        params.sampling.top_logprobs = 2;
        for (int round = 0; round < 2; round++) { /* the second time with the prompt cached */
            struct reply *reply = engine_rig_submit(&rig, &params);
            uint32_t scored = 0;
            uint32_t finished = 0;
            while (finished < 2) {
                struct reply_event event;
                assert_true(reply_wait(reply, &event, RIG_WAIT_US));
                finished += event.kind == REPLY_FINISH;
                if (event.kind == REPLY_PROMPT_TOKEN) {
                    scored++;
                    assert_int_equal(event.choice, 0);
                    assert_int_equal(event.index, scored);
                    assert_int_equal(event.token_id, prompt[scored]);
                    assert_true(event.logprob < 0 && event.rank >= 1);
                    assert_int_equal(event.top_count, 2);
                    if (c == 0 && round == 0) {
                        first_run[scored] = event.logprob;
                    }
                    assert_memory_equal(&event.logprob, &first_run[scored], sizeof event.logprob);
                }
            }
            assert_int_equal(scored, 99);
            reply_put(reply);
        }
        engine_rig_expect_empty(&rig);
        engine_rig_close(&rig);
    }
}

static void a_repeated_prompt_is_found_in_the_cache_but_not_under_another_salt(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--block-size", "16", "--threads", "1"));
    engine_rig_prompt(prompt, 100, 9);
    struct generate_params params = engine_rig_params(prompt, 100, 4);
    engine_rig_answer(&rig, &params, &answers[0]);
    assert_int_equal(answers[0].cached_tokens, 0);
    engine_rig_answer(&rig, &params, &answers[1]);
    assert_int_equal(answers[1].cached_tokens, 96);
    params.salt = 5;
    engine_rig_answer(&rig, &params, &answers[2]);
    assert_int_equal(answers[2].cached_tokens, 0);
    assert_true(rig_answers_equal(&answers[0], &answers[1]));
    assert_true(rig_answers_equal(&answers[0], &answers[2]));
    const struct stats *stats = engine_stats(rig.engine);
    assert_int_equal(stats->prompt_tokens_cached, 96);
    assert_true(stats->prefix_cache_hits >= 96);
    engine_rig_close(&rig);
}

/* ---- leaving ---- */

static void a_reader_that_leaves_frees_its_blocks_within_one_step(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "1"));
    struct generate_params params = engine_rig_long_params(prompt);
    for (uint32_t round = 0; round < 5; round++) {
        struct rig_brake brake;
        params.choice_count = 1 + round % 3;
        struct reply *reply = engine_rig_submit_held(&rig, &params, &brake);
        reply_abandon(reply); /* the engine is in the step that gave the first token */
        rig_brake_release(&brake);
        engine_rig_collect(reply, answers, params.choice_count);
        reply_put(reply);
        assert_int_equal(answers[0].token_count, 1);
        for (uint32_t i = 0; i < params.choice_count; i++) {
            assert_int_equal(answers[i].finish, REPLY_FINISH_CANCELLED);
            assert_true(answers[i].token_count <= 1);
        }
        engine_rig_expect_empty(&rig);
    }
    assert_int_equal(engine_stats(rig.engine)->success_abort, 1 + 2 + 3 + 1 + 2);
    engine_rig_close(&rig);
}

static void a_reader_may_leave_while_queued(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--max-num-seqs", "1", "--threads", "1"));
    struct generate_params params = engine_rig_long_params(prompt);
    struct rig_brake brake;
    struct reply *running = engine_rig_submit_held(&rig, &params, &brake);
    struct reply *queued = engine_rig_submit(&rig, &params);
    reply_abandon(queued);
    rig_brake_release(&brake);
    struct reply_event event;
    assert_true(reply_wait(queued, &event, RIG_WAIT_US));
    assert_int_equal(event.kind, REPLY_FINISH);
    assert_int_equal(event.finish, REPLY_FINISH_CANCELLED);
    reply_put(queued);
    reply_abandon(running);
    engine_wake(rig.engine);
    engine_rig_await_finish(running);
    reply_put(running);
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

static void a_reader_may_leave_in_the_middle_of_the_prompt(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--max-chunk-tokens", "16", "--threads", "1"));
    engine_rig_prompt(prompt, 200, 12);
    struct generate_params params = engine_rig_params(prompt, 200, 10);
    params.prompt_logprobs = true; /* so that there is an event to hold at */
    params.sampling.logprobs = true;
    struct rig_brake brake;
    struct reply *reply = engine_rig_submit_held(&rig, &params, &brake);
    reply_abandon(reply);
    rig_brake_release(&brake);
    struct reply_event event;
    uint32_t scored = 0;
    do {
        assert_true(reply_wait(reply, &event, RIG_WAIT_US));
        scored += event.kind == REPLY_PROMPT_TOKEN;
        assert_int_not_equal(event.kind, REPLY_TOKEN);
    } while (event.kind != REPLY_FINISH);
    assert_int_equal(scored, 16); /* the chunk that was under way, and no other */
    assert_int_equal(event.finish, REPLY_FINISH_CANCELLED);
    reply_put(reply);
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

static void a_stopped_choice_ends_and_the_others_go_on(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "1"));
    engine_rig_prompt(prompt, 8, 3);
    struct generate_params params = engine_rig_params(prompt, 8, 100);
    params.choice_count = 3;
    params.sampling.temperature = 1.0f;
    struct rig_brake brake;
    struct reply *reply = engine_rig_submit_held(&rig, &params, &brake);
    reply_stop_choice(reply, 1);
    rig_brake_release(&brake);
    engine_rig_collect(reply, answers, 3);
    reply_put(reply);
    assert_int_equal(answers[1].finish, REPLY_FINISH_STOP);
    assert_false(answers[1].end_token);
    assert_true(answers[1].token_count <= 1);
    for (uint32_t i = 0; i < 3; i += 2) {
        assert_int_equal(answers[i].finish, REPLY_FINISH_LENGTH);
        assert_int_equal(answers[i].token_count, 100);
    }
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

static void a_deadline_ends_a_request_that_waits_or_runs(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--max-num-seqs", "1", "--threads", "1"));
    struct generate_params params = engine_rig_long_params(prompt);
    struct rig_brake brake;
    struct reply *running = engine_rig_submit_held(&rig, &params, &brake);
    params.timeout_us = 1;
    struct reply *queued = engine_rig_submit(&rig, &params);
    rig_brake_release(&brake);
    assert_int_equal(engine_rig_await_finish(queued), REPLY_FINISH_DEADLINE);
    reply_put(queued);
    reply_abandon(running);
    engine_wake(rig.engine);
    engine_rig_await_finish(running);
    reply_put(running);

    /* Runs at once, one prompt token a step, and cannot be through in a millisecond. */
    engine_rig_close(&rig);
    engine_rig_open(&rig, FLAGS("--max-chunk-tokens", "1", "--threads", "1"));
    engine_rig_prompt(prompt, 256, 3);
    params = engine_rig_params(prompt, 256, 256);
    params.timeout_us = 1000;
    engine_rig_answer(&rig, &params, answers);
    assert_int_equal(answers[0].finish, REPLY_FINISH_DEADLINE);
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

/* ---- bounds ---- */

static void a_full_queue_refuses_at_once_and_takes_again_later(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--max-num-seqs", "1", "--max-waiting", "2", "--threads", "1"));
    struct generate_params params = engine_rig_long_params(prompt);
    struct reply *extra = NULL;
    struct error err = {0};
    assert_int_equal(reply_open(&extra, &params, &err), OK);
    struct rig_brake brake;
    struct reply *running = engine_rig_submit_held(&rig, &params, &brake);
    struct reply *waiting[2];
    for (int i = 0; i < 2; i++) { /* the engine stands still: the queue fills all the same */
        waiting[i] = engine_rig_submit(&rig, &params);
    }
    assert_int_equal(engine_submit(rig.engine, &params, extra, &err), ERR_FULL);
    assert_int_equal(engine_submit(rig.engine, &params, extra, &err), ERR_FULL);
    assert_int_equal(engine_stats(rig.engine)->refused_full, 2);

    reply_abandon(running);
    rig_brake_release(&brake);
    assert_int_equal(engine_rig_await_finish(running), REPLY_FINISH_CANCELLED);
    /* Who has heard of an end finds its place free. */
    assert_int_equal(engine_submit(rig.engine, &params, extra, &err), OK);
    for (int i = 0; i < 2; i++) {
        reply_abandon(waiting[i]);
    }
    reply_abandon(extra);
    engine_wake(rig.engine);
    for (int i = 0; i < 2; i++) {
        engine_rig_await_finish(waiting[i]);
        reply_put(waiting[i]);
    }
    engine_rig_await_finish(extra);
    reply_put(extra);
    reply_put(running);
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

/* Places are of no use when the pool is what is short: then only the queue counts. */
static void a_short_pool_does_not_lengthen_the_queue(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--max-num-seqs", "8", "--max-waiting", "2", "--block-size", "4",
                                "--kv-cache-memory-bytes", "40960", "--threads", "1",
                                "--no-enable-prefix-caching"));
    engine_rig_prompt(prompt, 150, 3);
    struct generate_params small = engine_rig_params(prompt, 8, 100);
    struct generate_params large = engine_rig_params(prompt, 150, 5); /* 38 of the 40 blocks */
    struct rig_brake first_brake;
    struct rig_brake second_brake;
    struct reply *replies[4];
    replies[0] = engine_rig_submit_held(&rig, &small, &first_brake);
    replies[1] = engine_rig_submit_braked(&rig, &small, &second_brake);
    replies[2] = engine_rig_submit(&rig, &large);
    replies[3] = engine_rig_submit(&rig, &large);
    rig_brake_release(&first_brake);
    rig_brake_await(&second_brake); /* this step's plan could not admit the large ones */
    struct reply *extra = NULL;
    struct error err = {0};
    assert_int_equal(reply_open(&extra, &small, &err), OK);
    assert_int_equal(engine_stats(rig.engine)->requests_running, 2);
    assert_int_equal(engine_stats(rig.engine)->requests_waiting, 2);
    assert_int_equal(engine_submit(rig.engine, &small, extra, &err), ERR_FULL);
    rig_brake_release(&second_brake);
    for (uint32_t i = 0; i < 4; i++) {
        engine_rig_collect(replies[i], answers, 1);
        assert_int_equal(answers[0].token_count, i < 2 ? 100 : 5);
        reply_put(replies[i]);
    }
    assert_int_equal(engine_submit(rig.engine, &small, extra, &err), OK);
    engine_rig_await_finish(extra);
    reply_put(extra);
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

static void a_burst_on_an_idle_engine_may_fill_places_and_queue(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--max-num-seqs", "4", "--max-waiting", "3", "--threads", "1"));
    struct generate_params params = engine_rig_long_params(prompt);
    params.choice_count = 7;
    engine_rig_prompt(prompt, 8, 3);
    params.max_tokens = 20;
    engine_rig_answer(&rig, &params, answers);
    for (uint32_t i = 0; i < 7; i++) {
        assert_int_equal(answers[i].token_count, 20);
        assert_true(rig_answers_equal(&answers[i], &answers[0])); /* greedy */
    }
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

static void a_request_preempted_too_often_fails_alone(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--kv-cache-memory-bytes", "24576", "--block-size", "4",
                                "--max-preemptions", "1", "--threads", "1",
                                "--no-enable-prefix-caching"));
    engine_rig_prompt(prompt, 8, 20);
    struct generate_params params = engine_rig_params(prompt, 8, 80);
    struct reply *replies[8];
    struct rig_brake brake;
    uint32_t lost = 0;
    replies[0] = engine_rig_submit_held(&rig, &params, &brake);
    for (uint32_t i = 1; i < 8; i++) {
        replies[i] = engine_rig_submit(&rig, &params);
    }
    rig_brake_release(&brake);
    for (uint32_t i = 0; i < 8; i++) {
        engine_rig_collect(replies[i], &answers[i], 1);
        reply_put(replies[i]);
        lost += answers[i].finish == REPLY_FINISH_CAPACITY;
        assert_true(answers[i].finish == REPLY_FINISH_CAPACITY ||
                    answers[i].finish == REPLY_FINISH_LENGTH);
        assert_memory_equal(answers[i].token_ids, answers[0].token_ids,
                            answers[i].token_count * sizeof(uint32_t));
    }
    assert_int_equal(answers[0].token_count, 80); /* the first in order is never undone */
    assert_true(lost > 0);
    assert_true(engine_stats(rig.engine)->preemptions > 0);
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_streams_its_tokens_and_then_its_finish),
        cmocka_unit_test(an_idle_engine_wakes_for_nothing),
        cmocka_unit_test(facts_and_plan_describe_what_is_served),
        cmocka_unit_test(what_cannot_be_opened_says_why_and_leaves_nothing),
        cmocka_unit_test(the_pool_limits_the_context),
        cmocka_unit_test(requests_that_cannot_be_are_refused),
        cmocka_unit_test(stop_tokens_end_a_choice_and_are_not_shown),
        cmocka_unit_test(an_end_token_the_model_knows_ends_unless_ignored),
        cmocka_unit_test(forked_choices_equal_solo_runs_with_their_seeds),
        cmocka_unit_test(prompt_tokens_are_scored_in_order_whatever_the_chunks),
        cmocka_unit_test(a_repeated_prompt_is_found_in_the_cache_but_not_under_another_salt),
        cmocka_unit_test(a_reader_that_leaves_frees_its_blocks_within_one_step),
        cmocka_unit_test(a_reader_may_leave_while_queued),
        cmocka_unit_test(a_reader_may_leave_in_the_middle_of_the_prompt),
        cmocka_unit_test(a_stopped_choice_ends_and_the_others_go_on),
        cmocka_unit_test(a_deadline_ends_a_request_that_waits_or_runs),
        cmocka_unit_test(a_full_queue_refuses_at_once_and_takes_again_later),
        cmocka_unit_test(a_short_pool_does_not_lengthen_the_queue),
        cmocka_unit_test(a_burst_on_an_idle_engine_may_fill_places_and_queue),
        cmocka_unit_test(a_request_preempted_too_often_fails_alone),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
