/* test_scheduler_plan.c - who runs in which step, told one case at a time.
 *
 * Random cases are in sim_scheduler.c. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/scheduler_rig.h"

/* Steps and budget */

static void short_request_reads_its_prompt_then_gives_a_token_a_step(void **state)
{
    (void)state;
    open_all();
    struct request *request = add(1, 5, 3);
    assert_int_equal(request->state, REQUEST_WAITING);
    plan(77);
    assert_int_equal(batch.span_count, 1);
    assert_int_equal(rows_of(request), 5);
    assert_int_equal(batch.logits_count, 1);
    assert_int_equal(batch.logits_rows[0], 4);
    assert_int_equal(request->admitted_us, 77);
    apply();
    for (uint32_t i = 1; i < 3; i++) {
        assert_int_equal(request->state, REQUEST_RUNNING);
        assert_int_equal(request_output_tokens(request), i);
        plan(78);
        assert_int_equal(rows_of(request), 1);
        assert_int_equal(batch.positions[0], 4 + i);
        assert_int_equal(batch.token_ids[0], i);
        apply();
    }
    assert_int_equal(request->finish_reason, FINISH_LENGTH);
    assert_text(request, 3);
    assert_ptr_equal(scheduler_first_finished(&scheduler), request);
    assert_true(scheduler_idle(&scheduler));
    plan(79);
    assert_int_equal(batch.span_count, 0);
}

static void long_prompt_is_cut_to_the_budget(void **state)
{
    (void)state;
    options.batch_tokens_max = 8;
    open_all();
    struct request *request = add(1, 20, 2);
    const uint32_t rows[] = {8, 8, 4, 1};
    const uint32_t logits[] = {0, 0, 1, 1};
    for (uint32_t i = 0; i < 4; i++) {
        plan(1);
        assert_int_equal(rows_of(request), rows[i]);
        assert_int_equal(batch.logits_count, logits[i]);
        apply();
    }
    assert_text(request, 2);
}

static void chunk_limit_lets_two_prompts_share_a_step(void **state)
{
    (void)state;
    options.batch_tokens_max = 16;
    options.chunk_tokens_max = 6;
    open_all();
    struct request *a = add(1, 20, 2);
    struct request *b = add(2, 20, 2);
    struct request *c = add(3, 20, 2);
    plan(1);
    assert_int_equal(rows_of(a), 6);
    assert_int_equal(rows_of(b), 6);
    assert_int_equal(rows_of(c), 4);
    apply();
    run_until_idle();
    assert_text(c, 2);
}

static void running_requests_get_their_token_however_long_the_next_prompt(void **state)
{
    (void)state;
    options.batch_tokens_max = 8;
    open_all();
    struct request *a = add(1, 2, 20);
    struct request *b = add(2, 2, 20);
    step();
    struct request *giant = add(3, 90, 2);
    for (uint32_t i = 0; i < 15; i++) {
        plan(1);
        assert_int_equal(rows_of(a), 1);
        assert_int_equal(rows_of(b), 1);
        assert_int_equal(rows_of(giant), 6);
        assert_int_equal(batch.token_count, 8);
        apply();
    }
    assert_int_equal(giant->computed_tokens, 90);
}

static void no_more_run_than_slots_or_budget(void **state)
{
    (void)state;
    options.batch_tokens_max = 3; /* below running_max: each running request must get its row */
    open_all();
    for (uint32_t i = 0; i < 6; i++) {
        add(i, 1, 4);
    }
    for (uint32_t i = 0; i < 5; i++) {
        plan(1);
        assert_true(scheduler.running.request_count <= 3);
        assert_int_equal(batch.span_count, scheduler.running.request_count);
        apply();
    }
    run_until_idle();
}

static void logits_rows_are_shared_out_to_all(void **state)
{
    (void)state;
    options.running_max = 4;
    options.logits_rows_max = 4;
    open_all();
    struct request_spec spec = spec_of(1, 9, 2);
    spec.all_logits = true;
    struct request *scored = add_spec(&spec);
    struct request *plain = add(2, 6, 2);
    plan(1);
    assert_int_equal(rows_of(scored), 4);
    assert_int_equal(rows_of(plain), 0); /* no row of logits was left to admit it for */
    apply();
    run_until_idle();
    assert_text(scored, 2);
    assert_text(plain, 2);
}

