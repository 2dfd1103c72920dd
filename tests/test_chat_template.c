/* Chat templates: what they print, what they refuse, and what a hostile one can cost.
 *
 * The golden files were rendered by Jinja2 3.1.6 set up as Hugging Face sets it up, at the time
 * below; language.json has one small template for each corner of the language.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "configs/limits.h"
#include "server/chat/chat_template.h"

#include <jansson.h>
#include <pthread.h>

#define GOLDEN_FOLDER "tests/golden/chat_template"

enum {
    NOW_SECONDS = 1721995200, /* 2024-07-26 12:00:00 UTC */
    FILE_BYTES_MAX = 1 << 20,
    PROMPT_BYTES_MAX = 1 << 27,
    /* An HTTP thread's stack is 8 MiB; hostile templates must do with far less. */
    SMALL_STACK_BYTES = 2 << 20
};

struct outcome {
    enum status status;
    bool loaded;
    struct text_buffer text;
    struct error err;
};

static struct outcome render_bytes(const char *source, size_t source_bytes, const json_t *context)
{
    struct outcome outcome = {.err = {.status = OK}};
    struct chat_template *chat_template = NULL;
    text_buffer_init(&outcome.text, PROMPT_BYTES_MAX);
    outcome.status = chat_template_open(&chat_template, source, source_bytes, &outcome.err);
    outcome.loaded = outcome.status == OK;
    if (outcome.loaded) {
        outcome.status =
            chat_template_render(chat_template, context, NOW_SECONDS, &outcome.text, &outcome.err);
    }
    chat_template_close(chat_template);
    return outcome;
}

static const char *text_of(const struct outcome *outcome)
{
    return outcome->text.bytes != NULL ? outcome->text.bytes : "";
}

static void expect_text(const char *source, const char *expected)
{
    json_t *context = json_object();
    struct outcome outcome = render_bytes(source, strlen(source), context);
    if (outcome.status != OK) {
        fail_msg("%s: %s", source, outcome.err.message);
    }
    assert_string_equal(text_of(&outcome), expected);
    text_buffer_release(&outcome.text);
    json_decref(context);
}

/* The template loads or not, and fails with a message that holds these words. */
static void expect_failure(const char *source, bool loads, enum status status, const char *words)
{
    json_t *context = json_object();
    struct outcome outcome = render_bytes(source, strlen(source), context);
    assert_int_equal(outcome.status, status);
    assert_int_equal(outcome.loaded, loads);
    if (strstr(outcome.err.message, words) == NULL) {
        fail_msg("'%.80s' says: %s\nwithout: %s", source, outcome.err.message, words);
    }
    assert_int_equal(outcome.text.byte_count, 0);
    text_buffer_release(&outcome.text);
    json_decref(context);
}

static char *read_golden(const char *name, const char *suffix, size_t *byte_count)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.%s", GOLDEN_FOLDER, name, suffix);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = malloc(FILE_BYTES_MAX);
    assert_non_null(bytes);
    *byte_count = fread(bytes, 1, FILE_BYTES_MAX, file);
    fclose(file);
    return bytes;
}

static json_t *load_golden_json(const char *name)
{
    size_t byte_count = 0;
    char *bytes = read_golden(name, "json", &byte_count);
    json_error_t why;
    json_t *json = json_loadb(bytes, byte_count, 0, &why);
    if (json == NULL) {
        fail_msg("%s: %s", name, why.text);
    }
    free(bytes);
    return json;
}

static void check_golden(const char *name)
{
    size_t source_bytes = 0;
    char *source = read_golden(name, "jinja", &source_bytes);
    json_t *cases = load_golden_json(name);
    assert_int_equal(json_array_size(cases), 5);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *golden = json_array_get(cases, i);
        struct outcome outcome =
            render_bytes(source, source_bytes, json_object_get(golden, "context"));
        const char *expected = json_string_value(json_object_get(golden, "output"));
        if (expected != NULL) {
            assert_int_equal(outcome.status, OK);
            assert_string_equal(text_of(&outcome), expected);
        } else {
            assert_int_equal(outcome.status, ERR_INVALID);
            assert_non_null(
                strstr(outcome.err.message, json_string_value(json_object_get(golden, "error"))));
        }
        text_buffer_release(&outcome.text);
    }
    json_decref(cases);
    free(source);
}

