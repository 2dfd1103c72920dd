/* test_engine_faults.c - broken numbers, a failing device, draining, closing, and what health says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/clock.h"
#include "engine/engine_state.h"
#include "engine/log.h"
#include "tests/support/engine_rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static uint32_t prompt[512];

static struct rig_answer answers[64];

/* ---- failures ---- */

enum {
    POISON = 300 /* no other prompt here has it */
};

static void a_request_whose_numbers_break_fails_alone(void **state)
{
    (void)state;
    struct engine_rig rig;
    /* A small pool, so that the blocks the broken one wrote to are soon another's. */
    engine_rig_prepare(
        &rig, FLAGS("--threads", "1", "--block-size", "16", "--kv-cache-memory-bytes", "81920"));
    engine_rig_poison(&rig, POISON);
    engine_rig_start(&rig);
    uint32_t good[40];
    uint32_t bad[40];
    engine_rig_prompt(good, 40, 30);
    engine_rig_prompt(bad, 40, 31);
    bad[5] = POISON;
    struct generate_params good_params = engine_rig_params(good, 40, 30);
    struct generate_params bad_params = engine_rig_params(bad, 40, 30);
    good_params.sampling.logprobs = true;
    engine_rig_answer(&rig, &good_params, &answers[0]);
    for (uint32_t round = 0; round < 6; round++) {
        struct rig_brake brake;
        struct generate_params first = engine_rig_params(good, 2, 2);
        struct reply *held = engine_rig_submit_held(&rig, &first, &brake);
        struct reply *broken = engine_rig_submit(&rig, &bad_params);
        struct reply *neighbour = engine_rig_submit(&rig, &good_params);
        rig_brake_release(&brake);
        engine_rig_collect(broken, &answers[1], 1);
        engine_rig_collect(neighbour, &answers[2], 1);
        assert_int_equal(answers[1].finish, REPLY_FINISH_ERROR);
        assert_int_equal(answers[1].token_count, 0);
        assert_int_equal(answers[1].cached_tokens, 0); /* nothing of it was published */
        assert_true(rig_answers_equal(&answers[2], &answers[0]));
        engine_rig_await_finish(held);
        reply_put(held);
        reply_put(broken);
        reply_put(neighbour);
    }
    assert_int_equal(engine_stats(rig.engine)->corrupted_requests, 6);
    bad_params.prompt_logprobs = true; /* now a row in the middle of the prompt meets it */
    engine_rig_answer(&rig, &bad_params, &answers[1]);
    assert_int_equal(answers[1].finish, REPLY_FINISH_ERROR);
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

static atomic_int failures_left;
static const struct backend_ops *working_ops;

static enum status fail_to_synchronize(struct backend *be, struct error *err)
{
    if (atomic_fetch_sub(&failures_left, 1) > 0) {
        return error_set(err, ERR_DEVICE, "the device is on fire");
    }
    return working_ops->synchronize(be, err);
}

static void a_failing_device_ends_its_batch_and_in_the_end_health(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "1"));
    engine_rig_prompt(prompt, 40, 30);
    struct generate_params params = engine_rig_params(prompt, 40, 5);
    engine_rig_answer(&rig, &params, &answers[0]);

    struct backend *be = rig.engine->be;
    working_ops = be->ops;
    struct backend_ops failing_ops = *be->ops;
    failing_ops.synchronize = fail_to_synchronize;
    log_init(LOG_TEXT,
             (enum log_level)(LOG_ERROR + 1)); /* the failures are wanted: no lines about them */
    be->ops = &failing_ops;
    for (int i = 1; i <= 3; i++) {
        atomic_store(&failures_left, 1);
        engine_rig_answer(&rig, &params, &answers[1]);
        assert_int_equal(answers[1].finish, REPLY_FINISH_ERROR);
        engine_rig_expect_empty(&rig);
        assert_int_equal(engine_progressing(rig.engine, clock_now_us(), RIG_WAIT_US), i < 3);
    }
    atomic_store(&failures_left, 0); /* the device recovers, and nothing wrong was kept */
    engine_rig_answer(&rig, &params, &answers[1]);
    assert_true(rig_answers_equal(&answers[1], &answers[0]));
    assert_int_equal(answers[1].cached_tokens, 0);
    assert_true(engine_progressing(rig.engine, clock_now_us(), RIG_WAIT_US));
    be->ops = working_ops;
    engine_rig_close(&rig);
}

