/* test_load_requests.c - traces and prompts as they are read, requests as they are made.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/load/prompts.h"
#include "tests/load/settings.h"
#include "tests/load/ticks.h"
#include "tests/load/trace.h"
#include "tests/load/workload.h"

#include <jansson.h>

/* ---- traces ---- */

static enum status parse(struct trace *trace, const char *text, enum trace_format format,
                         struct error *err)
{
    FILE *file = fmemopen((void *)text, strlen(text), "rb");
    assert_non_null(file);
    enum status status = trace_parse(trace, file, "t", format, 0, err);
    fclose(file);
    return status;
}

static void azure_rows_keep_their_fractions_of_a_second(void **state)
{
    (void)state;
    struct trace trace;
    struct error err = {0};
    assert_int_equal(parse(&trace,
                           "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
                           "2023-11-16 23:59:59.6805900,374,44\r\n"
                           "2023-11-17 00:00:00.9951690,396,109\n"
                           "2023-11-17 00:00:01.5,1,0\n",
                           TRACE_AUTO, &err),
                     OK);
    assert_int_equal(trace.row_count, 3);
    assert_int_equal(trace.rows[0].start, 0);
    assert_int_equal(trace.rows[1].start, 1314579000);
    assert_int_equal(trace.rows[2].start, 1819410000);
    assert_int_equal(trace.rows[1].input_tokens, 396);
    assert_int_equal(trace.rows[1].output_tokens, 109);
    trace_release(&trace);
}

static void mooncake_rows_keep_their_blocks(void **state)
{
    (void)state;
    struct trace trace;
    struct error err = {0};
    assert_int_equal(parse(&trace,
                           "{\"timestamp\": 40, \"input_length\": 600, \"output_length\": 3, "
                           "\"hash_ids\": [7, 8]}\n"
                           "{\"timestamp\": 10.5, \"input_length\": 5, \"output_length\": 1}\n",
                           TRACE_AUTO, &err),
                     OK);
    assert_int_equal(trace.row_count, 2);
    /* In order of time, from the first on. */
    assert_int_equal(trace.rows[0].input_tokens, 5);
    assert_int_equal(trace.rows[1].start, 29500000);
    assert_int_equal(trace.rows[1].block_count, 2);
    assert_int_equal(trace.rows[1].block_tokens, 512);
    assert_int_equal(trace.rows[1].blocks[1], 8);
    trace_release(&trace);
}

static void own_rows_may_share_their_start(void **state)
{
    (void)state;
    struct trace trace;
    struct error err = {0};
    assert_int_equal(parse(&trace,
                           "{\"start\": 0.25, \"input_tokens\": 8, \"output_tokens\": 2, "
                           "\"group\": 3}\n"
                           "{\"start\": 1, \"input_tokens\": 8, \"output_tokens\": 2, "
                           "\"group\": 3, \"shared_tokens\": 6}\n",
                           TRACE_AUTO, &err),
                     OK);
    assert_int_equal(trace.rows[0].block_tokens, 4);
    assert_int_equal(trace.rows[1].block_tokens, 6);
    assert_int_equal(trace.rows[1].start, 750000000);
    trace_release(&trace);
}

static void a_bad_line_is_named_with_its_number(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *said;
    } cases[] = {
        {"TIMESTAMP,C,G\n2023-11-16 18:15:46.1,1,2\n2023-11-16 18:15,1,2\n", "t, line 3: the time"},
        {"2023-11-16 18:15:46.1,1\n", "line 1: expected TIMESTAMP,ContextTokens"},
        {"2023-11-16 18:15:46.1,-1,2\n", "line 1: a token count"},
        {"2023-11-16 18:15:46.1,1,2000000\n", "line 1: a token count"},
        {"{\"timestamp\":1,\"input_length\":1,\"output_length\":1}\n\n{\"timestamp\"\n",
         "line 3: not a JSON object"},
        {"{\"timestamp\":-1,\"input_length\":1,\"output_length\":1}\n", "line 1: timestamp"},
        {"{\"timestamp\":1,\"input_length\":1.5,\"output_length\":1}\n", "line 1: input_length"},
        {"{\"timestamp\":1,\"input_length\":1,\"output_length\":1,\"hash_ids\":[1,\"2\"]}\n",
         "line 1: hash_ids holds"},
        {"{\"start\":1,\"input_tokens\":1}\n", "line 1: output_tokens"},
        {"{\"start\":1,\"input_tokens\":1,\"output_tokens\":1,\"group\":1.5}\n", "line 1: group"},
        {"TIMESTAMP,C,G\n\n", "t holds no request"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trace trace;
        struct error err = {0};
        assert_int_equal(parse(&trace, cases[i].text, TRACE_AUTO, &err), ERR_FORMAT);
        if (strstr(err.message, cases[i].said) == NULL) {
            fail_msg("'%s' does not say '%s'", err.message, cases[i].said);
        }
        assert_null(trace.rows);
    }
}

