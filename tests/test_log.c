/* test_log.c - log lines, read back through a pipe that stands in for standard error.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

struct capture {
    int saved;
    int reader;
    char text[1 << 17];
    size_t byte_count;
};

static struct capture capture;

static void capture_begin(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    capture.saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    capture.reader = ends[0];
    fcntl(capture.reader, F_SETFL, O_NONBLOCK);
    capture.byte_count = 0;
}

/* Reads what is there now. */
static void capture_read(void)
{
    ssize_t got;
    do {
        got = read(capture.reader, capture.text + capture.byte_count,
                   sizeof capture.text - 1 - capture.byte_count);
        capture.byte_count += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    capture.text[capture.byte_count] = '\0';
}

static const char *capture_end(void)
{
    dup2(capture.saved, STDERR_FILENO);
    close(capture.saved);
    capture_read();
    close(capture.reader);
    return capture.text;
}

/* What stands behind the time stamp, which must look like one. */
static const char *after_time(const char *line)
{
    const char *const shape = "dddd-dd-ddTdd:dd:dd.dddZ";
    for (size_t i = 0; shape[i] != '\0'; i++) {
        if (shape[i] == 'd') {
            assert_in_range(line[i], '0', '9');
        } else {
            assert_int_equal(line[i], shape[i]);
        }
    }
    return line + strlen(shape);
}

static void text_lines_have_time_level_event_and_message(void **state)
{
    (void)state;
    log_init(LOG_TEXT, LOG_DEBUG);
    capture_begin();
    log_event(LOG_WARNING, "pool_small", "%d of %s", 3, "four");
    assert_string_equal(after_time(capture_end()), " warning pool_small: 3 of four\n");
}

static void json_lines_have_the_same_four_as_members(void **state)
{
    (void)state;
    log_init(LOG_JSON, LOG_DEBUG);
    capture_begin();
    log_event(LOG_ERROR, "step_failed", "row %u", 7u);
    const char *text = capture_end();
    assert_memory_equal(text, "{\"time\":\"", 9);
    assert_string_equal(
        after_time(text + 9),
        "\",\"level\":\"error\",\"event\":\"step_failed\",\"message\":\"row 7\"}\n");
}

static void lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    log_init(LOG_TEXT, LOG_WARNING);
    capture_begin();
    log_event(LOG_DEBUG, "a", "1");
    log_event(LOG_INFO, "b", "2");
    log_event(LOG_WARNING, "c", "3");
    assert_string_equal(after_time(capture_end()), " warning c: 3\n");
}

static const struct {
    const char *given;
    const char *text;
    const char *json;
} escapes[] = {
    {"plain \xc3\xa9 \xf0\x9f\x98\x80", "plain \xc3\xa9 \xf0\x9f\x98\x80",
     "plain \xc3\xa9 \xf0\x9f\x98\x80"},
    {"two\nlines\r", "two\\nlines\\x0d", "two\\nlines\\u000d"},
    {"\x1b[31mred", "\\x1b[31mred", "\\u001b[31mred"},
    {"del\x7f", "del\\x7f", "del\\u007f"},
    {"say \"hi\" \\ bye", "say \"hi\" \\\\ bye", "say \\\"hi\\\" \\\\ bye"},
    {"c1 \xc2\x9b!", "c1 \\u009b!", "c1 \\u009b!"},
    {"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029", "\\u2028\\u2029"},
    {"bad \xff\xc3", "bad \\xff\\xc3", "bad \\ufffd\\ufffd"},
    {"over \xc0\xaf\xe0\x80\x80", "over \\xc0\\xaf\\xe0\\x80\\x80",
     "over \\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"},
    {"half \xed\xa0\x80", "half \\xed\\xa0\\x80", "half \\ufffd\\ufffd\\ufffd"},
    {"high \xf4\x90\x80\x80", "high \\xf4\\x90\\x80\\x80", "high \\ufffd\\ufffd\\ufffd\\ufffd"},
    {"\xc2\xa0", "\xc2\xa0", "\xc2\xa0"},
};

static void whatever_a_client_sends_stays_on_one_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
        char expected[256];
        log_init(LOG_TEXT, LOG_INFO);
        capture_begin();
        log_event(LOG_INFO, "e", "%s", escapes[i].given);
        snprintf(expected, sizeof expected, " info e: %s\n", escapes[i].text);
        assert_string_equal(after_time(capture_end()), expected);

        log_init(LOG_JSON, LOG_INFO);
        capture_begin();
        log_event(LOG_INFO, "e", "%s", escapes[i].given);
        snprintf(expected, sizeof expected,
                 "\",\"level\":\"info\",\"event\":\"e\",\"message\":\"%s\"}\n", escapes[i].json);
        assert_string_equal(after_time(capture_end() + 9), expected);
    }
}

