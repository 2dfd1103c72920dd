/* test_tokenizer.c - encoding, on vocabularies small enough to follow by hand.
 *
 * The merge order is also held against a plain quadratic implementation of its definition.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/small_vocab.h"

#include <pthread.h>

enum {
    IDS_MAX = 4096
};

struct encoded {
    uint32_t ids[IDS_MAX];
    size_t count;
};

static struct small_tokenizer open_vocab(struct small_vocab *vocab)
{
    struct small_tokenizer opened;
    struct error err = {0};
    if (small_vocab_open(&opened, vocab, &err) != OK) {
        fail_msg("%s", err.message);
    }
    return opened;
}

static struct encoded encode(const struct small_tokenizer *opened, const char *text, unsigned flags)
{
    struct encoded out;
    struct error err = {0};
    if (tokenizer_encode(opened->tokenizer, text, strlen(text), flags, out.ids, IDS_MAX, &out.count,
                         &err) != OK) {
        fail_msg("%s", err.message);
    }
    return out;
}

/* expected: the tokens' own spellings, separated by blanks. */
static void expect(const struct small_tokenizer *opened, const char *text, unsigned flags,
                   const char *expected)
{
    struct encoded got = encode(opened, text, flags);
    size_t count = 0;
    for (const char *at = expected + strspn(expected, " "); *at != '\0'; count++) {
        size_t length = strcspn(at, " ");
        uint32_t id = tokenizer_find(opened->tokenizer, at, length);
        assert_int_not_equal(id, TOKEN_NONE);
        if (count >= got.count || got.ids[count] != id) {
            fail_msg("'%s': token %zu is %d, expected %u of '%s'", text, count,
                     count < got.count ? (int)got.ids[count] : -1, id, expected);
        }
        at += length;
        at += strspn(at, " ");
    }
    assert_int_equal(got.count, count);
}

#define SPACE "\xE2\x96\x81"

static struct small_vocab *hello_vocab(void)
{
    struct small_vocab *vocab = small_vocab_sentence();
    static const char letters[][2] = {"h", "e", "l", "o", "w", "r", "d", "s", "<", ">"};
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        small_vocab_add(vocab, letters[i], SMALL_NORMAL, -1000);
    }
    small_vocab_add(vocab, SPACE SPACE, SMALL_NORMAL, -9);
    small_vocab_add(vocab, "he", SMALL_NORMAL, -1);
    small_vocab_add(vocab, "el", SMALL_NORMAL, -2);
    small_vocab_add(vocab, "ll", SMALL_NORMAL, -1);
    small_vocab_add(vocab, "lo", SMALL_NORMAL, -1);
    small_vocab_add(vocab, SPACE "he", SMALL_NORMAL, -3);
    small_vocab_add(vocab, SPACE "hell", SMALL_NORMAL, -4);
    small_vocab_add(vocab, "<s", SMALL_NORMAL, -5);
    small_vocab_add(vocab, "s>", SMALL_NORMAL, -5);
    return vocab;
}

static void best_score_merges_first_and_leftmost_of_equals(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_vocab(hello_vocab());
    expect(&opened, "hello", 0, SPACE "hell o");
    expect(&opened, "llo", 0, SPACE " ll o");  /* ll and lo score the same */
    expect(&opened, "helo", 0, SPACE "he lo"); /* he scores better than el */
    expect(&opened, "hello hello", 0, SPACE "hell o " SPACE "hell o");
    expect(&opened, "", 0, "");
    small_vocab_close(&opened);
}

static void spaces_are_prefixed_kept_or_trimmed_as_the_file_says(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_vocab(hello_vocab());
    expect(&opened, " ", 0, SPACE SPACE);
    expect(&opened, "  he", 0, SPACE SPACE " " SPACE "he");
    expect(&opened, SPACE "he", 0, SPACE " " SPACE "he");
    small_vocab_close(&opened);

    struct small_vocab *vocab = hello_vocab();
    gguf_writer_add_bool(&vocab->writer, "tokenizer.ggml.add_space_prefix", false);
    opened = open_vocab(vocab);
    expect(&opened, "he", 0, "he");
    expect(&opened, " he", 0, SPACE "he");
    small_vocab_close(&opened);

    vocab = hello_vocab();
    gguf_writer_add_bool(&vocab->writer, "tokenizer.ggml.remove_extra_whitespaces", true);
    opened = open_vocab(vocab);
    expect(&opened, "   ", 0, "");
    expect(&opened, "  he   he ", 0, SPACE "he " SPACE "he");
    small_vocab_close(&opened);
}