static void prompt_that_ends_without_logits_to_spare_stops_one_short(void **state)
{
    (void)state;
    options.running_max = 3;
    options.logits_rows_max = 3;
    options.chunk_tokens_max = 4;
    open_all();
    struct request_spec spec = spec_of(1, 12, 2);
    spec.all_logits = true;
    struct request *plain = add(2, 6, 2);
    step(); /* 4 of the 6 */
    struct request *scored = add_spec(&spec);
    step();
    assert_int_equal(request_output_tokens(plain), 1);
    assert_int_equal(scored->computed_tokens, 2);
    run_until_idle();
    assert_text(scored, 2);
}

/* Order */

static void requests_are_admitted_first_come_first_served(void **state)
{
    (void)state;
    options.running_max = 1;
    open_all();
    struct request *order[] = {add(1, 3, 1), add(2, 3, 1), add(3, 3, 1)};
    for (uint32_t i = 0; i < 3; i++) {
        step();
        assert_int_equal(order[i]->state, REQUEST_FINISHED);
    }
}

static void urgent_requests_are_admitted_first(void **state)
{
    (void)state;
    options.running_max = 1;
    options.policy = policy_find("priority");
    open_all();
    struct request_spec spec = spec_of(1, 3, 1);
    spec.priority = 5;
    struct request *lazy = add_spec(&spec);
    spec = spec_of(2, 3, 1);
    spec.priority = -5;
    struct request *urgent = add_spec(&spec);
    step();
    assert_int_equal(urgent->state, REQUEST_FINISHED);
    assert_int_equal(lazy->state, REQUEST_WAITING);
}

static void large_request_is_not_overtaken_by_small_ones(void **state)
{
    (void)state;
    kv_options.block_count = 8;
    open_all();
    struct request *a = add(1, 15, 10);
    step();
    struct request *large = add(2, 20, 2);
    struct request *small = add(3, 2, 2);
    step();
    assert_int_equal(large->state, REQUEST_WAITING);
    assert_int_equal(small->state, REQUEST_WAITING);
    run_until_idle();
    assert_text(a, 10);
    assert_true(large->admit_number < small->admit_number);
}

/* Blocks and preemption */

static void admission_leaves_a_block_for_each_request_that_grows(void **state)
{
    (void)state;
    kv_options.block_count = 5;
    open_all();
    struct request *a = add(1, 5, 9); /* 2 blocks, to become 4 */
    struct request *b = add(2, 9, 2); /* 3 blocks: exactly what is free */
    step();
    assert_int_equal(a->state, REQUEST_RUNNING);
    assert_int_equal(b->state, REQUEST_WAITING);
    run_until_idle();
    assert_int_equal(scheduler.counters.preempt_count, 0);
    assert_text(a, 9);
    assert_text(b, 2);
}

static void youngest_is_preempted_and_continues_where_it_was(void **state)
{
    (void)state;
    kv_options.block_count = 7;
    kv_options.prefix_caching = false;
    open_all();
    struct request *a = add(1, 7, 17);
    struct request *b = add(2, 7, 17);
    uint32_t before = 0;
    for (uint32_t i = 0; b->preempt_count == 0; i++) {
        assert_true(i < 30);
        before = request_output_tokens(b);
        step();
    }
    assert_int_equal(b->state, REQUEST_WAITING);
    assert_int_equal(request_output_tokens(b), before);
    assert_int_equal(b->computed_tokens, 0);
    assert_int_equal(a->preempt_count, 0);
    assert_int_equal(scheduler.counters.preempt_count, 1);
    run_until_idle();
    assert_int_equal(a->preempt_count, 0);
    assert_text(a, 17);
    assert_text(b, 17);
}

static void least_urgent_is_preempted_before_the_youngest(void **state)
{
    (void)state;
    kv_options.block_count = 7;
    options.policy = policy_find("priority");
    open_all();
    struct request_spec spec = spec_of(1, 7, 17);
    spec.priority = 1;
    struct request *lazy = add_spec(&spec);
    step();
    struct request *urgent = add(2, 7, 17);
    for (uint32_t i = 0; lazy->preempt_count == 0; i++) {
        assert_true(i < 30);
        step();
    }
    assert_int_equal(urgent->preempt_count, 0);
    run_until_idle();
    assert_text(lazy, 17);
    assert_text(urgent, 17);
}

