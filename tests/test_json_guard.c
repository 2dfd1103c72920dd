/* test_json_guard.c - what a tree is never built of.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "configs/limits.h"
#include "server/json_guard.h"

#include <dirent.h>

static enum status load(const char *bytes, size_t byte_count)
{
    json_t *root = NULL;
    struct refusal refusal = {0};
    enum status status = json_guard_load(&root, bytes, byte_count, &refusal);
    if (status != OK) {
        assert_string_equal(refusal.code, "invalid_json");
        assert_int_equal(refusal.http_status, 400);
    }
    json_decref(root);
    return status;
}

static void refusals_speak_of_the_body_and_not_of_the_library(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *words;
    } rows[] = {
        {"{\"a\":\"\\u0000\"}", "holds \\u0000"},
        {"{\"a\":9223372036854775808}", "64 bits"},
        {"{\"a\":1,}", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *root = NULL;
        struct refusal refusal = {0};
        assert_int_not_equal(json_guard_load(&root, rows[i].body, strlen(rows[i].body), &refusal),
                             OK);
        assert_non_null(strstr(refusal.error.message, rows[i].words));
        assert_null(strstr(refusal.error.message, "JSON_"));
    }
}

static void documents_that_are_not_one_object_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "[]",
                                      "\"x\"",
                                      "5",
                                      "null",
                                      "true",
                                      "{",
                                      "{}{}",
                                      "{} x",
                                      "\xEF\xBB\xBF{}",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":{\"b\":1,\"b\":1}}",
                                      "{'a':1}",
                                      "{\"a\":01}",
                                      "{\"a\":+1}",
                                      "{\"a\":0x1}",
                                      "{\"a\":NaN}",
                                      "{\"a\":1e999}",
                                      "{\"a\":9223372036854775808}",
                                      "{\"a\":1,}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":\"\\udc00\\ud800\"}",
                                      "{\"a\":\"\xFF\"}",
                                      "{\"a\":\"\xC0\xAF\"}",
                                      "{\"a\":\"\\u0000\"}",
                                      "{\"a\":/* */1}",
                                      "{\"a\":\"\n\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (load(bad[i], strlen(bad[i])) == OK) {
            fail_msg("%s was accepted", bad[i]);
        }
    }
    assert_int_equal(load("{}", 2), OK);
    static const char good[] = " {\"a\":[1,2,{\"b\":null}]}\n";
    assert_int_equal(load(good, sizeof good - 1), OK);
}

static void nul_bytes_are_refused_wherever_they_stand(void **state)
{
    (void)state;
    assert_int_equal(load("{\"a\":1\0}", 8), ERR_INVALID);
    assert_int_equal(load("{}\0", 3), ERR_INVALID);
    assert_int_equal(load("{\"a\":\"\0\"}", 9), ERR_INVALID);
}

/* depth values nested: an object around arrays. */
static enum status load_nested(size_t depth)
{
    static char bytes[2 * 4096 + 16];
    size_t used = (size_t)snprintf(bytes, sizeof bytes, "{\"a\":");
    memset(bytes + used, '[', depth - 1);
    used += depth - 1;
    memset(bytes + used, ']', depth - 1);
    used += depth - 1;
    bytes[used++] = '}';
    return load(bytes, used);
}

static void depth_is_bounded_exactly(void **state)
{
    (void)state;
    assert_int_equal(load_nested(2), OK);
    assert_int_equal(load_nested(LIMIT_JSON_DEPTH), OK);
    assert_int_equal(load_nested(LIMIT_JSON_DEPTH + 1), ERR_INVALID);
    assert_int_equal(load_nested(4096), ERR_INVALID);
}

static void brackets_inside_strings_do_not_count(void **state)
{
    (void)state;
    static char brackets[4096];
    static char bytes[sizeof brackets + 16];
    memset(brackets, '[', sizeof brackets - 1);
    snprintf(bytes, sizeof bytes, "{\"a\":\"\\\"%s\"}", brackets);
    assert_int_equal(load(bytes, strlen(bytes)), OK);
}

static void values_are_counted_before_a_tree_is_built(void **state)
{
    (void)state;
    struct refusal refusal = {0};
    size_t byte_count = 4 * (size_t)LIMIT_JSON_NODES;
    char *bytes = malloc(byte_count);
    assert_non_null(bytes);
    static const char *const repeated[] = {"{},", "[],", "\"\",", "0,"};
    for (size_t r = 0; r < 4; r++) {
        size_t unit = strlen(repeated[r]);
        for (size_t i = 0; i < byte_count; i++) {
            bytes[i] = repeated[r][i % unit];
        }
        assert_int_equal(json_guard_check(bytes, byte_count, &refusal), ERR_INVALID);
    }
    /* Long, but few values. */
    memset(bytes, ' ', byte_count);
    assert_int_equal(json_guard_check(bytes, byte_count, &refusal), OK);
    free(bytes);
}

static void a_string_that_never_ends_is_no_trouble(void **state)
{
    (void)state;
    struct refusal refusal = {0};
    assert_int_equal(json_guard_check("{\"a", 3, &refusal), OK);
    assert_int_equal(json_guard_check("\"\\", 2, &refusal), OK);
    assert_int_equal(load("{\"a", 3), ERR_INVALID);
    assert_int_equal(load("{\"a\\", 4), ERR_INVALID);
}

/* Valid by the standard, refused here on purpose. */
static bool is_our_exception(const char *name)
{
    static const char *const names[] = {
        "y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json",
        "y_object_escaped_null_in_key.json", "y_string_null_escape.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* As the value of an object's only key, because a body is an object. */
static enum status load_file(const char *folder, const char *name)
{
    static char bytes[1 << 20];
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t used = (size_t)snprintf(bytes, sizeof bytes, "{\"v\":");
    used += fread(bytes + used, 1, sizeof bytes - used - 1, file);
    fclose(file);
    bytes[used++] = '}';
    return load(bytes, used);
}

static void the_public_parsing_suite_agrees(void **state)
{
    (void)state;
    const char *data = test_data_folder();
    if (data == NULL) {
        skip();
    }
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/conformance/JSONTestSuite/test_parsing", data);
    DIR *directory = opendir(folder);
    if (directory == NULL) {
        skip();
        return; /* skip does not come back, which the analyser cannot know */
    }
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        const char *name = entry->d_name;
        if (strstr(name, ".json") == NULL) {
            continue;
        }
        enum status status = load_file(folder, name);
        bool wanted = name[0] == 'y' && !is_our_exception(name);
        if (name[0] != 'i' && (status == OK) != wanted) {
            fail_msg("%s: %s", name, status == OK ? "accepted" : "refused");
        }
        count++;
    }
    closedir(directory);
    assert_true(count > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_that_are_not_one_object_are_refused),
        cmocka_unit_test(refusals_speak_of_the_body_and_not_of_the_library),
        cmocka_unit_test(nul_bytes_are_refused_wherever_they_stand),
        cmocka_unit_test(depth_is_bounded_exactly),
        cmocka_unit_test(brackets_inside_strings_do_not_count),
        cmocka_unit_test(values_are_counted_before_a_tree_is_built),
        cmocka_unit_test(a_string_that_never_ends_is_no_trouble),
        cmocka_unit_test(the_public_parsing_suite_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
