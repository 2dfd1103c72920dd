/* test_answer.c - the shapes of answers, byte for byte, on a vocabulary of single bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/answer.h"
#include "tests/support/small_vocab.h"

#include <jansson.h>

static struct small_tokenizer opened;
static struct answer_head head;
static const struct answer_usage usage = {3, 2, 1};
static const struct reply_logprob tops[] = {{'a', -0.5f}, {'b', -1.0f}};
static const struct answer_token tokens[] = {
    {.token_id = 'x', .scored = false, .text_offset = 0},
    {.token_id = 'c',
     .scored = true,
     .logprob = -2.0f,
     .top = tops,
     .top_count = 2,
     .text_offset = 1},
    {.token_id = 0xE4, .scored = true, .logprob = -0.5f, .text_offset = 2},
};

static int open_vocab(void **state)
{
    (void)state;
    struct error error = {0};
    assert_int_equal(small_vocab_open(&opened, small_vocab_byte_level("gpt-2"), &error), OK);
    return 0;
}

static int close_vocab(void **state)
{
    (void)state;
    small_vocab_close(&opened);
    return 0;
}

static void set_head(enum params_route route, bool logprobs, bool token_ids)
{
    head = (struct answer_head){.route = route,
                                .id = "id-1",
                                .model_name = "m\"",
                                .created = 7,
                                .tokenizer = opened.tokenizer,
                                .logprobs = logprobs,
                                .token_ids = token_ids};
}

#define HEAD(object)                                                                               \
    "{\"id\":\"id-1\",\"object\":\"" object "\",\"created\":7,\"model\":\"m\\\"\",\"choices\":["
#define USAGE                                                                                      \
    "{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5,"                             \
    "\"prompt_tokens_details\":{\"cached_tokens\":1}}"

static void expect(struct text_buffer *out, const char *expected)
{
    assert_false(out->failed);
    json_t *root = json_loadb(out->bytes, out->byte_count, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    json_decref(root);
    assert_string_equal(out->bytes, expected);
    text_buffer_release(out);
}

static struct text_buffer buffer(void)
{
    struct text_buffer out;
    text_buffer_init(&out, 1 << 16);
    return out;
}

static void chat_chunks_name_the_role_first_and_are_empty_at_the_end(void **state)
{
    (void)state;
    set_head(PARAMS_CHAT, false, false);
    struct answer_piece piece = {.index = 1, .text = "", .text_bytes = 0};
    struct text_buffer out = buffer();
    answer_write_role(&out, &head, &piece, &usage);
    expect(&out, HEAD("chat.completion.chunk") "{\"index\":1,\"delta\":{\"role\":\"assistant\","
                                               "\"content\":\"\"},"
                                               "\"logprobs\":null,\"finish_reason\":null}]}");
    piece.text = "hi";
    piece.text_bytes = 2;
    out = buffer();
    answer_write_chunk(&out, &head, &piece, &usage);
    expect(&out, HEAD("chat.completion.chunk") "{\"index\":1,\"delta\":{\"content\":\"hi\"},"
                                               "\"logprobs\":null,"
                                               "\"finish_reason\":null}]}");
    head.usage_in_chunks = true;
    piece.finish_reason = "stop";
    out = buffer();
    answer_write_chunk(&out, &head, &piece, &usage);
    expect(&out, HEAD("chat.completion.chunk") "{\"index\":1,\"delta\":{},\"logprobs\":null,"
                                               "\"finish_reason\":\"stop\"}],\"usage\":null}");
    out = buffer();
    answer_write_usage_chunk(&out, &head, &usage);
    expect(&out, HEAD("chat.completion.chunk") "],\"usage\":" USAGE "}");
    head.usage_continuous = true;
    out = buffer();
    answer_write_chunk(&out, &head, &piece, &usage);
    expect(&out, HEAD("chat.completion.chunk") "{\"index\":1,\"delta\":{},\"logprobs\":null,"
                                               "\"finish_reason\":\"stop\"}],\"usage\":" USAGE "}");
}

static void completion_logprobs_are_four_arrays(void **state)
{
    (void)state;
    set_head(PARAMS_COMPLETION, true, false);
    struct answer_piece piece = {.text = "xc",
                                 .text_bytes = 2,
                                 .tokens = tokens,
                                 .token_count = 3,
                                 .finish_reason = "length"};
    struct text_buffer out = buffer();
    answer_write_whole(&out, &head, &piece, 1, &usage);
    expect(
        &out,
        HEAD(
            "text_completion") "{\"index\":0,\"text\":\"xc\",\"logprobs\":{\"tokens\":[\"x\",\"c\","
                               "\"\xEF\xBF\xBD\"],\"token_logprobs\":[null,-2,-0.5],"
                               "\"top_logprobs\":[null,{\"a\":-0.5,\"b\":-1,\"c\":-2},"
                               "{\"\xEF\xBF\xBD\":-0.5}],\"text_offset\":[0,1,2]},"
                               "\"finish_reason\":\"length\"}],\"usage\":" USAGE "}");
}

static void chat_logprobs_carry_bytes(void **state)
{
    (void)state;
    set_head(PARAMS_CHAT, true, false);
    struct answer_piece piece = {.text = "c",
                                 .text_bytes = 1,
                                 .tokens = tokens + 1,
                                 .token_count = 1,
                                 .finish_reason = "stop"};
    struct text_buffer out = buffer();
    answer_write_whole(&out, &head, &piece, 1, &usage);
    expect(
        &out,
        HEAD(
            "chat.completion") "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"c\","
                               "\"refusal\":null},\"logprobs\":{\"content\":[{\"token\":\"c\","
                               "\"logprob\":-2,"
                               "\"bytes\":[99],\"top_logprobs\":[{\"token\":\"a\",\"logprob\":-0.5,"
                               "\"bytes\":[97]},"
                               "{\"token\":\"b\",\"logprob\":-1,\"bytes\":[98]}]}],\"refusal\":"
                               "null},"
                               "\"finish_reason\":\"stop\"}],\"usage\":" USAGE "}");
}

static void token_ids_leave_the_prompt_out(void **state)
{
    (void)state;
    set_head(PARAMS_COMPLETION, false, true);
    static const uint32_t prompt_ids[] = {'x'};
    struct answer_piece piece = {.text = "xc",
                                 .text_bytes = 2,
                                 .tokens = tokens,
                                 .token_count = 3,
                                 .hidden_count = 1,
                                 .prompt_ids = prompt_ids,
                                 .prompt_id_count = 1};
    struct text_buffer out = buffer();
    answer_write_chunk(&out, &head, &piece, &usage);
    expect(&out, HEAD("text_completion") "{\"index\":0,\"text\":\"xc\",\"logprobs\":null,\"finish_"
                                         "reason\":null,"
                                         "\"token_ids\":[99,228],\"prompt_token_ids\":[120]}]}");
}

static void tokens_of_one_text_are_one_key(void **state)
{
    (void)state;
    set_head(PARAMS_COMPLETION, true, false);
    /* Two lone bytes are both shown as U+FFFD, but their bytes differ; the same token is the same. */
    static const struct reply_logprob same[] = {{'a', -0.5f}, {'a', -1.0f}};
    const struct answer_token token = {
        .token_id = 'a', .scored = true, .logprob = -0.5f, .top = same, .top_count = 2};
    struct answer_piece piece = {.text = "a", .text_bytes = 1, .tokens = &token, .token_count = 1};
    struct text_buffer out = buffer();
    answer_write_chunk(&out, &head, &piece, &usage);
    expect(&out,
           HEAD("text_completion") "{\"index\":0,\"text\":\"a\",\"logprobs\":{\"tokens\":[\"a\"],"
                                   "\"token_logprobs\":[-0.5],\"top_logprobs\":[{\"a\":-0.5}],"
                                   "\"text_offset\":[0]},\"finish_reason\":null}]}");
}

