/* test_params.c - every field: accepted at its bounds, refused beyond them, by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "configs/limits.h"
#include "server/json_guard.h"
#include "server/params.h"

static const struct salt_key salt_key = {1, 2};
static const struct params_limits limits = {
    .model_name = "tiny",
    .salt_key = &salt_key,
    .timeout_us = 5000000,
    .vocab_count = 1000,
    .context_tokens = 100,
};

/* The extra members of an otherwise good body, parsed; the caller releases on OK. */
static enum status parse(struct params *params, enum params_route route, const char *extra,
                         struct refusal *refusal)
{
    char body[4096];
    snprintf(body, sizeof body, "{%s%s%s}",
             route == PARAMS_CHAT ? "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
                                  : "\"prompt\":\"hi\"",
             extra[0] != '\0' ? "," : "", extra);
    json_t *root = NULL;
    *params = (struct params){0};
    *refusal = (struct refusal){0};
    enum status status = json_guard_load(&root, body, strlen(body), refusal);
    if (status == OK) {
        status = params_parse(params, route, root, &limits, refusal);
        json_decref(root);
    }
    return status;
}

static void expect_good(enum params_route route, const char *extra)
{
    struct params params;
    struct refusal refusal;
    if (parse(&params, route, extra, &refusal) != OK) {
        fail_msg("%s: %s", extra, refusal.error.message);
    }
    params_release(&params);
}

static void expect_refused(enum params_route route, const char *extra, const char *param)
{
    struct params params;
    struct refusal refusal;
    if (parse(&params, route, extra, &refusal) == OK) {
        fail_msg("%s: was accepted", extra);
    }
    assert_int_equal(refusal.error.status, ERR_INVALID);
    assert_int_equal(refusal.http_status, 400);
    assert_string_equal(refusal.param, param);
    assert_non_null(strstr(refusal.error.message, param));
}

static void absent_fields_have_their_documented_defaults(void **state)
{
    (void)state;
    struct params params;
    struct refusal refusal;
    assert_int_equal(parse(&params, PARAMS_COMPLETION, "", &refusal), OK);
    const struct sampling_params *sampling = &params.generate.sampling;
    assert_true(sampling->temperature == 1.0f && sampling->top_p == 1.0f);
    assert_true(sampling->min_p == 0.0f && sampling->repetition_penalty == 1.0f);
    assert_int_equal(sampling->top_k, 0);
    assert_int_equal(params.generate.choice_count, 1);
    assert_int_equal(params.generate.timeout_us, limits.timeout_us);
    assert_int_equal(params.generate.salt, 0);
    assert_false(params.stream || params.echo || sampling->logprobs || params.max_tokens_given);
    assert_true(params.skip_special_tokens && params.add_special_tokens);
    params_release(&params);

    assert_int_equal(parse(&params, PARAMS_CHAT, "", &refusal), OK);
    assert_true(params.add_generation_prompt);
    assert_false(params.add_special_tokens);
    params_release(&params);
}

static void the_models_own_sampling_holds_where_a_request_is_silent(void **state)
{
    (void)state;
    static const struct sampling_defaults usual = {0.25f, 0.5f, 0.125f, 1.5f, 20};
    struct params_limits served = limits;
    served.sampling = &usual;
    struct params params;
    struct refusal refusal = {0};
    json_t *root = json_pack("{s:s,s:n}", "prompt", "hi", "top_p");
    assert_int_equal(params_parse(&params, PARAMS_COMPLETION, root, &served, &refusal), OK);
    const struct sampling_params *sampling = &params.generate.sampling;
    assert_true(sampling->temperature == 0.25f && sampling->top_p == 0.5f);
    assert_true(sampling->min_p == 0.125f && sampling->repetition_penalty == 1.5f);
    assert_int_equal(sampling->top_k, 20);
    params_release(&params);
    json_decref(root);

    root = json_pack("{s:s,s:f,s:i,s:i,s:i,s:i}", "prompt", "hi", "temperature", 0.75, "top_p", 1,
                     "min_p", 0, "repetition_penalty", 1, "top_k", -1);
    assert_int_equal(params_parse(&params, PARAMS_COMPLETION, root, &served, &refusal), OK);
    assert_true(sampling->temperature == 0.75f && sampling->top_p == 1);
    assert_true(sampling->min_p == 0 && sampling->repetition_penalty == 1);
    assert_int_equal(sampling->top_k, 0);
    params_release(&params);
    json_decref(root);
}

