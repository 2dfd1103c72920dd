/* test_text_stream.c - text and stop strings over every way of cutting the same bytes.
 *
 * The vocabulary has one token per byte, so token ids are bytes; a few longer tokens make tokens
 * that end inside a stop string or a character.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/text_stream.h"
#include "tests/support/small_vocab.h"

static struct small_tokenizer opened;
static uint32_t end_id;
static uint32_t the_id;

static int open_vocab(void **state)
{
    (void)state;
    struct small_vocab *vocab = small_vocab_byte_level("gpt-2");
    small_vocab_merge(vocab, "t", "h");
    the_id = small_vocab_merge(vocab, "th", "e");
    end_id = small_vocab_add(vocab, "<|end|>", SMALL_CONTROL, 0);
    struct error error = {0};
    assert_int_equal(small_vocab_open(&opened, vocab, &error), OK);
    return 0;
}

static int close_vocab(void **state)
{
    (void)state;
    small_vocab_close(&opened);
    return 0;
}

struct run {
    struct stop_strings stops;
    struct text_stream stream;
    struct text_buffer out;
};

static void begin(struct run *run, const char *const *stops, bool include_stop, bool show_special)
{
    *run = (struct run){0};
    for (; stops != NULL && *stops != NULL; stops++) {
        assert_true(stop_strings_add(&run->stops, *stops, strlen(*stops)));
    }
    text_stream_init(&run->stream, opened.tokenizer, &run->stops, include_stop, show_special);
    text_buffer_init(&run->out, 1 << 20);
    text_buffer_append(&run->out, "", 0);
}

static void end(struct run *run)
{
    text_stream_release(&run->stream);
    text_buffer_release(&run->out);
    stop_strings_release(&run->stops);
}

/* Feeds bytes as tokens; true when a stop string was complete. */
static bool feed(struct run *run, const char *text, size_t byte_count)
{
    for (size_t i = 0; i < byte_count; i++) {
        if (text_stream_feed(&run->stream, (unsigned char)text[i], true, &run->out)) {
            return true;
        }
    }
    return false;
}

static void text_is_held_exactly_while_it_may_be_a_stop_string(void **state)
{
    (void)state;
    struct run run;
    begin(&run, (const char *const[]){"END", NULL}, false, false);
    assert_false(feed(&run, "aE", 2));
    assert_string_equal(run.out.bytes, "a");
    assert_false(feed(&run, "N", 1));
    assert_string_equal(run.out.bytes, "a");
    assert_false(feed(&run, "x", 1));
    assert_string_equal(run.out.bytes, "aENx");
    assert_true(feed(&run, "END", 3));
    assert_string_equal(run.out.bytes, "aENx");
    end(&run);
}

static void held_text_comes_out_at_the_end(void **state)
{
    (void)state;
    struct run run;
    begin(&run, (const char *const[]){"END", NULL}, false, false);
    feed(&run, "abEN", 4);
    assert_string_equal(run.out.bytes, "ab");
    assert_false(text_stream_finish(&run.stream, true, &run.out));
    assert_string_equal(run.out.bytes, "abEN");
    end(&run);
}

static void a_stop_string_that_repeats_itself_is_found(void **state)
{
    (void)state;
    struct run run;
    begin(&run, (const char *const[]){"aab", NULL}, false, false);
    assert_true(feed(&run, "aaaab", 5));
    assert_string_equal(run.out.bytes, "aa");
    end(&run);
}

static void of_several_stop_strings_the_first_to_end_wins(void **state)
{
    (void)state;
    struct run run;
    begin(&run, (const char *const[]){"bcd", "c", NULL}, false, false);
    assert_true(feed(&run, "abcd", 4));
    assert_string_equal(run.out.bytes, "ab");
    end(&run);
    begin(&run, (const char *const[]){"c", "bc", NULL}, false, false);
    assert_true(feed(&run, "abc", 3));
    assert_string_equal(run.out.bytes, "a");
    end(&run);
}

static void the_stop_string_can_be_kept(void **state)
{
    (void)state;
    struct run run;
    begin(&run, (const char *const[]){"END", NULL}, true, false);
    assert_true(feed(&run, "aENDxyz", 7));
    assert_string_equal(run.out.bytes, "aEND");
    end(&run);
}

static void a_stop_string_may_end_inside_a_token(void **state)
{
    (void)state;
    struct run run;
    begin(&run, (const char *const[]){" th", NULL}, false, false);
    assert_false(text_stream_feed(&run.stream, 'a', true, &run.out));
    assert_false(text_stream_feed(&run.stream, ' ', true, &run.out));
    assert_true(text_stream_feed(&run.stream, the_id, true, &run.out));
    assert_string_equal(run.out.bytes, "a");
    end(&run);
}

static void before_min_tokens_nothing_stops_and_nothing_is_held(void **state)
{
    (void)state;
    struct run run;
    begin(&run, (const char *const[]){"ab", NULL}, false, false);
    assert_false(text_stream_feed(&run.stream, 'a', false, &run.out));
    assert_false(text_stream_feed(&run.stream, 'b', false, &run.out));
    assert_string_equal(run.out.bytes, "ab");
    assert_true(feed(&run, "ab", 2));
    assert_string_equal(run.out.bytes, "ab");
    end(&run);
}

static void characters_leave_whole(void **state)
{
    (void)state;
    static const char text[] = "\xE4\xB8\xAD\xF0\x9F\x98\x80"; /* one of three bytes, one of four */
    struct run run;
    begin(&run, NULL, false, false);
    size_t expected[] = {0, 0, 3, 3, 3, 3, 7};
    for (size_t i = 0; i < sizeof text - 1; i++) {
        assert_false(feed(&run, text + i, 1));
        assert_int_equal(run.out.byte_count, expected[i]);
    }
    assert_int_equal(run.stream.character_count, 2);
    end(&run);
}

