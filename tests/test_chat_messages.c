/* test_chat_messages.c - messages of the wire, and what templates get of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/chat_messages.h"

static struct chat_style style;

/* The normalised messages as compact text with sorted keys, or NULL with the refusal. */
static char *normalise(const char *messages, struct refusal *refusal)
{
    json_t *given = json_loads(messages, 0, NULL);
    assert_non_null(given);
    json_t *out = NULL;
    *refusal = (struct refusal){0};
    char *text = NULL;
    if (chat_messages_normalise(&out, given, &style, refusal) == OK) {
        text = json_dumps(out, JSON_COMPACT | JSON_SORT_KEYS);
        json_decref(out);
    }
    json_decref(given);
    return text;
}

static void expect(const char *messages, const char *expected)
{
    struct refusal refusal;
    char *text = normalise(messages, &refusal);
    if (text == NULL) {
        fail_msg("%s: %s", messages, refusal.error.message);
    }
    assert_string_equal(text, expected);
    free(text);
}

static void expect_refused(const char *messages, const char *param)
{
    struct refusal refusal;
    char *text = normalise(messages, &refusal);
    if (text != NULL) {
        fail_msg("%s was accepted as %s", messages, text);
    }
    assert_int_equal(refusal.http_status, 400);
    assert_string_equal(refusal.param, param);
}

static void plain_messages_pass_unchanged(void **state)
{
    (void)state;
    expect("[{\"role\":\"user\",\"content\":\"hi\"}]", "[{\"content\":\"hi\",\"role\":\"user\"}]");
    expect("[{\"role\":\"user\",\"content\":\"\",\"name\":\"Ann\"}]",
           "[{\"content\":\"\",\"name\":\"Ann\",\"role\":\"user\"}]");
}

static void developer_becomes_system(void **state)
{
    (void)state;
    expect("[{\"role\":\"developer\",\"content\":\"x\"}]",
           "[{\"content\":\"x\",\"role\":\"system\"}]");
}

static void text_parts_are_joined_by_newlines(void **state)
{
    (void)state;
    expect("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
           "{\"type\":\"text\",\"text\":\"b\"}]}]",
           "[{\"content\":\"a\\nb\",\"role\":\"user\"}]");
    expect("[{\"role\":\"user\",\"content\":[]}]", "[{\"content\":\"\",\"role\":\"user\"}]");
    expect_refused("[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]",
                   "messages[0].content");
    expect_refused("[{\"role\":\"user\",\"content\":[{\"text\":\"a\"}]}]", "messages[0].content");
    expect_refused("[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]",
                   "messages[0].content");
    expect_refused("[{\"role\":\"user\",\"content\":[5]}]", "messages[0].content");
}

static void tool_calls_get_their_arguments_as_objects(void **state)
{
    (void)state;
    expect("[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"1\",\"type\":"
           "\"function\","
           "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}]}]",
           "[{\"content\":null,\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"arguments\":"
           "{\"a\":1},\"name\":\"f\"},\"id\":\"1\",\"type\":\"function\"}]}]");
    expect("[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
           "\"arguments\":\"not json\"}}]}]",
           "[{\"content\":null,\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"arguments\":"
           "\"not json\",\"name\":\"f\"}}]}]");
    expect_refused("[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{}]}]",
                   "messages[0].tool_calls");
    expect_refused("[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":{}}]",
                   "messages[0].tool_calls");
}

#define CALL(id) "{\"id\":\"" id "\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}"

static void a_template_gets_calls_in_the_form_it_wants(void **state)
{
    (void)state;
    style = (struct chat_style){.string_arguments = true, .empty_content = true};
    expect("[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" CALL("1") "]}]",
           "[{\"content\":\"\",\"role\":\"assistant\",\"tool_calls\":[{\"function\":{"
           "\"arguments\":\"{\\\"a\\\":1}\",\"name\":\"f\"},\"id\":\"1\"}]}]");
    expect("[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
           "\"arguments\":{\"a\":1}}}]}]",
           "[{\"content\":\"\",\"role\":\"assistant\",\"tool_calls\":[{\"function\":{"
           "\"arguments\":\"{\\\"a\\\":1}\",\"name\":\"f\"}}]}]");
    style = (struct chat_style){0};
}

