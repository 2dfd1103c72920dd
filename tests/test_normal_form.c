/* test_normal_form.c - normalisation, against utf8proc's own on whole strings.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/tokenizer/normal_form.h"

#include <utf8proc.h>

static void expect_nfc(const char *text, const char *expected)
{
    uint8_t *out = NULL;
    size_t out_bytes = 0;
    assert_int_equal(normal_form_apply(NORMAL_FORM_C, (const uint8_t *)text, strlen(text), &out,
                                       &out_bytes, NULL),
                     OK);
    assert_int_equal(out_bytes, strlen(expected));
    assert_memory_equal(out != NULL ? (const char *)out : text, expected, out_bytes);
    free(out);
}

static void plain_text_is_left_alone(void **state)
{
    (void)state;
    uint8_t *out = NULL;
    size_t out_bytes = 0;
    assert_int_equal(
        normal_form_apply(NORMAL_FORM_C, (const uint8_t *)"caf\xC3\xA9", 5, &out, &out_bytes, NULL),
        OK);
    assert_null(out);
    assert_int_equal(out_bytes, 5);
    assert_int_equal(normal_form_apply(NORMAL_FORM_C, NULL, 0, &out, &out_bytes, NULL), OK);
    assert_null(out);
}

static void marks_join_their_base_in_canonical_order(void **state)
{
    (void)state;
    expect_nfc("e\xCC\x81", "\xC3\xA9"); /* e, acute */
    expect_nfc("xe\xCC\x81y", "x\xC3\xA9y");
    expect_nfc("q\xCC\x87\xCC\xA3", "q\xCC\xA3\xCC\x87");               /* dot above, dot below */
    expect_nfc("s\xCC\xA3\xCC\x87", "\xE1\xB9\xA9");                    /* both join s */
    expect_nfc("\xE2\x84\xAB", "\xC3\x85");                             /* angstrom sign */
    expect_nfc("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", "\xEA\xB0\x81"); /* Hangul */
    expect_nfc("\xEA\xB0\x80\xE1\x86\xA8", "\xEA\xB0\x81");
    expect_nfc("\xE0\xA4\x95\xE0\xA4\xBC", "\xE0\xA4\x95\xE0\xA4\xBC"); /* excluded */
    expect_nfc("\xEF\xAC\x81", "\xEF\xAC\x81");                         /* only compatible: stays */
    expect_nfc("\xE4\xB8\xAD\xE6\x96\x87", "\xE4\xB8\xAD\xE6\x96\x87");
}

static void bytes_that_are_not_utf8_stay(void **state)
{
    (void)state;
    expect_nfc("\xFF\xCC\x81", "\xFF\xCC\x81");
    expect_nfc("e\xFF\xCC\x81", "e\xFF\xCC\x81");
    expect_nfc("e\xCC\x81\xCC", "\xC3\xA9\xCC");
    expect_nfc("\xED\xA0\x80"
               "e\xCC\x81",
               "\xED\xA0\x80"
               "\xC3\xA9");
}

static void same_as_utf8proc_on_random_text(void **state)
{
    (void)state;
    static const utf8proc_int32_t alphabet[] = {
        'a',    'e',    's',    ' ',   0xC5,   0xE9,   0x17F,   0x300,   0x301,  0x307,  0x323,
        0x327,  0x345,  0x340,  0x3B1, 0x1F00, 0x1FBE, 0x2126,  0x212B,  0x1100, 0x1161, 0x11A8,
        0xAC00, 0xAC01, 0x9C7,  0x9BE, 0xBC6,  0xBD7,  0x915,   0x93C,   0x958,  0xFB01, 0x4E2D,
        0xF900, 0x3099, 0x304B, 0x5D0, 0x5B7,  0xFB2E, 0x1D15E, 0x11099, 0x110BA};
    uint32_t random = 3;
    for (int round = 0; round < 30000; round++) {
        uint8_t text[256];
        size_t text_bytes = 0;
        size_t count = (size_t)round % 40;
        for (size_t i = 0; i < count; i++) {
            random = random * 1664525u + 1013904223u;
            utf8proc_int32_t code =
                alphabet[(random >> 16) % (sizeof alphabet / sizeof alphabet[0])];
            text_bytes += (size_t)utf8proc_encode_char(code, text + text_bytes);
        }
        text[text_bytes] = '\0';
        utf8proc_uint8_t *expected = utf8proc_NFC(text);
        expect_nfc((const char *)text, (const char *)expected);
        free(expected);
    }
}

static void a_megabyte_of_unordered_marks_is_put_in_order(void **state)
{
    (void)state;
    enum {
        PAIRS = 1 << 18
    };
    static const uint8_t above_below[4] = {0xCC, 0x81, 0xCC, 0xA3};
    uint8_t *text = malloc(4 * PAIRS + 1);
    text[0] = 'q';
    for (size_t i = 0; i < PAIRS; i++) {
        memcpy(text + 1 + 4 * i, above_below, sizeof above_below);
    }
    uint8_t *out = NULL;
    size_t out_bytes = 0;
    assert_int_equal(normal_form_apply(NORMAL_FORM_C, text, 4 * PAIRS + 1, &out, &out_bytes, NULL),
                     OK);
    assert_int_equal(out_bytes, 4 * PAIRS + 1);
    for (size_t i = 0; i < PAIRS; i++) {
        assert_memory_equal(out + 1 + 2 * i, "\xCC\xA3", 2);
        assert_memory_equal(out + 1 + 2 * (PAIRS + i), "\xCC\x81", 2);
    }
    free(out);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_left_alone),
        cmocka_unit_test(marks_join_their_base_in_canonical_order),
        cmocka_unit_test(bytes_that_are_not_utf8_stay),
        cmocka_unit_test(same_as_utf8proc_on_random_text),
        cmocka_unit_test(a_megabyte_of_unordered_marks_is_put_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