static void a_cut_character_at_the_end_is_replaced(void **state)
{
    (void)state;
    struct run run;
    begin(&run, NULL, false, false);
    feed(&run, "a\xE4\xB8", 3);
    text_stream_finish(&run.stream, true, &run.out);
    assert_string_equal(run.out.bytes, "a\xEF\xBF\xBD");
    end(&run);
}

static void stop_strings_of_many_bytes_per_character_are_found(void **state)
{
    (void)state;
    struct run run;
    begin(&run, (const char *const[]){"\xE4\xB8\xAD\xE6\x96\x87", NULL}, false, false);
    assert_false(feed(&run, "x\xE4\xB8\xAD\xE4\xB8\xAD\xE6\x96", 9));
    assert_string_equal(run.out.bytes, "x\xE4\xB8\xAD");
    assert_true(feed(&run, "\x87", 1));
    assert_string_equal(run.out.bytes, "x\xE4\xB8\xAD");
    end(&run);
}

static void control_tokens_show_only_when_asked_for(void **state)
{
    (void)state;
    struct run run;
    for (int show = 0; show < 2; show++) {
        begin(&run, NULL, false, show == 1);
        text_stream_feed(&run.stream, end_id, true, &run.out);
        assert_string_equal(run.out.bytes, show == 1 ? "<|end|>" : "");
        end(&run);
    }
}

/* The definition, by looking at every end: where the text stops, or SIZE_MAX. */
static size_t naive_stop(const char *text, size_t byte_count, const char *const *stops)
{
    for (size_t at = 1; at <= byte_count; at++) {
        size_t longest = 0;
        for (const char *const *stop = stops; *stop != NULL; stop++) {
            size_t stop_bytes = strlen(*stop);
            if (stop_bytes <= at && memcmp(text + at - stop_bytes, *stop, stop_bytes) == 0 &&
                stop_bytes > longest) {
                longest = stop_bytes;
            }
        }
        if (longest > 0) {
            return at - longest;
        }
    }
    return SIZE_MAX;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

static void random_texts_agree_with_the_definition(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (int round = 0; round < 4000; round++) {
        char stop_text[3][8] = {{0}};
        const char *stops[4] = {NULL};
        size_t stop_count = 1 + next_random(&seed) % 3;
        for (size_t s = 0; s < stop_count; s++) {
            size_t stop_bytes = 1 + next_random(&seed) % 5;
            for (size_t i = 0; i < stop_bytes; i++) {
                stop_text[s][i] = (char)('a' + next_random(&seed) % 2);
            }
            stops[s] = stop_text[s];
        }
        char text[24] = {0};
        size_t byte_count = 1 + next_random(&seed) % 20;
        for (size_t i = 0; i < byte_count; i++) {
            text[i] = (char)('a' + next_random(&seed) % 3);
        }
        struct run run;
        begin(&run, stops, false, false);
        bool stopped = feed(&run, text, byte_count);
        if (!stopped) {
            assert_false(text_stream_finish(&run.stream, true, &run.out));
        }
        size_t expected = naive_stop(text, byte_count, stops);
        assert_int_equal(stopped, expected != SIZE_MAX);
        size_t shown = stopped ? expected : byte_count;
        assert_int_equal(run.out.byte_count, shown);
        assert_memory_equal(run.out.bytes, text, shown);
        end(&run);
    }
}

static void control_tokens_can_be_marked_for_a_parser(void **state)
{
    (void)state;
    static const char *const stops[] = {"end", "ab", NULL};
    struct run run;
    begin(&run, stops, false, false);
    run.stream.marks_control = true;
    assert_false(text_stream_feed(&run.stream, 'a', true, &run.out));
    assert_int_equal(run.out.byte_count, 0); /* may begin a stop string, until the token comes */
    assert_false(text_stream_feed(&run.stream, end_id, true, &run.out));
    assert_false(text_stream_feed(&run.stream, 'b', true, &run.out));
    assert_false(text_stream_feed(&run.stream, 0xE4, true, &run.out));
    assert_false(text_stream_feed(&run.stream, end_id, true, &run.out));
    assert_string_equal(run.out.bytes, "a\xFF<|end|>\xFE"
                                       "b\xEF\xBF\xBD\xFF<|end|>\xFE");
    end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_held_exactly_while_it_may_be_a_stop_string),
        cmocka_unit_test(held_text_comes_out_at_the_end),
        cmocka_unit_test(a_stop_string_that_repeats_itself_is_found),
        cmocka_unit_test(of_several_stop_strings_the_first_to_end_wins),
        cmocka_unit_test(the_stop_string_can_be_kept),
        cmocka_unit_test(a_stop_string_may_end_inside_a_token),
        cmocka_unit_test(before_min_tokens_nothing_stops_and_nothing_is_held),
        cmocka_unit_test(characters_leave_whole),
        cmocka_unit_test(a_cut_character_at_the_end_is_replaced),
        cmocka_unit_test(stop_strings_of_many_bytes_per_character_are_found),
        cmocka_unit_test(control_tokens_show_only_when_asked_for),
        cmocka_unit_test(random_texts_agree_with_the_definition),
        cmocka_unit_test(control_tokens_can_be_marked_for_a_parser),
    };
    return cmocka_run_group_tests(tests, open_vocab, close_vocab);
}
