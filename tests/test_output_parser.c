/* test_output_parser.c - the cases of tests/golden/tool_calls: what a model wrote, and what a client
 * must get, whole, in single bytes, and cut in two at every place.
 *
 * A case has text (strings, and control tokens as objects), what is expected of it where that is not
 * nothing (content, reasoning, calls), and what differs from a plain chat with the tools of tools.json.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/output_rig.h"
#include "tests/support/small_vocab.h"

#include <dirent.h>

#define FOLDER "tests/golden/tool_calls"

/* One case, read. */
struct golden {
    const char *path;
    json_t *root;
    struct small_tokenizer opened;
    struct output_family family;
    struct output_setup setup;
    struct text_buffer text;
};

static const char *text_of(const struct golden *golden, const char *key)
{
    const char *text = json_string_value(json_object_get(golden->root, key));
    return text != NULL ? text : "";
}

static bool is_set(const struct golden *golden, const char *key)
{
    return json_is_true(json_object_get(golden->root, key));
}

static void add_control(struct small_vocab *vocab, const json_t *name)
{
    const char *text = json_string_value(name);
    if (text != NULL && small_vocab_id(vocab, text) == TOKEN_NONE) {
        small_vocab_add(vocab, text, SMALL_CONTROL, 0);
    }
}

/* A vocabulary in which the case's control tokens are such. */
static void open_vocab(struct golden *golden)
{
    struct small_vocab *vocab = small_vocab_byte_level("gpt-2");
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(golden->root, "text"), i, item)
    {
        add_control(vocab, json_object_get(item, "control"));
    }
    json_array_foreach(json_object_get(golden->root, "controls"), i, item)
    {
        add_control(vocab, item);
    }
    struct error error = {0};
    assert_int_equal(small_vocab_open(&golden->opened, vocab, &error), OK);
}

static void fill_text(struct golden *golden)
{
    text_buffer_init(&golden->text, 1u << 20);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(golden->root, "text"), i, item)
    {
        const char *control = json_string_value(json_object_get(item, "control"));
        if (control != NULL) {
            text_buffer_printf(&golden->text, "%c%s%c", OUTPUT_CONTROL_OPEN, control,
                               OUTPUT_CONTROL_CLOSE);
        } else {
            text_buffer_append_text(&golden->text, json_string_value(item));
        }
    }
    assert_false(golden->text.failed);
}

static void open_golden(struct golden *golden, const char *path)
{
    *golden = (struct golden){.path = path};
    json_error_t why;
    golden->root = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (golden->root == NULL) {
        fail_msg("%s: %s", path, why.text);
    }
    open_vocab(golden);
    fill_text(golden);
    struct error error = {0};
    const char *thinking = json_string_value(json_object_get(golden->root, "thinking"));
    assert_int_equal(output_family_choose(&golden->family, text_of(golden, "format"),
                                          thinking != NULL ? thinking : "none", "", 0,
                                          golden->opened.tokenizer, &error),
                     OK);
    json_t *tools = json_object_get(golden->root, "tools");
    if (tools == NULL) {
        tools = json_load_file(FOLDER "/tools.json", 0, NULL);
        assert_int_equal(json_object_set_new(golden->root, "tools", tools), 0);
    }
    golden->setup = (struct output_setup){
        .family = &golden->family,
        .tools = json_is_array(tools) ? tools : NULL,
        .reasoning_open = is_set(golden, "reasoning_open"),
        .one_call = is_set(golden, "one_call"),
        .forced = is_set(golden, "forced"),
        .show_control = is_set(golden, "show_control"),
    };
}

static void close_golden(struct golden *golden)
{
    small_vocab_close(&golden->opened);
    text_buffer_release(&golden->text);
    json_decref(golden->root);
}

static void expect_text(const struct golden *golden, const struct text_buffer *got,
                        const char *expected, const char *what)
{
    const char *text = got->bytes != NULL ? got->bytes : "";
    if (strcmp(text, expected) != 0) {
        fail_msg("%s: %s is\n%s\nnot\n%s", golden->path, what, text, expected);
    }
}

static void expect_outcome(const struct golden *golden, const struct output_outcome *outcome)
{
    const json_t *calls = json_object_get(golden->root, "calls");
    expect_text(golden, &outcome->content, text_of(golden, "content"), "content");
    expect_text(golden, &outcome->reasoning, text_of(golden, "reasoning"), "reasoning");
    if (outcome->call_count != json_array_size(calls)) {
        fail_msg("%s: %zu calls, not %zu", golden->path, outcome->call_count,
                 json_array_size(calls));
    }
    for (size_t i = 0; i < outcome->call_count; i++) {
        const json_t *call = json_array_get(calls, i);
        expect_text(golden, &outcome->names[i], json_string_value(json_object_get(call, "name")),
                    "a name");
        expect_text(golden, &outcome->arguments[i],
                    json_string_value(json_object_get(call, "arguments")), "an argument");
    }
    const struct output_account *account = &outcome->account;
    size_t accounted = account->text + account->arguments + account->markup;
    if (!golden->setup.one_call && accounted != golden->text.byte_count) {
        fail_msg("%s: %zu of %zu bytes are accounted for", golden->path, accounted,
                 golden->text.byte_count);
    }
}

