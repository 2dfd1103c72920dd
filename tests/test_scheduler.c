/* test_scheduler.c - what goes in, what comes out, and who leaves; told one case at a time.
 *
 * Random cases are in sim_scheduler.c. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/scheduler_rig.h"

/* Outcomes */

static void stop_ends_a_request_and_its_blocks_stay_findable(void **state)
{
    (void)state;
    open_all();
    struct request *first = add(1, 9, 5);
    plan(1);
    answer();
    outcomes[0].finish_reason = FINISH_STOP;
    scheduler_apply(&scheduler, &batch, outcomes);
    assert_int_equal(first->state, REQUEST_FINISHED);
    assert_int_equal(first->finish_reason, FINISH_STOP);
    assert_int_equal(request_output_tokens(first), 1);
    assert_int_equal(cache.pool.free_count, kv_options.block_count);
    struct request *second = add(1, 9, 5);
    plan(1);
    assert_int_equal(second->cached_tokens, 8);
    assert_int_equal(rows_of(second), 1);
    apply();
}

static void error_ends_a_request_and_publishes_nothing(void **state)
{
    (void)state;
    open_all();
    struct request *first = add(1, 9, 5);
    plan(1);
    outcomes[0] = (struct span_outcome){.finish_reason = FINISH_ERROR};
    scheduler_apply(&scheduler, &batch, outcomes);
    assert_int_equal(first->finish_reason, FINISH_ERROR);
    assert_int_equal(request_output_tokens(first), 0);
    assert_int_equal(cache.index.published_count, 0);
    struct request *second = add(1, 9, 5);
    step();
    assert_int_equal(second->cached_tokens, 0);
}

static void error_may_come_in_the_middle_of_a_prompt(void **state)
{
    (void)state;
    options.batch_tokens_max = 4;
    open_all();
    struct request *request = add(1, 9, 5);
    plan(1);
    outcomes[0] = (struct span_outcome){.finish_reason = FINISH_ERROR};
    scheduler_apply(&scheduler, &batch, outcomes);
    assert_int_equal(request->state, REQUEST_FINISHED);
    assert_true(scheduler_idle(&scheduler));
}

/* Refusals */

static void request_that_can_never_fit_is_refused_at_once(void **state)
{
    (void)state;
    kv_options.block_count = 3;
    options.waiting_tokens_max = 11;
    open_all();
    struct error err = {0};
    struct request *request;
    struct request_spec spec = spec_of(1, 4, 10); /* 13 tokens have KV: 4 blocks */
    assert_int_equal(scheduler_add(&scheduler, &spec, &request, &err), ERR_INVALID);
    assert_null(request);
    assert_non_null(strstr(err.message, "4 KV blocks"));
    spec = spec_of(1, 4, 9); /* 12: 3 blocks */
    assert_int_equal(scheduler_add(&scheduler, &spec, &request, &err), OK);
    run_until_idle();
    assert_text(request, 9);
    spec = spec_of(1, 4, LENGTH);
    assert_int_equal(scheduler_add(&scheduler, &spec, &request, &err), ERR_INVALID);
    spec = spec_of(1, 4, 0);
    assert_int_equal(scheduler_add(&scheduler, &spec, &request, &err), ERR_INVALID);
    spec = spec_of(1, 0, 3);
    assert_int_equal(scheduler_add(&scheduler, &spec, &request, &err), ERR_INVALID);
    spec = spec_of(1, 12, 1);
    assert_int_equal(scheduler_add(&scheduler, &spec, &request, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "at most 11"));
}

static void full_queue_refuses_by_count_and_by_tokens(void **state)
{
    (void)state;
    options.waiting_max = 2;
    options.waiting_tokens_max = 30;
    open_all();
    struct error err = {0};
    struct request *request;
    struct request_spec spec = spec_of(9, 21, 1);
    add(1, 10, 2);
    assert_false(scheduler_has_room(&scheduler, 1, 21));
    assert_int_equal(scheduler_add(&scheduler, &spec, &request, &err), ERR_FULL);
    assert_true(scheduler_has_room(&scheduler, 1, 20));
    assert_false(scheduler_has_room(&scheduler, 2, 20));
    add(2, 5, 2);
    spec.prompt_tokens = 1;
    spec.token_count_max = 2;
    assert_int_equal(scheduler_add(&scheduler, &spec, &request, &err), ERR_FULL);
    step(); /* both run now: the queue is empty again */
    assert_true(scheduler_has_room(&scheduler, 2, 30));
    assert_int_equal(scheduler_add(&scheduler, &spec, &request, &err), OK);
}

static void preempted_requests_do_not_fill_the_queue(void **state)
{
    (void)state;
    options.waiting_max = 1;
    open_all();
    struct request *a = add(1, 5, 9);
    step();
    scheduler_preempt(&scheduler, a);
    assert_int_equal(scheduler.waiting.request_count, 1);
    assert_true(scheduler_has_room(&scheduler, 1, 5));
    struct request *b = add(2, 5, 9);
    assert_false(scheduler_has_room(&scheduler, 1, 5));
    run_until_idle();
    assert_text(a, 9);
    assert_text(b, 9);
}