struct range {
    const char *name;
    const char *good[5];
    const char *bad[9];
};

/* Boundaries pass, the nearest values beyond them and every other type do not. */
static const struct range ranges[] = {
    {"temperature",
     {"0", "-0.0", "2", "1e-30"},
     {"-1", "2.0001", "1e308", "\"hot\"", "true", "[]"}},
    {"top_p", {"1", "0.01"}, {"0", "-1", "1.0001", "1e-60", "\"1\"", "{}"}},
    {"top_k", {"-1", "0", "1", "1001", "2147483647"}, {"-2", "2147483648", "1.5", "\"3\""}},
    {"min_p", {"0", "1"}, {"-0.1", "1.1", "\"a\""}},
    {"presence_penalty", {"2", "-2"}, {"2.01", "-2.01", "1e9"}},
    {"frequency_penalty", {"2", "-2"}, {"2.01", "-2.01", "false"}},
    {"repetition_penalty", {"0.5", "100"}, {"0", "-1", "100.5", "1e-60"}},
    {"n", {"1", "128"}, {"0", "-1", "1.5", "\"1\"", "129", "1000000000"}},
    {"max_tokens", {"1", "9223372036854775807"}, {"0", "-1", "1.5", "\"10\"", "1.0"}},
    {"min_tokens", {"0", "5"}, {"-1", "1.5", "2147483648"}},
    {"seed", {"0", "-1", "9223372036854775807"}, {"1.5", "\"1\"", "true"}},
    {"priority", {"0", "-2147483648", "2147483647"}, {"2147483648", "\"high\"", "0.5"}},
    {"stream", {"true", "false"}, {"\"yes\"", "1", "[]"}},
    {"ignore_eos", {"true"}, {"1", "\"true\""}},
    {"stop", {"\"x\"", "[]", "[\"a\",\"b\"]"}, {"\"\"", "[\"\"]", "5", "[5]", "{}", "[null]"}},
    {"stop_token_ids", {"[]", "[0,999]"}, {"[1000]", "[-1]", "[1.0]", "7", "[\"1\"]"}},
    {"logit_bias",
     {"{}", "{\"999\":100}", "{\"0\":-100}"},
     {"{\"1000\":1}", "{\"a\":1}", "{\"-1\":1}", "{\"1\":101}", "{\"1\":\"x\"}", "[]",
      "{\"4294967296\":0}", "{\"\":0}", "{\"1\":1e9}"}},
    {"cache_salt", {"\"\"", "\"tenant\""}, {"5", "{}"}},
    {"user", {"\"me\""}, {"5"}},
    {"metadata", {"{\"a\":\"b\"}"}, {"5", "\"x\""}},
};

static void each_field_passes_at_its_bounds_and_not_beyond(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const struct range *range = &ranges[i];
        char extra[256];
        for (size_t g = 0; g < 5 && range->good[g] != NULL; g++) {
            snprintf(extra, sizeof extra, "\"%s\":%s", range->name, range->good[g]);
            expect_good(PARAMS_COMPLETION, extra);
            expect_good(PARAMS_CHAT, extra);
        }
        snprintf(extra, sizeof extra, "\"%s\":null", range->name);
        expect_good(PARAMS_CHAT, extra);
        for (size_t b = 0; b < 9 && range->bad[b] != NULL; b++) {
            snprintf(extra, sizeof extra, "\"%s\":%s", range->name, range->bad[b]);
            expect_refused(PARAMS_COMPLETION, extra, range->name);
            expect_refused(PARAMS_CHAT, extra, range->name);
        }
    }
}