static void chatml_renders_as_jinja2_renders_it(void **state)
{
    (void)state;
    check_golden("chatml");
}

static void llama2_renders_as_jinja2_renders_it(void **state)
{
    (void)state;
    check_golden("llama2");
}

static void llama3_renders_as_jinja2_renders_it(void **state)
{
    (void)state;
    check_golden("llama3");
}

static void qwen_renders_as_jinja2_renders_it(void **state)
{
    (void)state;
    check_golden("qwen");
}

static void check_language_case(const json_t *golden, const json_t *context)
{
    const json_t *source = json_object_get(golden, "template");
    const char *expected = json_string_value(json_object_get(golden, "output"));
    const char *fails = json_string_value(json_object_get(golden, "fails"));
    struct outcome outcome =
        render_bytes(json_string_value(source), json_string_length(source), context);
    if (expected != NULL && outcome.status != OK) {
        fail_msg("%s: %s", json_string_value(source), outcome.err.message);
    }
    if (expected != NULL && strcmp(text_of(&outcome), expected) != 0) {
        fail_msg("%s\nprints  %s\ninstead %s", json_string_value(source), text_of(&outcome),
                 expected);
    }
    if (expected == NULL &&
        (outcome.status == OK || outcome.loaded != (strcmp(fails, "render") == 0))) {
        fail_msg("%s should fail to %s", json_string_value(source), fails);
    }
    text_buffer_release(&outcome.text);
}

static void every_corner_of_the_language_agrees_with_jinja2(void **state)
{
    (void)state;
    json_t *golden = load_golden_json("language");
    const json_t *cases = json_object_get(golden, "cases");
    assert_true(json_array_size(cases) > 800);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        check_language_case(json_array_get(cases, i), json_object_get(golden, "context"));
    }
    json_decref(golden);
}

static void syntax_errors_name_line_and_column(void **state)
{
    (void)state;
    expect_failure("a\nb {{ x ! }}", false, ERR_FORMAT, "line 2 column 8: unexpected character");
    expect_failure("{% if x %}\n\n", false, ERR_FORMAT, "expected 'elif', found the end");
    expect_failure("\xc3\xa9\xc3\xa9 {% endif %}", false, ERR_FORMAT,
                   "line 1 column 7: expected a statement, found 'endif'");
    expect_failure("{{ 'a }}", false, ERR_FORMAT, "line 1 column 4: the string is not closed");
    expect_failure("x\n {# never closed", false, ERR_FORMAT, "line 2 column 2: the comment");
    expect_failure("{{ (1] }}", false, ERR_FORMAT, "line 1 column 6: unexpected ']'");
    expect_failure("{{ 99999999999999999999 }}", false, ERR_UNSUPPORTED, "the number is too large");
    expect_failure("{{ '\xff' }}", false, ERR_FORMAT, "byte 4 is not UTF-8");
}

static void runtime_errors_name_line_and_column(void **state)
{
    (void)state;
    expect_failure("\n{{ 1 }}\n  {{ nobody.name }}", true, ERR_INVALID,
                   "line 3 column 12: 'nobody' is undefined");
    expect_failure("{% for a in [1] %}\n{{ a.b.c }}{% endfor %}", true, ERR_INVALID,
                   "line 2 column 7: 'int object' has no attribute 'b'");
    expect_failure("{{ 'a' + 1 }}", true, ERR_INVALID,
                   "can only concatenate str (not \"int\") to str");
    expect_failure("{{ 9223372036854775807 + 1 }}", true, ERR_INVALID, "64 bits");
}

static void unknown_filters_and_tests_fail_at_load(void **state)
{
    (void)state;
    expect_failure("{{ 1 | nosuch }}", false, ERR_UNSUPPORTED, "no filter named 'nosuch'");
    expect_failure("{{ 1 is nosuch }}", false, ERR_UNSUPPORTED, "no test named 'nosuch'");
    expect_failure("{{ nosuch() }}", true, ERR_INVALID, "'nosuch' is undefined");
}

static void guarded_unknown_filters_fail_only_when_reached(void **state)
{
    (void)state;
    expect_text("{% if false %}{{ 1 | nosuch }}{% endif %}ok", "ok");
    expect_failure("{% if true %}{{ 1 | nosuch }}{% endif %}", true, ERR_INVALID,
                   "No filter named 'nosuch' found.");
}

