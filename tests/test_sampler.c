/* test_sampler.c - every filter against a naive version in double precision, by chi-square.
 *
 * Seeds are fixed, so a test passes or fails for ever; the power control shows that the same
 * statistic notices a wrong law. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/sampler.h"

#include <math.h>
#include <stdbool.h>

enum {
    VOCAB = 40,
    DRAWS = 20000
};

static const uint32_t end_ids[] = {7, 9};

static struct sampling_params plain(void)
{
    return (struct sampling_params){
        .temperature = 1.0f, .top_p = 1.0f, .repetition_penalty = 1.0f, .ignore_eos = true};
}

static struct sampler *open_sampler(uint32_t vocab_count)
{
    struct sampler *sampler = NULL;
    struct error err;
    assert_int_equal(sampler_open(&sampler, vocab_count, end_ids, 2, &err), OK);
    return sampler;
}

/* A small generator of test inputs, unrelated to the one under test. */
static uint32_t random_state;

static float random_logit(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / 16777216.0f * 8.0f - 4.0f;
}

/* Prompt 1 2 3 1, output 4 4 5 2. */
static const uint32_t history[] = {1, 2, 3, 1, 4, 4, 5, 2};

static void pick(struct sampler *sampler, const float *logits, uint32_t vocab_count,
                 const struct sampling_params *params, struct sample *out)
{
    float *copy = malloc(vocab_count * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, logits, vocab_count * sizeof *copy);
    struct sample_args args = {.logits = copy,
                               .token_ids = history,
                               .prompt_tokens = 4,
                               .token_count = 8,
                               .params = params};
    sampler_pick(sampler, &args, out);
    free(copy);
}

/* ---- the naive law ---- */

struct ranked {
    double value;
    uint32_t token_id;
};

static int compare_ranked(const void *left, const void *right)
{
    const struct ranked *a = left;
    const struct ranked *b = right;
    if (a->value != b->value) {
        return a->value > b->value ? -1 : 1;
    }
    return a->token_id < b->token_id ? -1 : 1;
}

static void naive_shape(struct ranked *ranked, const struct sampling_params *params)
{
    for (uint32_t i = 0; i < params->logit_bias_count; i++) {
        ranked[params->logit_bias[i].token_id].value += (double)params->logit_bias[i].bias;
    }
    for (uint32_t id = 0; id < VOCAB; id++) {
        uint32_t seen = 0;
        uint32_t count = 0;
        for (uint32_t i = 0; i < 8; i++) {
            seen += history[i] == id;
            count += history[i] == id && i >= 4;
        }
        double *value = &ranked[id].value;
        if (seen > 0) {
            *value = *value > 0 ? *value / (double)params->repetition_penalty
                                : *value * (double)params->repetition_penalty;
        }
        *value -= count * (double)params->frequency_penalty;
        *value -= count > 0 ? (double)params->presence_penalty : 0.0;
    }
}

/* The probability of each token, by the definitions. */
static void naive_law(const float *logits, const struct sampling_params *params, double *law)
{
    struct ranked ranked[VOCAB];
    for (uint32_t i = 0; i < VOCAB; i++) {
        ranked[i] = (struct ranked){(double)logits[i], i};
    }
    naive_shape(ranked, params);
    qsort(ranked, VOCAB, sizeof ranked[0], compare_ranked);
    uint32_t kept = params->top_k > 0 && params->top_k < VOCAB ? params->top_k : VOCAB;
    double weights[VOCAB] = {0};
    double total = 0;
    for (uint32_t i = 0; i < kept; i++) {
        weights[i] = exp((ranked[i].value - ranked[0].value) / (double)params->temperature);
        total += weights[i];
    }
    double mass = 0;
    for (uint32_t i = 0; i < kept; i++) {
        mass += weights[i];
        if (params->top_p < 1.0f && mass >= (double)params->top_p * total) {
            kept = i + 1;
        }
    }
    while (kept > 1 && weights[kept - 1] < (double)params->min_p) {
        kept--;
    }
    memset(law, 0, VOCAB * sizeof *law);
    total = 0;
    for (uint32_t i = 0; i < kept; i++) {
        total += weights[i];
    }
    for (uint32_t i = 0; i < kept; i++) {
        law[ranked[i].token_id] = weights[i] / total;
    }
}

