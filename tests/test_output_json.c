/* test_output_json.c - where an object ends, and where it breaks: against JSONTestSuite, and by hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/output/output_json.h"

#include <dirent.h>
#include <stdbool.h>

/* How many bytes were taken until it was decided; *result: what was decided. */
static size_t feed(const char *text, size_t byte_count, enum output_json_result *result)
{
    struct output_json json;
    output_json_begin(&json);
    *result = OUTPUT_JSON_MORE;
    size_t i = 0;
    while (i < byte_count && *result == OUTPUT_JSON_MORE) {
        *result = output_json_feed(&json, text[i++]);
    }
    return i;
}

static void expect(const char *text, enum output_json_result expected, size_t expected_bytes)
{
    enum output_json_result result;
    size_t taken = feed(text, strlen(text), &result);
    if (result != expected || (expected != OUTPUT_JSON_MORE && taken != expected_bytes)) {
        fail_msg("%s: %d after %zu bytes", text, result, taken);
    }
}

static void an_object_ends_with_its_own_brace(void **state)
{
    (void)state;
    expect("{}}", OUTPUT_JSON_DONE, 2);
    expect("{ \"a\" : [ { } , [ ] , \"}\\\"]\" , -0.5e+7 , true,false , null ] } x",
           OUTPUT_JSON_DONE, 62);
    expect("{\"a\":1}{\"b\":2}", OUTPUT_JSON_DONE, 7);
    expect("{\"a\":\"\xE4\xB8\xAD\"}", OUTPUT_JSON_DONE, 11);
    expect("{\"a\":\"line\nbreak\"}", OUTPUT_JSON_DONE, 18);
    expect("{\"a\": 1", OUTPUT_JSON_MORE, 0);
}

static void an_object_breaks_at_the_first_byte_that_cannot_be(void **state)
{
    (void)state;
    expect("[", OUTPUT_JSON_BAD, 1);
    expect(" {", OUTPUT_JSON_BAD, 1);
    expect("{a", OUTPUT_JSON_BAD, 2);
    expect("{'a'", OUTPUT_JSON_BAD, 2);
    expect("{\"a\" 1", OUTPUT_JSON_BAD, 6);
    expect("{\"a\":tru}", OUTPUT_JSON_BAD, 9);
    expect("{\"a\":True", OUTPUT_JSON_BAD, 6);
    expect("{\"a\":01", OUTPUT_JSON_BAD, 7);
    expect("{\"a\":1.}", OUTPUT_JSON_BAD, 8);
    expect("{\"a\":-}", OUTPUT_JSON_BAD, 7);
    expect("{\"a\":1e}", OUTPUT_JSON_BAD, 8);
    expect("{\"a\":1,}", OUTPUT_JSON_BAD, 8);
    expect("{\"a\":[1,]", OUTPUT_JSON_BAD, 9);
    expect("{\"a\":[1}", OUTPUT_JSON_BAD, 8);
    expect("{\"a\":{\"b\":1]", OUTPUT_JSON_BAD, 12);
    expect("{\"a\":\"\xFF", OUTPUT_JSON_BAD, 7);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    char text[LIMIT_JSON_DEPTH + 8] = "{\"a\":";
    memset(text + 5, '[', LIMIT_JSON_DEPTH);
    expect(text, OUTPUT_JSON_BAD, 5 + LIMIT_JSON_DEPTH);
    text[4 + LIMIT_JSON_DEPTH] = '\0';
    expect(text, OUTPUT_JSON_MORE, 0);
}

static bool has_control(const char *text, size_t byte_count)
{
    for (size_t i = 0; i < byte_count; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == '\\' || (unsigned char)text[i] >= 0x80) {
            return true;
        }
    }
    return false;
}

/* Objects of the suite that must parse, and such that must not. */
static void the_suite_agrees(void **state)
{
    (void)state;
    const char *folder = test_data_folder();
    if (folder == NULL) {
        skip();
    }
    char path[1024];
    snprintf(path, sizeof path, "%s/conformance/JSONTestSuite/test_parsing", folder);
    DIR *open = opendir(path);
    assert_non_null(open);
    size_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(open)) != NULL) {
        static char text[1 << 20];
        snprintf(path, sizeof path, "%s/conformance/JSONTestSuite/test_parsing/%s", folder,
                 entry->d_name);
        FILE *file = fopen(path, "rb");
        size_t byte_count = file != NULL ? fread(text, 1, sizeof text, file) : 0;
        if (file != NULL) {
            fclose(file);
        }
        bool good = entry->d_name[0] == 'y';
        if (byte_count == 0 || text[0] != '{' ||
            (!good && (entry->d_name[0] != 'n' || has_control(text, byte_count)))) {
            continue;
        }
        while (byte_count > 0 && strchr(" \n\t\r", text[byte_count - 1]) != NULL) {
            byte_count--;
        }
        enum output_json_result result;
        bool whole = feed(text, byte_count, &result) == byte_count && result == OUTPUT_JSON_DONE;
        if (whole != good) {
            fail_msg("%s: %d", entry->d_name, result);
        }
        count++;
    }
    closedir(open);
    assert_true(count > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_ends_with_its_own_brace),
        cmocka_unit_test(an_object_breaks_at_the_first_byte_that_cannot_be),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(the_suite_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