static void templates_cannot_reach_other_files(void **state)
{
    (void)state;
    expect_failure("{% include 'x' %}", false, ERR_UNSUPPORTED, "cannot use 'include'");
    expect_failure("{% import 'x' as y %}", false, ERR_UNSUPPORTED, "cannot use 'import'");
    expect_failure("{% from 'x' import y %}", false, ERR_UNSUPPORTED, "cannot use 'from'");
    expect_failure("{% extends 'x' %}", false, ERR_UNSUPPORTED, "cannot use 'extends'");
}

static void attributes_of_the_engine_are_undefined(void **state)
{
    (void)state;
    expect_text("{{ ''.__class__ is defined }}{{ {}['__init__'] is defined }}"
                "{{ range.__globals__ is defined }}{{ {}.constructor is defined }}",
                "FalseFalseFalseFalse");
    expect_failure("{{ ''.__class__.__mro__ }}", true, ERR_INVALID, "'__class__'");
    expect_failure("{{ [].append(1) }}", true, ERR_INVALID,
                   "'append' of list object is not allowed");
    expect_failure("{{ {}.update({}) }}", true, ERR_INVALID, "'update'");
    expect_failure("{{ '{0.__class__}'.format(1) }}", true, ERR_INVALID, "no argument for field");
}

static void raise_exception_gives_exactly_the_message(void **state)
{
    (void)state;
    json_t *context = json_object();
    const char *source = "{{ raise_exception('Roles must\\nalternate: ' ~ 2) }}";
    struct outcome outcome = render_bytes(source, strlen(source), context);
    assert_int_equal(outcome.status, ERR_INVALID);
    assert_string_equal(outcome.err.message, "Roles must alternate: 2");
    text_buffer_release(&outcome.text);
    source = "{{ raise_exception('\xc3\xa9' * 100000) }}";
    outcome = render_bytes(source, strlen(source), context);
    assert_int_equal(outcome.status, ERR_INVALID);
    assert_int_equal(strlen(outcome.err.message), ERROR_MESSAGE_BYTES - 2); /* whole letters */
    text_buffer_release(&outcome.text);
    json_decref(context);
}

static void failing_renders_leave_the_buffer_as_it_was(void **state)
{
    (void)state;
    static const char source[] = "text {{ raise_exception('no') }}";
    struct chat_template *chat_template = NULL;
    struct error err;
    struct text_buffer text;
    json_t *context = json_object();
    text_buffer_init(&text, 100);
    assert_true(text_buffer_append_text(&text, "before"));
    assert_int_equal(chat_template_open(&chat_template, source, sizeof source - 1, &err), OK);
    assert_int_equal(chat_template_render(chat_template, context, 0, &text, &err), ERR_INVALID);
    assert_string_equal(text.bytes, "before");
    chat_template_close(chat_template);
    text_buffer_release(&text);
    json_decref(context);
}

static void prompts_longer_than_the_buffer_are_refused(void **state)
{
    (void)state;
    static const char source[] = "{{ 'abc' * 10 }}";
    struct chat_template *chat_template = NULL;
    struct error err;
    struct text_buffer text;
    json_t *context = json_object();
    text_buffer_init(&text, 20);
    assert_int_equal(chat_template_open(&chat_template, source, sizeof source - 1, &err), OK);
    assert_int_equal(chat_template_render(chat_template, context, 0, &text, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "longer than 20 bytes"));
    chat_template_close(chat_template);
    text_buffer_release(&text);
    json_decref(context);
}

static void content_with_template_syntax_is_data(void **state)
{
    (void)state;
    json_t *context = json_pack("{s:s}", "c", "{{ 1 + 1 }}{% raw %}{# x #}");
    const char *source = "{{ c }}{{ c | upper }}";
    struct outcome outcome = render_bytes(source, strlen(source), context);
    assert_string_equal(text_of(&outcome),
                        "{{ 1 + 1 }}{% raw %}{# x #}{{ 1 + 1 }}{% RAW %}{# X #}");
    text_buffer_release(&outcome.text);
    json_decref(context);
}

