/* test_http_guard.c - heads that two parsers could read differently do not pass.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/http_guard.h"

/* A head with these headers, as name, value, ..., NULL. */
static struct http_guard_head make(const char *method, const char *target, const char *version,
                                   const char *const *headers)
{
    struct http_guard_head head = {.method = method, .target = target, .version = version};
    for (; headers[0] != NULL; headers += 2) {
        head.headers[head.header_count++] = (struct http_guard_header){
            headers[0], strlen(headers[0]), headers[1], strlen(headers[1])};
    }
    return head;
}

static int judge(const struct http_guard_head *head, struct http_guard_facts *facts)
{
    struct refusal refusal = {0};
    return http_guard_check(head, facts, &refusal) == OK ? 200 : refusal.http_status;
}

static int judge_headers(const char *version, const char *const *headers)
{
    struct http_guard_facts facts;
    struct http_guard_head head = make("POST", "/x", version, headers);
    return judge(&head, &facts);
}

#define HEADERS(...) ((const char *const[]){"Host", "localhost", __VA_ARGS__, NULL})

static void an_ordinary_head_passes_with_its_facts(void **state)
{
    (void)state;
    struct http_guard_facts facts;
    struct http_guard_head head =
        make("POST", "/v1/completions?x=1", "HTTP/1.1",
             HEADERS("content-length", "42", "Content-Type", "application/json", "Authorization",
                     "Bearer x", "X-Request-Id", "abc", "Expect", "100-continue"));
    assert_int_equal(judge(&head, &facts), 200);
    assert_true(facts.has_length && !facts.is_chunked);
    assert_int_equal(facts.content_length, 42);
    assert_string_equal(facts.authorization->value, "Bearer x");
    assert_string_equal(facts.request_id->value, "abc");
    assert_true(http_guard_is_json(facts.content_type));
}

static void a_length_is_given_once_and_in_digits(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "-1", "+5", "0x5", "5abc", "5, 5", "", " 5", "1e3", "18446744073709551621"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(judge_headers("HTTP/1.1", HEADERS("Content-Length", bad[i])), 400);
    }
    assert_int_equal(
        judge_headers("HTTP/1.1", HEADERS("Content-Length", "5", "Content-Length", "5")), 400);
    assert_int_equal(
        judge_headers("HTTP/1.1", HEADERS("Content-Length", "5", "content-length", "6")), 400);
}

static void length_and_chunked_exclude_each_other(void **state)
{
    (void)state;
    assert_int_equal(judge_headers("HTTP/1.1", HEADERS("Transfer-Encoding", "Chunked")), 200);
    assert_int_equal(
        judge_headers("HTTP/1.1", HEADERS("Transfer-Encoding", "chunked", "Content-Length", "5")),
        400);
    assert_int_equal(
        judge_headers("HTTP/1.1", HEADERS("Content-Length", "5", "Transfer-Encoding", "chunked")),
        400);
    assert_int_equal(judge_headers("HTTP/1.1", HEADERS("Transfer-Encoding", "chunked",
                                                       "Transfer-Encoding", "chunked")),
                     400);
    assert_int_equal(judge_headers("HTTP/1.1", HEADERS("Transfer-Encoding", "gzip, chunked")), 501);
    assert_int_equal(judge_headers("HTTP/1.1", HEADERS("Transfer-Encoding", "xchunked")), 501);
    assert_int_equal(judge_headers("HTTP/1.0", HEADERS("Transfer-Encoding", "chunked")), 400);
}

static void there_is_exactly_one_host(void **state)
{
    (void)state;
    static const char *const none[] = {"Accept", "*/*", NULL};
    assert_int_equal(judge_headers("HTTP/1.1", none), 400);
    assert_int_equal(judge_headers("HTTP/1.0", none), 200);
    assert_int_equal(judge_headers("HTTP/1.1", HEADERS("host", "localhost")), 400);
}

static void names_are_tokens_and_values_have_no_control_bytes(void **state)
{
    (void)state;
    static const char *const names[] = {"", "X ", "X[]", "X\t", "X\x80", "X\x01"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(judge_headers("HTTP/1.1", HEADERS(names[i], "a")), 400);
    }
    static const char *const values[] = {"a\x07", "a\rb", "a\nb", "\x7F", "\x1B[31m"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_int_equal(judge_headers("HTTP/1.1", HEADERS("X", values[i])), 400);
    }
    assert_int_equal(judge_headers("HTTP/1.1", HEADERS("X", "a\tb \xC3\xA9")), 200);
    struct http_guard_facts facts;
    struct http_guard_head head = make("GET", "/", "HTTP/1.1", HEADERS("X", "ab"));
    head.headers[1].value = "a\0b";
    head.headers[1].value_bytes = 3;
    assert_int_equal(judge(&head, &facts), 400);
}

static void heads_are_bounded(void **state)
{
    (void)state;
    struct http_guard_facts facts;
    struct http_guard_head head = make("GET", "/", "HTTP/1.1", HEADERS("X", "a"));
    while (head.header_count < LIMIT_HEADER_COUNT) {
        head.headers[head.header_count++] = head.headers[1];
    }
    assert_int_equal(judge(&head, &facts), 200);
    head.header_count++;
    assert_int_equal(judge(&head, &facts), 431);

    static char value[8193];
    memset(value, 'a', sizeof value - 1);
    head = make("GET", "/", "HTTP/1.1", HEADERS("X", value));
    assert_int_equal(judge(&head, &facts), 431);
    value[8191] = '\0';
    head = make("GET", "/", "HTTP/1.1", HEADERS("X", value));
    assert_int_equal(judge(&head, &facts), 200);
    head = make("GET", "/", "HTTP/1.1", HEADERS("X", value, "Y", value));
    assert_int_equal(judge(&head, &facts), 431);
}