static void numbers_that_json_cannot_hold_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\"seed\":18446744073709551616",
        "\"temperature\":1e309",
        "\"temperature\":NaN",
        "\"temperature\":Infinity",
        "\"n\":01",
        "\"n\":+1",
        "\"n\":1,\"n\":1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct params params;
        struct refusal refusal;
        assert_int_equal(parse(&params, PARAMS_COMPLETION, bad[i], &refusal), ERR_INVALID);
        assert_string_equal(refusal.code, "invalid_json");
    }
}

static void a_refusal_shows_the_value_as_it_was_written(void **state)
{
    (void)state;
    static const char *const shown[][2] = {
        {"\"n\":2.0", "not 2.0"}, {"\"n\":2.5", "not 2.5"},     {"\"n\":1e20", "not 1e+20"},
        {"\"n\":129", "not 129"}, {"\"n\":\"2\"", "not \"2\""},
    };
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        struct params params;
        struct refusal refusal;
        assert_int_equal(parse(&params, PARAMS_COMPLETION, shown[i][0], &refusal), ERR_INVALID);
        assert_non_null(strstr(refusal.error.message, shown[i][1]));
    }
}

static void logprobs_have_one_form_per_route(void **state)
{
    (void)state;
    struct params params;
    struct refusal refusal;
    assert_int_equal(parse(&params, PARAMS_COMPLETION, "\"logprobs\":0,\"echo\":true", &refusal),
                     OK);
    assert_true(params.generate.sampling.logprobs && params.generate.prompt_logprobs);
    assert_int_equal(params.generate.sampling.top_logprobs, 0);
    params_release(&params);
    assert_int_equal(parse(&params, PARAMS_CHAT, "\"logprobs\":true,\"top_logprobs\":20", &refusal),
                     OK);
    assert_true(params.generate.sampling.logprobs && !params.generate.prompt_logprobs);
    assert_int_equal(params.generate.sampling.top_logprobs, 20);
    params_release(&params);
    expect_refused(PARAMS_COMPLETION, "\"logprobs\":21", "logprobs");
    expect_refused(PARAMS_COMPLETION, "\"logprobs\":-1", "logprobs");
    expect_refused(PARAMS_COMPLETION, "\"logprobs\":true", "logprobs");
    expect_refused(PARAMS_CHAT, "\"logprobs\":5", "logprobs");
    expect_refused(PARAMS_CHAT, "\"logprobs\":true,\"top_logprobs\":21", "top_logprobs");
    expect_refused(PARAMS_CHAT, "\"top_logprobs\":3", "top_logprobs");
}

static void stream_options_need_a_stream(void **state)
{
    (void)state;
    struct params params;
    struct refusal refusal;
    assert_int_equal(parse(&params, PARAMS_CHAT,
                           "\"stream\":true,\"stream_options\":{\"include_usage\":true}", &refusal),
                     OK);
    assert_true(params.stream && params.include_usage && !params.continuous_usage);
    params_release(&params);
    expect_refused(PARAMS_CHAT, "\"stream_options\":{\"include_usage\":true}", "stream_options");
    expect_refused(PARAMS_CHAT, "\"stream\":true,\"stream_options\":{\"include_usage\":1}",
                   "stream_options.include_usage");
    expect_refused(PARAMS_CHAT, "\"stream\":true,\"stream_options\":[]", "stream_options");
}

static void both_names_of_max_tokens_must_agree(void **state)
{
    (void)state;
    struct params params;
    struct refusal refusal;
    assert_int_equal(parse(&params, PARAMS_CHAT, "\"max_completion_tokens\":7", &refusal), OK);
    assert_true(params.max_tokens_given);
    assert_int_equal(params.max_tokens, 7);
    params_release(&params);
    expect_good(PARAMS_CHAT, "\"max_tokens\":7,\"max_completion_tokens\":7");
    expect_refused(PARAMS_CHAT, "\"max_tokens\":7,\"max_completion_tokens\":8",
                   "max_completion_tokens");
}