static void endless_work_meets_the_step_budget(void **state)
{
    (void)state;
    const char *loops = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}"
                        "{% endfor %}";
    expect_failure(loops, true, ERR_INVALID, "steps");
    expect_failure("{{ range(10**9) }}", true, ERR_INVALID, "range() of more than 100000");
    expect_failure("{{ range(-9223372036854775807, 9223372036854775807) }}", true, ERR_INVALID,
                   "range() of more than 100000");
    expect_failure(
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}"
        "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x == ns.x | list }}{{ ns.x | tojson }}",
        true, ERR_INVALID, "");
}

static void huge_texts_meet_the_memory_budget(void **state)
{
    (void)state;
    expect_failure("{{ 'a' * 10**12 }}", true, ERR_INVALID, "rendering takes more than");
    expect_failure("{{ ('a' * 10**6) * 10**6 }}", true, ERR_INVALID, "rendering takes more than");
    expect_failure("{{ 'aa' * 9223372036854775807 }}", true, ERR_INVALID, "rendering takes");
    expect_failure("{{ [1] * 10**9 }}", true, ERR_INVALID, "rendering takes more than");
    expect_failure("{{ '' | center(10**15) }}", true, ERR_INVALID, "rendering takes more than");
    expect_failure("{{ 'x'.ljust(10**15, '\xc3\xa9') }}", true, ERR_INVALID, "rendering takes");
    expect_failure("{{ '%999999999d' % 1 }}", true, ERR_INVALID, "more than 10000 characters");
    expect_failure("{{ '{:999999999}'.format(1) }}", true, ERR_INVALID, "more than 10000");
    expect_failure("{% set ns = namespace(x='ab') %}{% for i in range(100) %}"
                   "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
                   true, ERR_INVALID, "rendering takes more than");
    expect_failure("{% set ns = namespace(x='ab') %}{% for i in range(100) %}"
                   "{% set ns.x = ns.x.replace('a', 'aa') | join(ns.x) %}{% endfor %}",
                   true, ERR_INVALID, "rendering takes more than");
    expect_failure("{{ 1 | tojson(indent=10**15) }}", true, ERR_INVALID, "rendering takes");
}

static void endless_output_meets_the_output_budget(void **state)
{
    (void)state;
    expect_failure("{% set x = 'abcdefgh' * 8192 %}{% for i in range(2000) %}{{ x }}{% endfor %}",
                   true, ERR_INVALID, "the prompt is longer than 67108864 bytes");
}

static void text_collected_in_a_loop_costs_its_length(void **state)
{
    (void)state;
    /* Copying on every turn would take 40 GB. */
    expect_text("{% set ns = namespace(x='') %}{% set line = 'abcdefghij' * 10 %}"
                "{% for i in range(30000) %}{% set ns.x = ns.x + line %}{% endfor %}"
                "{{ ns.x | length }}",
                "3000000");
}

static void strftime_takes_any_format(void **state)
{
    (void)state;
    expect_text("{{ strftime_now('%Y-%m-%d %H:%M:%S %') }}", "2024-07-26 12:00:00 %");
    expect_text("{{ strftime_now('%%%%%Q%-d%-') }}", "%%%Q26%-");
    expect_text("{{ strftime_now('%E%O%+%99999d') }}", "%E%O%+%99999d");
    expect_text("{{ strftime_now('') }}|", "|");
    expect_text("{{ strftime_now('%c' * 1000) | length }}", "24000");
}

/* prefix repeated, the middle, suffix repeated. */
static char *nested(const char *prefix, const char *middle, const char *suffix, size_t times)
{
    size_t capacity = (strlen(prefix) + strlen(suffix)) * times + strlen(middle) + 16;
    char *source = malloc(capacity);
    assert_non_null(source);
    size_t count = 0;
    for (size_t i = 0; i < times; i++) {
        count += (size_t)snprintf(source + count, capacity - count, "%s", prefix);
    }
    count += (size_t)snprintf(source + count, capacity - count, "%s", middle);
    for (size_t i = 0; i < times; i++) {
        count += (size_t)snprintf(source + count, capacity - count, "%s", suffix);
    }
    return source;
}

