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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_chunks_name_the_role_first_and_are_empty_at_the_end),
        cmocka_unit_test(completion_logprobs_are_four_arrays),
        cmocka_unit_test(chat_logprobs_carry_bytes),
        cmocka_unit_test(token_ids_leave_the_prompt_out),
        cmocka_unit_test(tokens_of_one_text_are_one_key),
    };
    return cmocka_run_group_tests(tests, open_vocab, close_vocab);
}
