/* test_pretokenizer.c - the hand-written scanners against the expressions they stand for.
 *
 * tests/golden/tokenizer/words.jsonl was made by tests/reference/make_word_cases.py; a longer
 * list of the same form may be given as an argument.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/tokenizer/pretokenizer.h"

#include <jansson.h>

static const char *cases_path = "tests/golden/tokenizer/words.jsonl";

static void print_words(const char *name, const char *text, size_t text_bytes)
{
    struct pretokenizer_cursor cursor;
    const uint8_t *begin;
    const uint8_t *end;
    pretokenizer_start(&cursor, pretokenizer_find(name, strlen(name)), (const uint8_t *)text,
                       text_bytes);
    print_message("%s:", name);
    while (pretokenizer_next_word(&cursor, &begin, &end)) {
        print_message(" [%.*s]", (int)(end - begin), (const char *)begin);
    }
    print_message("\n");
}

static void check_words(const char *name, const char *text, size_t text_bytes, json_t *expected)
{
    const struct pretokenizer *pretokenizer = pretokenizer_find(name, strlen(name));
    assert_non_null(pretokenizer);
    struct pretokenizer_cursor cursor;
    const uint8_t *begin;
    const uint8_t *end;
    size_t i = 0;
    pretokenizer_start(&cursor, pretokenizer, (const uint8_t *)text, text_bytes);
    while (pretokenizer_next_word(&cursor, &begin, &end)) {
        json_int_t word_bytes = json_integer_value(json_array_get(expected, i));
        if (end - begin != word_bytes) {
            print_words(name, text, text_bytes);
            fail_msg("%s: '%s': word %zu has %td bytes, expected %lld", name, text, i, end - begin,
                     (long long)word_bytes);
        }
        i++;
    }
    assert_int_equal(i, json_array_size(expected));
}

static void words_are_those_of_the_expressions(void **state)
{
    (void)state;
    FILE *file = fopen(cases_path, "r");
    assert_non_null(file);
    char line[1 << 16];
    size_t count = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *root = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(root);
        json_t *text = json_object_get(root, "text");
        const char *name;
        json_t *expected;
        json_object_foreach(json_object_get(root, "word_bytes"), name, expected)
        {
            check_words(name, json_string_value(text), json_string_length(text), expected);
            count++;
        }
        json_decref(root);
    }
    fclose(file);
    print_message("%zu texts cut as expected\n", count);
    assert_true(count >= 100);
}

static void unknown_names_are_not_found(void **state)
{
    (void)state;
    assert_non_null(pretokenizer_find("qwen2", 5));
    assert_null(pretokenizer_find("qwen2", 4));
    assert_null(pretokenizer_find("qwen2x", 6));
    assert_null(pretokenizer_find("", 0));
}

static void every_stretch_of_bytes_is_covered(void **state)
{
    (void)state;
    static const char *const names[] = {"default",      "llama-bpe",      "qwen35", "gpt-4o",
                                        "deepseek-llm", "deepseek-coder", "falcon", "deepseek-v3",
                                        "tekken",       "viking",         "gpt-2"};
    uint8_t text[64];
    uint32_t random = 1;
    for (size_t round = 0; round < 20000; round++) {
        size_t text_bytes = round % sizeof text;
        for (size_t i = 0; i < text_bytes; i++) {
            random = random * 1664525u + 1013904223u;
            text[i] = (uint8_t)(random >> 24);
        }
        const char *name = names[round % (sizeof names / sizeof names[0])];
        struct pretokenizer_cursor cursor;
        const uint8_t *at = text;
        const uint8_t *begin;
        const uint8_t *end;
        pretokenizer_start(&cursor, pretokenizer_find(name, strlen(name)), text, text_bytes);
        while (pretokenizer_next_word(&cursor, &begin, &end)) {
            assert_ptr_equal(begin, at);
            assert_true(end > begin);
            at = end;
        }
        assert_ptr_equal(at, text + text_bytes);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        cases_path = argv[1];
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_those_of_the_expressions),
        cmocka_unit_test(unknown_names_are_not_found),
        cmocka_unit_test(every_stretch_of_bytes_is_covered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