static void published_traces_are_read_whole(void **state)
{
    (void)state;
    const char *folder = test_data_folder();
    if (folder == NULL) {
        skip();
    }
    static const struct {
        const char *name;
        uint32_t row_count;
    } files[] = {{"AzureLLMInferenceTrace_conv_2023.csv", 19366},
                 {"mooncake_synthetic_trace.jsonl", 3993}};
    for (size_t i = 0; i < 2; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/traces/%s", folder, files[i].name);
        struct trace trace;
        struct error err = {0};
        assert_int_equal(trace_read(&trace, path, TRACE_AUTO, 0, &err), OK);
        assert_int_equal(trace.row_count, files[i].row_count);
        trace_release(&trace);
    }
}

/* ---- prompts ---- */

static enum status parse_prompts(struct prompts *prompts, const char *text, struct error *err)
{
    FILE *file = fmemopen((void *)text, strlen(text), "rb");
    assert_non_null(file);
    enum status status = prompts_parse(prompts, file, "p", err);
    fclose(file);
    return status;
}

static void prompts_come_in_five_shapes(void **state)
{
    (void)state;
    struct prompts prompts;
    struct error err = {0};
    assert_int_equal(
        parse_prompts(&prompts,
                      "{\"prompt\":\"a\",\"output_tokens\":9}\n{\"question\":\"b\"}\n\n"
                      "{\"text\":\"c\"}\n{\"turns\":[\"d\",\"e\"]}\n"
                      "{\"messages\":[{\"role\":\"system\",\"content\":\"f\"},"
                      "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"g\"}]}]}",
                      &err),
        OK);
    assert_int_equal(prompts.count, 5);
    assert_int_equal(prompts.items[0].output_tokens, 9);
    assert_string_equal(prompts.items[2].turns[0], "c");
    assert_int_equal(prompts.items[3].turn_count, 2);
    assert_string_equal(prompts.items[4].turns[0], "f\ng\n");
    assert_non_null(strstr(prompts.items[4].messages, "\"role\":\"system\""));
    prompts_release(&prompts);
}

static void a_bad_prompt_is_named_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *said;
    } cases[] = {
        {"{\"prompt\":\"a\"}\n[1]\n", "p, line 2: not a JSON object"},
        {"{\"prompt\":1}\n", "line 1: has none of"},
        {"{\"turns\":[]}\n", "line 1: turns is not"},
        {"{\"turns\":[\"a\",1]}\n", "line 1: turns holds"},
        {"{\"messages\":[{\"content\":\"a\"}]}\n", "line 1: messages holds"},
        {"{\"prompt\":\"a\",\"output_tokens\":0}\n", "line 1: output_tokens"},
        {"\n", "p holds no prompt"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct prompts prompts;
        struct error err = {0};
        assert_int_equal(parse_prompts(&prompts, cases[i].text, &err), ERR_FORMAT);
        if (strstr(err.message, cases[i].said) == NULL) {
            fail_msg("'%s' does not say '%s'", err.message, cases[i].said);
        }
    }
}

/* ---- requests ---- */

static struct settings settings_of(int argc, const char *const *argv)
{
    struct settings settings;
    struct error err = {0};
    if (settings_read(&settings, argc, (char **)argv, false, &err) != OK) {
        fail_msg("%s", err.message);
    }
    return settings;
}

static json_t *ask(const struct workload *workload, uint32_t session, struct turn *turn)
{
    struct buffer conversation = {0};
    struct buffer body = {0};
    workload_ask(workload, session, 0, &conversation, &body, turn);
    json_error_t problem;
    json_t *request = json_loadb(body.bytes, body.used, JSON_REJECT_DUPLICATES, &problem);
    if (request == NULL) {
        fail_msg("not JSON: %s", buffer_string(&body));
    }
    buffer_release(&conversation);
    buffer_release(&body);
    return request;
}

static char *prompt_of(const struct workload *workload, uint32_t session)
{
    struct turn turn;
    json_t *request = ask(workload, session, &turn);
    char *prompt = strdup(json_string_value(json_object_get(request, "prompt")));
    json_decref(request);
    return prompt;
}