/* How far counts are from the law, in standard deviations of the chi-square statistic; cells that
 * expect fewer than five are put together. A draw of probability zero is infinitely far. */
static double distance_from_law(const uint32_t *counts, const double *law)
{
    double statistic = 0;
    double rest_expected = 0;
    double rest_count = 0;
    int cells = 0;
    for (uint32_t i = 0; i < VOCAB; i++) {
        double expected = law[i] * DRAWS;
        if (law[i] == 0.0 && counts[i] > 0) {
            return INFINITY;
        }
        if (expected < 5) {
            rest_expected += expected;
            rest_count += counts[i];
            continue;
        }
        statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
        cells++;
    }
    if (rest_expected >= 5) {
        statistic += (rest_count - rest_expected) * (rest_count - rest_expected) / rest_expected;
        cells++;
    }
    if (cells < 2) {
        return 0;
    }
    return (statistic - (cells - 1)) / sqrt(2.0 * (cells - 1));
}

static void count_draws(struct sampler *sampler, const float *logits,
                        const struct sampling_params *params, uint32_t *counts)
{
    struct sampling_params seeded = *params;
    struct sample sample;
    memset(counts, 0, VOCAB * sizeof *counts);
    for (uint32_t i = 0; i < DRAWS; i++) {
        seeded.seed = UINT64_C(0x9e3779b97f4a7c15) * (i + 1);
        pick(sampler, logits, VOCAB, &seeded, &sample);
        assert_false(sample.failed);
        counts[sample.token_id]++;
    }
}

static const struct logit_bias biases[] = {{0, 2.5f}, {3, -100.0f}, {39, 1.0f}};

struct law_case {
    float temperature;
    float top_p;
    float min_p;
    uint32_t top_k;
    float repetition;
    float presence;
    float frequency;
    bool bias;
};

static const struct law_case law_cases[] = {
    {1.0f, 1.0f, 0, 0, 1, 0, 0, false},
    {0.5f, 1.0f, 0, 0, 1, 0, 0, false},
    {2.0f, 1.0f, 0, 0, 1, 0, 0, false},
    {1.0f, 1.0f, 0, 5, 1, 0, 0, false},
    {1.0f, 1.0f, 0, 1, 1, 0, 0, false},
    {1.0f, 1.0f, 0, VOCAB, 1, 0, 0, false},
    {1.0f, 1.0f, 0, 1000, 1, 0, 0, false},
    {1.0f, 0.9f, 0, 0, 1, 0, 0, false},
    {1.0f, 0.3f, 0, 0, 1, 0, 0, false},
    {1.0f, 0.0001f, 0, 0, 1, 0, 0, false},
    {1.0f, 0.9999f, 0, 0, 1, 0, 0, false},
    {1.0f, 1.0f, 0.2f, 0, 1, 0, 0, false},
    {1.0f, 1.0f, 1.0f, 0, 1, 0, 0, false},
    {1.0f, 0.8f, 0, 10, 1, 0, 0, false},
    {0.7f, 0.95f, 0.05f, 20, 1, 0, 0, false},
    {1.0f, 0.99f, 0.3f, 0, 1, 0, 0, false},
    {1.0f, 1.0f, 0, 0, 1.7f, 0, 0, false},
    {1.0f, 1.0f, 0, 0, 0.5f, 0, 0, false},
    {1.0f, 1.0f, 0, 0, 1, 1.5f, 0, false},
    {1.0f, 1.0f, 0, 0, 1, 0, 0.8f, false},
    {1.0f, 1.0f, 0, 0, 1, -1.0f, -0.5f, false},
    {1.0f, 1.0f, 0, 0, 1, 0, 0, true},
    {1.3f, 0.9f, 0.02f, 25, 1.2f, 0.4f, 0.3f, true},
};

