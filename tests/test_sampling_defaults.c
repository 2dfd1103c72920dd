/* What a model file may say of its sampling: each key is read, bounded and shown.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/gguf_builder.h"
#include "engine/sampling_defaults.h"

#include <math.h>

static void finish(struct gguf_builder *builder, struct gguf *file)
{
    struct error err;
    assert_int_equal(gguf_builder_finish(builder, file, &err), OK);
}

static void a_silent_file_is_neutral(void **state)
{
    (void)state;
    struct gguf_builder builder;
    struct gguf file;
    struct error err;
    gguf_builder_init(&builder, "m");
    finish(&builder, &file);
    struct sampling_defaults read;
    assert_int_equal(sampling_defaults_read(&read, &file, &err), OK);
    assert_true(read.temperature == 1 && read.top_p == 1 && read.repetition_penalty == 1);
    assert_true(read.min_p == 0 && read.top_k == 0);
    char shown[160];
    sampling_defaults_show(&read, shown, sizeof shown);
    assert_string_equal(shown, "");
    assert_null(sampling_defaults_unknown(&file));
    gguf_close(&file);
}

static void every_key_is_read_and_shown(void **state)
{
    (void)state;
    struct gguf_builder builder;
    struct gguf file;
    struct error err;
    gguf_builder_init(&builder, "m");
    gguf_builder_set_f32(&builder, "general.sampling.temp", 0.5f);
    gguf_builder_set_f32(&builder, "general.sampling.top_p", 0.75f);
    gguf_builder_set_f32(&builder, "general.sampling.min_p", 0.25f);
    gguf_builder_set_f32(&builder, "general.sampling.penalty_repeat", 1.25f);
    gguf_builder_set_u32(&builder, "general.sampling.top_k", 20);
    gguf_builder_set_u32(&builder, "general.sampling.mirostat", 2);
    finish(&builder, &file);
    struct sampling_defaults read;
    assert_int_equal(sampling_defaults_read(&read, &file, &err), OK);
    char shown[160];
    sampling_defaults_show(&read, shown, sizeof shown);
    assert_string_equal(
        shown, "temperature 0.5, top_p 0.75, min_p 0.25, repetition_penalty 1.25, top_k 20");
    assert_true(read.temperature == 0.5f && read.repetition_penalty == 1.25f);
    assert_int_equal(read.top_k, 20);
    for (size_t bytes = 1; bytes < 80; bytes++) {
        sampling_defaults_show(&read, shown, bytes);
        assert_true(strlen(shown) < bytes);
    }
    assert_string_equal(sampling_defaults_unknown(&file), "general.sampling.mirostat");
    gguf_close(&file);
}

static void expect_refused(const char *key, float value, const char *what)
{
    struct gguf_builder builder;
    struct gguf file;
    struct error err;
    struct sampling_defaults read;
    gguf_builder_init(&builder, "m");
    gguf_builder_set_f32(&builder, key, value);
    finish(&builder, &file);
    assert_int_equal(sampling_defaults_read(&read, &file, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, key));
    if (strstr(err.message, what) == NULL) {
        fail_msg("%s: without %s", err.message, what);
    }
    gguf_close(&file);
}

static void values_beyond_a_requests_range_are_refused(void **state)
{
    (void)state;
    expect_refused("general.sampling.temp", 2.5f, "(temperature) is 2.5, not at least 0");
    expect_refused("general.sampling.temp", -0.5f, "at most 2");
    expect_refused("general.sampling.temp", NAN, "no number");
    expect_refused("general.sampling.top_p", 0, "above 0 and at most 1");
    expect_refused("general.sampling.top_p", 1.5f, "is 1.5");
    expect_refused("general.sampling.min_p", 1.5f, "(min_p)");
    expect_refused("general.sampling.penalty_repeat", 0, "(repetition_penalty)");
    expect_refused("general.sampling.penalty_repeat", INFINITY, "is inf");
    expect_refused("general.sampling.top_k", 1.5f, "an integer");
    expect_refused("general.sampling.top_k", INFINITY, "an integer");
}

static void other_types_are_taken_where_they_mean_a_number(void **state)
{
    (void)state;
    struct gguf_builder builder;
    struct gguf file;
    struct error err;
    struct sampling_defaults read;
    gguf_builder_init(&builder, "m");
    gguf_builder_set_u32(&builder, "general.sampling.temp", 0);
    gguf_builder_set_f32(&builder, "general.sampling.top_k", -1);
    finish(&builder, &file);
    assert_int_equal(sampling_defaults_read(&read, &file, &err), OK);
    assert_true(read.temperature == 0);
    assert_int_equal(read.top_k, 0);
    gguf_close(&file);

    gguf_builder_init(&builder, "m");
    gguf_builder_set_string(&builder, "general.sampling.top_p", "1");
    finish(&builder, &file);
    assert_int_equal(sampling_defaults_read(&read, &file, &err), ERR_FORMAT);
    gguf_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_file_is_neutral),
        cmocka_unit_test(every_key_is_read_and_shown),
        cmocka_unit_test(values_beyond_a_requests_range_are_refused),
        cmocka_unit_test(other_types_are_taken_where_they_mean_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