static size_t words_in(const char *text)
{
    size_t count = 1;
    for (; *text != '\0'; text++) {
        count += *text == ' ';
    }
    return count;
}

static struct workload *open_workload(const struct settings *settings, const struct trace *trace)
{
    struct workload *workload = NULL;
    struct error err = {0};
    if (workload_open(&workload, settings, trace, "a \"model\"", &err) != OK) {
        fail_msg("%s", err.message);
    }
    return workload;
}

static void a_request_asks_for_a_stream_of_the_wanted_length(void **state)
{
    (void)state;
    const char *const arguments[] = {"--input-len", "12",           "--output-len",
                                     "34",          "--extra-body", "{\"top_k\":5}"};
    struct settings settings = settings_of(6, arguments);
    struct workload *workload = open_workload(&settings, NULL);
    struct turn turn;
    json_t *request = ask(workload, 0, &turn);
    assert_string_equal(json_string_value(json_object_get(request, "model")), "a \"model\"");
    assert_int_equal(json_integer_value(json_object_get(request, "max_tokens")), 34);
    assert_int_equal(json_integer_value(json_object_get(request, "min_tokens")), 34);
    assert_int_equal(json_integer_value(json_object_get(request, "top_k")), 5);
    assert_true(json_is_true(json_object_get(request, "ignore_eos")));
    assert_true(json_is_true(json_object_get(request, "stream")));
    assert_true(
        json_is_true(json_object_get(json_object_get(request, "stream_options"), "include_usage")));
    assert_int_equal(words_in(json_string_value(json_object_get(request, "prompt"))), 12);
    assert_int_equal(turn.wanted_tokens, 34);
    assert_int_equal(turn.cancel_after, 0);
    json_decref(request);
    workload_close(workload);
}

static void requests_depend_on_seed_and_number_alone(void **state)
{
    (void)state;
    struct settings settings = settings_of(0, NULL);
    struct workload *workload = open_workload(&settings, NULL);
    char *third = prompt_of(workload, 3);
    char *fourth = prompt_of(workload, 4);
    char *again = prompt_of(workload, 3);
    assert_string_equal(third, again);
    assert_string_not_equal(third, fourth);
    workload_close(workload);
    settings.seed = 2;
    workload = open_workload(&settings, NULL);
    char *other = prompt_of(workload, 3);
    assert_string_not_equal(third, other);
    workload_close(workload);
    free(third);
    free(fourth);
    free(again);
    free(other);
}

static void lengths_fill_their_range_evenly(void **state)
{
    (void)state;
    const char *const arguments[] = {"--input-len", "100", "--range-ratio", "0.5"};
    struct settings settings = settings_of(4, arguments);
    struct workload *workload = open_workload(&settings, NULL);
    size_t least = 1000;
    size_t most = 0;
    size_t sum = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        char *prompt = prompt_of(workload, i);
        size_t words = words_in(prompt);
        least = words < least ? words : least;
        most = words > most ? words : most;
        sum += words;
        free(prompt);
    }
    assert_in_range(least, 50, 52);
    assert_in_range(most, 148, 150);
    assert_in_range(sum, 97000, 103000);
    workload_close(workload);
}

static void groups_share_their_prefix_and_popular_ones_come_often(void **state)
{
    (void)state;
    const char *const arguments[] = {"--dataset",       "shared-prefix",
                                     "--prefix-len",    "50",
                                     "--prefix-groups", "4",
                                     "--input-len",     "10",
                                     "--prefix-zipf",   "1"};
    struct settings settings = settings_of(10, arguments);
    struct workload *workload = open_workload(&settings, NULL);
    char prefixes[4][64];
    uint32_t seen[4] = {0};
    uint32_t group_count = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        char *prompt = prompt_of(workload, i);
        assert_int_equal(words_in(prompt), 60);
        uint32_t group = 0;
        while (group < group_count && memcmp(prefixes[group], prompt, 64) != 0) {
            group++;
        }
        assert_true(group < 4);
        if (group == group_count) {
            memcpy(prefixes[group_count++], prompt, 64);
        }
        seen[group]++;
        free(prompt);
    }
    assert_int_equal(group_count, 4);
    uint32_t most = 0;
    for (int i = 0; i < 4; i++) {
        most = seen[i] > most ? seen[i] : most;
    }
    /* 1 / (1 + 1/2 + 1/3 + 1/4) = 48 %. */
    assert_in_range(most, 890, 1030);
    workload_close(workload);
}