static struct sampling_params case_params(const struct law_case *c)
{
    struct sampling_params params = plain();
    params.temperature = c->temperature;
    params.top_p = c->top_p;
    params.min_p = c->min_p;
    params.top_k = c->top_k;
    params.repetition_penalty = c->repetition;
    params.presence_penalty = c->presence;
    params.frequency_penalty = c->frequency;
    params.logit_bias = c->bias ? biases : NULL;
    params.logit_bias_count = c->bias ? 3 : 0;
    return params;
}

static void draws_follow_the_law_of_their_parameters(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    float logits[VOCAB];
    random_state = 1;
    for (uint32_t i = 0; i < VOCAB; i++) {
        logits[i] = random_logit();
    }
    logits[11] = logits[20]; /* equal ones, and one that cannot be drawn */
    logits[30] = -INFINITY;
    for (size_t i = 0; i < sizeof law_cases / sizeof law_cases[0]; i++) {
        struct sampling_params params = case_params(&law_cases[i]);
        uint32_t counts[VOCAB];
        double law[VOCAB];
        naive_law(logits, &params, law);
        count_draws(sampler, logits, &params, counts);
        double distance = distance_from_law(counts, law);
        if (!(distance < 4.0)) {
            print_error("case %zu: %g standard deviations off\n", i, distance);
        }
        assert_true(distance < 4.0);
    }
    sampler_close(sampler);
}

static void the_statistic_notices_a_slightly_wrong_law(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    float logits[VOCAB];
    random_state = 1;
    for (uint32_t i = 0; i < VOCAB; i++) {
        logits[i] = random_logit();
    }
    struct sampling_params params = plain();
    uint32_t counts[VOCAB];
    double law[VOCAB];
    count_draws(sampler, logits, &params, counts);
    params.temperature = 1.08f;
    naive_law(logits, &params, law);
    assert_true(distance_from_law(counts, law) > 5.0);
    sampler_close(sampler);
}

/* Sets, exactly: what must be drawn at least once in many draws, and what never. */
static uint64_t drawn_set(struct sampler *sampler, const float *logits,
                          const struct sampling_params *params)
{
    struct sampling_params seeded = *params;
    struct sample sample;
    uint64_t set = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        seeded.seed = i;
        pick(sampler, logits, VOCAB, &seeded, &sample);
        set |= UINT64_C(1) << sample.token_id;
    }
    return set;
}

static uint64_t law_set(const double *law)
{
    uint64_t set = 0;
    for (uint32_t i = 0; i < VOCAB; i++) {
        set |= (uint64_t)(law[i] > 0) << i;
    }
    return set;
}

static void filters_keep_the_same_sets_as_a_full_sort(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    random_state = 99;
    for (uint32_t round = 0; round < 60; round++) {
        float logits[VOCAB];
        double law[VOCAB];
        for (uint32_t i = 0; i < VOCAB; i++) {
            logits[i] = roundf(random_logit() * 2); /* many ties */
        }
        struct sampling_params params = plain();
        params.temperature = 8.0f; /* flat: everything kept turns up */
        params.top_k = round % 3 == 0 ? 0 : 1 + round % 17;
        params.top_p = round % 4 == 0 ? 1.0f : 0.05f + 0.0157f * (float)round;
        params.min_p = round % 5 == 0 ? 0.61f : 0.0f;
        naive_law(logits, &params, law);
        assert_true(drawn_set(sampler, logits, &params) == law_set(law));
    }
    sampler_close(sampler);
}

static void top_k_among_equals_keeps_the_lower_ids(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    float logits[VOCAB];
    for (uint32_t i = 0; i < VOCAB; i++) {
        logits[i] = i == 33 ? 1.0f : 0.0f;
    }
    struct sampling_params params = plain();
    params.top_k = 4;
    assert_true(drawn_set(sampler, logits, &params) == ((UINT64_C(1) << 33) | 7));
    sampler_close(sampler);
}

static void top_p_keeps_at_least_one_token(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    float logits[VOCAB] = {0};
    logits[5] = 0.5f;
    struct sampling_params params = plain();
    params.top_p = 1e-30f;
    assert_true(drawn_set(sampler, logits, &params) == UINT64_C(1) << 5);
    sampler_close(sampler);
}