static int judge_line(const char *method, const char *target, const char *version)
{
    struct http_guard_facts facts;
    static const char *const headers[] = {"Host", "localhost", NULL};
    struct http_guard_head head = make(method, target, version, headers);
    return judge(&head, &facts);
}

static void request_lines_are_judged(void **state)
{
    (void)state;
    assert_int_equal(judge_line("G@T", "/", "HTTP/1.1"), 400);
    assert_int_equal(judge_line("GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG", "/", "HTTP/1.1"), 400);
    assert_int_equal(judge_line("PATCH", "/", "HTTP/1.1"), 200);
    static const char *const versions[] = {"HTTP/1.2", "HTTP/2.0", "HTTP/9.9", "http/1.1", "", "x"};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        assert_int_equal(judge_line("GET", "/", versions[i]), 505);
    }
    static const char *const targets[] = {"/%zz", "/%0",        "/%",   "/%00",   "*",    "x",
                                          "",     "http://a/b", "/a b", "/a\x01", "/\x7F"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        assert_int_equal(judge_line("GET", targets[i], "HTTP/1.1"), 400);
    }
    static char target[LIMIT_URL_BYTES + 2];
    memset(target, 'a', sizeof target - 1);
    target[0] = '/';
    assert_int_equal(judge_line("GET", target, "HTTP/1.1"), 414);
    target[LIMIT_URL_BYTES] = '\0';
    assert_int_equal(judge_line("GET", target, "HTTP/1.1"), 200);
}

static void other_headers_that_must_be_single_are(void **state)
{
    (void)state;
    assert_int_equal(judge_headers("HTTP/1.1", HEADERS("Expect", "foo")), 417);
    assert_int_equal(judge_headers("HTTP/1.1", HEADERS("Authorization", "Bearer a", "Authorization",
                                                       "Bearer b")),
                     401);
    assert_int_equal(
        judge_headers("HTTP/1.1", HEADERS("Content-Type", "a/b", "Content-Type", "a/b")), 400);
}

static bool is_json(const char *value)
{
    const struct http_guard_header header = {"Content-Type", 12, value, strlen(value)};
    return http_guard_is_json(&header);
}

static void only_json_in_utf8_is_json(void **state)
{
    (void)state;
    assert_true(is_json("application/json"));
    assert_true(is_json("Application/JSON"));
    assert_true(is_json("application/json; charset=utf-8"));
    assert_true(is_json("application/json;charset=\"UTF-8\""));
    assert_false(is_json("application/json; charset=utf-16"));
    assert_false(is_json("application/jsonx"));
    assert_false(is_json("application/jsoncharset=utf-8"));
    assert_false(is_json("text/plain"));
    assert_false(is_json(""));
    assert_false(http_guard_is_json(NULL));
}

static bool is_local(const char *value)
{
    const struct http_guard_header header = {"Host", 4, value, strlen(value)};
    return http_guard_host_is_local(&header, "box.lan");
}

static void names_that_a_stranger_controls_are_not_local(void **state)
{
    (void)state;
    assert_true(is_local("localhost"));
    assert_true(is_local("LocalHost:8080"));
    assert_true(is_local("127.0.0.1:8080"));
    assert_true(is_local("[::1]:8080"));
    assert_true(is_local("box.lan:1"));
    assert_true(http_guard_host_is_local(NULL, "box.lan"));
    assert_false(is_local("evil.example"));
    assert_false(is_local("localhost.evil.example"));
    assert_false(is_local("127.0.0.1.evil.example"));
    assert_false(is_local("1e100.net"));
}

static void request_ids_are_plain_words(void **state)
{
    (void)state;
    assert_true(http_guard_is_request_id("req_1.a-B", 9));
    assert_false(http_guard_is_request_id("", 0));
    assert_false(http_guard_is_request_id("10.0.0.1:80", 11));
    assert_false(http_guard_is_request_id("a b", 3));
    char many[65];
    memset(many, 'a', sizeof many);
    assert_true(http_guard_is_request_id(many, 64));
    assert_false(http_guard_is_request_id(many, 65));
}

static void paths_are_decoded_once(void **state)
{
    (void)state;
    char out[16];
    assert_true(http_guard_decode("a%2Fb%25", out, sizeof out));
    assert_string_equal(out, "a/b%");
    assert_true(http_guard_decode("%252F", out, sizeof out));
    assert_string_equal(out, "%2F");
    assert_false(http_guard_decode("0123456789abcdef", out, sizeof out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_head_passes_with_its_facts),
        cmocka_unit_test(a_length_is_given_once_and_in_digits),
        cmocka_unit_test(length_and_chunked_exclude_each_other),
        cmocka_unit_test(there_is_exactly_one_host),
        cmocka_unit_test(names_are_tokens_and_values_have_no_control_bytes),
        cmocka_unit_test(heads_are_bounded),
        cmocka_unit_test(request_lines_are_judged),
        cmocka_unit_test(other_headers_that_must_be_single_are),
        cmocka_unit_test(only_json_in_utf8_is_json),
        cmocka_unit_test(names_that_a_stranger_controls_are_not_local),
        cmocka_unit_test(request_ids_are_plain_words),
        cmocka_unit_test(paths_are_decoded_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