static void unknown_text_becomes_bytes_or_one_unknown_token(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_vocab(hello_vocab());
    expect(&opened, "h\xC3\xA9\xC3\xA9\xE4\xB8\xADh", 0, SPACE " h <unk> h");
    expect(&opened, "\xFF h \xFF", 0, SPACE " <unk> " SPACE " h " SPACE " <unk>");
    small_vocab_close(&opened);

    struct small_vocab *vocab = hello_vocab();
    small_vocab_add_bytes(vocab);
    opened = open_vocab(vocab);
    expect(&opened, "h\xC3\xA9\n\xFF", 0, SPACE " h <0xC3> <0xA9> <0x0A> <0xFF>");
    small_vocab_close(&opened);
}

static void a_space_inside_a_token_is_not_cut_at(void **state)
{
    (void)state;
    struct small_vocab *vocab = hello_vocab();
    small_vocab_add(vocab, "o" SPACE, SMALL_NORMAL, 5);
    small_vocab_add(vocab, "o" SPACE "w", SMALL_NORMAL, 6);
    struct small_tokenizer opened = open_vocab(vocab);
    expect(&opened, "hello world", 0, SPACE "hell o" SPACE "w o r l d");
    small_vocab_close(&opened);
}

static void control_tokens_come_only_from_parsing(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_vocab(hello_vocab());
    expect(&opened, "<s>", 0, SPACE " <s >");
    expect(&opened, "<s>he</s>", TOKENIZER_PARSE_SPECIAL, "<s> " SPACE "he </s>");
    expect(&opened, "he<unk>", TOKENIZER_PARSE_SPECIAL, SPACE "he <unk>");
    expect(&opened, "he", TOKENIZER_ADD_SPECIAL, "<s> " SPACE "he");
    expect(&opened, "", TOKENIZER_ADD_SPECIAL, "<s>");
    small_vocab_close(&opened);
}

static void begin_and_end_are_added_as_the_file_says(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 4; flags++) {
        struct small_vocab *vocab = hello_vocab();
        gguf_writer_add_bool(&vocab->writer, "tokenizer.ggml.add_bos_token", (flags & 1) != 0);
        gguf_writer_add_bool(&vocab->writer, "tokenizer.ggml.add_eos_token", (flags & 2) != 0);
        struct small_tokenizer opened = open_vocab(vocab);
        struct encoded got = encode(&opened, "he", TOKENIZER_ADD_SPECIAL);
        size_t at = 0;
        if (flags & 1) {
            assert_int_equal(got.ids[at++], 1);
        }
        at++;
        if (flags & 2) {
            assert_int_equal(got.ids[at++], 2);
        }
        assert_int_equal(got.count, at);
        assert_int_equal(encode(&opened, "he", 0).count, 1);
        small_vocab_close(&opened);
    }
}

static struct small_vocab *bytes_vocab(const char *pre)
{
    struct small_vocab *vocab = small_vocab_byte_level(pre);
    small_vocab_merge(vocab, "a", "b");
    small_vocab_merge(vocab, "b", "c");
    small_vocab_merge(vocab, "ab", "c");
    small_vocab_merge(vocab, "c", "d");
    small_vocab_add(vocab, "bcd", SMALL_NORMAL, 0); /* no merge makes it */
    small_vocab_add(vocab, "<|end|>", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "<tool>", SMALL_USER_DEFINED, 0);
    small_vocab_add(vocab, "<a>", SMALL_USER_DEFINED, 0);
    small_vocab_add(vocab, "<a><b>", SMALL_USER_DEFINED, 0);
    small_vocab_add(vocab, "<by>", SMALL_USER_DEFINED, 0);
    return vocab;
}

static void lowest_rank_merges_first(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_vocab(bytes_vocab("gpt-2"));
    expect(&opened, "abc", 0, "abc");
    expect(&opened, "bcd", 0, "bc d");
    expect(&opened, "aabcdab", 0, "a abc d ab");
    expect(&opened, "ab cd", 0, "ab \xC4\xA0 cd"); /* merges do not cross words */
    small_vocab_close(&opened);
}