static void a_tiny_temperature_draws_the_best_token(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    float logits[VOCAB] = {0};
    logits[12] = 0.01f;
    for (int i = 0; i < 3; i++) {
        struct sampling_params params = plain();
        params.temperature = 1e-40f; /* subnormal: its reciprocal is infinite */
        params.top_k = i == 1 ? 3 : 0;
        params.top_p = i == 2 ? 0.9f : 1.0f;
        assert_true(drawn_set(sampler, logits, &params) == UINT64_C(1) << 12);
    }
    sampler_close(sampler);
}

/* ---- greedy and shaping ---- */

static uint32_t greedy(struct sampler *sampler, const float *logits, struct sampling_params params)
{
    struct sample sample;
    params.temperature = 0.0f;
    pick(sampler, logits, VOCAB, &params, &sample);
    assert_false(sample.failed);
    return sample.token_id;
}

static void greedy_takes_the_lowest_id_among_the_best(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    float logits[VOCAB];
    for (uint32_t i = 0; i < VOCAB; i++) {
        logits[i] = -2.0f;
    }
    logits[21] = logits[30] = -1.0f;
    struct sampling_params params = plain();
    params.seed = 77;
    params.top_k = 2;
    params.top_p = 0.5f;
    assert_int_equal(greedy(sampler, logits, params), 21);
    sampler_close(sampler);
}

static void penalties_touch_what_they_say(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    float logits[VOCAB] = {0};
    struct sampling_params params = plain();
    /* Token 3 is in the prompt only, 4 twice in the output, 5 once, 20 nowhere. */
    logits[3] = 2.0f;
    logits[20] = 1.5f;
    params.presence_penalty = 2.0f;
    params.frequency_penalty = 2.0f;
    assert_int_equal(greedy(sampler, logits, params), 3); /* the prompt is not penalised by these */
    params.repetition_penalty = 1.5f;
    assert_int_equal(greedy(sampler, logits, params), 20); /* but by this */

    params = plain();
    logits[3] = -5.0f;
    logits[4] = 3.0f;
    logits[5] = 2.0f;
    params.frequency_penalty = 0.6f; /* 3 - 1.2 < 2 - 0.6 is false; 1.8 > 1.4 */
    assert_int_equal(greedy(sampler, logits, params), 4);
    params.frequency_penalty = 1.1f; /* 0.8 < 0.9 */
    logits[20] = 0.0f;
    assert_int_equal(greedy(sampler, logits, params), 5);

    for (uint32_t i = 0; i < VOCAB; i++) {
        logits[i] = -4.0f;
    }
    logits[2] = -2.0f;
    params = plain();
    params.repetition_penalty = 3.0f; /* below zero it multiplies: -6 */
    assert_int_equal(greedy(sampler, logits, params), 0);
    sampler_close(sampler);
}

static void an_extreme_penalty_does_not_break_the_sums(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    float logits[VOCAB] = {0};
    logits[1] = 4.0f;
    logits[2] = 5.0f;
    struct sampling_params params = plain();
    params.repetition_penalty = 1e-38f;
    struct sample sample;
    pick(sampler, logits, VOCAB, &params, &sample);
    assert_false(sample.failed);
    assert_true(sample.token_id == 1 || sample.token_id == 2);
    sampler_close(sampler);
}