static void last_in_order_waits_for_a_block_rather_than_giving_up_its_own(void **state)
{
    (void)state;
    kv_options.block_count = 4;
    open_all();
    struct request *a = add(1, 5, 3); /* 2 blocks, never more */
    struct request *b = add(2, 4, 7); /* 1 block, to become 3 */
    step();
    step();
    assert_int_equal(b->computed_tokens, 5);
    struct request *c = add(3, 4, 2); /* takes no part: one block is kept for b */
    step();
    assert_int_equal(a->finish_reason, FINISH_LENGTH);
    run_until_idle();
    assert_int_equal(scheduler.counters.preempt_count, 0);
    assert_text(b, 7);
    assert_text(c, 2);
}

static void stalled_request_sits_out_steps_and_its_guesses_lapse(void **state)
{
    (void)state;
    kv_options.block_count = 3;
    open_all();
    struct request *a = add(1, 5, 3); /* 2 blocks to the end */
    struct request *b = add(2, 4, 9); /* the third block; it needs another with its first token */
    step();
    const uint32_t guesses[] = {2};
    for (uint32_t i = 0; i < 2; i++) {
        scheduler_propose(&scheduler, b, guesses, 1);
        plan(1);
        assert_int_equal(rows_of(a), 1);
        assert_int_equal(rows_of(b), 0);
        assert_int_equal(b->state, REQUEST_RUNNING);
        assert_int_equal(b->guess_count, 0);
        apply();
    }
    assert_int_equal(a->state, REQUEST_FINISHED);
    run_until_idle();
    assert_text(b, 9);
    assert_int_equal(b->preempt_count, 0);
}

static void preemptions_of_one_request_are_limited(void **state)
{
    (void)state;
    options.preempt_max = 2;
    open_all();
    struct request *request = add(1, 6, 9);
    for (uint32_t i = 1; i <= 2; i++) {
        step();
        scheduler_preempt(&scheduler, request);
        assert_int_equal(request->state, REQUEST_WAITING);
        assert_int_equal(request->preempt_count, i);
    }
    step();
    scheduler_preempt(&scheduler, request);
    assert_int_equal(request->state, REQUEST_FINISHED);
    assert_int_equal(request->finish_reason, FINISH_CAPACITY);
    assert_int_equal(request->preempt_count, 2);
    assert_ptr_equal(scheduler_first_finished(&scheduler), request);
}

static void preempted_request_finds_its_prefix_again(void **state)
{
    (void)state;
    open_all();
    struct request *request = add(1, 9, 9);
    for (uint32_t i = 0; i < 5; i++) {
        step();
    }
    assert_int_equal(request->token_count, 14);
    scheduler_preempt(&scheduler, request);
    plan(5);
    assert_int_equal(rows_of(request), 14 - 12);
    assert_int_equal(request->cached_tokens, 0); /* as at first admission */
    assert_int_equal(request->admitted_us, 1);
    apply();
    run_until_idle();
    assert_text(request, 9);
}

/* Prefixes and forks */

static void prompt_with_a_known_prefix_computes_only_the_rest(void **state)
{
    (void)state;
    open_all();
    add(1, 10, 1);
    step();
    struct request *request = add(1, 14, 2);
    plan(1);
    assert_int_equal(request->cached_tokens, 8);
    assert_int_equal(rows_of(request), 6);
    assert_int_equal(batch.positions[0], 8);
    apply();
    assert_int_equal(cache.hit_tokens, 8);
    assert_int_equal(cache.query_tokens, 24);
}

static struct request *add_fork(struct request *parent, uint32_t kind, uint32_t prompt_tokens,
                                uint32_t output_tokens)
{
    struct request_spec spec = spec_of(kind, prompt_tokens, output_tokens);
    spec.fork_from = parent;
    return add_spec(&spec);
}