static void what_cannot_be_honoured_is_refused_and_its_neutral_value_is_not(void **state)
{
    (void)state;
    static const char *const refused[][2] = {
        {"best_of", "2"},
        {"suffix", "\"x\""},
        {"response_format", "{\"type\":\"json_object\"}"},
        {"tool_choice", "\"required\""},
        {"tool_choice", "{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"},
        {"functions", "[{}]"},
        {"use_beam_search", "true"},
        {"guided_json", "{}"},
        {"chat_template", "\"{{ x }}\""},
        {"typical_p", "0.5"},
        {"prompt_logprobs", "1"},
        {"cache_prompt", "false"},
        {"n_keep", "5"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char extra[128];
        snprintf(extra, sizeof extra, "\"%s\":%s", refused[i][0], refused[i][1]);
        expect_refused(PARAMS_CHAT, extra, refused[i][0]);
    }
    expect_refused(PARAMS_CHAT, "\"modalities\":[\"text\",\"audio\"]", "modalities");
    expect_refused(PARAMS_CHAT, "\"echo\":true", "echo");
    expect_good(PARAMS_CHAT,
                "\"best_of\":1,\"suffix\":\"\",\"response_format\":{\"type\":\"text\"},"
                "\"tool_choice\":\"auto\",\"functions\":[],\"use_beam_search\":false,"
                "\"typical_p\":1.0,\"cache_prompt\":true,\"modalities\":[\"text\"]");
}

static void unknown_fields_are_ignored(void **state)
{
    (void)state;
    expect_good(PARAMS_CHAT, "\"service_tier\":\"auto\",\"store\":false,\"verbosity\":\"low\","
                             "\"something_of_next_year\":{\"a\":[1,2,3]}");
}

static void model_must_be_the_served_one_or_absent(void **state)
{
    (void)state;
    expect_good(PARAMS_CHAT, "\"model\":\"tiny\"");
    expect_good(PARAMS_CHAT, "\"model\":null");
    expect_refused(PARAMS_CHAT, "\"model\":5", "model");
    static const char *const unknown[] = {"\"\"", "\"../x\"", "\"Tiny\""};
    for (size_t i = 0; i < 3; i++) {
        char extra[64];
        struct params params;
        struct refusal refusal;
        snprintf(extra, sizeof extra, "\"model\":%s", unknown[i]);
        assert_int_equal(parse(&params, PARAMS_CHAT, extra, &refusal), ERR_NOT_FOUND);
        assert_int_equal(refusal.http_status, 404);
        assert_string_equal(refusal.code, "model_not_found");
        assert_string_equal(refusal.param, "model");
    }
}

static enum status parse_prompt(struct params *params, const char *prompt, struct refusal *refusal)
{
    char body[512];
    snprintf(body, sizeof body, "{\"prompt\":%s}", prompt);
    json_t *root = NULL;
    *params = (struct params){0};
    enum status status = json_guard_load(&root, body, strlen(body), refusal);
    if (status == OK) {
        status = params_parse(params, PARAMS_COMPLETION, root, &limits, refusal);
        json_decref(root);
    }
    return status;
}

static void prompt_comes_in_four_forms(void **state)
{
    (void)state;
    static const struct {
        const char *prompt;
        uint32_t count;
    } good[] = {
        {"\"hi\"", 1}, {"[\"a\",\"b\"]", 2}, {"[1,2,3]", 1}, {"[[1,2],[3]]", 2}, {"[\"a\",[1]]", 2},
    };
    struct params params;
    struct refusal refusal;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(parse_prompt(&params, good[i].prompt, &refusal), OK);
        assert_int_equal(params.prompt_count, good[i].count);
        params_release(&params);
    }
    assert_int_equal(parse_prompt(&params, "[5,999]", &refusal), OK);
    assert_null(params.prompts[0].text);
    assert_int_equal(params.prompts[0].id_count, 2);
    assert_int_equal(params.prompts[0].ids[1], 999);
    params_release(&params);
    static const char *const bad[] = {
        "\"\"", "[]", "[[]]",      "[\"\"]", "[-1]",    "[1000]", "[1.0]",     "null",
        "5",    "{}", "[1,\"a\"]", "[null]", "[[1],5]", "[true]", "[[\"a\"]]", "[2147483648]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse_prompt(&params, bad[i], &refusal) == OK) {
            fail_msg("prompt %s was accepted", bad[i]);
        }
        assert_string_equal(refusal.param, "prompt");
    }
}

