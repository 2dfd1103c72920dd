/* check_engine.c - the signature, through the whole engine: what a request is answered depends on
 * the request alone.
 *
 * Answers (token ids, and log-probabilities bit for bit) of a solo run on one thread without
 * prefix cache are compared with those among random neighbours, for every way of cutting the
 * prompt, with the cache cold and warm, on two threads, and with a pool so small that requests are
 * undone and recomputed. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/engine_rig.h"

#include <math.h>

enum {
    TARGETS = 6,
    NEIGHBOURS = 31,
    PROMPT_MAX = 200
};

/* The requests that are compared: short and long, across block borders, greedy and sampled. */
static const struct target {
    uint32_t prompt_tokens;
    uint32_t max_tokens;
    float temperature;
    float top_p;
    uint32_t top_k;
    float frequency_penalty;
    float repetition_penalty;
} targets[TARGETS] = {
    {1, 40, 0.0f, 1.0f, 0, 0.0f, 1.0f},     {16, 33, 1.0f, 1.0f, 0, 0.0f, 1.0f},
    {65, 24, 0.0f, 1.0f, 0, 0.5f, 1.0f},    {150, 30, 0.8f, 0.9f, 0, 0.0f, 1.1f},
    {127, 20, 1.2f, 0.95f, 40, 0.3f, 1.0f}, {200, 50, 0.0f, 1.0f, 0, 0.0f, 1.2f},
};

static struct rig_answer expected[TARGETS];

static struct generate_params target_params(uint32_t number, uint32_t *prompt)
{
    const struct target *target = &targets[number];
    engine_rig_prompt(prompt, target->prompt_tokens, 1000 + number);
    struct generate_params params =
        engine_rig_params(prompt, target->prompt_tokens, target->max_tokens);
    params.sampling.temperature = target->temperature;
    params.sampling.top_p = target->top_p;
    params.sampling.top_k = target->top_k;
    params.sampling.frequency_penalty = target->frequency_penalty;
    params.sampling.repetition_penalty = target->repetition_penalty;
    params.sampling.seed = 77 + number;
    params.sampling.logprobs = true;
    params.sampling.top_logprobs = 1;
    return params;
}

static uint32_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % bound;
}

static struct reply *submit_neighbour(struct engine_rig *rig)
{
    uint32_t prompt[PROMPT_MAX];
    uint32_t prompt_tokens = 1 + random_below(120);
    engine_rig_prompt(prompt, prompt_tokens, random_below(1000));
    struct generate_params params = engine_rig_params(prompt, prompt_tokens, 1 + random_below(60));
    params.sampling.temperature = (float)random_below(2);
    params.sampling.seed = random_below(1000);
    return engine_rig_submit(rig, &params);
}

static void leave(struct reply *reply)
{
    struct reply_event event;
    reply_abandon(reply);
    do {
        assert_true(reply_wait(reply, &event, RIG_WAIT_US));
    } while (event.kind != REPLY_FINISH);
    reply_put(reply);
}

/* All targets at once, strewn among neighbours; the engine is held until all are queued. */
static void compare_in_a_crowd(struct engine_rig *rig, uint32_t neighbour_count, uint32_t seed)
{
    struct reply *replies[TARGETS];
    struct reply *neighbours[NEIGHBOURS];
    struct rig_brake brake;
    struct rig_answer answer;
    uint32_t prompt[PROMPT_MAX];
    uint32_t submitted = 0;
    random_state = seed;
    struct generate_params first = engine_rig_params((const uint32_t[]){1, 2, 3}, 3, 2);
    struct reply *held = engine_rig_submit_held(rig, &first, &brake);
    for (uint32_t i = 0; i < TARGETS; i++) {
        for (; submitted < neighbour_count * (i + 1) / (TARGETS + 1); submitted++) {
            neighbours[submitted] = submit_neighbour(rig);
        }
        struct generate_params params = target_params(i, prompt);
        replies[i] = engine_rig_submit(rig, &params);
    }
    for (; submitted < neighbour_count; submitted++) {
        neighbours[submitted] = submit_neighbour(rig);
    }
    rig_brake_release(&brake);
    for (uint32_t i = 0; i < TARGETS; i++) {
        engine_rig_collect(replies[i], &answer, 1);
        reply_put(replies[i]);
        if (!rig_answers_equal(&answer, &expected[i])) {
            print_error("target %u differs among %u neighbours\n", i, neighbour_count);
        }
        assert_true(rig_answers_equal(&answer, &expected[i]));
    }
    for (uint32_t i = 0; i < neighbour_count; i++) {
        leave(neighbours[i]);
    }
    leave(held);
    engine_rig_expect_empty(rig);
}

static void compare_alone(struct engine_rig *rig)
{
    struct rig_answer answer;
    uint32_t prompt[PROMPT_MAX];
    for (uint32_t i = 0; i < TARGETS; i++) {
        struct generate_params params = target_params(i, prompt);
        engine_rig_answer(rig, &params, &answer);
        assert_true(rig_answers_equal(&answer, &expected[i]));
    }
}

