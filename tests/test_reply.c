/* test_reply.c - the way back from the engine to a reader: order, room, wake-ups, references.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "configs/limits.h"
#include "engine/reply.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

static struct generate_params params_for(uint32_t choice_count, uint32_t max_tokens)
{
    return (struct generate_params){
        .prompt_tokens = 3,
        .max_tokens = max_tokens,
        .choice_count = choice_count,
        .sampling = {.temperature = 1.0f, .top_p = 1.0f, .repetition_penalty = 1.0f},
    };
}

static struct reply *open_reply(const struct generate_params *params)
{
    struct reply *reply = NULL;
    struct error err;
    assert_int_equal(reply_open(&reply, params, &err), OK);
    return reply;
}

static void push_token(struct reply *reply, uint32_t choice, uint32_t index, uint32_t token_id)
{
    reply_push(reply, &(struct reply_event){.kind = REPLY_TOKEN,
                                            .choice = choice,
                                            .index = index,
                                            .token_id = token_id,
                                            .logprob = NAN});
}

static void push_finish(struct reply *reply, uint32_t choice)
{
    reply_push(reply, &(struct reply_event){
                          .kind = REPLY_FINISH, .choice = choice, .finish = REPLY_FINISH_LENGTH});
}

static void events_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    struct generate_params params = params_for(2, 10);
    struct reply *reply = open_reply(&params);
    for (uint32_t i = 0; i < 10; i++) {
        push_token(reply, i % 2, i / 2, 100 + i);
    }
    struct reply_event event;
    for (uint32_t i = 0; i < 10; i++) {
        assert_true(reply_take(reply, &event));
        assert_int_equal(event.kind, REPLY_TOKEN);
        assert_int_equal(event.choice, i % 2);
        assert_int_equal(event.token_id, 100 + i);
        assert_null(event.top);
    }
    assert_false(reply_take(reply, &event));
    reply_put(reply);
}

static void there_is_room_for_every_event_a_request_can_have(void **state)
{
    (void)state;
    struct generate_params params = params_for(3, 5);
    params.prompt_logprobs = true;
    params.prompt_tokens = 7;
    params.sampling.logprobs = true;
    params.sampling.top_logprobs = LIMIT_TOP_LOGPROBS;
    struct reply *reply = open_reply(&params);
    struct reply_logprob top[LIMIT_TOP_LOGPROBS];
    uint32_t pushed = 0;
    for (; pushed < 7 + 3 * 6; pushed++) {
        for (uint32_t j = 0; j < LIMIT_TOP_LOGPROBS; j++) {
            top[j] = (struct reply_logprob){pushed * 100 + j, -(float)j};
        }
        reply_push(reply, &(struct reply_event){.kind = REPLY_TOKEN,
                                                .token_id = pushed,
                                                .top = top,
                                                .top_count = LIMIT_TOP_LOGPROBS});
    }
    memset(top, 0xff, sizeof top); /* the reply keeps its own copy */
    struct reply_event event;
    for (uint32_t i = 0; i < pushed; i++) {
        assert_true(reply_take(reply, &event));
        assert_int_equal(event.top_count, LIMIT_TOP_LOGPROBS);
        for (uint32_t j = 0; j < LIMIT_TOP_LOGPROBS; j++) {
            assert_int_equal(event.top[j].token_id, i * 100 + j);
            assert_true(event.top[j].logprob == -(float)j);
        }
    }
    reply_put(reply);
}