static void impossible_options_are_refused(void **state)
{
    (void)state;
    assert_int_equal(kv_cache_init(&cache, &kv_options, NULL), OK);
    struct error err = {0};
    for (uint32_t i = 0; i < 5; i++) {
        struct scheduler_options bad = options;
        bad.running_max = i == 0 ? 0 : bad.running_max;
        bad.running_max = i == 1 ? 5000 : bad.running_max;
        bad.waiting_max = i == 2 ? 0 : bad.waiting_max;
        bad.batch_tokens_max = i == 3 ? 0 : bad.batch_tokens_max;
        bad.logits_rows_max = i == 4 ? 3 : bad.logits_rows_max;
        assert_int_equal(scheduler_init(&scheduler, &bad, &cache, &err), ERR_INVALID);
        assert_true(err.message[0] != '\0');
        scheduler_release(&scheduler);
    }
    kv_cache_close(&cache);
}

/* Deadlines and cancellation */

static void deadline_ends_waiting_and_running_requests(void **state)
{
    (void)state;
    options.running_max = 1;
    open_all();
    struct request_spec spec = spec_of(1, 6, 9);
    spec.deadline_us = 100;
    struct request *running = add_spec(&spec);
    spec = spec_of(2, 6, 9);
    spec.deadline_us = 100;
    struct request *waiting = add_spec(&spec);
    struct request *patient = add(3, 6, 9);
    plan(99);
    assert_int_equal(rows_of(running), 6);
    apply();
    plan(100);
    assert_int_equal(running->finish_reason, FINISH_DEADLINE);
    assert_int_equal(waiting->finish_reason, FINISH_DEADLINE);
    assert_int_equal(waiting->admit_number, 0);
    assert_int_equal(rows_of(patient), 6);
    apply();
}

static void cancel_works_in_every_state_and_twice(void **state)
{
    (void)state;
    options.batch_tokens_max = 5;
    options.running_max = 2;
    open_all();
    struct request *decoding = add(1, 2, 9);
    step();
    struct request *reading = add(2, 20, 9);
    step();
    struct request *waiting = add(3, 6, 9);
    assert_true(request_caught_up(decoding));
    assert_false(request_caught_up(reading));
    struct request *const all[] = {waiting, reading, decoding};
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t twice = 0; twice < 2; twice++) {
            scheduler_cancel(&scheduler, all[i], FINISH_CANCELLED);
            assert_int_equal(all[i]->state, REQUEST_FINISHED);
            assert_int_equal(all[i]->kv.table.block_count, 0);
            scheduler_check(&scheduler);
        }
    }
    scheduler_cancel(&scheduler, waiting, FINISH_ERROR);
    assert_int_equal(waiting->finish_reason, FINISH_CANCELLED);
    assert_int_equal(cache.pool.free_count, kv_options.block_count);
    assert_int_equal(scheduler.counters.finish_count, 3);
    scheduler_remove(&scheduler, waiting);
    scheduler_cancel(&scheduler, waiting, FINISH_CANCELLED);
    assert_int_equal(waiting->state, REQUEST_UNUSED);
}

static void cancelled_preempted_request_leaves_too(void **state)
{
    (void)state;
    open_all();
    struct request *request = add(1, 6, 9);
    step();
    scheduler_preempt(&scheduler, request);
    scheduler_cancel(&scheduler, request, FINISH_CANCELLED);
    assert_true(scheduler_idle(&scheduler));
    assert_int_equal(request_output_tokens(request), 1);
}

static void result_for_a_cancelled_request_is_dropped(void **state)
{
    (void)state;
    open_all();
    struct request *gone = add(1, 6, 9);
    struct request *stays = add(2, 6, 9);
    plan(1);
    answer();
    scheduler_cancel(&scheduler, gone, FINISH_CANCELLED);
    scheduler_apply(&scheduler, &batch, outcomes);
    scheduler_check(&scheduler);
    assert_int_equal(request_output_tokens(gone), 0);
    assert_int_equal(gone->finish_reason, FINISH_CANCELLED);
    assert_int_equal(request_output_tokens(stays), 1);
}

static void result_never_reaches_the_next_user_of_a_struct(void **state)
{
    (void)state;
    open_all();
    struct request *gone = add(1, 6, 9);
    plan(1);
    answer();
    scheduler_cancel(&scheduler, gone, FINISH_CANCELLED);
    scheduler_remove(&scheduler, gone);
    struct request *next = add(2, 6, 9);
    assert_ptr_equal(next, gone);
    scheduler_apply(&scheduler, &batch, outcomes);
    scheduler_check(&scheduler);
    assert_int_equal(next->state, REQUEST_WAITING);
    assert_int_equal(next->token_count, 6);
    run_until_idle();
    assert_text(next, 9);
}

int main(void)
{
#define SCHEDULER_TEST(name) cmocka_unit_test_setup_teardown(name, set_defaults, close_all)
    const struct CMUnitTest tests[] = {
        SCHEDULER_TEST(stop_ends_a_request_and_its_blocks_stay_findable),
        SCHEDULER_TEST(error_ends_a_request_and_publishes_nothing),
        SCHEDULER_TEST(error_may_come_in_the_middle_of_a_prompt),
        SCHEDULER_TEST(request_that_can_never_fit_is_refused_at_once),
        SCHEDULER_TEST(full_queue_refuses_by_count_and_by_tokens),
        SCHEDULER_TEST(preempted_requests_do_not_fill_the_queue),
        cmocka_unit_test_setup(impossible_options_are_refused, set_defaults),
        SCHEDULER_TEST(deadline_ends_waiting_and_running_requests),
        SCHEDULER_TEST(cancel_works_in_every_state_and_twice),
        SCHEDULER_TEST(cancelled_preempted_request_leaves_too),
        SCHEDULER_TEST(result_for_a_cancelled_request_is_dropped),
        SCHEDULER_TEST(result_never_reaches_the_next_user_of_a_struct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