static void whole_words_are_taken_where_the_family_does(void **state)
{
    (void)state;
    struct small_vocab *vocab = bytes_vocab("llama-bpe");
    struct small_tokenizer opened = open_vocab(vocab);
    expect(&opened, "bcd", 0, "bcd");
    expect(&opened, "bcda", 0, "bc d a");
    small_vocab_close(&opened);
}

static void user_defined_tokens_are_always_taken_out(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_vocab(bytes_vocab("gpt-2"));
    expect(&opened, "ab<tool>c", 0, "ab <tool> c");
    expect(&opened, "<|end|>", 0, "< | e n d | >");
    expect(&opened, "ab<|end|><tool>", TOKENIZER_PARSE_SPECIAL, "ab <|end|> <tool>");
    expect(&opened, "<tool", 0, "< t o o l");
    small_vocab_close(&opened);
}

static void the_longest_of_overlapping_tokens_wins(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_vocab(bytes_vocab("gpt-2"));
    expect(&opened, "<a><b><a>", 0, "<a><b> <a>");
    expect(&opened, "<a><c>", 0, "<a> < c >");
    expect(&opened, "<<a>", 0, "< <a>");
    expect(&opened, "<ay><by>", 0, "< a y > <by>");
    small_vocab_close(&opened);
}

static void no_merge_leads_to_a_control_token(void **state)
{
    (void)state;
    static const char *const pre_names[] = {"gpt-2", "llama-bpe"};
    for (size_t i = 0; i < 2; i++) {
        struct small_vocab *vocab = small_vocab_byte_level(pre_names[i]);
        small_vocab_add(vocab, "xy", SMALL_CONTROL, 0);
        small_vocab_merge(vocab, "x", "y");
        struct small_tokenizer opened = open_vocab(vocab);
        expect(&opened, "xy", 0, "x y");
        expect(&opened, "xy", TOKENIZER_PARSE_SPECIAL, "xy");
        small_vocab_close(&opened);
    }
}

static void expect_round_trip(const struct small_tokenizer *opened, const char *text,
                              size_t text_bytes)
{
    uint32_t ids[64];
    size_t count = 0;
    char back[512];
    size_t back_bytes = 0;
    assert_int_equal(
        tokenizer_encode(opened->tokenizer, text, text_bytes, 0, ids, 64, &count, NULL), OK);
    for (size_t i = 0; i < count; i++) {
        size_t byte_count = 0;
        const char *bytes = tokenizer_token_bytes(opened->tokenizer, ids[i], false, &byte_count);
        memcpy(back + back_bytes, bytes, byte_count);
        back_bytes += byte_count;
    }
    assert_int_equal(back_bytes, text_bytes);
    assert_memory_equal(back, text, text_bytes);
}

static void any_bytes_survive_a_byte_level_vocabulary(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_vocab(bytes_vocab("qwen35"));
    struct small_tokenizer other = open_vocab(bytes_vocab("deepseek-llm"));
    for (unsigned pair = 0; pair < 0x10000; pair++) {
        char text[2] = {(char)(pair >> 8), (char)pair};
        expect_round_trip(&other, text, 1 + (pair & 1));
        expect_round_trip(&other, text, 2);
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[5] = {'a', (char)byte, 'b', (char)(byte ^ 0x80), 'c'};
        expect_round_trip(&opened, text, sizeof text);
    }
    small_vocab_close(&opened);
    small_vocab_close(&other);
}

static void text_that_does_not_fit_is_refused_with_a_count(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_vocab(bytes_vocab("gpt-2"));
    uint32_t ids[4] = {0, 0, 0, 77};
    size_t count = 0;
    struct error err = {0};
    assert_int_equal(tokenizer_encode(opened.tokenizer, "d d d", 5, 0, ids, 3, &count, &err),
                     ERR_FULL);
    assert_true(count >= 4);
    assert_int_equal(ids[3], 77);
    assert_non_null(strstr(err.message, "3 tokens"));
    assert_int_equal(tokenizer_encode(opened.tokenizer, "ddd", 3, 0, ids, 3, &count, &err), OK);
    assert_int_equal(count, 3);
    assert_int_equal(tokenizer_encode(opened.tokenizer, "", 0, 0, NULL, 0, &count, &err), OK);
    assert_int_equal(count, 0);
    small_vocab_close(&opened);
}