/* ---- stopping ---- */

static void draining_refuses_new_work_and_finishes_the_old(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--max-num-seqs", "1", "--threads", "1"));
    engine_rig_prompt(prompt, 8, 3);
    struct generate_params params = engine_rig_params(prompt, 8, 60);
    struct reply *first = engine_rig_submit(&rig, &params);
    struct reply *second = engine_rig_submit(&rig, &params);
    engine_drain(rig.engine);
    struct reply *late = NULL;
    struct error err = {0};
    assert_int_equal(reply_open(&late, &params, &err), OK);
    assert_int_equal(engine_submit(rig.engine, &params, late, &err), ERR_CANCELLED);
    reply_put(late);
    assert_int_equal(engine_rig_await_finish(first), REPLY_FINISH_LENGTH);
    assert_int_equal(engine_rig_await_finish(second), REPLY_FINISH_LENGTH);
    reply_put(first);
    reply_put(second);
    assert_true(engine_idle(rig.engine));
    engine_rig_close(&rig);
}

static void *release_after_a_while(void *context)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    rig_brake_release(context);
    return NULL;
}

static void closing_ends_what_runs_and_what_waits(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--max-num-seqs", "2", "--threads", "2"));
    struct generate_params params = engine_rig_long_params(prompt);
    struct reply *replies[6];
    struct rig_brake brake;
    replies[0] = engine_rig_submit_held(&rig, &params, &brake);
    for (int i = 1; i < 6; i++) {
        replies[i] = engine_rig_submit(&rig, &params);
    }
    pthread_t thread; /* by the time the engine goes on, the close below has begun */
    assert_int_equal(pthread_create(&thread, NULL, release_after_a_while, &brake), 0);
    engine_rig_close(&rig);
    pthread_join(thread, NULL);
    for (int i = 0; i < 6; i++) {
        enum reply_finish finish = engine_rig_await_finish(replies[i]);
        assert_true(finish == REPLY_FINISH_CANCELLED || (i < 5 && finish == REPLY_FINISH_LENGTH));
        reply_put(replies[i]);
    }
}

static void health_is_progress(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "1"));
    assert_true(engine_progressing(rig.engine, clock_now_us(), 60000000));
    struct generate_params params = engine_rig_long_params(prompt);
    params.max_tokens = 3;
    struct rig_brake brake;
    struct reply *reply = engine_rig_submit_held(&rig, &params, &brake);
    uint64_t now_us = clock_now_us();
    assert_true(engine_progressing(rig.engine, now_us, RIG_WAIT_US));
    assert_false(engine_idle(rig.engine));
    /* Seen from an hour later the step that is under way has taken too long. */
    assert_false(engine_progressing(rig.engine, now_us + 3600000000u, 60000000));
    rig_brake_release(&brake);
    assert_int_equal(engine_rig_await_finish(reply), REPLY_FINISH_LENGTH);
    reply_put(reply);
    assert_true(engine_idle(rig.engine));
    engine_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_whose_numbers_break_fails_alone),
        cmocka_unit_test(a_failing_device_ends_its_batch_and_in_the_end_health),
        cmocka_unit_test(draining_refuses_new_work_and_finishes_the_old),
        cmocka_unit_test(closing_ends_what_runs_and_what_waits),
        cmocka_unit_test(health_is_progress),
    };
    return cmocka_run_group_tests_name("engine faults", tests, NULL, NULL);
}
