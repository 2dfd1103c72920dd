/* Every public chat template of the test data, in every context, against what Jinja2 printed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/chat/chat_template.h"

#include <jansson.h>

enum {
    /* The vectors were made at 2024-07-26 12:00:00. */
    VECTOR_SECONDS = 1721995200,
    PROMPT_BYTES_MAX = 1 << 24,
    MISMATCHES_SHOWN = 10
};

struct tally {
    size_t rendered;
    size_t refused;
    size_t wrong;
};

static char *read_file(const char *path, size_t *byte_count)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    char *bytes = malloc(1 << 22);
    assert_non_null(bytes);
    *byte_count = fread(bytes, 1, 1 << 22, file);
    fclose(file);
    return bytes;
}

static json_t *load_context(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/templates/contexts/%s.json", folder, name);
    return json_load_file(path, 0, NULL);
}

static void show_difference(const char *expected, const char *got)
{
    size_t same = 0;
    while (expected[same] != '\0' && expected[same] == got[same]) {
        same++;
    }
    size_t from = same > 40 ? same - 40 : 0;
    print_message("   at byte %zu\n   expected ...%.120s\n   got      ...%.120s\n", same,
                  expected + from, got + from);
}

/* Whether the outcome is the one the vector names: the text, or a failure whose message holds
 * the template's own words. */
static bool outcome_matches(const json_t *vector, enum status status, const char *text,
                            const struct error *err)
{
    const char *output = json_string_value(json_object_get(vector, "output"));
    if (output != NULL) {
        return status == OK && strcmp(output, text) == 0;
    }
    const char *kind = json_string_value(json_object_get(vector, "error"));
    const char *message = json_string_value(json_object_get(vector, "message"));
    if (status == OK) {
        return false;
    }
    return strcmp(kind, "TemplateError") != 0 ||
           (status == ERR_INVALID && strncmp(err->message, message, strlen(err->message)) == 0);
}

static void check_vector(const char *folder, const json_t *vector, struct tally *tally)
{
    const char *name = json_string_value(json_object_get(vector, "template"));
    const char *context_name = json_string_value(json_object_get(vector, "context"));
    char path[4096];
    snprintf(path, sizeof path, "%s/templates/jinja/%s", folder, name);
    size_t byte_count = 0;
    char *source = read_file(path, &byte_count);
    json_t *context = load_context(folder, context_name);
    assert_non_null(source);
    assert_non_null(context);
    struct chat_template *chat_template = NULL;
    struct text_buffer text;
    struct error err = {.status = OK};
    text_buffer_init(&text, PROMPT_BYTES_MAX);
    enum status status = chat_template_open(&chat_template, source, byte_count, &err);
    if (status == OK) {
        status = chat_template_render(chat_template, context, VECTOR_SECONDS, &text, &err);
    }
    const char *got = text.bytes != NULL ? text.bytes : "";
    bool right = outcome_matches(vector, status, got, &err);
    tally->rendered += right && status == OK;
    tally->refused += right && status != OK;
    if (!right && tally->wrong++ < MISMATCHES_SHOWN) {
        const char *output = json_string_value(json_object_get(vector, "output"));
        print_message("%s with %s: %s\n", name, context_name, status == OK ? "text" : err.message);
        if (output != NULL && status == OK) {
            show_difference(output, got);
        } else if (output == NULL) {
            print_message("   expected the error %s\n",
                          json_string_value(json_object_get(vector, "message")));
        }
    }
    text_buffer_release(&text);
    chat_template_close(chat_template);
    json_decref(context);
    free(source);
}

static void public_templates_render_as_jinja2_renders_them(void **state)
{
    (void)state;
    const char *folder = test_data_folder();
    if (folder == NULL) {
        skip();
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/templates/expected.jsonl", folder);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct tally tally = {0};
    size_t line = 0;
    for (;;) {
        json_t *vector = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
        if (vector == NULL) {
            break;
        }
        line++;
        check_vector(folder, vector, &tally);
        json_decref(vector);
    }
    fclose(file);
    print_message("%zu vectors: %zu rendered alike, %zu refused alike, %zu differ\n", line,
                  tally.rendered, tally.refused, tally.wrong);
    assert_true(line > 0);
    assert_int_equal(tally.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_templates_render_as_jinja2_renders_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
