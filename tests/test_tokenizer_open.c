/* test_tokenizer_open.c - what tokenizer metadata is taken, and what is refused how.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "configs/limits.h"
#include "tests/support/small_vocab.h"

#include <math.h>

/* The status of opening; a failure must be one line that names the file and `named`. */
static void expect_refusal(struct small_vocab *vocab, enum status expected, const char *named)
{
    struct small_tokenizer opened;
    struct error err = {0};
    assert_int_equal(small_vocab_open(&opened, vocab, &err), expected);
    if (strstr(err.message, "small.gguf") == NULL || strstr(err.message, named) == NULL ||
        strchr(err.message, '\n') != NULL) {
        fail_msg("message does not name %s: %s", named, err.message);
    }
    assert_null(opened.tokenizer);
}

static struct small_tokenizer expect_open(struct small_vocab *vocab)
{
    struct small_tokenizer opened;
    struct error err = {0};
    if (small_vocab_open(&opened, vocab, &err) != OK) {
        fail_msg("%s", err.message);
    }
    return opened;
}

static struct small_vocab *sentence(void)
{
    struct small_vocab *vocab = small_vocab_sentence();
    small_vocab_add_bytes(vocab);
    return vocab;
}

static struct small_vocab *byte_level(void)
{
    struct small_vocab *vocab = small_vocab_byte_level("gpt-2");
    small_vocab_merge(vocab, "a", "b");
    return vocab;
}

static void unknown_models_are_refused_by_name(void **state)
{
    (void)state;
    struct small_vocab *vocab = sentence();
    gguf_writer_remove(&vocab->writer, "tokenizer.ggml.model");
    gguf_writer_add_string(&vocab->writer, "tokenizer.ggml.model", "bert");
    expect_refusal(vocab, ERR_UNSUPPORTED, "'bert'");

    vocab = sentence();
    gguf_writer_remove(&vocab->writer, "tokenizer.ggml.model");
    expect_refusal(vocab, ERR_FORMAT, "tokenizer.ggml.model");

    vocab = sentence();
    gguf_writer_remove(&vocab->writer, "tokenizer.ggml.model");
    gguf_writer_add_u32(&vocab->writer, "tokenizer.ggml.model", 3);
    expect_refusal(vocab, ERR_FORMAT, "tokenizer.ggml.model");
}

/* M-46, of a GGUF file. */
static void unknown_pretokenizers_are_refused_by_name(void **state)
{
    (void)state;
    expect_refusal(small_vocab_byte_level("qwen9\n\x1B[2J"), ERR_UNSUPPORTED, "'qwen9??[2J'");
    expect_refusal(small_vocab_byte_level(""), ERR_UNSUPPORTED, "tokenizer.ggml.pre");
}

static void a_missing_pretokenizer_is_the_default_one(void **state)
{
    (void)state;
    struct small_vocab *vocab = byte_level();
    gguf_writer_remove(&vocab->writer, "tokenizer.ggml.pre");
    struct small_tokenizer opened = expect_open(vocab);
    assert_string_equal(tokenizer_info(opened.tokenizer)->pre_name, "default");
    assert_string_equal(tokenizer_info(opened.tokenizer)->model_name, "gpt2");
    assert_int_equal(tokenizer_info(opened.tokenizer)->vocab_count, 257);
    small_vocab_close(&opened);
}