static void a_tool_answers_a_call_that_was_made(void **state)
{
    (void)state;
    expect("[{\"role\":\"tool\",\"content\":\"x\"}]", "[{\"content\":\"x\",\"role\":\"tool\"}]");
    expect("[{\"role\":\"assistant\",\"tool_calls\":[" CALL(
               "1") "]},"
                    "{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"x\"}]",
           "[{\"content\":null,\"role\":\"assistant\",\"tool_calls\":[{\"function\":{"
           "\"arguments\":{\"a\":1},\"name\":\"f\"},\"id\":\"1\"}]},"
           "{\"content\":\"x\",\"role\":\"tool\",\"tool_call_id\":\"1\"}]");
    expect_refused("[{\"role\":\"assistant\",\"tool_calls\":[" CALL(
                       "1") "]},"
                            "{\"role\":\"tool\",\"tool_call_id\":\"2\",\"content\":\"x\"}]",
                   "messages[1].tool_call_id");
    expect_refused("[{\"role\":\"tool\",\"tool_call_id\":5,\"content\":\"x\"}]",
                   "messages[0].tool_call_id");
    expect_refused("[{\"role\":\"user\",\"content\":\"\",\"tool_calls\":[" CALL("1") "]}]",
                   "messages[0].tool_calls");
    expect_refused("[{\"role\":\"assistant\",\"tool_calls\":[{\"type\":\"x\",\"function\":{"
                   "\"name\":\"f\"}}]}]",
                   "messages[0].tool_calls");
    expect_refused("[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
                   "\"arguments\":[]}}]}]",
                   "messages[0].tool_calls");
}

static void reasoning_has_one_name(void **state)
{
    (void)state;
    expect("[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning\":\"b\"}]",
           "[{\"content\":\"a\",\"reasoning\":\"b\",\"reasoning_content\":\"b\","
           "\"role\":\"assistant\"}]");
    expect(
        "[{\"role\":\"assistant\",\"reasoning_content\":\"b\",\"tool_calls\":[" CALL("1") "]}]",
        "[{\"content\":null,\"reasoning_content\":\"b\",\"role\":\"assistant\",\"thinking\":\"b\","
        "\"tool_calls\":[{\"function\":{\"arguments\":{\"a\":1},\"name\":\"f\"},\"id\":\"1\"}]}]");
    expect_refused("[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":5}]",
                   "messages[0].reasoning_content");
}

static void malformed_messages_are_named_by_their_place(void **state)
{
    (void)state;
    expect_refused("[null]", "messages");
    expect_refused("[\"hi\"]", "messages");
    expect_refused("[{\"role\":\"user\",\"content\":\"a\"},{\"content\":\"a\"}]",
                   "messages[1].role");
    expect_refused("[{\"role\":\"king\",\"content\":\"a\"}]", "messages[0].role");
    expect_refused("[{\"role\":5,\"content\":\"a\"}]", "messages[0].role");
    expect_refused("[{\"role\":\"user\"}]", "messages[0].content");
    expect_refused("[{\"role\":\"user\",\"content\":null}]", "messages[0].content");
    expect_refused("[{\"role\":\"user\",\"content\":5}]", "messages[0].content");
    expect_refused("[{\"role\":\"assistant\"}]", "messages[0].content");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_messages_pass_unchanged),
        cmocka_unit_test(developer_becomes_system),
        cmocka_unit_test(text_parts_are_joined_by_newlines),
        cmocka_unit_test(tool_calls_get_their_arguments_as_objects),
        cmocka_unit_test(a_template_gets_calls_in_the_form_it_wants),
        cmocka_unit_test(a_tool_answers_a_call_that_was_made),
        cmocka_unit_test(reasoning_has_one_name),
        cmocka_unit_test(malformed_messages_are_named_by_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