static void children_wait_for_the_prompt_and_compute_one_token(void **state)
{
    (void)state;
    options.batch_tokens_max = 6;
    open_all();
    struct request *parent = add(1, 11, 9);
    struct request *first = add_fork(parent, 1, 11, 9);
    struct request *second = add_fork(parent, 1, 11, 9);
    assert_int_equal(parent->child_count, 2);
    step();
    assert_int_equal(first->state, REQUEST_WAITING);
    step();
    assert_int_equal(request_output_tokens(parent), 1);
    plan(1);
    assert_int_equal(rows_of(parent), 1);
    assert_int_equal(rows_of(first), 1);
    assert_int_equal(rows_of(second), 1);
    assert_int_equal(batch.copy_count, 2);
    assert_int_equal(batch.copies[0].from_block, parent->kv.table.block_ids[2]);
    assert_int_equal(batch.copies[0].to_block, first->kv.table.block_ids[2]);
    assert_int_equal(batch.copies[0].token_count, 2);
    assert_int_equal(batch.logits_count, 3);
    assert_int_equal(first->kv.table.block_ids[1], parent->kv.table.block_ids[1]);
    assert_int_equal(first->cached_tokens, 10);
    assert_int_equal(parent->child_count, 0);
    assert_null(first->spec.fork_from);
    apply();
    run_until_idle();
    assert_text(parent, 9);
    assert_text(first, 9);
    assert_text(second, 9);
    assert_int_equal(scheduler.counters.fork_count, 2);
}

static void child_needs_only_the_blocks_it_does_not_share(void **state)
{
    (void)state;
    kv_options.block_count = 4;
    open_all();
    struct request *parent = add(1, 9, 3); /* 3 blocks to the end */
    struct request *child = add_fork(parent, 1, 9, 3);
    step();
    plan(1);
    assert_int_equal(rows_of(child), 1);
    assert_int_equal(cache.pool.free_count, 0);
    apply();
    run_until_idle();
    assert_text(parent, 3);
    assert_text(child, 3);
}

static void others_pass_children_that_wait(void **state)
{
    (void)state;
    options.batch_tokens_max = 6;
    open_all();
    struct request *parent = add(1, 5, 3);
    struct request *child = add_fork(parent, 1, 5, 3);
    struct request *other = add(2, 1, 3);
    plan(1);
    assert_int_equal(rows_of(child), 0);
    assert_int_equal(rows_of(other), 1);
    apply();
}

static void children_run_alone_when_their_parent_is_gone(void **state)
{
    (void)state;
    open_all();
    struct request *parent = add(1, 10, 3);
    struct request *child = add_fork(parent, 1, 10, 3);
    scheduler_cancel(&scheduler, parent, FINISH_CANCELLED);
    assert_null(child->spec.fork_from);
    scheduler_remove(&scheduler, parent);
    run_until_idle();
    assert_text(child, 3);
    assert_int_equal(scheduler.counters.fork_count, 0);
}

static void children_run_alone_when_their_parent_is_preempted(void **state)
{
    (void)state;
    options.batch_tokens_max = 6;
    open_all();
    struct request *parent = add(1, 10, 3);
    struct request *child = add_fork(parent, 1, 10, 3);
    step();
    scheduler_preempt(&scheduler, parent);
    assert_null(child->spec.fork_from);
    assert_int_equal(parent->child_count, 0);
    run_until_idle();
    assert_text(parent, 3);
    assert_text(child, 3);
}

static void parent_may_finish_in_the_step_that_reads_its_prompt(void **state)
{
    (void)state;
    open_all();
    struct request *parent = add(1, 10, 1);
    struct request *child = add_fork(parent, 1, 10, 3);
    step();
    assert_int_equal(parent->finish_reason, FINISH_LENGTH);
    scheduler_remove(&scheduler, parent);
    plan(1);
    assert_int_equal(child->cached_tokens, 8); /* what the prefix cache still knows */
    apply();
    run_until_idle();
    assert_text(child, 3);
}

static void cancelled_child_leaves_its_parent_alone(void **state)
{
    (void)state;
    open_all();
    struct request *parent = add(1, 10, 3);
    struct request *child = add_fork(parent, 1, 10, 3);
    scheduler_cancel(&scheduler, child, FINISH_CANCELLED);
    assert_int_equal(parent->child_count, 0);
    scheduler_remove(&scheduler, child);
    run_until_idle();
    assert_text(parent, 3);
}

static void fork_of_a_finished_request_is_an_ordinary_one(void **state)
{
    (void)state;
    open_all();
    struct request *parent = add(1, 10, 1);
    step();
    struct request *child = add_fork(parent, 1, 10, 3);
    assert_null(child->spec.fork_from);
    run_until_idle();
    assert_text(child, 3);
}

/* Scored prompts */

