/* test_control_guard.c - what a client writes never becomes a control token, and loses nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/control_guard.h"
#include "tests/support/small_vocab.h"

#include <stdbool.h>

static struct small_tokenizer opened;
static struct control_guard *guard;

static int open_vocab(void **state)
{
    (void)state;
    struct small_vocab *vocab = small_vocab_byte_level("gpt-2");
    small_vocab_add(vocab, "<|end|>", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "<|end|>>", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "[INST]", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "<think>", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "\xE4\xB8\xAD\xE6\x96\x87", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "<tool>", SMALL_USER_DEFINED, 0);
    struct error error = {0};
    assert_int_equal(small_vocab_open(&opened, vocab, &error), OK);
    static const char *const spared[2] = {"<think>", NULL};
    assert_int_equal(control_guard_open(&guard, opened.tokenizer, spared, &error), OK);
    return 0;
}

static int close_vocab(void **state)
{
    (void)state;
    control_guard_close(guard);
    small_vocab_close(&opened);
    return 0;
}

static size_t encode(const char *text, size_t byte_count, unsigned flags, uint32_t ids[256])
{
    size_t count = 0;
    struct error error = {0};
    assert_int_equal(
        tokenizer_encode(opened.tokenizer, text, byte_count, flags, ids, 256, &count, &error), OK);
    return count;
}

/* Guarded, as a template would put it into a prompt. */
static json_t *guarded(const char *text)
{
    json_t *value = json_string(text);
    json_t *result = control_guard_apply(guard, value);
    json_decref(value);
    assert_non_null(result);
    return result;
}

static const unsigned in_chat = TOKENIZER_PARSE_SPECIAL | TOKENIZER_DROP_GUARDS;

static void expect_text(const char *text)
{
    uint32_t plain[256];
    uint32_t ids[256];
    size_t plain_count = encode(text, strlen(text), 0, plain);
    json_t *value = guarded(text);
    size_t count = encode(json_string_value(value), json_string_length(value), in_chat, ids);
    if (count != plain_count || memcmp(ids, plain, count * sizeof *ids) != 0) {
        fail_msg("%s: %zu tokens as %s, %zu as plain text", text, count, json_string_value(value),
                 plain_count);
    }
    struct text_buffer stripped;
    text_buffer_init(&stripped, 4096);
    text_buffer_append(&stripped, json_string_value(value), json_string_length(value));
    control_guard_strip(&stripped);
    assert_string_equal(stripped.byte_count > 0 ? stripped.bytes : "", text);
    text_buffer_release(&stripped);
    json_decref(value);
}

static void control_tokens_in_text_stay_text(void **state)
{
    (void)state;
    expect_text("");
    expect_text("no such thing");
    expect_text("<|end|>");
    expect_text("a<|end|>b[INST] c<|end|>>");
    expect_text("<<|end|>><|en<|end|>");
    expect_text("a <tool> stays one token, <think> does not");
    expect_text("\xE4\xB8\xAD\xE6\x96\x87\xE4\xB8\xAD");
    expect_text("<|en");
    expect_text("[");
    expect_text("a" TOKENIZER_GUARD "b" TOKENIZER_GUARD TOKENIZER_GUARD "<|end|>" TOKENIZER_GUARD);
    expect_text("<" TOKENIZER_GUARD "|end|>");
}

static void two_strings_make_no_token_together(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < strlen("<|end|>"); cut++) {
        char first[16] = "";
        memcpy(first, "<|end|>", cut);
        json_t *a = guarded(first);
        json_t *b = guarded(&"<|end|>"[cut]);
        char prompt[64];
        snprintf(prompt, sizeof prompt, "%s%s", json_string_value(a), json_string_value(b));
        uint32_t ids[256];
        size_t count = encode(prompt, strlen(prompt), in_chat, ids);
        for (size_t i = 0; i < count; i++) {
            assert_false(tokenizer_is_special(opened.tokenizer, ids[i]));
        }
        assert_int_equal(count, strlen("<|end|>"));
        json_decref(a);
        json_decref(b);
    }
}

static void tokens_that_the_template_writes_stay_tokens(void **state)
{
    (void)state;
    json_t *value = guarded("a<");
    char prompt[64];
    snprintf(prompt, sizeof prompt, "[INST]%s<|end|>", json_string_value(value));
    uint32_t ids[256];
    assert_int_equal(encode(prompt, strlen(prompt), in_chat, ids), 4);
    assert_true(tokenizer_is_special(opened.tokenizer, ids[0]));
    assert_true(tokenizer_is_special(opened.tokenizer, ids[3]));
    json_decref(value);
}

static void everything_inside_a_value_is_guarded(void **state)
{
    (void)state;
    json_t *value = json_loads("{\"a\":[1,null,\"<|end|>\"],\"[INST]\":{\"b\":\"c\"}}", 0, NULL);
    json_t *result = control_guard_apply(guard, value);
    char *text = json_dumps(result, JSON_COMPACT);
    assert_string_equal(text, "{\"a\":[1,null,\"<" TOKENIZER_GUARD "|end|>\"],"
                              "\"[" TOKENIZER_GUARD "INST]\":{\"b\":\"c\"}}");
    free(text);
    json_decref(result);
    json_decref(value);
    value = json_loads("[{\"a\":[\"b\",{\"c\":\"d\"}]}]", 0, NULL);
    result = control_guard_apply(guard, value);
    assert_ptr_equal(result, value);
    json_decref(result);
    json_decref(value);
}

static void an_assistant_may_have_reasoned(void **state)
{
    (void)state;
    json_t *messages = json_loads("[{\"role\":\"assistant\",\"content\":\"<think>[INST]\"},"
                                  "{\"role\":\"user\",\"content\":\"<think>\"}]",
                                  0, NULL);
    json_t *result = control_guard_apply_messages(guard, messages);
    assert_string_equal(json_string_value(json_object_get(json_array_get(result, 0), "content")),
                        "<think>[" TOKENIZER_GUARD "INST]");
    assert_string_equal(json_string_value(json_object_get(json_array_get(result, 1), "content")),
                        "<" TOKENIZER_GUARD "think>");
    json_decref(result);
    json_decref(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_tokens_in_text_stay_text),
        cmocka_unit_test(two_strings_make_no_token_together),
        cmocka_unit_test(tokens_that_the_template_writes_stay_tokens),
        cmocka_unit_test(everything_inside_a_value_is_guarded),
        cmocka_unit_test(an_assistant_may_have_reasoned),
    };
    return cmocka_run_group_tests(tests, open_vocab, close_vocab);
}
