/* test_stats.c - counters and histograms as a Prometheus scraper reads them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/stats.h"

#include <pthread.h>
#include <stdbool.h>

static struct stats stats;
static char text[1 << 19];
static size_t text_bytes;

static void collect(void *context, const char *line)
{
    (void)context;
    size_t byte_count = strlen(line);
    assert_true(byte_count > 0 && line[byte_count - 1] == '\n');
    assert_ptr_equal(strchr(line, '\n'), line + byte_count - 1);
    assert_true(text_bytes + byte_count < sizeof text);
    memcpy(text + text_bytes, line, byte_count + 1);
    text_bytes += byte_count;
}

static void render(const char *model_name)
{
    text_bytes = 0;
    text[0] = '\0';
    stats_render(&stats, model_name, collect, NULL);
}

static int empty_stats(void **state)
{
    (void)state;
    memset(&stats, 0, sizeof stats);
    return 0;
}

/* How often a whole line stands in the text. */
static unsigned line_count(const char *line)
{
    unsigned count = 0;
    size_t byte_count = strlen(line);
    for (const char *at = text; (at = strstr(at, line)) != NULL; at += byte_count) {
        count += (at == text || at[-1] == '\n') && at[byte_count] == '\n';
    }
    return count;
}

static void counters_and_gauges_show_their_values(void **state)
{
    (void)state;
    stats_add(&stats.prompt_tokens, 40);
    stats_add(&stats.prompt_tokens, 2);
    stats_set(&stats.requests_running, 9);
    stats_set(&stats.requests_running, 3);
    render("tiny");
    assert_int_equal(line_count("vllm:prompt_tokens_total{model_name=\"tiny\",engine=\"0\"} 42"),
                     1);
    assert_int_equal(line_count("# TYPE vllm:prompt_tokens_total counter"), 1);
    assert_int_equal(line_count("vllm:num_requests_running{model_name=\"tiny\",engine=\"0\"} 3"),
                     1);
    assert_int_equal(line_count("# TYPE vllm:num_requests_running gauge"), 1);
}

static void a_family_with_labels_has_one_help_and_one_type(void **state)
{
    (void)state;
    stats_add(&stats.success_length, 7);
    render("m");
    assert_int_equal(line_count("# TYPE vllm:request_success_total counter"), 1);
    assert_int_equal(line_count("vllm:request_success_total{model_name=\"m\",engine=\"0\","
                                "finished_reason=\"length\"} 7"),
                     1);
    assert_int_equal(line_count("vllm:request_success_total{model_name=\"m\",engine=\"0\","
                                "finished_reason=\"stop\"} 0"),
                     1);
}

/* Every sample belongs to the family announced last, and no family is announced twice. */
static void every_sample_stands_under_its_own_family(void **state)
{
    (void)state;
    char seen[128][96];
    unsigned family_count = 0;
    render("m");
    for (char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            size_t bytes = strcspn(line + 7, " ");
            snprintf(seen[family_count], sizeof seen[0], "%.*s", (int)bytes, line + 7);
            assert_true(line[7 + bytes + 1] != '\n'); /* help is not empty */
            for (unsigned i = 0; i < family_count; i++) {
                assert_string_not_equal(seen[i], seen[family_count]);
            }
            family_count++;
            continue;
        }
        assert_true(family_count > 0);
        const char *name = strncmp(line, "# TYPE ", 7) == 0 ? line + 7 : line;
        const char *family = seen[family_count - 1];
        assert_memory_equal(name, family, strlen(family));
    }
    assert_true(family_count > 20);
}

static void time_histograms_count_upward_in_seconds(void **state)
{
    (void)state;
    stats_observe_time(&stats.step_time_us, 100);     /* on a bound: belongs below it */
    stats_observe_time(&stats.step_time_us, 101);     /* just above it */
    stats_observe_time(&stats.step_time_us, 2000000); /* two seconds */
    stats_observe_time(&stats.step_time_us, UINT64_C(999999999999));
    render("m");
    const char *const lines[] = {
        "sluice:step_time_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"0.0001\"} 1",
        "sluice:step_time_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"0.00025\"} 2",
        "sluice:step_time_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"1\"} 2",
        "sluice:step_time_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"2.5\"} 3",
        "sluice:step_time_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"1800\"} 3",
        "sluice:step_time_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"+Inf\"} 4",
        "sluice:step_time_seconds_count{model_name=\"m\",engine=\"0\"} 4",
        "# TYPE sluice:step_time_seconds histogram",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(line_count(lines[i]), 1);
    }
    const char *sum = strstr(text, "sluice:step_time_seconds_sum{model_name=\"m\",engine=\"0\"} ");
    assert_non_null(sum);
    double seconds = strtod(strchr(sum, ' '), NULL);
    assert_true(seconds > 1000002.0 && seconds < 1000002.1);
}