static void prompts_times_choices_are_bounded(void **state)
{
    (void)state;
    char body[2048] = "{\"n\":2,\"prompt\":[\"a\"";
    for (unsigned i = 1; i < LIMIT_PROMPTS / 2; i++) {
        strncat(body, ",\"a\"", sizeof body - strlen(body) - 1);
    }
    for (unsigned more = 0; more < 2; more++) {
        char full[2100];
        snprintf(full, sizeof full, "%s%s]}", body, more ? ",\"a\"" : "");
        struct refusal refusal;
        struct params params;
        json_t *root = NULL;
        assert_int_equal(json_guard_load(&root, full, strlen(full), &refusal), OK);
        enum status status = params_parse(&params, PARAMS_COMPLETION, root, &limits, &refusal);
        assert_int_equal(status, more ? ERR_INVALID : OK);
        if (status == OK) {
            params_release(&params);
        }
        json_decref(root);
    }
}

static void stop_lists_are_bounded(void **state)
{
    (void)state;
    char many[256] = "\"stop\":[\"a\"";
    for (unsigned i = 1; i < LIMIT_STOP_STRINGS; i++) {
        strncat(many, ",\"a\"", sizeof many - strlen(many) - 1);
    }
    char extra[300];
    snprintf(extra, sizeof extra, "%s]", many);
    expect_good(PARAMS_CHAT, extra);
    snprintf(extra, sizeof extra, "%s,\"a\"]", many);
    expect_refused(PARAMS_CHAT, extra, "stop");

    char long_stop[LIMIT_STOP_BYTES + 32];
    int used = snprintf(long_stop, sizeof long_stop, "\"stop\":\"");
    memset(long_stop + used, 'x', LIMIT_STOP_BYTES);
    memcpy(long_stop + used + LIMIT_STOP_BYTES, "\"", 2);
    expect_good(PARAMS_CHAT, long_stop);
    memcpy(long_stop + used + LIMIT_STOP_BYTES, "x\"", 3);
    expect_refused(PARAMS_CHAT, long_stop, "stop");
}

/* What max_tokens becomes for a prompt of prompt_tokens, or 0 with the refusal. */
static uint32_t fit(const char *extra, enum params_route route, size_t prompt_tokens,
                    const struct params_limits *with, struct refusal *refusal)
{
    static uint32_t ids[200];
    struct params params;
    assert_int_equal(parse(&params, route, extra, refusal), OK);
    enum status status = params_fit(&params, ids, prompt_tokens, with, refusal);
    uint32_t max_tokens = status == OK ? params.generate.max_tokens : 0;
    params_release(&params);
    return max_tokens;
}

static void prompt_and_output_fit_the_context_exactly_or_not_at_all(void **state)
{
    (void)state;
    struct refusal refusal;
    assert_int_equal(fit("\"max_tokens\":10", PARAMS_CHAT, 90, &limits, &refusal), 10);
    assert_int_equal(fit("\"max_tokens\":11", PARAMS_CHAT, 90, &limits, &refusal), 0);
    assert_string_equal(refusal.code, "context_length_exceeded");
    assert_non_null(strstr(refusal.error.message, "90"));
    assert_non_null(strstr(refusal.error.message, "11"));
    assert_non_null(strstr(refusal.error.message, "100"));
    assert_int_equal(fit("", PARAMS_CHAT, 99, &limits, &refusal), 1);
    assert_int_equal(fit("", PARAMS_CHAT, 100, &limits, &refusal), 0);
    assert_string_equal(refusal.code, "context_length_exceeded");
    assert_int_equal(fit("\"max_tokens\":9223372036854775807", PARAMS_CHAT, 1, &limits, &refusal),
                     0);
    assert_int_equal(fit("", PARAMS_CHAT, 0, &limits, &refusal), 0);
}

