/* test_engine_load.c - many clients at once, and what the engine thread allocates: nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/clock.h"
#include "tests/support/engine_rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 0
#else
#define COUNTS_ALLOCATIONS 1
#endif

/* ---- allocations of the engine thread, told by its name ---- */

static atomic_uint engine_allocations;

#if COUNTS_ALLOCATIONS
/* NOLINTBEGIN(bugprone-reserved-identifier) */
void *__libc_malloc(size_t byte_count);
void *__libc_calloc(size_t count, size_t element_bytes);
void *__libc_realloc(void *memory, size_t byte_count);
void *__libc_memalign(size_t alignment, size_t byte_count);
/* NOLINTEND(bugprone-reserved-identifier) */

static void count_allocation(void)
{
    static __thread int kind; /* 0: not asked yet, 1: the engine, 2: another */
    if (kind == 0) {
        char name[16] = "";
        kind = 2;
        pthread_getname_np(pthread_self(), name, sizeof name);
        kind = strcmp(name, "engine") == 0 ? 1 : 2;
    }
    if (kind == 1) {
        atomic_fetch_add(&engine_allocations, 1);
    }
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
void *malloc(size_t byte_count)
{
    count_allocation();
    return __libc_malloc(byte_count);
}

void *calloc(size_t count, size_t element_bytes)
{
    count_allocation();
    return __libc_calloc(count, element_bytes);
}

void *realloc(void *memory, size_t byte_count)
{
    count_allocation();
    return __libc_realloc(memory, byte_count);
}

void *aligned_alloc(size_t alignment, size_t byte_count)
{
    count_allocation();
    return __libc_memalign(alignment, byte_count);
}

int posix_memalign(void **out, size_t alignment, size_t byte_count)
{
    count_allocation();
    *out = __libc_memalign(alignment, byte_count);
    return *out == NULL;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
#endif

static void *allocate_as_engine(void *context)
{
    pthread_setname_np(pthread_self(), "engine");
    *(void **)context = malloc(100);
    return NULL;
}

/* ---- many threads ---- */

static uint32_t prompt[512];

static struct rig_answer answers[64];

/* Something must become true soon; fails the test when it does not in two minutes. */
static void expect_soon(bool (*holds)(struct engine_rig *rig), struct engine_rig *rig)
{
    uint64_t deadline_us = clock_now_us() + RIG_WAIT_US;
    while (!holds(rig)) {
        assert_true(clock_now_us() < deadline_us);
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
}

static bool is_idle(struct engine_rig *rig)
{
    return engine_idle(rig->engine);
}

enum {
    CLIENTS = 4,
    REQUESTS_EACH = 12
};

struct client {
    struct engine_rig *rig;
    uint32_t number;
    uint32_t wrong;
    const struct rig_answer *expected; /* [REQUESTS_EACH] */
};

static struct generate_params client_params(uint32_t *ids, uint32_t number)
{
    engine_rig_prompt(ids, 5 + number * 7, number);
    struct generate_params params = engine_rig_params(ids, 5 + number * 7, 10 + number);
    params.sampling.temperature = number % 2 ? 1.0f : 0.0f;
    params.sampling.seed = number;
    params.sampling.logprobs = true;
    return params;
}

/* Sends every request; leaves some of them midway. */
static void *run_client(void *context)
{
    struct client *client = context;
    struct error err;
    for (uint32_t i = 0; i < REQUESTS_EACH; i++) {
        uint32_t number = (i + client->number * 5) % REQUESTS_EACH;
        uint32_t ids[128];
        struct generate_params params = client_params(ids, number);
        struct reply *reply = NULL;
        struct rig_answer answer = {0};
        if (reply_open(&reply, &params, &err) != OK ||
            engine_submit(client->rig->engine, &params, reply, &err) != OK) {
            client->wrong++;
            continue;
        }
        struct reply_event event;
        bool leaves = (i + client->number) % 3 == 0;
        while (reply_wait(reply, &event, RIG_WAIT_US) && event.kind != REPLY_FINISH) {
            answer.token_ids[answer.token_count] = event.token_id;
            answer.token_count++;
            if (leaves && answer.token_count == 5) {
                break;
            }
        }
        uint32_t due = leaves ? 5 : client->expected[number].token_count;
        client->wrong += answer.token_count != due ||
                         memcmp(answer.token_ids, client->expected[number].token_ids,
                                due * sizeof answer.token_ids[0]) != 0;
        if (leaves) {
            reply_abandon(reply);
            engine_wake(client->rig->engine);
        }
        reply_put(reply);
    }
    return NULL;
}

static void clients_on_many_threads_get_the_answers_of_solo_runs(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "2", "--max-chunk-tokens", "16"));
    for (uint32_t i = 0; i < REQUESTS_EACH; i++) {
        uint32_t ids[128];
        struct generate_params params = client_params(ids, i);
        engine_rig_answer(&rig, &params, &answers[i]);
    }
    struct client clients[CLIENTS];
    pthread_t threads[CLIENTS];
    for (uint32_t i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.rig = &rig, .number = i, .expected = answers};
        assert_int_equal(pthread_create(&threads[i], NULL, run_client, &clients[i]), 0);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(clients[i].wrong, 0);
    }
    expect_soon(is_idle, &rig);
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
}

static void the_engine_thread_allocates_nothing(void **state)
{
    if (!COUNTS_ALLOCATIONS) {
        skip();
    }
    void *memory = NULL;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, allocate_as_engine, &memory), 0);
    pthread_join(thread, NULL);
    free(memory);
    assert_int_equal(atomic_exchange(&engine_allocations, 0), 1); /* the counter counts */

    engine_rig_set_arch(*state);
    struct engine_rig rig;
    /* A pool that is too small for what comes: admission, preemption, chunks, forks. */
    engine_rig_open(&rig, FLAGS("--threads", "1", "--kv-cache-memory-bytes", "40960",
                                "--block-size", "4", "--max-chunk-tokens", "7"));
    struct reply *replies[12];
    struct rig_brake brake;
    struct generate_params first = engine_rig_long_params(prompt);
    first.max_tokens = 10;
    struct reply *held = engine_rig_submit_held(&rig, &first, &brake);
    for (uint32_t i = 0; i < 12; i++) {
        uint32_t ids[128];
        struct generate_params params = client_params(ids, i);
        params.choice_count = 1 + i % 3;
        params.prompt_logprobs = i % 4 == 0;
        params.sampling.top_logprobs = 5;
        params.sampling.top_p = 0.9f;
        params.sampling.top_k = i % 2 ? 20 : 0;
        params.sampling.frequency_penalty = 0.5f;
        replies[i] = engine_rig_submit(&rig, &params);
        if (i % 5 == 4) {
            reply_abandon(replies[i]);
        }
    }
    rig_brake_release(&brake);
    engine_rig_await_finish(held);
    reply_put(held);
    for (uint32_t i = 0; i < 12; i++) {
        engine_rig_collect(replies[i], answers, 1 + i % 3);
        reply_put(replies[i]);
    }
    assert_true(engine_stats(rig.engine)->preemptions > 0);
    engine_rig_expect_empty(&rig);
    engine_rig_close(&rig);
    engine_rig_set_arch("llama");
    assert_int_equal(atomic_load(&engine_allocations), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_on_many_threads_get_the_answers_of_solo_runs),
        cmocka_unit_test_prestate(the_engine_thread_allocates_nothing, (void *)"llama"),
        cmocka_unit_test_prestate(the_engine_thread_allocates_nothing, (void *)"qwen2moe"),
    };
    return cmocka_run_group_tests_name("engine load", tests, NULL, NULL);
}