static size_t count_ids(const struct small_tokenizer *opened, const char *text)
{
    uint32_t ids[256];
    size_t count = 0;
    size_t bound = tokenizer_id_count_bound(opened->tokenizer, strlen(text));
    assert_true(bound <= 256);
    assert_int_equal(tokenizer_encode(opened->tokenizer, text, strlen(text), TOKENIZER_ADD_SPECIAL,
                                      ids, bound, &count, NULL),
                     OK);
    return count;
}

static void text_that_grows_while_it_is_encoded_fits_the_bound(void **state)
{
    (void)state;
    /* U+1D160 has a canonical decomposition of three times its bytes, and no composition. */
    struct small_tokenizer normal = open_vocab(bytes_vocab("qwen2"));
    const char *note = "\xF0\x9D\x85\xA0\xF0\x9D\x85\xA0\xF0\x9D\x85\xA0\xF0\x9D\x85\xA0";
    assert_true(count_ids(&normal, note) >= 3 * strlen(note));
    small_vocab_close(&normal);

    struct small_vocab *vocab = small_vocab_sentence();
    small_vocab_add(vocab, "a", SMALL_NORMAL, 0);
    small_vocab_add(vocab, "d", SMALL_USER_DEFINED, 0);
    struct small_tokenizer spaced = open_vocab(vocab);
    assert_true(count_ids(&spaced, "adadadadadada") >= 13 + 7);
    small_vocab_close(&spaced);
}

/* The definition of BPE, one merge at a time over the whole text. */
struct plain_bpe {
    const struct small_vocab *vocab;
    uint32_t starts[IDS_MAX + 1];
    size_t count; /* pieces; starts[count] is the end */
    const char *text;
};

static double plain_rank(const struct plain_bpe *bpe, size_t i)
{
    const struct small_vocab *vocab = bpe->vocab;
    const char *left = bpe->text + bpe->starts[i];
    size_t left_bytes = bpe->starts[i + 1] - bpe->starts[i];
    size_t right_bytes = bpe->starts[i + 2] - bpe->starts[i + 1];
    if (vocab->sentence) {
        for (uint32_t id = 3; id < vocab->count; id++) {
            if (vocab->tokens[id].byte_count == left_bytes + right_bytes &&
                memcmp(vocab->tokens[id].bytes, left, left_bytes + right_bytes) == 0) {
                return -(double)vocab->scores[id];
            }
        }
        return 1e30;
    }
    for (uint32_t m = 0; m < vocab->merge_count; m++) {
        const struct gguf_string *merge = &vocab->merges[m];
        if (merge->byte_count == left_bytes + right_bytes + 1 &&
            memcmp(merge->bytes, left, left_bytes) == 0 && merge->bytes[left_bytes] == ' ' &&
            memcmp(merge->bytes + left_bytes + 1, left + left_bytes, right_bytes) == 0) {
            return m;
        }
    }
    return 1e30;
}