static void absent_max_tokens_mean_sixteen_or_the_rest(void **state)
{
    (void)state;
    struct refusal refusal;
    assert_int_equal(fit("", PARAMS_COMPLETION, 10, &limits, &refusal), 16);
    assert_int_equal(fit("", PARAMS_COMPLETION, 95, &limits, &refusal), 5);
    assert_int_equal(fit("", PARAMS_CHAT, 10, &limits, &refusal), 90);
    struct params_limits capped = limits;
    capped.default_max_tokens = 20;
    assert_int_equal(fit("", PARAMS_CHAT, 10, &capped, &refusal), 20);
    assert_int_equal(fit("", PARAMS_CHAT, 90, &capped, &refusal), 10);
    assert_int_equal(
        fit("\"max_tokens\":0,\"echo\":true", PARAMS_COMPLETION, 10, &limits, &refusal), 1);
}

static void min_tokens_cannot_exceed_max_tokens(void **state)
{
    (void)state;
    struct refusal refusal;
    assert_int_equal(fit("\"max_tokens\":5,\"min_tokens\":5", PARAMS_CHAT, 10, &limits, &refusal),
                     5);
    assert_int_equal(fit("\"max_tokens\":5,\"min_tokens\":6", PARAMS_CHAT, 10, &limits, &refusal),
                     0);
    assert_string_equal(refusal.param, "min_tokens");
}

static void equal_salts_share_and_others_do_not(void **state)
{
    (void)state;
    struct params a;
    struct params b;
    struct params c;
    struct refusal refusal;
    assert_int_equal(parse(&a, PARAMS_CHAT, "\"cache_salt\":\"one\"", &refusal), OK);
    assert_int_equal(parse(&b, PARAMS_CHAT, "\"cache_salt\":\"one\"", &refusal), OK);
    assert_int_equal(parse(&c, PARAMS_CHAT, "\"cache_salt\":\"two\"", &refusal), OK);
    assert_int_equal(a.generate.salt, b.generate.salt);
    assert_int_not_equal(a.generate.salt, c.generate.salt);
    assert_int_not_equal(a.generate.salt, 0);
    params_release(&a);
    params_release(&b);
    params_release(&c);
}

static void tools_reach_the_template_unless_the_choice_is_none(void **state)
{
    (void)state;
    struct params params;
    struct refusal refusal;
    static const char tools[] = "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]";
    char extra[256];
    assert_int_equal(parse(&params, PARAMS_CHAT, tools, &refusal), OK);
    assert_non_null(params.tools.tools);
    params_release(&params);
    snprintf(extra, sizeof extra, "%s,\"tool_choice\":\"none\"", tools);
    assert_int_equal(parse(&params, PARAMS_CHAT, extra, &refusal), OK);
    assert_null(params.tools.tools);
    params_release(&params);
    expect_refused(PARAMS_CHAT, "\"tools\":[{\"type\":\"function\"}]", "tools[0].function");
    expect_refused(PARAMS_CHAT, "\"tools\":{}", "tools");
}

#define TOOL(name) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"

static void each_tool_is_looked_at(void **state)
{
    (void)state;
    expect_good(PARAMS_CHAT, "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a_b-c.9\","
                             "\"description\":\"d\",\"strict\":true,\"parameters\":{}}}]");
    expect_refused(PARAMS_CHAT, "\"tools\":[5]", "tools");
    expect_refused(PARAMS_CHAT, "\"tools\":[" TOOL("f") ",{\"type\":\"custom\"}]", "tools[1].type");
    expect_refused(PARAMS_CHAT, "\"tools\":[" TOOL("") "]", "tools[0].function.name");
    expect_refused(PARAMS_CHAT, "\"tools\":[" TOOL("a b") "]", "tools[0].function.name");
    expect_refused(PARAMS_CHAT,
                   "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
                   "\"parameters\":[]}}]",
                   "tools[0].function.parameters");
    char name[LIMIT_TOOL_NAME_BYTES + 2];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    char extra[256];
    snprintf(extra, sizeof extra,
             "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"%s\"}}]", name);
    expect_refused(PARAMS_CHAT, extra, "tools[0].function.name");
    snprintf(extra, sizeof extra,
             "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"%s\"}}]", name + 1);
    expect_good(PARAMS_CHAT, extra);
}