/* M-32 */
static void arrays_of_another_type_or_length_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {"tokenizer.ggml.scores", "tokenizer.ggml.token_type"};
    static const uint8_t zeros[8 * 512] = {0};
    for (size_t i = 0; i < 2; i++) {
        enum gguf_type right = i == 0 ? GGUF_FLOAT32 : GGUF_INT32;
        for (enum gguf_type type = GGUF_UINT8; type <= GGUF_FLOAT64; type++) {
            if (type == right || type == GGUF_STRING || type == GGUF_ARRAY) {
                continue;
            }
            struct small_vocab *vocab = sentence();
            gguf_writer_add_array(&vocab->writer, keys[i], type, zeros, vocab->count);
            expect_refusal(vocab, ERR_FORMAT, keys[i]);
        }
        for (int more = -1; more <= 1; more += 2) {
            struct small_vocab *vocab = sentence();
            gguf_writer_add_array(&vocab->writer, keys[i], right, zeros,
                                  vocab->count + (uint32_t)more);
            expect_refusal(vocab, ERR_FORMAT, keys[i]);
        }
        struct small_vocab *vocab = sentence();
        gguf_writer_add_u32(&vocab->writer, keys[i], 5);
        expect_refusal(vocab, ERR_FORMAT, keys[i]);
    }
    struct small_vocab *vocab = sentence();
    gguf_writer_add_array(&vocab->writer, "tokenizer.ggml.tokens", GGUF_INT32, zeros, 4);
    expect_refusal(vocab, ERR_FORMAT, "tokenizer.ggml.tokens");
    vocab = sentence();
    gguf_writer_add_strings(&vocab->writer, "tokenizer.ggml.tokens", NULL, 0);
    expect_refusal(vocab, ERR_FORMAT, "tokenizer.ggml.tokens");
}

static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    struct small_vocab *vocab = sentence();
    vocab->types[5] = 7;
    expect_refusal(vocab, ERR_FORMAT, "token_type[5]: 7");
    vocab = sentence();
    vocab->types[5] = -1;
    expect_refusal(vocab, ERR_FORMAT, "token_type[5]: -1");
    vocab = sentence();
    vocab->scores[9] = NAN;
    expect_refusal(vocab, ERR_FORMAT, "scores[9]");
    vocab = sentence();
    vocab->scores[9] = -INFINITY;
    expect_refusal(vocab, ERR_FORMAT, "scores[9]");
    vocab = sentence();
    vocab->types[3] = SMALL_BYTE;
    expect_refusal(vocab, ERR_FORMAT, "tokens[3]");
}

static void duplicate_and_oversized_tokens_are_refused(void **state)
{
    (void)state;
    struct small_vocab *vocab = byte_level();
    small_vocab_add(vocab, "ab", SMALL_NORMAL, 0);
    expect_refusal(vocab, ERR_FORMAT, "the same text as token 256");

    vocab = byte_level();
    char *long_text = malloc(LIMIT_TOKEN_BYTES + 2);
    memset(long_text, 'x', LIMIT_TOKEN_BYTES + 1);
    vocab->tokens[40] = (struct gguf_string){long_text, LIMIT_TOKEN_BYTES + 1};
    expect_refusal(vocab, ERR_FORMAT, "tokens[40]: 65537 bytes, the limit is 65536");
    vocab = byte_level();
    vocab->tokens[vocab->count] = (struct gguf_string){long_text, LIMIT_TOKEN_BYTES};
    vocab->types[vocab->count++] = SMALL_NORMAL;
    struct small_tokenizer opened = expect_open(vocab);
    small_vocab_close(&opened);
    free(long_text);
}

/* M-33 */
static void broken_merges_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *merge;
        const char *named;
    } broken[] = {
        {"", "merges[1]: not two tokens"},     {"a", "merges[1]: not two tokens"},
        {"ab", "merges[1]: not two tokens"},   {"a ", "merges[1]: not two tokens"},
        {" a", "merges[1]: not two tokens"},   {"  ", "merges[1]: not two tokens"},
        {"zz a", "merges[1]: its first part"}, {"a zz", "merges[1]: its second part"},
        {"b a", "merges[1]: its result"},      {"a b c", "merges[1]: its second part"},
        {"abc", "merges[1]: not two tokens"},
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct small_vocab *vocab = byte_level();
        vocab->merges[vocab->merge_count++] =
            (struct gguf_string){broken[i].merge, strlen(broken[i].merge)};
        expect_refusal(vocab, ERR_FORMAT, broken[i].named);
    }
    struct small_vocab *vocab = byte_level();
    gguf_writer_add_u32(&vocab->writer, "tokenizer.ggml.merges", 1);
    expect_refusal(vocab, ERR_FORMAT, "tokenizer.ggml.merges");
}