static void largest_request_reserves_but_does_not_touch_its_memory(void **state)
{
    (void)state;
    /* 128 choices of a million tokens: terabytes if it were touched. */
    struct generate_params params = params_for(LIMIT_CHOICES, 1000000);
    struct reply *reply = NULL;
    struct error err;
    enum status status = reply_open(&reply, &params, &err);
    if (status == ERR_MEMORY) {
        print_message("skipped: this machine does not overcommit\n");
        skip();
    }
    assert_int_equal(status, OK);
    push_token(reply, 127, 0, 1);
    struct reply_event event;
    assert_true(reply_take(reply, &event));
    assert_int_equal(event.choice, 127);
    reply_put(reply);
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    struct reply *reply = NULL;
    struct error err;
    struct generate_params params = params_for(0, 1);
    assert_int_equal(reply_open(&reply, &params, &err), ERR_INVALID);
    params = params_for(LIMIT_CHOICES + 1, 1);
    assert_int_equal(reply_open(&reply, &params, &err), ERR_INVALID);
    params = params_for(1, 1);
    params.sampling.top_logprobs = LIMIT_TOP_LOGPROBS + 1;
    assert_int_equal(reply_open(&reply, &params, &err), ERR_INVALID);
}

static void count_wake(void *context)
{
    atomic_fetch_add((atomic_uint *)context, 1);
}

static void waker_runs_once_for_each_take_that_found_nothing(void **state)
{
    (void)state;
    atomic_uint wakes = 0;
    struct generate_params params = params_for(1, 10);
    struct reply *reply = open_reply(&params);
    reply_set_waker(reply, count_wake, &wakes);
    struct reply_event event;

    push_token(reply, 0, 0, 1); /* nobody has looked yet */
    assert_int_equal(wakes, 0);
    assert_true(reply_take(reply, &event));
    push_token(reply, 0, 1, 2); /* the last take found something */
    assert_int_equal(wakes, 0);
    assert_true(reply_take(reply, &event));
    assert_false(reply_take(reply, &event));
    assert_false(reply_take(reply, &event));
    push_token(reply, 0, 2, 3);
    assert_int_equal(wakes, 1);
    push_token(reply, 0, 3, 4);
    assert_int_equal(wakes, 1);
    assert_true(reply_take(reply, &event));
    assert_true(reply_take(reply, &event));
    assert_false(reply_take(reply, &event));
    push_finish(reply, 0);
    assert_int_equal(wakes, 2);
    reply_put(reply);
}

static void wait_times_out_when_nothing_comes(void **state)
{
    (void)state;
    struct generate_params params = params_for(1, 1);
    struct reply *reply = open_reply(&params);
    struct reply_event event;
    assert_false(reply_wait(reply, &event, 0));
    assert_false(reply_wait(reply, &event, 2000));
    push_token(reply, 0, 0, 5);
    assert_true(reply_wait(reply, &event, 0));
    assert_int_equal(event.token_id, 5);
    reply_put(reply);
}

static void flags_of_the_reader_reach_the_engine(void **state)
{
    (void)state;
    struct generate_params params = params_for(3, 1);
    struct reply *reply = open_reply(&params);
    assert_false(reply_abandoned(reply));
    assert_false(reply_choice_stopped(reply, 1));
    reply_stop_choice(reply, 1);
    assert_false(reply_choice_stopped(reply, 0));
    assert_true(reply_choice_stopped(reply, 1));
    assert_false(reply_choice_stopped(reply, 2));
    assert_false(reply_abandoned(reply));
    reply_abandon(reply);
    assert_true(reply_abandoned(reply));
    assert_int_equal(reply_cached_tokens(reply), 0);
    reply_set_cached_tokens(reply, 48);
    assert_int_equal(reply_cached_tokens(reply), 48);
    reply_put(reply);
}

enum {
    STREAM_TOKENS = 20000
};

static void *push_stream(void *context)
{
    struct reply *reply = context;
    for (uint32_t i = 0; i < STREAM_TOKENS; i++) {
        push_token(reply, 0, i, i * 7);
        if (reply_abandoned(reply)) {
            break;
        }
    }
    push_finish(reply, 0);
    reply_put(reply);
    return NULL;
}