/* "Hm.", "Hi", f({"a"), g({}) */
static const char parsed[] = "Hm.Hif{\"a\"g{}";
static const struct answer_run runs[] = {
    {OUTPUT_REASONING, 0, 0, 3}, {OUTPUT_CONTENT, 0, 3, 2}, {OUTPUT_CALL, 0, 5, 1},
    {OUTPUT_ARGUMENTS, 0, 6, 4}, {OUTPUT_CALL, 1, 10, 1},   {OUTPUT_ARGUMENTS, 1, 11, 2},
};

static void a_whole_message_has_reasoning_and_calls(void **state)
{
    (void)state;
    set_head(PARAMS_CHAT, false, false);
    head.id_style = OUTPUT_ID_INDEX;
    struct answer_piece piece = {.text = parsed,
                                 .text_bytes = sizeof parsed - 1,
                                 .runs = runs,
                                 .run_count = 6,
                                 .finish_reason = "tool_calls"};
    struct text_buffer out = buffer();
    answer_write_whole(&out, &head, &piece, 1, &usage);
    expect(&out, HEAD("chat.completion") "{\"index\":0,\"message\":{\"role\":\"assistant\","
                                         "\"content\":\"Hi\",\"reasoning_content\":\"Hm.\","
                                         "\"tool_calls\":["
                                         "{\"id\":\"functions.f:0\",\"type\":\"function\","
                                         "\"function\":{\"name\":\"f\",\"arguments\":"
                                         "\"{\\\"a\\\"\"}},"
                                         "{\"id\":\"functions.g:1\",\"type\":\"function\","
                                         "\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}],"
                                         "\"refusal\":null},\"logprobs\":null,"
                                         "\"finish_reason\":\"tool_calls\"}],\"usage\":" USAGE "}");
    piece.runs = runs + 2;
    piece.run_count = 2;
    out = buffer();
    answer_write_whole(&out, &head, &piece, 1, &usage);
    assert_non_null(strstr(out.bytes, "\"content\":null,\"tool_calls\""));
    text_buffer_release(&out);
}

