/* test_submission.c - a request's own copy of all it needs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/sampler.h"
#include "engine/submission.h"

static struct submission *open_submission(const struct generate_params *params)
{
    struct reply *reply = NULL;
    struct submission *submission = NULL;
    struct error err;
    assert_int_equal(reply_open(&reply, params, &err), OK);
    assert_int_equal(submission_open(&submission, params, reply, 1000, &err), OK);
    reply_put(reply); /* the submission holds its own reference */
    return submission;
}

static void a_submission_keeps_copies_of_everything(void **state)
{
    (void)state;
    uint32_t prompt[] = {5, 6, 7};
    uint32_t stop_ids[] = {8, 9};
    struct logit_bias biases[] = {{1, 2.0f}, {3, 4.0f}, {5, 6.0f}};
    struct generate_params params = {
        .prompt_ids = prompt,
        .prompt_tokens = 3,
        .max_tokens = 10,
        .choice_count = 3,
        .priority = -4,
        .timeout_us = 50,
        .salt = 77,
        .sampling = {.seed = 99,
                     .logit_bias = biases,
                     .logit_bias_count = 3,
                     .stop_token_ids = stop_ids,
                     .stop_token_count = 2},
    };
    struct submission *submission = open_submission(&params);
    memset(prompt, 0xff, sizeof prompt);
    memset(stop_ids, 0xff, sizeof stop_ids);
    memset(biases, 0xff, sizeof biases);
    for (uint32_t i = 0; i < 3; i++) {
        struct choice *choice = &submission->choices[i];
        assert_ptr_equal(choice->submission, submission);
        assert_int_equal(choice->index, i);
        assert_memory_equal(choice->token_ids, ((const uint32_t[]){5, 6, 7}), 12);
        /* Room for the output and for guesses behind it, each choice its own. */
        for (uint32_t j = 3; j < 3 + 10 + LIMIT_DRAFT_TOKENS; j++) {
            choice->token_ids[j] = 1000 * i + j;
        }
        assert_memory_equal(choice->sampling.stop_token_ids, ((const uint32_t[]){8, 9}), 8);
        assert_int_equal(choice->sampling.logit_bias[2].token_id, 5);
        assert_true(choice->sampling.logit_bias[2].bias == 6.0f);
        assert_true(choice->sampling.seed == sampler_choice_seed(99, i));
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_memory_equal(submission->choices[i].token_ids, ((const uint32_t[]){5, 6, 7}), 12);
        assert_int_equal(submission->choices[i].token_ids[3], 1000 * i + 3);
    }
    submission_close(submission);
}

static void the_scheduler_is_told_what_the_client_asked(void **state)
{
    (void)state;
    const uint32_t prompt[] = {5, 6, 7};
    struct generate_params params = {.prompt_ids = prompt,
                                     .prompt_tokens = 3,
                                     .max_tokens = 10,
                                     .choice_count = 2,
                                     .priority = -4,
                                     .timeout_us = 50,
                                     .salt = 77,
                                     .prompt_logprobs = true};
    struct submission *submission = open_submission(&params);
    struct request parent = {0};
    struct request_spec spec = submission_spec(submission, &submission->choices[0], 41);
    assert_int_equal(spec.id, 41);
    assert_int_equal(spec.prompt_tokens, 3);
    assert_int_equal(spec.token_count_max, 13);
    assert_int_equal(spec.salt, 77);
    assert_int_equal(spec.priority, -4);
    assert_int_equal(spec.arrival_us, 1000);
    assert_int_equal(spec.deadline_us, 1050);
    assert_true(spec.all_logits);
    assert_null(spec.fork_from);
    assert_ptr_equal(spec.owner, &submission->choices[0]);

    submission->choices[0].request = &parent;
    spec = submission_spec(submission, &submission->choices[1], 42);
    assert_ptr_equal(spec.fork_from, &parent);
    assert_false(spec.all_logits); /* the prompt is scored once */
    submission_close(submission);

    params.timeout_us = 0;
    submission = open_submission(&params);
    assert_int_equal(submission_spec(submission, &submission->choices[0], 1).deadline_us, 0);
    submission_close(submission);
}

static void a_size_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    const uint32_t prompt[] = {5};
    struct generate_params params = {
        .prompt_ids = prompt, .prompt_tokens = 1, .max_tokens = 1, .choice_count = 1};
    struct reply *reply = NULL;
    struct submission *submission = NULL;
    struct error err;
    assert_int_equal(reply_open(&reply, &params, &err), OK);
    params.max_tokens = UINT32_MAX;
    assert_int_equal(submission_open(&submission, &params, reply, 0, &err), ERR_MEMORY);
    assert_null(submission);
    submission_close(submission);
    reply_put(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_submission_keeps_copies_of_everything),
        cmocka_unit_test(the_scheduler_is_told_what_the_client_asked),
        cmocka_unit_test(a_size_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests_name("submission", tests, NULL, NULL);
}
