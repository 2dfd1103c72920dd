/* test_load_stream.c - HTTP responses and event streams, cut at every place; chunks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/load/bounds.h"
#include "tests/load/chunk.h"
#include "tests/load/response.h"
#include "tests/load/sse_reader.h"

/* ---- events ---- */

static void note_event(void *context, const char *data, size_t data_bytes)
{
    struct buffer *seen = context;
    buffer_text(seen, "[");
    buffer_append(seen, data, data_bytes);
    buffer_text(seen, "]");
}

/* Feeds text in pieces of which the first two end at `first` and `second`. Each piece is a copy of
 * its own, freed at once: a reader that keeps a pointer into it is caught by the sanitizers. */
static bool feed_pieces(struct sse_reader *reader, const char *text, size_t first, size_t second,
                        struct buffer *seen)
{
    size_t ends[] = {first, second, strlen(text)};
    size_t at = 0;
    bool fine = true;
    for (size_t i = 0; i < 3; i++) {
        size_t piece_bytes = ends[i] - at;
        char *piece = malloc(piece_bytes + 1);
        assert_non_null(piece);
        memcpy(piece, text + at, piece_bytes);
        fine = sse_reader_feed(reader, piece, piece_bytes, note_event, seen) && fine;
        free(piece);
        at = ends[i];
    }
    return fine;
}

static void assert_events(const char *text, const char *wanted)
{
    for (size_t first = 0; first <= strlen(text); first++) {
        for (size_t second = first; second <= strlen(text); second++) {
            struct sse_reader reader = {0};
            struct buffer seen = {0};
            assert_true(feed_pieces(&reader, text, first, second, &seen));
            assert_string_equal(buffer_string(&seen), wanted);
            buffer_release(&seen);
            sse_reader_release(&reader);
        }
    }
}

static void events_are_the_same_wherever_the_bytes_are_cut(void **state)
{
    (void)state;
    assert_events("data: {\"a\":1}\n\ndata: [DONE]\n\n", "[{\"a\":1}][[DONE]]");
    assert_events("data: a\r\n\r\ndata: b\r\n\r\n", "[a][b]");
    assert_events("data: a\r\rdata: b\r\r", "[a][b]");
    assert_events("data: a\r\ndata: b\r\n\r\n", "[a\nb]");
}

static void fields_comments_and_joined_lines_follow_the_standard(void **state)
{
    (void)state;
    assert_events(": ping\n\ndata: x\nid: 1\n\n", "[x]");
    assert_events("event: e\ndata:y\ndata\ndata:  z\n\n", "[y\n\n z]");
    assert_events("database: no\ndat: no\n\ndata: yes\n\n", "[yes]");
    assert_events("data:\n\n\n\n", "[]");
    assert_events("\xef\xbb\xbf"
                  "data: b\n\n",
                  "[b]");
}

static void an_event_without_its_empty_line_never_happened(void **state)
{
    (void)state;
    assert_events("data: a\n\ndata: lost\n", "[a]");
}

static void a_line_beyond_the_bound_ends_the_stream(void **state)
{
    (void)state;
    size_t long_bytes = BOUND_LINE_BYTES + 2;
    char *text = malloc(long_bytes);
    assert_non_null(text);
    memset(text, 'x', long_bytes);
    struct sse_reader reader = {0};
    struct buffer seen = {0};
    assert_true(sse_reader_feed(&reader, text, BOUND_LINE_BYTES, note_event, &seen));
    assert_false(sse_reader_feed(&reader, text, 2, note_event, &seen));
    sse_reader_reset(&reader);
    assert_true(sse_reader_feed(&reader, "data: a\n\n", 9, note_event, &seen));
    assert_string_equal(buffer_string(&seen), "[a]");
    buffer_release(&seen);
    sse_reader_release(&reader);
    free(text);
}

/* ---- responses ---- */

static void note_body(void *context, const char *bytes, size_t byte_count)
{
    buffer_append(context, bytes, byte_count);
}

static void assert_response(const char *text, int status, const char *body,
                            enum response_state wanted)
{
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        struct response response = {0};
        struct buffer seen = {0};
        size_t taken = response_feed(&response, text, cut, note_body, &seen);
        if (taken == cut) {
            response_feed(&response, text + cut, strlen(text) - cut, note_body, &seen);
        }
        assert_int_equal(response.state, wanted);
        assert_int_equal(response.status, status);
        assert_string_equal(buffer_string(&seen), body);
        buffer_release(&seen);
        response_release(&response);
    }
}

static void responses_are_the_same_wherever_the_bytes_are_cut(void **state)
{
    (void)state;
    assert_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello",
                    RESPONSE_DONE);
    assert_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
                    200, "abc0123456789", RESPONSE_DONE);
    assert_response("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204, "",
                    RESPONSE_DONE);
    assert_response("HTTP/1.0 503 Busy\r\nRetry-After: 2\r\n\r\nwait", 503, "wait", RESPONSE_BODY);
}

static void what_is_not_http_is_refused(void **state)
{
    (void)state;
    assert_response("SSH-2.0-OpenSSH_9.2\r\n\r\n", 0, "", RESPONSE_BAD);
    assert_response("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", 200, "", RESPONSE_BAD);
    assert_response("HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n", 200, "", RESPONSE_BAD);
    assert_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 200, "",
                    RESPONSE_BAD);
    assert_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 200, "a",
                    RESPONSE_BAD);
    assert_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "fffffffffffffffffffff\r\n",
                    200, "", RESPONSE_BAD);
}