/* M-33 */
static void too_many_merges_are_refused(void **state)
{
    (void)state;
    uint64_t count = LIMIT_TOKENIZER_MERGES + 1;
    struct gguf_string *merges = malloc(count * sizeof *merges);
    for (uint64_t i = 0; i < count; i++) {
        merges[i] = (struct gguf_string){"a b", 3};
    }
    struct small_vocab *vocab = byte_level();
    gguf_writer_add_strings(&vocab->writer, "tokenizer.ggml.merges", merges, count);
    free(merges);
    expect_refusal(vocab, ERR_FORMAT, "4194305 merges, the limit is 4194304");
}

/* M-34 */
static void ids_outside_the_vocabulary_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "tokenizer.ggml.bos_token_id",     "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.eot_token_id",     "tokenizer.ggml.eom_token_id",
        "tokenizer.ggml.unknown_token_id",
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct small_vocab *vocab = byte_level();
        gguf_writer_add_u32(&vocab->writer, keys[i], 257);
        expect_refusal(vocab, ERR_FORMAT, keys[i]);
        vocab = byte_level();
        int64_t negative = -2;
        gguf_writer_add_scalar(&vocab->writer, keys[i], GGUF_INT64, &negative);
        expect_refusal(vocab, ERR_FORMAT, "token -2");
        vocab = byte_level();
        gguf_writer_add_f32(&vocab->writer, keys[i], 1);
        expect_refusal(vocab, ERR_FORMAT, keys[i]);
        vocab = byte_level();
        uint64_t huge = UINT64_MAX;
        gguf_writer_add_scalar(&vocab->writer, keys[i], GGUF_UINT64, &huge);
        expect_refusal(vocab, ERR_FORMAT, keys[i]);
    }
}

/* M-34 */
static void ids_of_minus_one_mean_none(void **state)
{
    (void)state;
    struct small_vocab *vocab = sentence();
    int32_t minus_one = -1;
    gguf_writer_add_u32(&vocab->writer, "tokenizer.ggml.bos_token_id", UINT32_MAX);
    gguf_writer_add_scalar(&vocab->writer, "tokenizer.ggml.eos_token_id", GGUF_INT32, &minus_one);
    struct small_tokenizer opened = expect_open(vocab);
    const struct tokenizer_info *info = tokenizer_info(opened.tokenizer);
    assert_int_equal(info->bos_id, TOKEN_NONE);
    assert_int_equal(info->eos_id, TOKEN_NONE);
    assert_int_equal(info->unk_id, 0);
    assert_false(info->add_bos);
    uint32_t count = 1;
    tokenizer_end_ids(opened.tokenizer, &count);
    assert_int_equal(count, 0);
    small_vocab_close(&opened);

    vocab = byte_level();
    gguf_writer_add_bool(&vocab->writer, "tokenizer.ggml.add_bos_token", true);
    expect_refusal(vocab, ERR_FORMAT, "tokenizer.ggml.add_bos_token");
    vocab = byte_level();
    gguf_writer_add_bool(&vocab->writer, "tokenizer.ggml.add_eos_token", true);
    expect_refusal(vocab, ERR_FORMAT, "tokenizer.ggml.add_eos_token");
}

static void text_must_be_spellable_somehow(void **state)
{
    (void)state;
    struct small_vocab *vocab = small_vocab_sentence();
    gguf_writer_add_u32(&vocab->writer, "tokenizer.ggml.unknown_token_id", UINT32_MAX);
    expect_refusal(vocab, ERR_FORMAT, "unknown token");
}