static void plain_merge_all(struct plain_bpe *bpe)
{
    for (;;) {
        size_t best = 0;
        double best_rank = 1e30;
        for (size_t i = 0; i + 1 < bpe->count; i++) {
            double rank = plain_rank(bpe, i);
            if (rank < best_rank) {
                best_rank = rank;
                best = i;
            }
        }
        if (best_rank >= 1e30) {
            return;
        }
        memmove(&bpe->starts[best + 1], &bpe->starts[best + 2],
                (bpe->count - best - 1) * sizeof bpe->starts[0]);
        bpe->count--;
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

/* Tokens made of others, over three letters, with ties and with tokens no merge leads to. */
static struct small_vocab *random_vocab(bool sentence, uint32_t *seed)
{
    struct small_vocab *vocab = sentence ? small_vocab_sentence() : small_vocab_byte_level("gpt-2");
    uint32_t letters[64] = {0};
    uint32_t letter_count = 0;
    for (int c = 'a'; c <= 'c'; c++) {
        char text[2] = {(char)c, '\0'};
        letters[letter_count++] = sentence ? small_vocab_add(vocab, text, SMALL_NORMAL, -99)
                                           : small_vocab_id(vocab, text);
    }
    while (letter_count < 40) {
        const struct gguf_string *a = &vocab->tokens[letters[next_random(seed) % letter_count]];
        const struct gguf_string *b = &vocab->tokens[letters[next_random(seed) % letter_count]];
        char left[256];
        char right[256];
        char both[512];
        snprintf(left, sizeof left, "%.*s", (int)a->byte_count, a->bytes);
        snprintf(right, sizeof right, "%.*s", (int)b->byte_count, b->bytes);
        snprintf(both, sizeof both, "%s%s", left, right);
        if (strlen(both) > 12) {
            continue;
        }
        if (!sentence) {
            letters[letter_count++] = small_vocab_merge(vocab, left, right);
        } else if (small_vocab_id(vocab, both) == TOKEN_NONE) {
            letters[letter_count++] =
                small_vocab_add(vocab, both, SMALL_NORMAL, -(float)(next_random(seed) % 8));
        }
    }
    return vocab;
}

static void check_against_plain(const struct small_vocab *vocab,
                                const struct small_tokenizer *opened, uint32_t *seed)
{
    static struct plain_bpe bpe;
    char text[301];
    size_t text_bytes = next_random(seed) % 300 + 1;
    for (size_t i = 0; i < text_bytes; i++) {
        text[i] = (char)('a' + next_random(seed) % 3);
        bpe.starts[i] = (uint32_t)i;
    }
    text[text_bytes] = '\0';
    bpe.starts[text_bytes] = (uint32_t)text_bytes;
    bpe.count = text_bytes;
    bpe.vocab = vocab;
    bpe.text = text;
    plain_merge_all(&bpe);
    struct encoded got = encode(opened, text, 0);
    assert_int_equal(got.count, bpe.count);
    for (size_t i = 0; i < got.count; i++) {
        size_t byte_count = 0;
        tokenizer_token_bytes(opened->tokenizer, got.ids[i], false, &byte_count);
        assert_int_equal(byte_count, bpe.starts[i + 1] - bpe.starts[i]);
    }
}

static void merging_is_what_its_definition_says(void **state)
{
    (void)state;
    uint32_t seed = 5;
    for (int round = 0; round < 40; round++) {
        uint32_t vocab_seed = seed + (uint32_t)round;
        uint32_t same_seed = vocab_seed;
        bool sentence = round % 2 == 0;
        struct small_vocab *vocab = random_vocab(sentence, &vocab_seed);
        struct small_vocab *twin = random_vocab(sentence, &same_seed);
        gguf_writer_add_bool(&vocab->writer, "tokenizer.ggml.add_space_prefix", false);
        struct small_tokenizer opened = open_vocab(vocab);
        for (int i = 0; i < 25; i++) {
            check_against_plain(twin, &opened, &seed);
        }
        small_vocab_drop(twin);
        small_vocab_close(&opened);
    }
}

static void a_megabyte_of_one_letter_merges_fully(void **state)
{
    (void)state;
    enum {
        RUN_BYTES = 1 << 20
    };
    struct small_vocab *vocab = small_vocab_byte_level("qwen2");
    char part[128] = "a";
    for (size_t length = 1; length <= 32; length *= 2) {
        memset(part, 'a', length);
        part[length] = '\0';
        small_vocab_merge(vocab, part, part);
    }
    struct small_tokenizer opened = open_vocab(vocab);
    char *text = malloc(RUN_BYTES);
    uint32_t *ids = malloc(RUN_BYTES * sizeof *ids);
    size_t count = 0;
    memset(text, 'a', RUN_BYTES);
    assert_int_equal(
        tokenizer_encode(opened.tokenizer, text, RUN_BYTES, 0, ids, RUN_BYTES, &count, NULL), OK);
    assert_int_equal(count, RUN_BYTES / 64);
    for (size_t i = 1; i < count; i++) {
        assert_int_equal(ids[i], ids[0]);
    }
    free(text);
    free(ids);
    small_vocab_close(&opened);
}

/* A megabyte of one thing, for every way of cutting words: what is not linear does not end. */
static void runs_of_anything_are_linear(void **state)
{
    (void)state;
    enum {
        RUN_BYTES = 1 << 20
    };
    static const char *const units[] = {
        "a",        " ", "7", "!", "\n", "\xE4\xB8\xAD", "\xCC\x81", "\xF0\x9F\x91\xA9\xE2\x80\x8D",
        "a\xCC\x81"};
    static const char *const families[] = {"qwen2", "llama-bpe", "gpt-2", "gpt-4o", "deepseek-v3"};
    char *text = malloc(RUN_BYTES);
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        struct small_tokenizer opened = open_vocab(small_vocab_byte_level(families[f]));
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
            size_t unit_bytes = strlen(units[u]);
            size_t byte_count = RUN_BYTES / unit_bytes * unit_bytes;
            for (size_t at = 0; at < byte_count; at += unit_bytes) {
                memcpy(text + at, units[u], unit_bytes);
            }
            size_t bound = tokenizer_id_count_bound(opened.tokenizer, byte_count);
            uint32_t *ids = malloc(bound * sizeof *ids);
            size_t count = 0;
            assert_int_equal(
                tokenizer_encode(opened.tokenizer, text, byte_count, 0, ids, bound, &count, NULL),
                OK);
            /* A token a byte, of the text as the family composes it. */
            bool composed = strcmp(families[f], "qwen2") == 0 && unit_bytes == 3 && u == 8;
            assert_int_equal(count, composed ? byte_count / 3 * 2 : byte_count);
            free(ids);
        }
        small_vocab_close(&opened);
    }
    free(text);
}