static void scored_prompt_is_computed_whole_and_each_row_once(void **state)
{
    (void)state;
    options.chunk_tokens_max = 4;
    open_all();
    add(1, 10, 1); /* fills the prefix cache */
    run_until_idle();
    struct request_spec spec = spec_of(1, 10, 2);
    spec.all_logits = true;
    struct request *request = add_spec(&spec);
    const uint32_t rows[] = {4, 4, 2, 1};
    for (uint32_t i = 0; i < 4; i++) {
        plan(1);
        assert_int_equal(rows_of(request), rows[i]);
        assert_int_equal(batch.logits_count, rows[i]);
        apply();
    }
    assert_int_equal(request->cached_tokens, 0);
    assert_int_equal(request->scored_tokens, 10);
    assert_text(request, 2);
}

static void preempted_scored_prompt_goes_on_where_it_was(void **state)
{
    (void)state;
    options.chunk_tokens_max = 6;
    open_all();
    struct request_spec spec = spec_of(1, 13, 2);
    spec.all_logits = true;
    struct request *request = add_spec(&spec);
    step();
    assert_int_equal(request->scored_tokens, 6);
    scheduler_preempt(&scheduler, request);
    plan(1);
    assert_int_equal(batch.positions[0], 4); /* one block of the six is in the prefix cache */
    assert_int_equal(rows_of(request), 6);
    assert_int_equal(batch.logits_count, 4); /* positions 6 to 9 */
    assert_int_equal(batch.logits_rows[0], 2);
    apply();
    assert_int_equal(request->scored_tokens, 10);
    run_until_idle();
    assert_text(request, 2);
}

/* Guesses */

static void right_guesses_are_taken_and_one_more(void **state)
{
    (void)state;
    open_all();
    struct request *request = add(1, 6, 20);
    step();
    const uint32_t guesses[] = {2, 3, 4};
    scheduler_propose(&scheduler, request, guesses, 3);
    plan(1);
    assert_int_equal(rows_of(request), 4);
    assert_int_equal(span_of(request)->guess_count, 3);
    assert_int_equal(batch.logits_count, 4);
    apply();
    assert_text(request, 5);
    assert_int_equal(request->computed_tokens, 10);
    assert_int_equal(request->guess_count, 0);
    step();
    assert_text(request, 6);
}

static void wrong_guesses_are_rolled_back(void **state)
{
    (void)state;
    open_all();
    struct request *request = add(1, 6, 20);
    step();
    const uint32_t guesses[] = {2, 9, 9, 9, 9, 9, 9, 9, 9, 9};
    scheduler_propose(&scheduler, request, guesses, 10);
    uint32_t free_before = cache.pool.free_count;
    plan(1);
    assert_int_equal(cache.pool.free_count, free_before - 3);
    apply();
    assert_text(request, 3);
    assert_int_equal(request->computed_tokens, 8);
    assert_int_equal(request->kv.table.block_count, 2);
    run_until_idle();
    assert_text(request, 20);
}

static void guesses_never_pass_the_length_limit(void **state)
{
    (void)state;
    open_all();
    struct request *request = add(1, 6, 4);
    step();
    const uint32_t guesses[] = {2, 3, 4, 5, 6};
    scheduler_propose(&scheduler, request, guesses, 5);
    assert_int_equal(request->guess_count, 2);
    step();
    assert_int_equal(request->finish_reason, FINISH_LENGTH);
    assert_text(request, 4);
}