static size_t one(void *context)
{
    (void)context;
    return 1;
}

/* The first piece only. */
static size_t first(void *context)
{
    size_t *length = context;
    size_t piece = *length;
    *length = 0;
    return piece;
}

static void run_case(const char *path)
{
    struct golden golden;
    open_golden(&golden, path);
    bool truncated = is_set(&golden, "truncated");
    for (size_t cut = 0; cut <= golden.text.byte_count; cut++) {
        size_t length = cut;
        struct output_outcome outcome;
        output_rig_run(&outcome, golden.setup, golden.text.bytes, golden.text.byte_count, truncated,
                       cut == 0 ? one : first, &length);
        expect_outcome(&golden, &outcome);
        output_rig_release(&outcome);
    }
    close_golden(&golden);
}

/* Returns how many cases there were. */
static size_t run_folder(const char *format)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", FOLDER, format);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    size_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (strstr(entry->d_name, ".json") != NULL) {
            snprintf(path, sizeof path, "%s/%s/%s", FOLDER, format, entry->d_name);
            run_case(path);
            count++;
        }
    }
    closedir(folder);
    return count;
}

static void every_golden_case_holds_however_it_is_cut(void **state)
{
    (void)state;
    static const char *const formats[] = {"hermes",  "qwen3_coder", "seed_oss", "glm45",   "llama3",
                                          "mistral", "deepseek",    "kimi_k2",  "harmony", "none"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        assert_true(run_folder(formats[i]) > 0);
    }
}

struct arrival {
    const char *text; /* what has been given of the arguments */
    size_t byte_count;
};

static void note_arguments(void *context, enum output_kind kind, const char *bytes,
                           size_t byte_count)
{
    struct arrival *arrival = context;
    (void)bytes;
    arrival->byte_count += kind == OUTPUT_ARGUMENTS ? byte_count : 0;
}

/* After each byte of the arguments, that byte has been given out. */
static void expect_no_delay(const char *format, const char *header, const char *arguments)
{
    struct output_family family;
    struct error error = {0};
    assert_int_equal(output_family_choose(&family, format, "none", "", 0, NULL, &error), OK);
    json_t *tools = json_loads("[{\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":"
                               "{\"s\":{\"type\":\"string\"}}}}}]",
                               0, NULL);
    struct arrival arrival = {0};
    const struct output_setup setup = {
        .family = &family, .tools = tools, .take = note_arguments, .take_context = &arrival};
    struct output_parser *parser = output_parser_open(&setup);
    assert_non_null(parser);
    output_parser_feed(parser, header, strlen(header));
    for (size_t i = 0; arguments[i] != '\0'; i++) {
        size_t before = arrival.byte_count;
        output_parser_feed(parser, arguments + i, 1);
        if (arrival.byte_count == before) {
            fail_msg("%s: byte %zu of %s was held back", format, i, arguments);
        }
    }
    output_parser_close(parser);
    json_decref(tools);
}

static void arguments_are_given_out_as_they_come(void **state)
{
    (void)state;
    static const char arguments[] = "{\"s\": \"a \\\" b\", \"n\": [1, 2.5, {}]}";
    expect_no_delay("hermes", "<tool_call>{\"name\": \"f\", \"arguments\": ", arguments);
    expect_no_delay("llama3", "{\"name\": \"f\", \"parameters\": ", arguments);
    expect_no_delay("mistral", "[TOOL_CALLS]f[ARGS]", arguments);
    expect_no_delay("qwen3_coder", "<tool_call><function=f><parameter=s>", "words come one by one");
    expect_no_delay("glm45", "<tool_call>f<arg_key>s</arg_key><arg_value>",
                    "words come one by one");
}

/* Work per byte does not grow with what has been fed: a long answer would show it. */
static void long_answers_take_linear_time(void **state)
{
    (void)state;
    static const char *const texts[] = {" ", "<", "<tool_call>", "<tool_call>{",
                                        "{\"name\": \"f\", "};
    struct output_family family;
    struct error error = {0};
    assert_int_equal(output_family_choose(&family, "hermes", "think", "", 0, NULL, &error), OK);
    json_t *tools = json_loads("[{\"function\":{\"name\":\"f\"}}]", 0, NULL);
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
        struct arrival arrival = {0};
        const struct output_setup setup = {
            .family = &family, .tools = tools, .take = note_arguments, .take_context = &arrival};
        struct output_parser *parser = output_parser_open(&setup);
        for (size_t i = 0; i < 200000; i++) {
            output_parser_feed(parser, texts[t], strlen(texts[t]));
        }
        output_parser_finish(parser, false);
        const struct output_account *account = output_parser_account(parser);
        assert_int_equal(account->text + account->markup + account->arguments, account->fed);
        output_parser_close(parser);
    }
    json_decref(tools);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_golden_case_holds_however_it_is_cut),
        cmocka_unit_test(arguments_are_given_out_as_they_come),
        cmocka_unit_test(long_answers_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
