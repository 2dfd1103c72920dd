/* test_output_family.c - which template is of which family, in what form it wants calls, and how a
 * demanded call is begun. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "configs/config.h"
#include "server/chat_style.h"
#include "server/output/output_parser.h"
#include "tests/support/small_vocab.h"

/* Published templates and what they must be taken for. */
static const struct known {
    const char *template_name;
    const char *format;
    const char *thinking;
    bool string_arguments;
    bool empty_content;
} known[] = {
    {"Qwen-Qwen2.5-7B-Instruct", "hermes", "none", false, false},
    {"Qwen-Qwen3-0.6B", "hermes", "think", false, true},
    {"Qwen-QwQ-32B", "hermes", "think", false, true},
    {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "hermes", "none", false, false},
    {"Qwen3-Coder", "qwen3_coder", "none", false, false},
    {"Qwen3.5-4B", "qwen3_coder", "think", false, false},
    {"NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "qwen3_coder", "think", false, false},
    {"ByteDance-Seed-OSS", "seed_oss", "seed_oss", false, false},
    {"meta-llama-Llama-3.2-3B-Instruct", "llama3", "none", false, false},
    {"meta-llama-Llama-3.3-70B-Instruct", "llama3", "none", false, false},
    {"Mistral-Small-3.2-24B-Instruct-2506", "mistral", "none", false, false},
    {"mistralai-Ministral-3-14B-Reasoning-2512", "mistral", "mistral", false, true},
    {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "deepseek", "think", true, false},
    {"deepseek-ai-DeepSeek-V3.1", "deepseek", "think", false, false},
    {"llama-cpp-deepseek-r1", "deepseek", "think", false, false},
    {"moonshotai-Kimi-K2", "kimi_k2", "none", false, false},
    {"GLM-4.7-Flash", "glm45", "think", false, false},
    {"ort-gpt-oss", "harmony", "harmony", false, false},
    {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", "none", "cohere", false, false},
    {"google-gemma-2-2b-it", "none", "none", false, false},
    {"hub-classic-23-llama3-instruct", "none", "none", false, false},
    {"microsoft-Phi-3.5-mini-instruct", "none", "none", false, false},
};

static char *read_template(const char *folder, const char *name, size_t *byte_count)
{
    char path[512];
    snprintf(path, sizeof path, "%s/templates/jinja/%s.jinja", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s: cannot be opened", path);
        return NULL;
    }
    char *text = malloc(1u << 20);
    assert_non_null(text);
    *byte_count = fread(text, 1, 1u << 20, file);
    fclose(file);
    return text;
}

static void expect_known(const char *folder, const struct known *row)
{
    size_t byte_count = 0;
    char *text = read_template(folder, row->template_name, &byte_count);
    struct output_family family;
    struct error error = {0};
    assert_int_equal(output_family_choose(&family, "auto", "auto", text, byte_count, NULL, &error),
                     OK);
    struct chat_template *chat_template = NULL;
    assert_int_equal(chat_template_open(&chat_template, text, byte_count, &error), OK);
    struct chat_style style = chat_style_judge(chat_template);
    chat_template_close(chat_template);
    free(text);
    if (strcmp(output_family_format_name(&family), row->format) != 0 ||
        strcmp(output_family_thinking_name(&family), row->thinking) != 0 ||
        style.string_arguments != row->string_arguments ||
        style.empty_content != row->empty_content) {
        fail_msg("%s: %s, %s, %d, %d", row->template_name, output_family_format_name(&family),
                 output_family_thinking_name(&family), style.string_arguments, style.empty_content);
    }
}

static void published_templates_are_recognised(void **state)
{
    (void)state;
    const char *folder = test_data_folder();
    if (folder == NULL) {
        skip();
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        expect_known(folder, &known[i]);
    }
}

static void choose(struct output_family *family, const char *format, const char *thinking,
                   const char *template_text)
{
    struct error error = {0};
    assert_int_equal(output_family_choose(family, format, thinking, template_text,
                                          strlen(template_text), NULL, &error),
                     OK);
}

static void a_setting_wins_over_the_template(void **state)
{
    (void)state;
    struct output_family family;
    choose(&family, "mistral", "none", "<tool_call> \"name\" </think>");
    assert_string_equal(output_family_format_name(&family), "mistral");
    assert_string_equal(output_family_thinking_name(&family), "none");
    choose(&family, "none", "auto", "<tool_call> \"name\" </think>");
    assert_string_equal(output_family_format_name(&family), "none");
    assert_string_equal(output_family_thinking_name(&family), "think");
    assert_false(output_family_has_calls(&family));
    assert_true(output_family_is_needed(&family, false));
}

static char *no_variable(const char *name)
{
    (void)name;
    return NULL;
}

/* Every word that the settings take is a row of the tables. */
static void expect_setting(const char *flag, const char *word, bool of_calls)
{
    char program[] = "sluiced";
    char *arguments[] = {program, (char *)(uintptr_t)flag, (char *)(uintptr_t)word};
    struct config config;
    struct error error = {0};
    assert_int_equal(config_load(&config, 3, arguments, no_variable, &error), OK);
    struct output_family family;
    choose(&family, config.tool_parser, of_calls ? "none" : config.reasoning_parser, "");
    assert_string_equal(
        of_calls ? output_family_format_name(&family) : output_family_thinking_name(&family), word);
    config_release(&config);
}

static void settings_and_tables_have_the_same_names(void **state)
{
    (void)state;
    static const char *const formats[] = {"none",    "hermes",   "qwen3_coder", "llama3",
                                          "mistral", "deepseek", "harmony",     "glm45",
                                          "kimi_k2", "seed_oss"};
    static const char *const thinkings[] = {"none",    "think",    "mistral",
                                            "harmony", "seed_oss", "cohere"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        expect_setting("--tool-parser", formats[i], true);
    }
    for (size_t i = 0; i < sizeof thinkings / sizeof thinkings[0]; i++) {
        expect_setting("--reasoning-parser", thinkings[i], false);
    }
}

static void channels_need_their_own_format(void **state)
{
    (void)state;
    struct output_family family;
    struct error error = {0};
    choose(&family, "none", "harmony", "");
    assert_false(output_family_has_calls(&family));
    assert_true(output_family_is_needed(&family, false));
    assert_string_equal(output_family_format_name(&family), "none");
    assert_int_equal(output_family_choose(&family, "hermes", "harmony", "", 0, NULL, &error),
                     ERR_INVALID);
    assert_non_null(strstr(error.message, "hermes"));
}

static void the_end_of_the_prompt_says_whether_reasoning_is_open(void **state)
{
    (void)state;
    struct output_family family;
    choose(&family, "none", "think", "");
    static const char open[] = "<|assistant|>\n<think>\n";
    static const char closed[] = "<think>\n\n</think>\n\n";
    static const char asked[] = "What is <think>?<|assistant|>";
    assert_true(output_family_opens_reasoning(&family, open, sizeof open - 1));
    assert_false(output_family_opens_reasoning(&family, closed, sizeof closed - 1));
    assert_false(output_family_opens_reasoning(&family, asked, sizeof asked - 1));
    assert_true(output_family_left_open(&family, "<think>One, two", 15));
    assert_false(output_family_left_open(&family, closed, sizeof closed - 1));
    assert_false(output_family_left_open(&family, "", 0));
    choose(&family, "none", "none", "");
    assert_false(output_family_opens_reasoning(&family, open, sizeof open - 1));
}

struct seen {
    char name[64];
    char arguments[256];
};

static void see(void *context, enum output_kind kind, const char *bytes, size_t byte_count)
{
    struct seen *seen = context;
    char *to = kind == OUTPUT_CALL ? seen->name : seen->arguments;
    if (kind == OUTPUT_CALL || kind == OUTPUT_ARGUMENTS) {
        strncat(to, bytes, byte_count);
    }
}

/* Once the beginning has been fed, the parser is inside the call. */
static void expect_begun(const char *format, const char *template_text, const char *rest)
{
    struct output_family family;
    choose(&family, format, "none", template_text);
    struct text_buffer begin;
    struct text_buffer encoded;
    text_buffer_init(&begin, 4096);
    text_buffer_init(&encoded, 4096);
    output_family_write_call(&family, "get", &begin);
    output_family_encode(&family, begin.bytes, begin.byte_count, &encoded);
    json_t *tools = json_loads("[{\"function\":{\"name\":\"get\"}},{\"function\":{\"name\":"
                               "\"get_all\"}}]",
                               0, NULL);
    struct seen seen = {0};
    const struct output_setup setup = {
        .family = &family, .tools = tools, .forced = true, .take = see, .take_context = &seen};
    struct output_parser *parser = output_parser_open(&setup);
    output_parser_feed(parser, encoded.bytes, encoded.byte_count);
    output_parser_feed(parser, rest, strlen(rest));
    output_parser_finish(parser, false);
    if (strcmp(seen.name, "get") != 0 || strcmp(seen.arguments, "{\"a\": 1}") != 0) {
        fail_msg("%s: %s gave %s(%s)", format, begin.bytes, seen.name, seen.arguments);
    }
    output_parser_close(parser);
    json_decref(tools);
    text_buffer_release(&begin);
    text_buffer_release(&encoded);
}

static void a_demanded_call_is_begun_in_every_format(void **state)
{
    (void)state;
    expect_begun("hermes", "", "\"a\": 1}}\n</tool_call>");
    expect_begun("llama3", "", "\"a\": 1}}");
    expect_begun("mistral", "", "\"a\": 1}}]");
    expect_begun("mistral", "[ARGS]", "\"a\": 1}");
    expect_begun("deepseek", "", "\"a\": 1}");
    expect_begun("deepseek", "```json", "\"a\": 1}\n```");
    expect_begun("kimi_k2", "", "\"a\": 1}");
    expect_begun("harmony", "", "\"a\": 1}");
    expect_begun("qwen3_coder", "", "<parameter=a>\n1\n</parameter>\n</function>");
    expect_begun("seed_oss", "", "<parameter=a>1</parameter>\n</function>");
    expect_begun("glm45", "", "<arg_key>a</arg_key>\n<arg_value>1</arg_value></tool_call>");
}

static void marks_are_tokens_where_the_vocabulary_says_so(void **state)
{
    (void)state;
    struct small_vocab *vocab = small_vocab_byte_level("gpt-2");
    small_vocab_add(vocab, "[TOOL_CALLS]", SMALL_CONTROL, 0);
    small_vocab_add(vocab, "[ARGS]", SMALL_USER_DEFINED, 0);
    struct small_tokenizer opened;
    struct error error = {0};
    assert_int_equal(small_vocab_open(&opened, vocab, &error), OK);
    struct output_family family;
    assert_int_equal(
        output_family_choose(&family, "mistral", "none", "", 0, opened.tokenizer, &error), OK);
    assert_int_equal(family.marks[0].bytes[0], OUTPUT_CONTROL_OPEN);
    assert_int_equal(family.marks[0].byte_count, strlen("[TOOL_CALLS]") + 2);
    assert_memory_equal(family.marks[1].bytes, "[ARGS]", strlen("[ARGS]") + 1);
    small_vocab_close(&opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_templates_are_recognised),
        cmocka_unit_test(a_setting_wins_over_the_template),
        cmocka_unit_test(settings_and_tables_have_the_same_names),
        cmocka_unit_test(channels_need_their_own_format),
        cmocka_unit_test(the_end_of_the_prompt_says_whether_reasoning_is_open),
        cmocka_unit_test(a_demanded_call_is_begun_in_every_format),
        cmocka_unit_test(marks_are_tokens_where_the_vocabulary_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
