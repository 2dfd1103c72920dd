/* test_json_text.c - whatever goes in, what comes out is JSON that reads back as the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/json_text.h"

#include <jansson.h>
#include <math.h>

static void expect_text(const char *bytes, size_t byte_count, const char *expected)
{
    struct text_buffer out;
    text_buffer_init(&out, 1 << 20);
    json_text_string(&out, bytes, byte_count);
    assert_string_equal(out.bytes, expected);
    text_buffer_release(&out);
}

static void strings_are_escaped(void **state)
{
    (void)state;
    expect_text("", 0, "\"\"");
    expect_text("plain text", 10, "\"plain text\"");
    expect_text("a\"b\\c\n\r\t\x01\x7F", 10, "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\"");
    expect_text("a\0b", 3, "\"a\\u0000b\"");
    expect_text("\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80", 9,
                "\"\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80\"");
}

static void ill_formed_bytes_become_the_replacement_character(void **state)
{
    (void)state;
    expect_text("a\xFFz", 3, "\"a\xEF\xBF\xBDz\"");
    expect_text("\xC0\xAF", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
    expect_text("\xE4\xB8", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
    expect_text("\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

/* What the UTF-8 definition (RFC 3629) accepts, by decoding. */
static size_t defined_length(const unsigned char *at, size_t byte_count)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = at[0] < 0x80             ? 1
                    : (at[0] & 0xE0) == 0xC0 ? 2
                    : (at[0] & 0xF0) == 0xE0 ? 3
                    : (at[0] & 0xF8) == 0xF0 ? 4
                                             : 0;
    if (length < 2 || length > byte_count) {
        return length > byte_count ? 0 : length;
    }
    uint32_t code = at[0] & (0xFFu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
        code = code << 6 | (at[i] & 0x3Fu);
    }
    bool good = code >= least[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    return good ? length : 0;
}

static void characters_are_those_of_the_definition(void **state)
{
    (void)state;
    static const unsigned char bytes[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                                          0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
                                          0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    enum {
        COUNT = sizeof bytes
    };
    for (unsigned n = 0; n < COUNT * COUNT * COUNT * COUNT; n++) {
        unsigned char text[4] = {bytes[n % COUNT], bytes[n / COUNT % COUNT],
                                 bytes[n / COUNT / COUNT % COUNT],
                                 bytes[n / COUNT / COUNT / COUNT]};
        for (size_t length = 1; length <= 4; length++) {
            assert_int_equal(json_text_character_bytes((const char *)text, length),
                             defined_length(text, length));
        }
    }
    assert_int_equal(json_text_character_bytes("", 0), 0);
}

static void every_random_string_reads_back(void **state)
{
    (void)state;
    uint32_t seed = 3;
    for (int round = 0; round < 2000; round++) {
        char bytes[24];
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = (char)(seed >> 24);
        }
        struct text_buffer out;
        text_buffer_init(&out, 4096);
        json_text_string(&out, bytes, sizeof bytes);
        json_t *value =
            json_loadb(out.bytes, out.byte_count, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(value);
        json_decref(value);
        text_buffer_release(&out);
    }
}

static void floats_are_finite_and_read_back_exactly(void **state)
{
    (void)state;
    static const float values[] = {0.0f, -0.1f, -11.6732807f, -1e-30f, -9999.0f, 1.0f / 3.0f};
    struct text_buffer out;
    text_buffer_init(&out, 4096);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        text_buffer_clear(&out);
        json_text_float(&out, values[i]);
        assert_true(strtof(out.bytes, NULL) == values[i]);
    }
    text_buffer_clear(&out);
    json_text_float(&out, -INFINITY);
    json_text_float(&out, NAN);
    assert_string_equal(out.bytes, "-9999-9999");
    text_buffer_release(&out);
}

static void lists_are_written(void **state)
{
    (void)state;
    struct text_buffer out;
    text_buffer_init(&out, 4096);
    json_text_bytes(&out, "\x01\xFF", 2);
    json_text_ids(&out, (const uint32_t[]){7, 4294967295u}, 2);
    json_text_ids(&out, NULL, 0);
    json_text_string_or_null(&out, NULL);
    assert_string_equal(out.bytes, "[1,255][7,4294967295][]null");
    text_buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(ill_formed_bytes_become_the_replacement_character),
        cmocka_unit_test(characters_are_those_of_the_definition),
        cmocka_unit_test(every_random_string_reads_back),
        cmocka_unit_test(floats_are_finite_and_read_back_exactly),
        cmocka_unit_test(lists_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
