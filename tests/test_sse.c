/* test_sse.c - events as a client's parser takes them apart, and the error envelope in them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/sse.h"

#include <jansson.h>

static void an_event_is_one_data_line_and_a_blank_one(void **state)
{
    (void)state;
    struct text_buffer out;
    text_buffer_init(&out, 4096);
    sse_begin(&out);
    text_buffer_append_text(&out, "{}");
    sse_end(&out);
    sse_write_keep_alive(&out);
    sse_write_done(&out);
    assert_string_equal(out.bytes, "data: {}\n\n: keep-alive\n\ndata: [DONE]\n\n");
    text_buffer_release(&out);
}

static void an_error_is_an_envelope_on_one_line(void **state)
{
    (void)state;
    struct text_buffer out;
    text_buffer_init(&out, 4096);
    struct refusal refusal;
    refusal_set(&refusal, "invalid_value", "n", "n must be \"small\",\nnot %d.", 5);
    sse_write_error(&out, &refusal);
    assert_memory_equal(out.bytes, "data: {", 7);
    assert_ptr_equal(strchr(out.bytes, '\n'), out.bytes + out.byte_count - 2);
    json_t *root = json_loads(out.bytes + 6, 0, NULL);
    const json_t *error = json_object_get(root, "error");
    assert_string_equal(json_string_value(json_object_get(error, "message")),
                        "n must be \"small\",\nnot 5.");
    assert_string_equal(json_string_value(json_object_get(error, "type")), "invalid_request_error");
    assert_string_equal(json_string_value(json_object_get(error, "param")), "n");
    assert_string_equal(json_string_value(json_object_get(error, "code")), "invalid_value");
    json_decref(root);
    text_buffer_release(&out);
}

static void a_refusal_without_param_or_code_has_nulls(void **state)
{
    (void)state;
    struct text_buffer out;
    text_buffer_init(&out, 4096);
    struct refusal refusal;
    refusal_set(&refusal, NULL, NULL, "no");
    refusal_write(&refusal, &out);
    assert_string_equal(out.bytes,
                        "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\","
                        "\"param\":null,\"code\":null}}");
    text_buffer_release(&out);
}

static void statuses_have_their_http_codes_and_advice(void **state)
{
    (void)state;
    static const struct {
        enum status status;
        int http_status;
        bool retry;
        bool never;
    } cases[] = {
        {ERR_INVALID, 400, false, false}, {ERR_NOT_FOUND, 404, false, false},
        {ERR_FULL, 503, true, false},     {ERR_CANCELLED, 503, true, false},
        {ERR_MEMORY, 503, true, false},   {ERR_UNSUPPORTED, 501, false, true},
        {ERR_DEVICE, 500, false, true},   {ERR_IO, 500, false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct refusal refusal;
        assert_int_equal(refusal_set_status(&refusal, cases[i].status, NULL, "x"), cases[i].status);
        assert_int_equal(refusal.http_status, cases[i].http_status);
        assert_int_equal(refusal.retry_after_ms > 0, cases[i].retry);
        assert_int_equal(refusal.retry_never, cases[i].never);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_one_data_line_and_a_blank_one),
        cmocka_unit_test(an_error_is_an_envelope_on_one_line),
        cmocka_unit_test(a_refusal_without_param_or_code_has_nulls),
        cmocka_unit_test(statuses_have_their_http_codes_and_advice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
