/* test_detokenizer.c - streamed text: whole characters only, and the same as all at once.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/small_vocab.h"

#include <utf8proc.h>

#define SPACE "\xE2\x96\x81"
#define FFFD  "\xEF\xBF\xBD"

static struct small_tokenizer open_vocab(struct small_vocab *vocab)
{
    struct small_tokenizer opened;
    struct error err = {0};
    if (small_vocab_open(&opened, vocab, &err) != OK) {
        fail_msg("%s", err.message);
    }
    return opened;
}

/* The token of byte b is b. */
static struct small_tokenizer open_bytes(void)
{
    struct small_vocab *vocab = small_vocab_byte_level("gpt-2");
    small_vocab_add(vocab, "<|end|>", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "<tool>", SMALL_USER_DEFINED, 0);
    return open_vocab(vocab);
}

static void expect_stream(const struct small_tokenizer *opened, const char *bytes,
                          const char *expected)
{
    struct detokenizer detokenizer;
    char text[256];
    size_t text_bytes = 0;
    detokenizer_init(&detokenizer, opened->tokenizer, false, false);
    for (const char *at = bytes; *at != '\0'; at++) {
        size_t before = text_bytes;
        text_bytes += detokenizer_feed(&detokenizer, (unsigned char)*at, text + text_bytes,
                                       sizeof text - text_bytes);
        /* What has been given out is well-formed at every moment. */
        utf8proc_int32_t code;
        for (size_t i = before; i < text_bytes;) {
            utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text + i,
                                                       (utf8proc_ssize_t)(text_bytes - i), &code);
            assert_true(length > 0);
            i += (size_t)length;
        }
    }
    text_bytes += detokenizer_finish(&detokenizer, text + text_bytes, sizeof text - text_bytes);
    text[text_bytes] = '\0';
    assert_string_equal(text, expected);
    assert_int_equal(detokenizer_finish(&detokenizer, text, sizeof text), 0);
}

static void characters_wait_until_they_are_whole(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_bytes();
    struct detokenizer detokenizer;
    char text[64];
    detokenizer_init(&detokenizer, opened.tokenizer, false, false);
    assert_int_equal(detokenizer_feed(&detokenizer, 0xF0, text, sizeof text), 0);
    assert_int_equal(detokenizer_feed(&detokenizer, 0x9F, text, sizeof text), 0);
    assert_int_equal(detokenizer_feed(&detokenizer, 0x98, text, sizeof text), 0);
    assert_int_equal(detokenizer_feed(&detokenizer, 0x80, text, sizeof text), 4);
    assert_memory_equal(text, "\xF0\x9F\x98\x80", 4);
    small_vocab_close(&opened);
}