static void only_a_body_without_a_length_may_end_with_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum response_state wanted;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n\r\nabc", RESPONSE_DONE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", RESPONSE_BAD},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", RESPONSE_BAD},
        {"HTTP/1.1 200 OK\r\nConte", RESPONSE_BAD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct response response = {0};
        struct buffer seen = {0};
        response_feed(&response, cases[i].text, strlen(cases[i].text), note_body, &seen);
        response_end(&response);
        assert_int_equal(response.state, cases[i].wanted);
        buffer_release(&seen);
        response_release(&response);
    }
}

static void headers_say_what_may_follow(void **state)
{
    (void)state;
    const char *text = "HTTP/1.1 429 Slow\r\nCONNECTION: Close\r\nretry-after: 7\r\n"
                       "content-type: text/event-stream; charset=utf-8\r\ncontent-length: 0\r\n"
                       "\r\nHTTP/1.1 200";
    struct response response = {0};
    struct buffer seen = {0};
    size_t taken = response_feed(&response, text, strlen(text), note_body, &seen);
    assert_int_equal(taken, strlen(text) - strlen("HTTP/1.1 200"));
    assert_true(response.close_after);
    assert_true(response.event_stream);
    assert_int_equal(response.retry_after_s, 7);
    buffer_release(&seen);
    response_release(&response);
}

/* ---- chunks ---- */

static struct chunk parse(const char *text)
{
    struct chunk chunk;
    if (!chunk_parse(&chunk, text, strlen(text))) {
        fail_msg("not understood: %s", text);
    }
    return chunk;
}

static void output_is_text_content_reasoning_or_a_tool_call(void **state)
{
    (void)state;
    struct chunk chunk = parse("{\"choices\":[{\"index\":0,\"text\":\" a\\\"b\"}],\"usage\":null}");
    assert_true(chunk.has_output);
    assert_int_equal(chunk.text.byte_count, 5);
    assert_memory_equal(chunk.text.bytes, " a\\\"b", 5);
    assert_false(chunk.has_usage);
    assert_true(parse("{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}").has_output);
    assert_true(parse("{\"choices\":[{\"delta\":{\"reasoning_content\":\"x\"}}]}").has_output);
    assert_true(parse("{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}").has_output);
    assert_false(
        parse("{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}").has_output);
    assert_false(parse("{\"choices\":[{\"delta\":{\"content\":null,\"tool_calls\":[]},"
                       "\"finish_reason\":null}]}")
                     .has_output);
    assert_true(parse("{\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}").finished);
    /* The same names elsewhere mean nothing. */
    assert_false(parse("{\"text\":\"x\",\"content\":\"y\",\"choices\":[]}").has_output);
}

static void usage_and_errors_are_read(void **state)
{
    (void)state;
    struct chunk chunk =
        parse(" {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\": 34 ,"
              "\"total_tokens\":46,\"prompt_tokens_details\":{\"cached_tokens\":5}}} ");
    assert_true(chunk.has_usage);
    assert_int_equal(chunk.prompt_tokens, 12);
    assert_int_equal(chunk.completion_tokens, 34);
    assert_int_equal(chunk.cached_tokens, 5);
    assert_true(parse("{\"error\":{\"message\":\"m\"}}").has_error);
    assert_true(parse("{\"error\":\"m\"}").has_error);
    assert_false(parse("{\"error\":null,\"x\":[1,-2.5e3,true,{}]}").has_error);
    assert_false(parse("{\"error\":\"\"}").has_error);
}

static void what_is_not_one_json_object_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "[]",
                                        "{",
                                        "{}x",
                                        "{\"a\"}",
                                        "{\"a\":1,}",
                                        "{\"a\":01}",
                                        "{\"a\":\"\\x\"}",
                                        "{a:1}",
                                        "{\"a\":tru}",
                                        "{\"a\":[1,]}",
                                        "{\"a\":\"\n\"}",
                                        "{\"a\":1",
                                        "{\"a\":\"\\u12g4\"}",
                                        "{\"a\":.5}",
                                        "{\"a\":-}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct chunk chunk;
        if (chunk_parse(&chunk, texts[i], strlen(texts[i]))) {
            fail_msg("taken: %s", texts[i]);
        }
    }
    char deep[1024];
    memset(deep, '[', sizeof deep);
    snprintf(deep, sizeof deep, "{\"a\":");
    deep[5] = '[';
    struct chunk chunk;
    assert_false(chunk_parse(&chunk, deep, sizeof deep));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_the_same_wherever_the_bytes_are_cut),
        cmocka_unit_test(fields_comments_and_joined_lines_follow_the_standard),
        cmocka_unit_test(an_event_without_its_empty_line_never_happened),
        cmocka_unit_test(a_line_beyond_the_bound_ends_the_stream),
        cmocka_unit_test(responses_are_the_same_wherever_the_bytes_are_cut),
        cmocka_unit_test(what_is_not_http_is_refused),
        cmocka_unit_test(only_a_body_without_a_length_may_end_with_the_connection),
        cmocka_unit_test(headers_say_what_may_follow),
        cmocka_unit_test(output_is_text_content_reasoning_or_a_tool_call),
        cmocka_unit_test(usage_and_errors_are_read),
        cmocka_unit_test(what_is_not_one_json_object_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