static void count_histograms_have_whole_bounds(void **state)
{
    (void)state;
    stats_observe_count(&stats.request_prompt_tokens, 0);
    stats_observe_count(&stats.request_prompt_tokens, 16);
    stats_observe_count(&stats.request_prompt_tokens, 17);
    stats_observe_count(&stats.request_prompt_tokens, 8388609);
    render("m");
    const char *const lines[] = {
        "vllm:request_prompt_tokens_bucket{model_name=\"m\",engine=\"0\",le=\"1\"} 1",
        "vllm:request_prompt_tokens_bucket{model_name=\"m\",engine=\"0\",le=\"16\"} 2",
        "vllm:request_prompt_tokens_bucket{model_name=\"m\",engine=\"0\",le=\"32\"} 3",
        "vllm:request_prompt_tokens_bucket{model_name=\"m\",engine=\"0\",le=\"8388608\"} 3",
        "vllm:request_prompt_tokens_bucket{model_name=\"m\",engine=\"0\",le=\"+Inf\"} 4",
        "vllm:request_prompt_tokens_sum{model_name=\"m\",engine=\"0\"} 8388642",
        "vllm:request_prompt_tokens_count{model_name=\"m\",engine=\"0\"} 4",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(line_count(lines[i]), 1);
    }
}

static void bucket_bounds_rise(void **state)
{
    (void)state;
    render("m");
    double last = -1;
    for (char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        char *le = strstr(line, "le=\"");
        if (le == NULL || le > strchr(line, '\n')) {
            last = -1;
            continue;
        }
        double bound = strtod(le + 4, NULL);
        assert_true(bound > last);
        last = bound;
    }
}

static void cache_usage_is_used_over_total(void **state)
{
    (void)state;
    render("m");
    assert_int_equal(line_count("vllm:kv_cache_usage_perc{model_name=\"m\",engine=\"0\"} 0"), 1);
    stats_set(&stats.blocks_total, 200);
    stats_set(&stats.blocks_used, 50);
    render("m");
    assert_int_equal(line_count("vllm:kv_cache_usage_perc{model_name=\"m\",engine=\"0\"} 0.25"), 1);
}

static void label_values_are_escaped(void **state)
{
    (void)state;
    render("a\"b\\c\nd");
    assert_int_equal(line_count("sluice:engine_steps_total{model_name=\"a\\\"b\\\\c\\nd\","
                                "engine=\"0\"} 0"),
                     1);
    static char long_name[4000];
    memset(long_name, '\\', sizeof long_name - 1);
    render(long_name); /* cut, not overrun, and not in the middle of an escape */
    const char *label = strstr(text, "model_name=\"") + strlen("model_name=\"");
    size_t slashes = strspn(label, "\\");
    assert_true(slashes > 100 && slashes % 2 == 0);
    assert_memory_equal(label + slashes, "\",engine=\"0\"", 12);
}

static void *add_many(void *context)
{
    (void)context;
    for (uint64_t i = 0; i < 10000; i++) {
        stats_add(&stats.generation_tokens, 1);
        stats_observe_time(&stats.inter_token_latency_us, i);
    }
    return NULL;
}

static void any_thread_may_count_while_another_renders(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    }
    render("m");
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    render("m");
    assert_int_equal(
        line_count("vllm:generation_tokens_total{model_name=\"m\",engine=\"0\"} 30000"), 1);
    assert_int_equal(line_count("vllm:inter_token_latency_seconds_count{model_name=\"m\","
                                "engine=\"0\"} 30000"),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(counters_and_gauges_show_their_values, empty_stats),
        cmocka_unit_test_setup(a_family_with_labels_has_one_help_and_one_type, empty_stats),
        cmocka_unit_test_setup(every_sample_stands_under_its_own_family, empty_stats),
        cmocka_unit_test_setup(time_histograms_count_upward_in_seconds, empty_stats),
        cmocka_unit_test_setup(count_histograms_have_whole_bounds, empty_stats),
        cmocka_unit_test_setup(bucket_bounds_rise, empty_stats),
        cmocka_unit_test_setup(cache_usage_is_used_over_total, empty_stats),
        cmocka_unit_test_setup(label_values_are_escaped, empty_stats),
        cmocka_unit_test_setup(any_thread_may_count_while_another_renders, empty_stats),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