static void end_tokens_are_banned_below_min_tokens(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    const uint32_t stop_ids[] = {15};
    float logits[VOCAB] = {0};
    logits[7] = 5.0f;
    logits[15] = 4.0f;
    logits[2] = 3.0f;
    struct sampling_params params = plain();
    params.temperature = 0;
    params.ignore_eos = false;
    params.stop_token_ids = stop_ids;
    params.stop_token_count = 1;
    struct sample sample;

    params.min_tokens = 4; /* four are out already */
    pick(sampler, logits, VOCAB, &params, &sample);
    assert_int_equal(sample.token_id, 7);
    assert_true(sample.end_token);

    params.min_tokens = 5;
    pick(sampler, logits, VOCAB, &params, &sample);
    assert_int_equal(sample.token_id, 2);
    assert_false(sample.end_token);

    params.ignore_eos = true; /* then 7 is a token like others, 15 still ends */
    pick(sampler, logits, VOCAB, &params, &sample);
    assert_int_equal(sample.token_id, 7);
    assert_false(sample.end_token);
    params.min_tokens = 0;
    logits[7] = 0;
    pick(sampler, logits, VOCAB, &params, &sample);
    assert_int_equal(sample.token_id, 15);
    assert_true(sample.end_token);
    sampler_close(sampler);
}

static void logits_that_mean_nothing_fail(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    struct sampling_params params = plain();
    const float bad[] = {NAN, INFINITY};
    struct sample sample;
    for (uint32_t where = 0; where < VOCAB; where += VOCAB - 1) {
        for (size_t i = 0; i < 2; i++) {
            float logits[VOCAB] = {0};
            logits[where] = bad[i];
            for (int j = 0; j < 2; j++) {
                params.temperature = (float)j;
                pick(sampler, logits, VOCAB, &params, &sample);
                assert_true(sample.failed);
            }
            sampler_score(sampler, logits, 3, 2, &sample);
            assert_true(sample.failed);
        }
    }
    float none[VOCAB];
    for (uint32_t i = 0; i < VOCAB; i++) {
        none[i] = -INFINITY;
    }
    pick(sampler, none, VOCAB, &params, &sample);
    assert_true(sample.failed);
    none[7] = 1.0f; /* the only one left, and banned */
    params.ignore_eos = false;
    params.min_tokens = 100;
    pick(sampler, none, VOCAB, &params, &sample);
    assert_true(sample.failed);
    sampler_close(sampler);
}

/* ---- log-probabilities ---- */

static void check_scores(const float *logits, const struct sample *sample, uint32_t top_count)
{
    struct ranked ranked[VOCAB];
    double total = 0;
    for (uint32_t i = 0; i < VOCAB; i++) {
        ranked[i] = (struct ranked){(double)logits[i], i};
        total += exp((double)logits[i]);
    }
    qsort(ranked, VOCAB, sizeof ranked[0], compare_ranked);
    assert_int_equal(sample->top_count, top_count);
    for (uint32_t i = 0; i < VOCAB; i++) {
        double logprob = ranked[i].value - log(total);
        if (i < top_count) {
            assert_int_equal(sample->top[i].token_id, ranked[i].token_id);
            assert_true(fabs((double)sample->top[i].logprob - logprob) < 1e-5);
        }
        if (ranked[i].token_id == sample->token_id) {
            assert_int_equal(sample->rank, i + 1);
            assert_true(fabs((double)sample->logprob - logprob) < 1e-5);
        }
    }
}

static void log_probabilities_are_of_the_raw_logits(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    random_state = 5;
    for (uint32_t round = 0; round < 50; round++) {
        float logits[VOCAB];
        for (uint32_t i = 0; i < VOCAB; i++) {
            logits[i] = roundf(random_logit() * 4) / 4;
        }
        struct sampling_params params = case_params(&law_cases[22]);
        params.seed = round;
        params.temperature = round % 2 ? 1.0f : 0.0f;
        params.logprobs = true;
        params.top_logprobs = round % (LIMIT_TOP_LOGPROBS + 1);
        struct sample sample;
        pick(sampler, logits, VOCAB, &params, &sample);
        check_scores(logits, &sample, params.top_logprobs);

        sampler_score(sampler, logits, round % VOCAB, params.top_logprobs, &sample);
        assert_int_equal(sample.token_id, round % VOCAB);
        check_scores(logits, &sample, params.top_logprobs);

        params.logprobs = false;
        pick(sampler, logits, VOCAB, &params, &sample);
        assert_true(isnan(sample.logprob));
        assert_int_equal(sample.rank, 0);
        assert_int_equal(sample.top_count, 0);
    }
    sampler_close(sampler);
}