static void equal_blocks_of_a_trace_become_equal_text(void **state)
{
    (void)state;
    struct trace trace;
    struct error err = {0};
    assert_int_equal(
        parse(&trace,
              "{\"timestamp\":0,\"input_length\":1200,\"output_length\":3,\"hash_ids\":[1,2,3]}\n"
              "{\"timestamp\":1,\"input_length\":1100,\"output_length\":4,\"hash_ids\":[1,2,4]}\n",
              TRACE_AUTO, &err),
        OK);
    struct settings settings = settings_of(0, NULL);
    struct workload *workload = open_workload(&settings, &trace);
    char *first = prompt_of(workload, 0);
    char *second = prompt_of(workload, 1);
    assert_int_equal(words_in(first), 1200);
    assert_int_equal(words_in(second), 1100);
    size_t same = 0;
    size_t same_words = 0;
    for (; first[same] == second[same] && first[same] != '\0'; same++) {
        same_words += first[same] == ' ';
    }
    assert_in_range(same_words, 1024, 1030);
    free(first);
    free(second);
    workload_close(workload);
    trace_release(&trace);
}

static void token_ids_are_as_many_as_asked_and_in_range(void **state)
{
    (void)state;
    const char *const arguments[] = {"--token-ids", "3:512", "--input-len", "77"};
    struct settings settings = settings_of(4, arguments);
    struct workload *workload = open_workload(&settings, NULL);
    struct turn turn;
    json_t *request = ask(workload, 0, &turn);
    const json_t *ids = json_object_get(request, "prompt");
    assert_int_equal(json_array_size(ids), 77);
    for (size_t i = 0; i < 77; i++) {
        assert_in_range(json_integer_value(json_array_get(ids, i)), 3, 511);
    }
    json_decref(request);
    workload_close(workload);
}

static void a_later_turn_sends_everything_before_it(void **state)
{
    (void)state;
    const char *const arguments[] = {"--endpoint", "chat", "--turns", "3", "--input-len", "4"};
    struct settings settings = settings_of(6, arguments);
    struct workload *workload = open_workload(&settings, NULL);
    assert_int_equal(workload_turns(workload, 0), 3);
    struct buffer conversation = {0};
    struct buffer body = {0};
    struct turn turn;
    workload_ask(workload, 0, 0, &conversation, &body, &turn);
    const char *answer = "an \\\"answer\\\"";
    workload_answered(workload, &conversation, answer, strlen(answer));
    buffer_clear(&body);
    workload_ask(workload, 0, 1, &conversation, &body, &turn);
    json_error_t problem;
    json_t *request = json_loadb(body.bytes, body.used, 0, &problem);
    const json_t *messages = json_object_get(request, "messages");
    assert_int_equal(json_array_size(messages), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(messages, 1), "content")),
                        "an \"answer\"");
    assert_string_equal(json_string_value(json_object_get(json_array_get(messages, 2), "role")),
                        "user");
    json_decref(request);
    buffer_release(&conversation);
    buffer_release(&body);
    workload_close(workload);
}

static void the_asked_share_of_clients_leaves_early(void **state)
{
    (void)state;
    const char *const arguments[] = {"--cancel-share", "0.25", "--cancel-after", "5"};
    struct settings settings = settings_of(4, arguments);
    struct workload *workload = open_workload(&settings, NULL);
    uint32_t leaving = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        struct turn turn;
        json_decref(ask(workload, i, &turn));
        assert_true(turn.cancel_after == 0 || turn.cancel_after == 5);
        leaving += turn.cancel_after > 0;
    }
    assert_in_range(leaving, 215, 285);
    workload_close(workload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(azure_rows_keep_their_fractions_of_a_second),
        cmocka_unit_test(mooncake_rows_keep_their_blocks),
        cmocka_unit_test(own_rows_may_share_their_start),
        cmocka_unit_test(a_bad_line_is_named_with_its_number),
        cmocka_unit_test(published_traces_are_read_whole),
        cmocka_unit_test(prompts_come_in_five_shapes),
        cmocka_unit_test(a_bad_prompt_is_named_with_its_line),
        cmocka_unit_test(a_request_asks_for_a_stream_of_the_wanted_length),
        cmocka_unit_test(requests_depend_on_seed_and_number_alone),
        cmocka_unit_test(lengths_fill_their_range_evenly),
        cmocka_unit_test(groups_share_their_prefix_and_popular_ones_come_often),
        cmocka_unit_test(equal_blocks_of_a_trace_become_equal_text),
        cmocka_unit_test(token_ids_are_as_many_as_asked_and_in_range),
        cmocka_unit_test(a_later_turn_sends_everything_before_it),
        cmocka_unit_test(the_asked_share_of_clients_leaves_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