static void expect_nested_failure(const char *prefix, const char *middle, const char *suffix,
                                  bool loads, enum status status, const char *words)
{
    char *source = nested(prefix, middle, suffix, 100000);
    char *short_source = nested(prefix, middle, suffix, 15000);
    expect_failure(strlen(source) <= LIMIT_TEMPLATE_BYTES ? source : short_source, loads, status,
                   words);
    free(source);
    free(short_source);
}

static void *render_deep_templates(void *unused)
{
    (void)unused;
    expect_nested_failure("{{", "(", "(", false, ERR_UNSUPPORTED, "brackets nest more than 200");
    expect_nested_failure("{%if x%}", "", "{%endif%}", false, ERR_UNSUPPORTED, "nested more than");
    expect_nested_failure("{%for x in y%}", "", "{%endfor%}", false, ERR_UNSUPPORTED, "nested");
    expect_failure("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", true, ERR_INVALID,
                   "more than");
    expect_failure("{% macro f(n) %}{% if n %}{% for i in [1] %}{{ g([n]) }}{% endfor %}{% endif %}"
                   "{% endmacro %}{% macro g(n) %}{{ f(n) | upper }}{% endmacro %}{{ g(1) }}",
                   true, ERR_INVALID, "more than");
    expect_failure("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", true, ERR_INVALID,
                   "more than");
    expect_failure("{% macro f() %}{{ [1] | map('string') | join(f(*[])) }}{% endmacro %}{{ f() }}",
                   true, ERR_INVALID, "more than");
    expect_failure("{% set ns = namespace(x=[]) %}{% for i in range(50000) %}"
                   "{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
                   true, ERR_INVALID, "nested more than 200");
    expect_failure("{% set ns = namespace(x=[]) %}{% for i in range(50000) %}"
                   "{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson }}",
                   true, ERR_INVALID, "nested more than 200");
    expect_failure("{% set ns = namespace(x=[], y=[]) %}{% for i in range(50000) %}"
                   "{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
                   true, ERR_INVALID, "nested more than 200");
    expect_failure("{% set ns = namespace(x=()) %}{% for i in range(50000) %}"
                   "{% set ns.x = (ns.x,) %}{% endfor %}{{ {ns.x: 1} }}",
                   true, ERR_INVALID, "nested too deeply");
    expect_failure("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}", true, ERR_INVALID,
                   "nested more than 200");
    return NULL;
}

static void *render_long_chains(void *unused)
{
    (void)unused;
    const struct {
        const char *link;
        const char *words;
    } chains[] = {
        {"not ", "nested more than 200"}, {"- ", "nested more than 200"},
        {"1 + ", "evaluation nests"},     {"1 and ", "evaluation nests"},
        {"0 or ", "evaluation nests"},    {"1 ** ", "evaluation nests"},
        {"1 if 0 else ", "nested more"},
    };
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        char *chain = nested(chains[i].link, "1 }}", "", 50000);
        size_t capacity = strlen(chain) + 8;
        char *source = malloc(capacity);
        assert_non_null(source);
        snprintf(source, capacity, "{{ %s", chain);
        bool at_load = strstr(chains[i].words, "nested") != NULL;
        expect_failure(source, !at_load, at_load ? ERR_UNSUPPORTED : ERR_INVALID, chains[i].words);
        free(source);
        free(chain);
    }
    char *filters = nested("", "{{ 'a'", "|trim", 100000);
    char *source = malloc(strlen(filters) + 8);
    assert_non_null(source);
    snprintf(source, strlen(filters) + 8, "%s }}", filters);
    expect_failure(source, true, ERR_INVALID, "evaluation nests");
    free(source);
    free(filters);
    return NULL;
}

static void run_on_small_stack(void *(*body)(void *))
{
    pthread_t thread;
    pthread_attr_t attributes;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, SMALL_STACK_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attributes, body, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attributes);
}

static void deep_nesting_is_refused_on_a_small_stack(void **state)
{
    (void)state;
    run_on_small_stack(render_deep_templates);
}

static void long_chains_are_refused_on_a_small_stack(void **state)
{
    (void)state;
    run_on_small_stack(render_long_chains);
}

static void macros_may_recurse_as_far_as_schemas_nest(void **state)
{
    (void)state;
    expect_text("{% macro f(n) %}{% if n > 0 %}{% for i in [1] %}{% if true %}{{ f(n - 1) }}"
                "{% endif %}{% endfor %}{% else %}bottom{% endif %}{% endmacro %}{{ f(60) }}",
                "bottom");
}