static void impossible_tokens_have_the_floor_as_log_probability(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(VOCAB);
    float logits[VOCAB];
    for (uint32_t i = 0; i < VOCAB; i++) {
        logits[i] = -INFINITY;
    }
    logits[30] = 2.0f;
    struct sample sample;
    sampler_score(sampler, logits, 4, 3, &sample);
    assert_false(sample.failed);
    assert_true(sample.logprob == -9999.0f);
    assert_int_equal(sample.rank, 6); /* behind 30 and the ids 0..3 */
    assert_int_equal(sample.top[0].token_id, 30);
    assert_true(sample.top[0].logprob == 0.0f);
    assert_int_equal(sample.top[1].token_id, 0);
    assert_true(sample.top[1].logprob == -9999.0f);
    sampler_close(sampler);
}

static void a_vocabulary_smaller_than_the_list_gives_a_shorter_list(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(10);
    const float logits[10] = {0, 3, 1};
    struct sample sample;
    sampler_score(sampler, logits, 1, LIMIT_TOP_LOGPROBS, &sample);
    assert_int_equal(sample.top_count, 10);
    assert_int_equal(sample.top[0].token_id, 1);
    assert_int_equal(sample.top[1].token_id, 2);
    sampler_close(sampler);
}

/* ---- invariance ---- */

static void a_pick_does_not_depend_on_the_picks_before_it(void **state)
{
    (void)state;
    struct sampler *used = open_sampler(VOCAB);
    random_state = 17;
    for (uint32_t round = 0; round < 200; round++) {
        float logits[VOCAB];
        for (uint32_t i = 0; i < VOCAB; i++) {
            logits[i] = random_logit();
        }
        struct sampling_params params = case_params(&law_cases[round % 23]);
        params.seed = round;
        params.logprobs = round % 2 == 0;
        params.top_logprobs = params.logprobs ? 5 : 0;
        struct sample sample;
        struct sample alone;
        pick(used, logits, VOCAB, &params, &sample);
        struct sampler *fresh = open_sampler(VOCAB);
        pick(fresh, logits, VOCAB, &params, &alone);
        sampler_close(fresh);
        assert_int_equal(sample.token_id, alone.token_id);
        assert_memory_equal(&sample.logprob, &alone.logprob, sizeof sample.logprob);
        assert_int_equal(sample.rank, alone.rank);
        assert_memory_equal(sample.top, alone.top, sample.top_count * sizeof sample.top[0]);
    }
    sampler_close(used);
}

/* The first line is the known answer of the generator's authors for a key and counter of zero
 * (words 6627e8d5 e169c58d); the others were worked out by an independent program. */
static void draws_never_change(void **state)
{
    (void)state;
    assert_true(sampler_draw(0, 0, DRAW_TOKEN) ==
                (double)(UINT64_C(0xe169c58d6627e8d5) >> 11) / 9007199254740992.0);
    const struct {
        uint64_t seed;
        uint64_t position;
        enum draw_kind kind;
        uint64_t bits;
    } golden[] = {
        {UINT64_C(1), UINT64_C(0), DRAW_TOKEN, UINT64_C(0xe50a0ebce3e80670)},
        {UINT64_C(0), UINT64_C(1), DRAW_TOKEN, UINT64_C(0x5cb200dbf8e4cca4)},
        {UINT64_C(42), UINT64_C(1000), DRAW_TOKEN, UINT64_C(0xae44bf6cc7f39578)},
        {UINT64_C(42), UINT64_C(1000), DRAW_ACCEPT, UINT64_C(0x9768c4888215356a)},
        {UINT64_C(0xfedcba9876543210), UINT64_C(0x123456789), DRAW_TOKEN,
         UINT64_C(0x2f29bb3c462febe0)},
    };
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        assert_true(sampler_draw(golden[i].seed, golden[i].position, golden[i].kind) ==
                    (double)(golden[i].bits >> 11) / 9007199254740992.0);
    }
}