/* Solo runs of whole prompts on one thread, nothing reused: what all others must equal. */
static int make_expected(void **state)
{
    (void)state;
    struct engine_rig rig;
    uint32_t prompt[PROMPT_MAX];
    engine_rig_open(&rig, FLAGS("--threads", "1", "--no-enable-prefix-caching"));
    for (uint32_t i = 0; i < TARGETS; i++) {
        struct generate_params params = target_params(i, prompt);
        engine_rig_answer(&rig, &params, &expected[i]);
        assert_int_equal(expected[i].token_count, targets[i].max_tokens);
        assert_false(isnan(expected[i].logprobs[0]));
    }
    engine_rig_close(&rig);
    return 0;
}

static void a_solo_run_can_be_repeated(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "1", "--no-enable-prefix-caching"));
    compare_alone(&rig);
    assert_false(rig_answers_equal(&expected[0], &expected[1])); /* the comparison can fail */
    engine_rig_close(&rig);
}

static void neighbours_do_not_matter(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "1", "--no-enable-prefix-caching"));
    const uint32_t counts[] = {1, 7, 31};
    for (uint32_t i = 0; i < 3; i++) {
        compare_in_a_crowd(&rig, counts[i], i);
    }
    engine_rig_close(&rig);
}

static void the_way_a_prompt_is_cut_does_not_matter(void **state)
{
    (void)state;
    const char *const chunks[] = {"1", "7", "64", "0"};
    for (uint32_t i = 0; i < 4; i++) {
        struct engine_rig rig;
        engine_rig_open(&rig, FLAGS("--threads", "1", "--no-enable-prefix-caching",
                                    "--max-chunk-tokens", chunks[i]));
        compare_alone(&rig);
        compare_in_a_crowd(&rig, NEIGHBOURS, 10 + i);
        engine_rig_close(&rig);
    }
}

static void a_small_budget_does_not_matter(void **state)
{
    (void)state;
    const char *const budgets[] = {"5", "33"};
    for (uint32_t i = 0; i < 2; i++) {
        struct engine_rig rig;
        engine_rig_open(&rig, FLAGS("--threads", "1", "--max-num-batched-tokens", budgets[i],
                                    "--max-num-seqs", "5"));
        compare_in_a_crowd(&rig, NEIGHBOURS, 20 + i);
        engine_rig_close(&rig);
    }
}

static void the_prefix_cache_does_not_matter(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "1", "--block-size", "16"));
    compare_alone(&rig);
    assert_int_equal(engine_stats(rig.engine)->prompt_tokens_cached, 0);
    compare_alone(&rig);
    assert_true(engine_stats(rig.engine)->prompt_tokens_cached > 400);
    compare_in_a_crowd(&rig, NEIGHBOURS, 30);
    engine_rig_close(&rig);
}

static void the_size_of_blocks_does_not_matter(void **state)
{
    (void)state;
    const char *const sizes[] = {"1", "8", "256"};
    for (uint32_t i = 0; i < 3; i++) {
        struct engine_rig rig;
        engine_rig_open(&rig, FLAGS("--threads", "1", "--block-size", sizes[i]));
        compare_in_a_crowd(&rig, 7, 40 + i);
        engine_rig_close(&rig);
    }
}

static void the_number_of_threads_does_not_matter(void **state)
{
    (void)state;
    struct engine_rig rig;
    engine_rig_open(&rig, FLAGS("--threads", "2", "--max-chunk-tokens", "64"));
    compare_alone(&rig);
    compare_in_a_crowd(&rig, NEIGHBOURS, 50);
    engine_rig_close(&rig);
}

/* 70 blocks of 4 tokens: the longest target takes 63 of them. */
static void being_preempted_does_not_matter(void **state)
{
    (void)state;
    const char *const caching[] = {"--enable-prefix-caching", "--no-enable-prefix-caching"};
    for (uint32_t i = 0; i < 2; i++) {
        struct engine_rig rig;
        engine_rig_open(&rig,
                        FLAGS("--threads", "1", "--block-size", "4", "--kv-cache-memory-bytes",
                              "71680", "--max-chunk-tokens", "7", caching[i]));
        for (uint32_t round = 0; round < 4; round++) {
            compare_in_a_crowd(&rig, NEIGHBOURS, 60 + round);
        }
        assert_true(engine_stats(rig.engine)->preemptions > 10);
        engine_rig_close(&rig);
    }
}

/* Made anew for each architecture: a dense one, both that route rows to experts, where the neighbours
 * decide which rows are multiplied together, and one whose cache holds latent vectors. */
int main(void)
{
    static const char *const archs[] = {"llama", "qwen2moe", "qwen3moe", "deepseek2"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_solo_run_can_be_repeated),
        cmocka_unit_test(neighbours_do_not_matter),
        cmocka_unit_test(the_way_a_prompt_is_cut_does_not_matter),
        cmocka_unit_test(a_small_budget_does_not_matter),
        cmocka_unit_test(the_prefix_cache_does_not_matter),
        cmocka_unit_test(the_size_of_blocks_does_not_matter),
        cmocka_unit_test(the_number_of_threads_does_not_matter),
        cmocka_unit_test(being_preempted_does_not_matter),
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "engine invariance, %s", archs[i]);
        engine_rig_set_arch(archs[i]);
        failed += cmocka_run_group_tests_name(name, tests, make_expected, NULL);
    }
    return failed;
}