/* The examples of the Unicode standard, section 3.9, on U+FFFD for maximal subparts. */
static void ill_formed_bytes_become_one_sign_for_each_maximal_part(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_bytes();
    expect_stream(&opened, "\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41",
                  FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A");
    expect_stream(&opened, "\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41",
                  FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A");
    expect_stream(&opened, "\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42",
                  FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B");
    expect_stream(&opened, "\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", FFFD FFFD FFFD FFFD "A");
    expect_stream(&opened, "a\xE2\x82", "a" FFFD);
    expect_stream(&opened, "\xE2\xE2\x82\xAC", FFFD "\xE2\x82\xAC");
    small_vocab_close(&opened);
}

/* Decodes all at once, by another implementation than the tokenizer's. */
static size_t decode_whole(const uint8_t *bytes, size_t byte_count, char *out)
{
    size_t written = 0;
    for (size_t at = 0; at < byte_count;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t length =
            utf8proc_iterate(bytes + at, (utf8proc_ssize_t)(byte_count - at), &code);
        if (length > 0) {
            memcpy(out + written, bytes + at, (size_t)length);
            written += (size_t)length;
            at += (size_t)length;
            continue;
        }
        written += (size_t)utf8proc_encode_char(0xFFFD, (utf8proc_uint8_t *)out + written);
        /* The longest start of some character: one that could be completed. */
        size_t part = 1;
        while (part < 3 && at + part < byte_count && (bytes[at + part] & 0xC0) == 0x80) {
            uint8_t completed[4] = {0};
            bool possible = false;
            memcpy(completed, bytes + at, part + 1);
            for (unsigned third = 0x80; third <= 0xBF && !possible; third++) {
                completed[part + 1] = (uint8_t)third;
                possible = utf8proc_iterate(completed, (utf8proc_ssize_t)part + 2, &code) > 0;
                if (!possible && part == 1) {
                    completed[3] = 0x80;
                    possible = utf8proc_iterate(completed, 4, &code) > 0;
                }
            }
            if (!possible) {
                break;
            }
            part++;
        }
        at += part;
    }
    return written;
}

static void streamed_text_equals_whole_text(void **state)
{
    (void)state;
    static const uint8_t alphabet[] = {0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2,
                                       0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};
    struct small_tokenizer opened = open_bytes();
    uint32_t random = 9;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[24];
        char whole[128];
        char streamed[128];
        struct detokenizer detokenizer;
        size_t streamed_bytes = 0;
        detokenizer_init(&detokenizer, opened.tokenizer, false, true);
        for (size_t i = 0; i < sizeof bytes; i++) {
            random = random * 1664525u + 1013904223u;
            bytes[i] = alphabet[(random >> 16) % sizeof alphabet];
            streamed_bytes += detokenizer_feed(&detokenizer, bytes[i], streamed + streamed_bytes,
                                               sizeof streamed - streamed_bytes);
        }
        streamed_bytes += detokenizer_finish(&detokenizer, streamed + streamed_bytes,
                                             sizeof streamed - streamed_bytes);
        size_t whole_bytes = decode_whole(bytes, sizeof bytes, whole);
        assert_int_equal(streamed_bytes, whole_bytes);
        assert_memory_equal(streamed, whole, whole_bytes);
    }
    small_vocab_close(&opened);
}

static void control_tokens_are_shown_only_on_request(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_bytes();
    struct detokenizer detokenizer;
    char text[64];
    detokenizer_init(&detokenizer, opened.tokenizer, false, false);
    assert_int_equal(detokenizer_feed(&detokenizer, 256, text, sizeof text), 0);
    assert_int_equal(detokenizer_feed(&detokenizer, 257, text, sizeof text), 6);
    detokenizer_init(&detokenizer, opened.tokenizer, true, false);
    assert_int_equal(detokenizer_feed(&detokenizer, 256, text, sizeof text), 7);
    assert_memory_equal(text, "<|end|>", 7);
    assert_true(tokenizer_is_special(opened.tokenizer, 256));
    assert_false(tokenizer_is_special(opened.tokenizer, 257));
    assert_false(tokenizer_is_special(opened.tokenizer, 'a'));
    small_vocab_close(&opened);
}

enum {
    HELLO = 4,
    FIRST_BYTE = 5,
};

static struct small_tokenizer open_sentence(bool prefix)
{
    struct small_vocab *vocab = small_vocab_sentence();
    assert_int_equal(small_vocab_add(vocab, SPACE "hello", SMALL_NORMAL, -1), HELLO);
    small_vocab_add_bytes(vocab);
    gguf_writer_add_bool(&vocab->writer, "tokenizer.ggml.add_space_prefix", prefix);
    return open_vocab(vocab);
}

static void expect_hellos(bool prefix, bool continues, const char *expected)
{
    struct small_tokenizer opened = open_sentence(prefix);
    struct detokenizer detokenizer;
    char text[128];
    size_t text_bytes = 0;
    static const uint32_t ids[] = {1, HELLO, HELLO, FIRST_BYTE + 0xC3, FIRST_BYTE + 0xA9};
    detokenizer_init(&detokenizer, opened.tokenizer, false, continues);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        text_bytes +=
            detokenizer_feed(&detokenizer, ids[i], text + text_bytes, sizeof text - text_bytes);
    }
    text[text_bytes] = '\0';
    assert_string_equal(text, expected);
    small_vocab_close(&opened);
}

static void the_first_space_goes_where_encoding_had_added_one(void **state)
{
    (void)state;
    expect_hellos(true, false, "hello hello\xC3\xA9");
    expect_hellos(true, true, " hello hello\xC3\xA9");
    expect_hellos(false, false, " hello hello\xC3\xA9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_wait_until_they_are_whole),
        cmocka_unit_test(ill_formed_bytes_become_one_sign_for_each_maximal_part),
        cmocka_unit_test(streamed_text_equals_whole_text),
        cmocka_unit_test(control_tokens_are_shown_only_on_request),
        cmocka_unit_test(the_first_space_goes_where_encoding_had_added_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