static void too_many_tools_are_refused(void **state)
{
    (void)state;
    char body[LIMIT_TOOLS * 24 + 512] = "\"tools\":[5";
    for (size_t i = 0; i < LIMIT_TOOLS; i++) {
        strncat(body, ",5", sizeof body - strlen(body) - 1);
    }
    strncat(body, "]", sizeof body - strlen(body) - 1);
    expect_refused(PARAMS_CHAT, body, "tools");
}

static void a_demanded_tool_is_one_of_the_request(void **state)
{
    (void)state;
    struct params params;
    struct refusal refusal;
    static const char named[] =
        "\"tools\":[" TOOL("f") "," TOOL("g") "],\"tool_choice\":" TOOL("g");
    assert_int_equal(parse(&params, PARAMS_CHAT, named, &refusal), OK);
    assert_non_null(params.tools.forced_name);
    params_release(&params);
    expect_good(PARAMS_CHAT, "\"tools\":[" TOOL("f") "],\"tool_choice\":\"required\"");
    expect_refused(PARAMS_CHAT,
                   "\"tools\":[" TOOL("f") "," TOOL("g") "],\"tool_choice\":\"required\"",
                   "tool_choice");
    expect_refused(PARAMS_CHAT, "\"tools\":[" TOOL("f") "],\"tool_choice\":" TOOL("h"),
                   "tool_choice");
    expect_refused(PARAMS_CHAT, "\"tools\":[" TOOL("f") "],\"tool_choice\":\"sometimes\"",
                   "tool_choice");
    expect_refused(PARAMS_CHAT, "\"tools\":[" TOOL("f") "],\"tool_choice\":{\"type\":\"x\"}",
                   "tool_choice");
    expect_refused(PARAMS_CHAT,
                   "\"tools\":[" TOOL("f") "],\"tool_choice\":\"required\","
                                           "\"add_generation_prompt\":false",
                   "tool_choice");
    expect_refused(PARAMS_CHAT, "\"parallel_tool_calls\":1", "parallel_tool_calls");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_fields_have_their_documented_defaults),
        cmocka_unit_test(the_models_own_sampling_holds_where_a_request_is_silent),
        cmocka_unit_test(each_field_passes_at_its_bounds_and_not_beyond),
        cmocka_unit_test(numbers_that_json_cannot_hold_are_refused),
        cmocka_unit_test(a_refusal_shows_the_value_as_it_was_written),
        cmocka_unit_test(logprobs_have_one_form_per_route),
        cmocka_unit_test(stream_options_need_a_stream),
        cmocka_unit_test(both_names_of_max_tokens_must_agree),
        cmocka_unit_test(what_cannot_be_honoured_is_refused_and_its_neutral_value_is_not),
        cmocka_unit_test(unknown_fields_are_ignored),
        cmocka_unit_test(model_must_be_the_served_one_or_absent),
        cmocka_unit_test(prompt_comes_in_four_forms),
        cmocka_unit_test(prompts_times_choices_are_bounded),
        cmocka_unit_test(stop_lists_are_bounded),
        cmocka_unit_test(prompt_and_output_fit_the_context_exactly_or_not_at_all),
        cmocka_unit_test(absent_max_tokens_mean_sixteen_or_the_rest),
        cmocka_unit_test(min_tokens_cannot_exceed_max_tokens),
        cmocka_unit_test(equal_salts_share_and_others_do_not),
        cmocka_unit_test(tools_reach_the_template_unless_the_choice_is_none),
        cmocka_unit_test(each_tool_is_looked_at),
        cmocka_unit_test(too_many_tools_are_refused),
        cmocka_unit_test(a_demanded_tool_is_one_of_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