static void text_is_normalised_where_the_family_was(void **state)
{
    (void)state;
    static const char decomposed[] = "e\xCC\x81";
    struct small_tokenizer plain = open_vocab(bytes_vocab("llama-bpe"));
    struct small_tokenizer normal = open_vocab(bytes_vocab("qwen2"));
    assert_int_equal(encode(&plain, decomposed, 0).count, 3);
    struct encoded got = encode(&normal, decomposed, 0);
    assert_int_equal(got.count, 2);
    assert_int_equal(got.ids[0], 0xC3);
    assert_int_equal(got.ids[1], 0xA9);
    small_vocab_close(&plain);
    small_vocab_close(&normal);
}

struct shared_encoding {
    const struct small_tokenizer *opened;
    bool equal;
};

static void *encode_again_and_again(void *context)
{
    struct shared_encoding *shared = context;
    uint32_t ids[64];
    shared->equal = true;
    for (int i = 0; i < 2000; i++) {
        size_t count = 0;
        enum status status = tokenizer_encode(shared->opened->tokenizer, "abc<tool>dabc abc", 17,
                                              TOKENIZER_PARSE_SPECIAL, ids, 64, &count, NULL);
        shared->equal = shared->equal && status == OK && count == 6;
    }
    return NULL;
}

static void threads_may_share_a_tokenizer(void **state)
{
    (void)state;
    struct small_tokenizer opened = open_vocab(bytes_vocab("qwen2"));
    struct shared_encoding shared[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        shared[i].opened = &opened;
        assert_int_equal(pthread_create(&threads[i], NULL, encode_again_and_again, &shared[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(shared[i].equal);
    }
    small_vocab_close(&opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(best_score_merges_first_and_leftmost_of_equals),
        cmocka_unit_test(spaces_are_prefixed_kept_or_trimmed_as_the_file_says),
        cmocka_unit_test(unknown_text_becomes_bytes_or_one_unknown_token),
        cmocka_unit_test(a_space_inside_a_token_is_not_cut_at),
        cmocka_unit_test(control_tokens_come_only_from_parsing),
        cmocka_unit_test(begin_and_end_are_added_as_the_file_says),
        cmocka_unit_test(lowest_rank_merges_first),
        cmocka_unit_test(whole_words_are_taken_where_the_family_does),
        cmocka_unit_test(user_defined_tokens_are_always_taken_out),
        cmocka_unit_test(the_longest_of_overlapping_tokens_wins),
        cmocka_unit_test(no_merge_leads_to_a_control_token),
        cmocka_unit_test(any_bytes_survive_a_byte_level_vocabulary),
        cmocka_unit_test(text_that_does_not_fit_is_refused_with_a_count),
        cmocka_unit_test(text_that_grows_while_it_is_encoded_fits_the_bound),
        cmocka_unit_test(merging_is_what_its_definition_says),
        cmocka_unit_test(a_megabyte_of_one_letter_merges_fully),
        cmocka_unit_test(runs_of_anything_are_linear),
        cmocka_unit_test(text_is_normalised_where_the_family_was),
        cmocka_unit_test(threads_may_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