/* M-34 */
static void ids_may_be_equal_and_ends_are_listed_once(void **state)
{
    (void)state;
    struct small_vocab *vocab = byte_level();
    uint32_t end = small_vocab_add(vocab, "<|endoftext|>", SMALL_CONTROL, 0);
    uint32_t turn = small_vocab_add(vocab, "<|im_end|>", SMALL_CONTROL, 0);
    uint32_t other = small_vocab_add(vocab, "<|stop|>", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "<|eot_id|>", SMALL_NORMAL, 0); /* not a control token here */
    gguf_writer_add_u32(&vocab->writer, "tokenizer.ggml.bos_token_id", end);
    gguf_writer_add_u32(&vocab->writer, "tokenizer.ggml.eos_token_id", end);
    gguf_writer_add_u32(&vocab->writer, "tokenizer.ggml.eot_token_id", turn);
    gguf_writer_add_array(&vocab->writer, "tokenizer.ggml.eos_token_ids", GGUF_UINT32, &other, 1);
    struct small_tokenizer opened = expect_open(vocab);
    uint32_t count = 0;
    const uint32_t *ends = tokenizer_end_ids(opened.tokenizer, &count);
    assert_int_equal(count, 3);
    assert_int_equal(ends[0], end);
    assert_int_equal(ends[1], turn);
    assert_int_equal(ends[2], other);
    small_vocab_close(&opened);

    vocab = byte_level();
    uint32_t outside = 1000;
    gguf_writer_add_array(&vocab->writer, "tokenizer.ggml.eos_token_ids", GGUF_UINT32, &outside, 1);
    expect_refusal(vocab, ERR_FORMAT, "tokenizer.ggml.eos_token_ids");
    vocab = byte_level();
    gguf_writer_add_string(&vocab->writer, "tokenizer.ggml.eos_token_ids", "5");
    expect_refusal(vocab, ERR_FORMAT, "tokenizer.ggml.eos_token_ids");
}

static void a_file_without_types_still_has_special_tokens(void **state)
{
    (void)state;
    struct small_vocab *vocab = sentence();
    small_vocab_add(vocab, "a", SMALL_NORMAL, -1);
    gguf_writer_add_strings(&vocab->writer, "tokenizer.ggml.tokens", vocab->tokens, vocab->count);
    gguf_writer_add_array(&vocab->writer, "tokenizer.ggml.scores", GGUF_FLOAT32, vocab->scores,
                          vocab->count);
    uint64_t byte_count = 0;
    uint8_t *bytes = gguf_writer_finish(&vocab->writer, &byte_count);
    small_vocab_drop(vocab);
    struct gguf file;
    struct tokenizer *tokenizer = NULL;
    assert_int_equal(gguf_parse(&file, bytes, byte_count, "small.gguf", NULL), OK);
    assert_int_equal(tokenizer_open(&tokenizer, &file, NULL), OK);
    gguf_close(&file); /* nothing of the file is needed any more */
    memset(bytes, 0, byte_count);
    free(bytes);
    assert_true(tokenizer_is_special(tokenizer, 0));
    assert_true(tokenizer_is_special(tokenizer, 1));
    assert_true(tokenizer_is_special(tokenizer, 2));
    uint32_t ids[8];
    size_t count = 0;
    assert_int_equal(tokenizer_encode(tokenizer, "\xC3", 1, 0, ids, 8, &count, NULL), OK);
    assert_int_equal(count, 2);
    assert_int_equal(ids[1], 4 + 0xC3);
    tokenizer_close(tokenizer);
}

static void tokens_are_found_by_their_spelling(void **state)
{
    (void)state;
    struct small_tokenizer opened = expect_open(byte_level());
    assert_int_equal(tokenizer_find(opened.tokenizer, "ab", 2), 256);
    assert_int_equal(tokenizer_find(opened.tokenizer, "abc", 3), TOKEN_NONE);
    assert_int_equal(tokenizer_find(opened.tokenizer, "", 0), TOKEN_NONE);
    assert_int_equal(tokenizer_find(opened.tokenizer, "\xC4\xA0", 2), ' ');
    small_vocab_close(&opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_models_are_refused_by_name),
        cmocka_unit_test(unknown_pretokenizers_are_refused_by_name),
        cmocka_unit_test(a_missing_pretokenizer_is_the_default_one),
        cmocka_unit_test(arrays_of_another_type_or_length_are_refused),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(duplicate_and_oversized_tokens_are_refused),
        cmocka_unit_test(broken_merges_are_refused),
        cmocka_unit_test(too_many_merges_are_refused),
        cmocka_unit_test(ids_outside_the_vocabulary_are_refused),
        cmocka_unit_test(ids_of_minus_one_mean_none),
        cmocka_unit_test(text_must_be_spellable_somehow),
        cmocka_unit_test(ids_may_be_equal_and_ends_are_listed_once),
        cmocka_unit_test(a_file_without_types_still_has_special_tokens),
        cmocka_unit_test(tokens_are_found_by_their_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