static void deeply_nested_context_is_refused(void **state)
{
    (void)state;
    json_t *inner = json_array();
    for (size_t i = 0; i < 1000; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, inner);
        inner = outer;
    }
    json_t *context = json_object();
    json_object_set_new(context, "x", inner);
    struct outcome outcome = render_bytes("{{ x }}", 7, context);
    assert_int_equal(outcome.status, ERR_INVALID);
    assert_non_null(strstr(outcome.err.message, "the context is nested more than 200 deep"));
    text_buffer_release(&outcome.text);
    json_decref(context);
}

struct shared_render {
    const struct chat_template *chat_template;
    const json_t *context;
    const char *expected;
};

static void *render_repeatedly(void *argument)
{
    const struct shared_render *shared = argument;
    for (size_t i = 0; i < 50; i++) {
        struct text_buffer text;
        struct error err;
        text_buffer_init(&text, PROMPT_BYTES_MAX);
        assert_int_equal(
            chat_template_render(shared->chat_template, shared->context, NOW_SECONDS, &text, &err),
            OK);
        assert_string_equal(text.bytes, shared->expected);
        text_buffer_release(&text);
    }
    return NULL;
}

static void one_template_renders_in_many_threads(void **state)
{
    (void)state;
    size_t source_bytes = 0;
    struct error err;
    struct chat_template *chat_template = NULL;
    char *source = read_golden("qwen", "jinja", &source_bytes);
    json_t *cases = load_golden_json("qwen");
    const json_t *golden = json_array_get(cases, 2);
    assert_int_equal(chat_template_open(&chat_template, source, source_bytes, &err), OK);
    struct shared_render shared = {
        .chat_template = chat_template,
        .context = json_object_get(golden, "context"),
        .expected = json_string_value(json_object_get(golden, "output")),
    };
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, render_repeatedly, &shared), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    chat_template_close(chat_template);
    json_decref(cases);
    free(source);
}

/* M-35 */
static void templates_over_the_size_limit_are_refused(void **state)
{
    (void)state;
    char *source = nested("a", "", "", LIMIT_TEMPLATE_BYTES + 1);
    expect_failure(source, false, ERR_UNSUPPORTED, "the limit is 1048576");
    free(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chatml_renders_as_jinja2_renders_it),
        cmocka_unit_test(llama2_renders_as_jinja2_renders_it),
        cmocka_unit_test(llama3_renders_as_jinja2_renders_it),
        cmocka_unit_test(qwen_renders_as_jinja2_renders_it),
        cmocka_unit_test(every_corner_of_the_language_agrees_with_jinja2),
        cmocka_unit_test(syntax_errors_name_line_and_column),
        cmocka_unit_test(runtime_errors_name_line_and_column),
        cmocka_unit_test(unknown_filters_and_tests_fail_at_load),
        cmocka_unit_test(guarded_unknown_filters_fail_only_when_reached),
        cmocka_unit_test(templates_cannot_reach_other_files),
        cmocka_unit_test(attributes_of_the_engine_are_undefined),
        cmocka_unit_test(raise_exception_gives_exactly_the_message),
        cmocka_unit_test(failing_renders_leave_the_buffer_as_it_was),
        cmocka_unit_test(prompts_longer_than_the_buffer_are_refused),
        cmocka_unit_test(content_with_template_syntax_is_data),
        cmocka_unit_test(endless_work_meets_the_step_budget),
        cmocka_unit_test(huge_texts_meet_the_memory_budget),
        cmocka_unit_test(endless_output_meets_the_output_budget),
        cmocka_unit_test(text_collected_in_a_loop_costs_its_length),
        cmocka_unit_test(strftime_takes_any_format),
        cmocka_unit_test(deep_nesting_is_refused_on_a_small_stack),
        cmocka_unit_test(long_chains_are_refused_on_a_small_stack),
        cmocka_unit_test(macros_may_recurse_as_far_as_schemas_nest),
        cmocka_unit_test(deeply_nested_context_is_refused),
        cmocka_unit_test(one_template_renders_in_many_threads),
        cmocka_unit_test(templates_over_the_size_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