/* The delta of a chunk that has one run. */
static void expect_delta(const struct answer_run *run, const char *delta)
{
    struct answer_piece piece = {
        .text = parsed, .text_bytes = sizeof parsed - 1, .runs = run, .run_count = 1};
    struct text_buffer out = buffer();
    answer_write_chunk(&out, &head, &piece, &usage);
    const char *found = strstr(out.bytes, "\"delta\":");
    assert_non_null(found);
    assert_memory_equal(found + 8, delta, strlen(delta));
    text_buffer_release(&out);
}

static void a_chunk_has_one_kind_of_delta(void **state)
{
    (void)state;
    set_head(PARAMS_CHAT, false, false);
    head.id_style = OUTPUT_ID_INDEX;
    expect_delta(&runs[0], "{\"reasoning_content\":\"Hm.\"}");
    expect_delta(&runs[1], "{\"content\":\"Hi\"}");
    expect_delta(&runs[2], "{\"tool_calls\":[{\"index\":0,\"id\":\"functions.f:0\",\"type\":"
                           "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}");
    expect_delta(&runs[5], "{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":"
                           "\"{}\"}}]}");
}

/* The id of a call as a chunk says it. */
static void read_id(uint32_t choice, const struct answer_run *run, char id[64])
{
    struct answer_piece piece = {.index = choice,
                                 .text = parsed,
                                 .text_bytes = sizeof parsed - 1,
                                 .runs = run,
                                 .run_count = 1};
    struct text_buffer out = buffer();
    answer_write_chunk(&out, &head, &piece, &usage);
    const char *at = strstr(strstr(out.bytes, "tool_calls"), "\"id\":\"");
    assert_non_null(at);
    snprintf(id, 64, "%.*s", (int)strcspn(at + 6, "\""), at + 6);
    text_buffer_release(&out);
}

static void ids_differ_between_calls_and_stay_the_same_for_one(void **state)
{
    (void)state;
    set_head(PARAMS_CHAT, false, false);
    head.id_seed = 7;
    char ids[4][64];
    read_id(0, &runs[2], ids[0]);
    read_id(0, &runs[4], ids[1]);
    read_id(1, &runs[2], ids[2]);
    read_id(0, &runs[2], ids[3]);
    assert_string_equal(ids[0], ids[3]);
    assert_string_not_equal(ids[0], ids[1]);
    assert_string_not_equal(ids[0], ids[2]);
    assert_int_equal(strlen(ids[0]), strlen("call_") + 24);
    head.id_style = OUTPUT_ID_NINE;
    read_id(0, &runs[2], ids[0]);
    assert_int_equal(strlen(ids[0]), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_chunks_name_the_role_first_and_are_empty_at_the_end),
        cmocka_unit_test(completion_logprobs_are_four_arrays),
        cmocka_unit_test(chat_logprobs_carry_bytes),
        cmocka_unit_test(token_ids_leave_the_prompt_out),
        cmocka_unit_test(tokens_of_one_text_are_one_key),
        cmocka_unit_test(a_whole_message_has_reasoning_and_calls),
        cmocka_unit_test(a_chunk_has_one_kind_of_delta),
        cmocka_unit_test(ids_differ_between_calls_and_stay_the_same_for_one),
    };
    return cmocka_run_group_tests(tests, open_vocab, close_vocab);
}