/* Takes until the finish event; returns how many tokens came, each the one that was due. */
static uint32_t read_stream(struct reply *reply, bool (*next)(struct reply *, struct reply_event *))
{
    struct reply_event event;
    uint32_t count = 0;
    for (;;) {
        assert_true(next(reply, &event));
        if (event.kind == REPLY_FINISH) {
            return count;
        }
        assert_int_equal(event.index, count);
        assert_int_equal(event.token_id, count * 7);
        count++;
    }
}

static bool next_by_waiting(struct reply *reply, struct reply_event *event)
{
    return reply_wait(reply, event, 60000000);
}

static void a_waiting_reader_gets_every_event_of_another_thread(void **state)
{
    (void)state;
    struct generate_params params = params_for(1, STREAM_TOKENS);
    struct reply *reply = open_reply(&params);
    reply_get(reply);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, push_stream, reply), 0);
    assert_int_equal(read_stream(reply, next_by_waiting), STREAM_TOKENS);
    reply_put(reply);
    pthread_join(writer, NULL);
}

/* A reader as the HTTP side is one: it sleeps until its waker ran, never more than once per
 * empty take. */
struct sleeper {
    pthread_mutex_t lock;
    pthread_cond_t woken;
    uint32_t permits;
    uint32_t empty_takes;
    uint32_t wakes;
};

static void wake_sleeper(void *context)
{
    struct sleeper *sleeper = context;
    pthread_mutex_lock(&sleeper->lock);
    sleeper->permits++;
    sleeper->wakes++;
    pthread_cond_signal(&sleeper->woken);
    pthread_mutex_unlock(&sleeper->lock);
}

static struct sleeper sleeper = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                 .woken = PTHREAD_COND_INITIALIZER};

static bool next_by_waker(struct reply *reply, struct reply_event *event)
{
    while (!reply_take(reply, event)) {
        pthread_mutex_lock(&sleeper.lock);
        sleeper.empty_takes++;
        while (sleeper.permits == 0) {
            pthread_cond_wait(&sleeper.woken, &sleeper.lock);
        }
        sleeper.permits--;
        pthread_mutex_unlock(&sleeper.lock);
    }
    return true;
}

static void a_reader_with_a_waker_loses_no_wake_up(void **state)
{
    (void)state;
    struct generate_params params = params_for(1, STREAM_TOKENS);
    struct reply *reply = open_reply(&params);
    reply_set_waker(reply, wake_sleeper, &sleeper);
    reply_get(reply);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, push_stream, reply), 0);
    assert_int_equal(read_stream(reply, next_by_waker), STREAM_TOKENS);
    pthread_join(writer, NULL);
    assert_int_equal(sleeper.permits, 0);
    assert_int_equal(sleeper.wakes, sleeper.empty_takes);
    reply_put(reply);
}

static void a_reader_may_leave_while_the_engine_still_writes(void **state)
{
    (void)state;
    struct generate_params params = params_for(1, STREAM_TOKENS);
    for (uint32_t round = 0; round < 20; round++) {
        struct reply *reply = open_reply(&params);
        reply_get(reply);
        pthread_t writer;
        assert_int_equal(pthread_create(&writer, NULL, push_stream, reply), 0);
        struct reply_event event;
        for (uint32_t i = 0; i < round; i++) {
            assert_true(next_by_waiting(reply, &event));
        }
        reply_abandon(reply);
        reply_put(reply);
        pthread_join(writer, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_out_in_the_order_they_went_in),
        cmocka_unit_test(there_is_room_for_every_event_a_request_can_have),
        cmocka_unit_test(largest_request_reserves_but_does_not_touch_its_memory),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(waker_runs_once_for_each_take_that_found_nothing),
        cmocka_unit_test(wait_times_out_when_nothing_comes),
        cmocka_unit_test(flags_of_the_reader_reach_the_engine),
        cmocka_unit_test(a_waiting_reader_gets_every_event_of_another_thread),
        cmocka_unit_test(a_reader_with_a_waker_loses_no_wake_up),
        cmocka_unit_test(a_reader_may_leave_while_the_engine_still_writes),
    };
    return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