static void a_long_message_is_cut_and_the_line_still_ends_well(void **state)
{
    (void)state;
    static char huge[10000];
    memset(huge, 'x', sizeof huge - 1);
    for (int json = 0; json < 2; json++) {
        log_init(json ? LOG_JSON : LOG_TEXT, LOG_INFO);
        for (int control = 0; control < 2; control++) {
            memset(huge, control ? '\x01' : 'x', sizeof huge - 1);
            capture_begin();
            log_event(LOG_INFO, "e", "%s", huge);
            const char *text = capture_end();
            size_t byte_count = strlen(text);
            assert_in_range(byte_count, 3000, PIPE_BUF);
            assert_ptr_equal(strchr(text, '\n'), text + byte_count - 1);
            assert_string_equal(text + byte_count - (json ? 6 : 4), json ? "...\"}\n" : "...\n");
        }
    }
}

static void a_full_pipe_drops_lines_counts_them_and_says_so_later(void **state)
{
    (void)state;
    log_init(LOG_TEXT, LOG_INFO);
    uint64_t before = log_dropped_count();
    capture_begin();
    for (int i = 0; i < 5000; i++) { /* a pipe holds 64 KiB; this is three times that */
        log_event(LOG_INFO, "flood", "%04d", i);
    }
    uint64_t dropped = log_dropped_count() - before;
    assert_true(dropped > 0 && dropped < 5000);
    capture_read();
    log_event(LOG_INFO, "after", "room");
    log_event(LOG_INFO, "then", "more");
    const char *text = capture_end();
    assert_int_equal(log_dropped_count() - before, dropped);

    char notice[64];
    snprintf(notice, sizeof notice, " warning log_dropped: %llu lines were dropped\n",
             (unsigned long long)dropped);
    const char *at = strstr(text, notice);
    assert_non_null(at);
    const char *rest = after_time(at + strlen(notice));
    assert_memory_equal(rest, " info after: room\n", 18);
    assert_string_equal(after_time(rest + 18), " info then: more\n"); /* told once */
    unsigned lines = 0;
    for (const char *c = text; c < at; c++) {
        lines += *c == '\n';
    }
    assert_int_equal(lines, 5000 - dropped);
}

static void errno_survives_a_log_line(void **state)
{
    (void)state;
    log_init(LOG_TEXT, LOG_INFO);
    int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = ENOENT;
    log_event(LOG_INFO, "e", "nowhere to go");
    int after = errno;
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_int_equal(after, ENOENT);
}

enum {
    WRITERS = 4,
    LINES_EACH = 300
};

static void *write_lines(void *context)
{
    int writer = *(const int *)context;
    char body[101];
    memset(body, 'a' + writer, 100);
    body[100] = '\0';
    for (int i = 0; i < LINES_EACH; i++) {
        log_event(LOG_INFO, "w", "%d %s", writer, body);
    }
    return NULL;
}

static void lines_of_many_threads_do_not_interleave(void **state)
{
    (void)state;
    log_init(LOG_TEXT, LOG_INFO);
    uint64_t before = log_dropped_count();
    capture_begin();
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
    }
    const char *text = capture_end();
    uint64_t count = 0;
    while (*text != '\0') {
        if (strstr(text, "log_dropped") != NULL &&
            strstr(text, "log_dropped") < strchr(text, '\n')) {
            text = strchr(text, '\n') + 1;
            continue;
        }
        const char *rest = after_time(text);
        int writer = -1;
        assert_int_equal(sscanf(rest, " info w: %d ", &writer), 1);
        const char *body = rest + strlen(" info w: 0 ");
        for (int i = 0; i < 100; i++) {
            assert_int_equal(body[i], 'a' + writer);
        }
        assert_int_equal(body[100], '\n');
        text = body + 101;
        count++;
    }
    assert_int_equal(count + (log_dropped_count() - before), WRITERS * LINES_EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines_have_time_level_event_and_message),
        cmocka_unit_test(json_lines_have_the_same_four_as_members),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(whatever_a_client_sends_stays_on_one_line),
        cmocka_unit_test(a_long_message_is_cut_and_the_line_still_ends_well),
        cmocka_unit_test(a_full_pipe_drops_lines_counts_them_and_says_so_later),
        cmocka_unit_test(errno_survives_a_log_line),
        cmocka_unit_test(lines_of_many_threads_do_not_interleave),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