static void guesses_shrink_to_the_free_blocks_and_preempt_nobody(void **state)
{
    (void)state;
    kv_options.block_count = 5;
    kv_options.prefix_caching = false;
    open_all();
    struct request *a = add(1, 5, 15); /* 2 blocks, and one kept free for it */
    struct request *b = add(2, 6, 3);  /* 2 blocks, to the end */
    step();
    assert_int_equal(cache.pool.free_count, 1);
    const uint32_t guesses[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    scheduler_propose(&scheduler, a, guesses, 10);
    plan(1);
    assert_int_equal(span_of(a)->guess_count, 6); /* 12 slots, 6 tokens */
    assert_int_equal(cache.pool.free_count, 0);
    assert_int_equal(rows_of(b), 1);
    assert_int_equal(scheduler.counters.preempt_count, 0);
    apply();
    assert_text(a, 8);
    run_until_idle(); /* the tokens themselves may */
    assert_text(a, 15);
    assert_text(b, 3);
}

static void guesses_leave_every_owed_token_its_row(void **state)
{
    (void)state;
    options.batch_tokens_max = 6;
    options.running_max = 3;
    open_all();
    struct request *a = add(1, 2, 20);
    struct request *b = add(2, 2, 20);
    step();
    const uint32_t guesses[] = {2, 3, 4, 5, 6, 7, 8};
    scheduler_propose(&scheduler, a, guesses, 7);
    scheduler_propose(&scheduler, b, guesses, 7);
    struct request *prompt = add(3, 9, 2);
    plan(1);
    assert_int_equal(rows_of(a), 3); /* 4 rows left by the owed ones: half for guesses */
    assert_int_equal(rows_of(b), 1);
    assert_int_equal(rows_of(prompt), 2);
    apply();
    assert_text(a, 4);
    assert_text(b, 2);
}

static void guesses_for_a_request_that_reads_its_prompt_are_ignored(void **state)
{
    (void)state;
    options.batch_tokens_max = 4;
    open_all();
    struct request *request = add(1, 10, 5);
    const uint32_t guesses[] = {1, 2};
    scheduler_propose(&scheduler, request, guesses, 2);
    assert_int_equal(request->guess_count, 0);
    step();
    scheduler_propose(&scheduler, request, guesses, 2);
    assert_int_equal(request->guess_count, 0);
    run_until_idle();
    assert_text(request, 5);
}

int main(void)
{
#define SCHEDULER_TEST(name) cmocka_unit_test_setup_teardown(name, set_defaults, close_all)
    const struct CMUnitTest tests[] = {
        SCHEDULER_TEST(short_request_reads_its_prompt_then_gives_a_token_a_step),
        SCHEDULER_TEST(long_prompt_is_cut_to_the_budget),
        SCHEDULER_TEST(chunk_limit_lets_two_prompts_share_a_step),
        SCHEDULER_TEST(running_requests_get_their_token_however_long_the_next_prompt),
        SCHEDULER_TEST(no_more_run_than_slots_or_budget),
        SCHEDULER_TEST(logits_rows_are_shared_out_to_all),
        SCHEDULER_TEST(prompt_that_ends_without_logits_to_spare_stops_one_short),
        SCHEDULER_TEST(requests_are_admitted_first_come_first_served),
        SCHEDULER_TEST(urgent_requests_are_admitted_first),
        SCHEDULER_TEST(large_request_is_not_overtaken_by_small_ones),
        SCHEDULER_TEST(admission_leaves_a_block_for_each_request_that_grows),
        SCHEDULER_TEST(youngest_is_preempted_and_continues_where_it_was),
        SCHEDULER_TEST(least_urgent_is_preempted_before_the_youngest),
        SCHEDULER_TEST(last_in_order_waits_for_a_block_rather_than_giving_up_its_own),
        SCHEDULER_TEST(stalled_request_sits_out_steps_and_its_guesses_lapse),
        SCHEDULER_TEST(preemptions_of_one_request_are_limited),
        SCHEDULER_TEST(preempted_request_finds_its_prefix_again),
        SCHEDULER_TEST(prompt_with_a_known_prefix_computes_only_the_rest),
        SCHEDULER_TEST(children_wait_for_the_prompt_and_compute_one_token),
        SCHEDULER_TEST(child_needs_only_the_blocks_it_does_not_share),
        SCHEDULER_TEST(others_pass_children_that_wait),
        SCHEDULER_TEST(children_run_alone_when_their_parent_is_gone),
        SCHEDULER_TEST(children_run_alone_when_their_parent_is_preempted),
        SCHEDULER_TEST(parent_may_finish_in_the_step_that_reads_its_prompt),
        SCHEDULER_TEST(cancelled_child_leaves_its_parent_alone),
        SCHEDULER_TEST(fork_of_a_finished_request_is_an_ordinary_one),
        SCHEDULER_TEST(scored_prompt_is_computed_whole_and_each_row_once),
        SCHEDULER_TEST(preempted_scored_prompt_goes_on_where_it_was),
        SCHEDULER_TEST(right_guesses_are_taken_and_one_more),
        SCHEDULER_TEST(wrong_guesses_are_rolled_back),
        SCHEDULER_TEST(guesses_never_pass_the_length_limit),
        SCHEDULER_TEST(guesses_shrink_to_the_free_blocks_and_preempt_nobody),
        SCHEDULER_TEST(guesses_leave_every_owed_token_its_row),
        SCHEDULER_TEST(guesses_for_a_request_that_reads_its_prompt_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