static void seeds_of_choices_never_change(void **state)
{
    (void)state;
    assert_true(sampler_choice_seed(42, 0) == 42);
    assert_true(sampler_choice_seed(42, 1) == UINT64_C(0x5a936ff51f858d22));
    assert_true(sampler_choice_seed(42, 127) == UINT64_C(0x91b5e576a39a05a1));
    assert_true(sampler_choice_seed(UINT64_MAX, 1) == UINT64_C(0xf604256755c97d9b));
}

static void draws_are_uniform(void **state)
{
    (void)state;
    uint32_t cells[64] = {0};
    double sum = 0;
    for (uint32_t i = 0; i < 64000; i++) {
        double value = sampler_draw(i / 100, i % 100, i % 2 ? DRAW_TOKEN : DRAW_ACCEPT);
        assert_true(value >= 0.0 && value < 1.0);
        cells[(uint32_t)(value * 64)]++;
        sum += value;
    }
    double statistic = 0;
    for (uint32_t i = 0; i < 64; i++) {
        statistic += (cells[i] - 1000.0) * (cells[i] - 1000.0) / 1000.0;
    }
    assert_true(statistic < 63 + 4 * sqrt(126)); /* and not suspiciously even either */
    assert_true(statistic > 63 - 4 * sqrt(126));
    assert_true(fabs(sum / 64000 - 0.5) < 0.006);
}

static void the_largest_vocabulary_works(void **state)
{
    (void)state;
    struct sampler *sampler = open_sampler(LIMIT_MODEL_VOCAB);
    float *logits = malloc(LIMIT_MODEL_VOCAB * sizeof *logits);
    assert_non_null(logits);
    random_state = 3;
    for (uint32_t i = 0; i < LIMIT_MODEL_VOCAB; i++) {
        logits[i] = random_logit();
    }
    logits[LIMIT_MODEL_VOCAB - 1] = 30.0f;
    const struct law_case cases[] = {
        {0.0f, 1.0f, 0, 0, 1, 0, 0, false},
        {1.0f, 1.0f, 0, 50, 1, 0, 0, false},
        {1.0f, 0.99f, 0, 0, 1, 0, 0, false},
        {1.0f, 1.0f, 0.5f, 0, 1, 0, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sampling_params params = case_params(&cases[i]);
        params.logprobs = true;
        params.top_logprobs = 2;
        struct sample sample;
        pick(sampler, logits, LIMIT_MODEL_VOCAB, &params, &sample);
        assert_int_equal(sample.token_id, LIMIT_MODEL_VOCAB - 1);
        assert_int_equal(sample.rank, 1);
        assert_int_equal(sample.top[0].token_id, LIMIT_MODEL_VOCAB - 1);
    }
    free(logits);
    sampler_close(sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_follow_the_law_of_their_parameters),
        cmocka_unit_test(the_statistic_notices_a_slightly_wrong_law),
        cmocka_unit_test(filters_keep_the_same_sets_as_a_full_sort),
        cmocka_unit_test(top_k_among_equals_keeps_the_lower_ids),
        cmocka_unit_test(top_p_keeps_at_least_one_token),
        cmocka_unit_test(a_tiny_temperature_draws_the_best_token),
        cmocka_unit_test(greedy_takes_the_lowest_id_among_the_best),
        cmocka_unit_test(penalties_touch_what_they_say),
        cmocka_unit_test(an_extreme_penalty_does_not_break_the_sums),
        cmocka_unit_test(end_tokens_are_banned_below_min_tokens),
        cmocka_unit_test(logits_that_mean_nothing_fail),
        cmocka_unit_test(log_probabilities_are_of_the_raw_logits),
        cmocka_unit_test(impossible_tokens_have_the_floor_as_log_probability),
        cmocka_unit_test(a_vocabulary_smaller_than_the_list_gives_a_shorter_list),
        cmocka_unit_test(a_pick_does_not_depend_on_the_picks_before_it),
        cmocka_unit_test(draws_never_change),
        cmocka_unit_test(seeds_of_choices_never_change),
        cmocka_unit_test(draws_are_uniform),
        cmocka_unit_test(the_largest_vocabulary_works),
    };
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
