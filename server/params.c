/* params.c - reads fields in groups; each group fills its part of struct params, and the first
 * refusal stops the rest. SPDX-License-Identifier: Apache-2.0 */
#include "server/params.h"

#include "configs/checked.h"
#include "configs/limits.h"
#include "server/json_fields.h"
#include "server/params_unsupported.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_COMPLETION_TOKENS = 16, /* OpenAI's, for completions without max_tokens */
    LIMIT_SALT_BYTES = 1024,        /* cache_salt: identifiers, not documents */
};

static enum status refuse_memory(struct refusal *refusal)
{
    return refusal_set_status(refusal, ERR_MEMORY, "out_of_memory",
                              "There is not enough memory for this request now.");
}

/* ---- sampling ---- */

static void read_numbers(struct json_fields *fields, struct sampling_params *sampling,
                         const struct sampling_defaults *given)
{
    struct sampling_defaults usual = given != NULL ? *given : SAMPLING_DEFAULTS_NEUTRAL;
    sampling->temperature = (float)json_fields_number(fields, "temperature", 0, LIMIT_TEMPERATURE,
                                                      (double)usual.temperature);
    sampling->top_p = (float)json_fields_number(fields, "top_p", 0, 1, (double)usual.top_p);
    sampling->min_p = (float)json_fields_number(fields, "min_p", 0, 1, (double)usual.min_p);
    sampling->presence_penalty = (float)json_fields_number(fields, "presence_penalty", -2, 2, 0);
    sampling->frequency_penalty = (float)json_fields_number(fields, "frequency_penalty", -2, 2, 0);
    sampling->repetition_penalty =
        (float)json_fields_number(fields, "repetition_penalty", 0, LIMIT_REPETITION_PENALTY,
                                  (double)usual.repetition_penalty);
    int64_t top_k = json_fields_integer(fields, "top_k", -1, INT32_MAX, usual.top_k);
    sampling->top_k = top_k > 0 ? (uint32_t)top_k : 0;
    /* The closed ranges above end where the meaning does: 0 would leave no token at all. As
     * floats: what rounds to 0 is 0. */
    if (!(sampling->top_p > 0)) {
        json_fields_refuse(fields, "top_p", json_fields_find(fields, "top_p"), "above 0");
    }
    if (!(sampling->repetition_penalty > 0)) {
        json_fields_refuse(fields, "repetition_penalty",
                           json_fields_find(fields, "repetition_penalty"), "above 0");
    }
}

static void read_seed(struct json_fields *fields, struct sampling_params *sampling)
{
    sampling->seed = json_fields_find(fields, "seed") != NULL
                         ? (uint64_t)json_fields_integer(fields, "seed", INT64_MIN, INT64_MAX, 0)
                         : salt_random();
}

/* A token id written as text, as JSON keys are: digits only, below vocab_count. */
static bool parse_id(const char *text, uint32_t vocab_count, uint32_t *id)
{
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *id = (uint32_t)value;
    return errno == 0 && *end == '\0' && value < vocab_count;
}

static bool read_bias(struct json_fields *fields, const char *key, const json_t *value,
                      uint32_t vocab_count, struct logit_bias *out)
{
    char what[96];
    snprintf(what, sizeof what, "keyed by token ids below %u", vocab_count);
    if (!parse_id(key, vocab_count, &out->token_id)) {
        json_t *shown = json_string(key);
        json_fields_refuse(fields, "logit_bias", shown != NULL ? shown : value, what);
        json_decref(shown);
        return false;
    }
    double bias = json_is_number(value) ? json_number_value(value) : (double)NAN;
    if (!(bias >= -100 && bias <= 100)) {
        json_fields_refuse(fields, "logit_bias", value, "of numbers from -100 to 100");
        return false;
    }
    out->bias = (float)bias;
    return true;
}

static void read_logit_bias(struct json_fields *fields, struct params *params, uint32_t vocab_count)
{
    const json_t *object = json_fields_object(fields, "logit_bias");
    size_t count = json_object_size(object);
    if (count == 0 || fields->status != OK) {
        return;
    }
    if (count > LIMIT_LOGIT_BIAS) {
        fields->status =
            refusal_set(fields->refusal, "invalid_value", "logit_bias",
                        "logit_bias has %zu entries; the most is %u.", count, LIMIT_LOGIT_BIAS);
        return;
    }
    params->logit_bias = calloc(count, sizeof *params->logit_bias);
    if (params->logit_bias == NULL) {
        fields->status = refuse_memory(fields->refusal);
        return;
    }
    const char *key;
    json_t *value;
    uint32_t filled = 0;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!read_bias(fields, key, value, vocab_count, &params->logit_bias[filled])) {
            return;
        }
        filled++;
    }
    params->generate.sampling.logit_bias = params->logit_bias;
    params->generate.sampling.logit_bias_count = filled;
}

/* ---- where it ends ---- */

static void read_max_tokens(struct json_fields *fields, struct params *params)
{
    const json_t *given = json_fields_find(fields, "max_tokens");
    const json_t *newer = json_fields_find(fields, "max_completion_tokens");
    params->max_tokens_given = given != NULL || newer != NULL;
    /* With echo, 0 asks for the prompt alone: evaluations read its log-probabilities. */
    int64_t min = params->echo ? 0 : 1;
    int64_t older = json_fields_integer(fields, "max_tokens", min, INT64_MAX, 0);
    int64_t tokens = json_fields_integer(fields, "max_completion_tokens", min, INT64_MAX, older);
    if (given != NULL && newer != NULL && older != tokens) {
        json_fields_refuse(fields, "max_completion_tokens", newer,
                           "equal to max_tokens where both are given");
    }
    params->max_tokens = (uint64_t)tokens;
    params->generate.sampling.min_tokens =
        (uint32_t)json_fields_integer(fields, "min_tokens", 0, INT32_MAX, 0);
    params->generate.sampling.ignore_eos = json_fields_flag(fields, "ignore_eos", false);
}

static void add_stop(struct json_fields *fields, struct params *params, const json_t *value)
{
    char what[96];
    snprintf(what, sizeof what, "a string of 1 to %u bytes, or an array of at most %u of them",
             LIMIT_STOP_BYTES, LIMIT_STOP_STRINGS);
    size_t byte_count = json_string_length(value);
    if (!json_is_string(value) || byte_count == 0 || byte_count > LIMIT_STOP_BYTES ||
        params->stops.count == LIMIT_STOP_STRINGS) {
        json_fields_refuse(fields, "stop", value, what);
    } else if (!stop_strings_add(&params->stops, json_string_value(value), byte_count)) {
        fields->status = refuse_memory(fields->refusal);
    }
}

static void read_stop(struct json_fields *fields, struct params *params)
{
    const json_t *stop = json_fields_find(fields, "stop");
    if (stop != NULL && !json_is_array(stop)) {
        add_stop(fields, params, stop);
    }
    for (size_t i = 0; i < json_array_size(stop) && fields->status == OK; i++) {
        add_stop(fields, params, json_array_get(stop, i));
    }
    params->include_stop = json_fields_flag(fields, "include_stop_str_in_output", false);
}

enum status params_read_ids(const json_t *array, const char *name, uint32_t vocab_count,
                            uint32_t **ids, uint32_t *id_count, struct refusal *refusal)
{
    size_t count = json_array_size(array);
    uint32_t *read = malloc((count > 0 ? count : 1) * sizeof *read);
    if (read == NULL) {
        return refuse_memory(refusal);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        json_int_t id = json_is_integer(item) ? json_integer_value(item) : -1;
        if (id < 0 || id >= vocab_count) {
            char shown[JSON_FIELDS_SHOWN_BYTES];
            json_fields_describe(item, shown);
            free(read);
            return refusal_set(refusal, "invalid_value", name,
                               "%s[%zu] must be a token id below %u, not %s.", name, i, vocab_count,
                               shown);
        }
        read[i] = (uint32_t)id;
    }
    *ids = read;
    *id_count = (uint32_t)count;
    return OK;
}

static void read_stop_token_ids(struct json_fields *fields, struct params *params,
                                uint32_t vocab_count)
{
    const json_t *array = json_fields_array(fields, "stop_token_ids");
    size_t count = json_array_size(array);
    if (count == 0 || fields->status != OK) {
        return;
    }
    if (count > LIMIT_STOP_TOKENS) {
        fields->status = refusal_set(fields->refusal, "invalid_value", "stop_token_ids",
                                     "stop_token_ids has %zu entries; the most is %u.", count,
                                     LIMIT_STOP_TOKENS);
        return;
    }
    struct sampling_params *sampling = &params->generate.sampling;
    fields->status = params_read_ids(array, "stop_token_ids", vocab_count, &params->stop_token_ids,
                                     &sampling->stop_token_count, fields->refusal);
    sampling->stop_token_ids = params->stop_token_ids;
}

/* ---- what comes back ---- */

static void read_logprobs(struct json_fields *fields, struct params *params)
{
    struct sampling_params *sampling = &params->generate.sampling;
    if (params->route == PARAMS_COMPLETION) {
        sampling->logprobs = json_fields_find(fields, "logprobs") != NULL;
        sampling->top_logprobs =
            (uint32_t)json_fields_integer(fields, "logprobs", 0, LIMIT_TOP_LOGPROBS, 0);
        params->generate.prompt_logprobs = sampling->logprobs && params->echo;
        return;
    }
    sampling->logprobs = json_fields_flag(fields, "logprobs", false);
    sampling->top_logprobs =
        (uint32_t)json_fields_integer(fields, "top_logprobs", 0, LIMIT_TOP_LOGPROBS, 0);
    if (sampling->top_logprobs > 0 && !sampling->logprobs) {
        json_fields_refuse(fields, "top_logprobs", json_fields_find(fields, "top_logprobs"),
                           "0 unless logprobs is true");
    }
}

static void read_stream(struct json_fields *fields, struct params *params)
{
    params->stream = json_fields_flag(fields, "stream", false);
    const json_t *options = json_fields_object(fields, "stream_options");
    if (options == NULL || fields->status != OK) {
        return;
    }
    if (!params->stream) {
        json_fields_refuse(fields, "stream_options", options, "absent unless stream is true");
        return;
    }
    struct json_fields inner = {options, fields->refusal, "stream_options.", OK};
    params->include_usage = json_fields_flag(&inner, "include_usage", false);
    params->continuous_usage = json_fields_flag(&inner, "continuous_usage_stats", false);
    fields->status = inner.status;
}

static void read_shape(struct json_fields *fields, struct params *params,
                       const struct params_limits *limits)
{
    params->generate.choice_count = (uint32_t)json_fields_integer(fields, "n", 1, LIMIT_CHOICES, 1);
    params->generate.priority =
        (int32_t)json_fields_integer(fields, "priority", INT32_MIN, INT32_MAX, 0);
    params->generate.timeout_us = limits->timeout_us;
    const char *salt = json_fields_text(fields, "cache_salt", LIMIT_SALT_BYTES);
    if (salt != NULL && salt[0] != '\0') {
        params->generate.salt = salt_hash(limits->salt_key, salt, strlen(salt));
    }
    params->skip_special_tokens = json_fields_flag(fields, "skip_special_tokens", true);
    params->return_token_ids = json_fields_flag(fields, "return_token_ids", false);
    /* Accepted for the client's own books; only their types are looked at. */
    json_fields_text(fields, "user", SIZE_MAX);
    json_fields_object(fields, "metadata");
    json_fields_flag(fields, "store", false);
}

/* ---- the two routes ---- */

static void read_prompt_text(struct json_fields *fields, const json_t *value,
                             struct params_prompt *prompt)
{
    if (json_string_length(value) == 0) {
        json_fields_refuse(fields, "prompt", value, "at least one token long");
    }
    prompt->text = json_string_value(value);
    prompt->text_bytes = json_string_length(value);
}

static void read_prompt_ids(struct json_fields *fields, const json_t *value, uint32_t vocab_count,
                            struct params_prompt *prompt)
{
    if (json_array_size(value) == 0) {
        json_fields_refuse(fields, "prompt", value, "at least one token long");
    }
    if (fields->status == OK) {
        fields->status = params_read_ids(value, "prompt", vocab_count, &prompt->ids,
                                         &prompt->id_count, fields->refusal);
    }
}

/* "text", ["text", ...], [id, ...] or [[id, ...], ...]. */
static void read_prompts(struct json_fields *fields, struct params *params, uint32_t vocab_count)
{
    const json_t *prompt = json_fields_find(fields, "prompt");
    if (prompt == NULL && fields->status == OK) {
        fields->status = refusal_set(fields->refusal, "missing_required_parameter", "prompt",
                                     "prompt is required: a string, an array of token ids, or an "
                                     "array of either.");
    }
    bool is_list = json_is_array(prompt) && !json_is_integer(json_array_get(prompt, 0));
    size_t count = is_list ? json_array_size(prompt) : 1;
    if (fields->status == OK &&
        (count == 0 || count * params->generate.choice_count > LIMIT_PROMPTS)) {
        fields->status = refusal_set(fields->refusal, "invalid_value", "prompt",
                                     "prompt must hold 1 to %u prompts (times n), not %zu.",
                                     LIMIT_PROMPTS / params->generate.choice_count, count);
    }
    if (fields->status != OK || count == 0) {
        return;
    }
    params->prompts = calloc(count, sizeof *params->prompts);
    if (params->prompts == NULL) {
        fields->status = refuse_memory(fields->refusal);
        return;
    }
    params->prompt_count = (uint32_t)count;
    for (size_t i = 0; i < count && fields->status == OK; i++) {
        const json_t *one = is_list ? json_array_get(prompt, i) : prompt;
        if (json_is_string(one)) {
            read_prompt_text(fields, one, &params->prompts[i]);
        } else if (json_is_array(one)) {
            read_prompt_ids(fields, one, vocab_count, &params->prompts[i]);
        } else {
            json_fields_refuse(fields, "prompt", one,
                               "a string, an array of token ids, or an array of either");
        }
    }
}

static void read_completion(struct json_fields *fields, struct params *params,
                            const struct params_limits *limits)
{
    read_prompts(fields, params, limits->vocab_count);
    params->add_special_tokens = json_fields_flag(fields, "add_special_tokens", true);
}

static void read_chat(struct json_fields *fields, struct params *params,
                      const struct params_limits *limits)
{
    params->messages = json_fields_array(fields, "messages");
    size_t count = json_array_size(params->messages);
    if (fields->status == OK && (count == 0 || count > LIMIT_MESSAGES)) {
        fields->status = refusal_set(
            fields->refusal,
            params->messages == NULL ? "missing_required_parameter" : "invalid_value", "messages",
            "messages must be an array of 1 to %u messages.", LIMIT_MESSAGES);
    }
    params_tools_read(fields, &params->tools);
    params->template_values = json_fields_object(fields, "chat_template_kwargs");
    params->reasoning_effort = json_fields_text(fields, "reasoning_effort", 64);
    params->style = params->tools.tools != NULL ? limits->tool_style : limits->style;
    params->guard = limits->guard;
    params->continue_final_message = json_fields_flag(fields, "continue_final_message", false);
    params->add_generation_prompt =
        json_fields_flag(fields, "add_generation_prompt", !params->continue_final_message);
    params->add_special_tokens = json_fields_flag(fields, "add_special_tokens", false);
    if (params->add_generation_prompt && params->continue_final_message) {
        json_fields_refuse(fields, "continue_final_message",
                           json_fields_find(fields, "continue_final_message"),
                           "false where add_generation_prompt is true");
    }
    if (params->tools.forced_name != NULL && !params->add_generation_prompt) {
        json_fields_refuse(fields, "tool_choice", json_fields_find(fields, "tool_choice"),
                           "none or auto where no new message is begun");
    }
}

enum status params_check_model(const json_t *body, const char *model_name, struct refusal *refusal)
{
    struct json_fields fields = {body, refusal, NULL, OK};
    const json_t *model = json_fields_find(&fields, "model");
    if (model == NULL) {
        return OK;
    }
    if (!json_is_string(model)) {
        json_fields_refuse(&fields, "model", model, "a string");
        return fields.status;
    }
    if (strcmp(json_string_value(model), model_name) == 0) {
        return OK;
    }
    char shown[JSON_FIELDS_SHOWN_BYTES];
    json_fields_describe(model, shown);
    refusal_set_status(refusal, ERR_NOT_FOUND, "model_not_found",
                       "The model %s does not exist; this server has \"%s\".", shown, model_name);
    snprintf(refusal->param, sizeof refusal->param, "model");
    return ERR_NOT_FOUND;
}

enum status params_parse(struct params *out, enum params_route route, const json_t *body,
                         const struct params_limits *limits, struct refusal *refusal)
{
    *out = (struct params){.route = route};
    struct json_fields fields = {body, refusal, NULL, OK};
    fields.status = params_check_model(body, limits->model_name, refusal);
    params_unsupported_check(&fields);
    out->echo = json_fields_flag(&fields, "echo", false);
    if (route == PARAMS_CHAT && out->echo) {
        json_fields_refuse(&fields, "echo", json_fields_find(&fields, "echo"), "false in a chat");
    }
    read_shape(&fields, out, limits);
    read_max_tokens(&fields, out);
    read_numbers(&fields, &out->generate.sampling, limits->sampling);
    read_seed(&fields, &out->generate.sampling);
    read_stop(&fields, out);
    read_stop_token_ids(&fields, out, limits->vocab_count);
    read_logit_bias(&fields, out, limits->vocab_count);
    read_logprobs(&fields, out);
    read_stream(&fields, out);
    if (route == PARAMS_CHAT) {
        read_chat(&fields, out, limits);
    } else {
        read_completion(&fields, out, limits);
    }
    if (fields.status != OK) {
        params_release(out);
    }
    return fields.status;
}

void params_release(struct params *params)
{
    for (uint32_t i = 0; i < params->prompt_count; i++) {
        free(params->prompts[i].ids);
    }
    free(params->prompts);
    free(params->logit_bias);
    free(params->stop_token_ids);
    stop_strings_release(&params->stops);
    *params = (struct params){0};
}

static enum status refuse_length(const struct params *params, size_t id_count,
                                 uint32_t context_tokens, struct refusal *refusal)
{
    const char *param = params->route == PARAMS_CHAT ? "messages" : "prompt";
    if (id_count >= context_tokens || !params->max_tokens_given) {
        return refusal_set(refusal, "context_length_exceeded", param,
                           "The prompt has %zu tokens; this model's context is %u tokens, prompt "
                           "and output together.",
                           id_count, context_tokens);
    }
    return refusal_set(refusal, "context_length_exceeded", param,
                       "The prompt has %zu tokens and max_tokens is %" PRIu64
                       ", together more than this model's context of %u tokens.",
                       id_count, params->max_tokens, context_tokens);
}

enum status params_fit(struct params *params, const uint32_t *ids, size_t id_count,
                       const struct params_limits *limits, struct refusal *refusal)
{
    struct generate_params *generate = &params->generate;
    if (id_count == 0) {
        return refusal_set(refusal, "invalid_value",
                           params->route == PARAMS_CHAT ? "messages" : "prompt",
                           "The prompt must be at least one token long.");
    }
    if (id_count >= limits->context_tokens) {
        return refuse_length(params, id_count, limits->context_tokens, refusal);
    }
    uint64_t rest = limits->context_tokens - id_count;
    uint64_t wanted = params->max_tokens;
    if (!params->max_tokens_given) {
        uint64_t usual = params->route == PARAMS_COMPLETION ? DEFAULT_COMPLETION_TOKENS
                                                            : limits->default_max_tokens;
        wanted = usual > 0 && usual < rest ? usual : rest;
    }
    if (wanted > rest) {
        return refuse_length(params, id_count, limits->context_tokens, refusal);
    }
    if (generate->sampling.min_tokens > wanted) {
        return refusal_set(refusal, "invalid_value", "min_tokens",
                           "min_tokens is %u, more than the %" PRIu64 " tokens of max_tokens.",
                           generate->sampling.min_tokens, wanted);
    }
    generate->prompt_ids = ids;
    generate->prompt_tokens = (uint32_t)id_count;
    /* The engine computes a prompt's numbers only on its way to a token: 0 takes one and drops it. */
    generate->max_tokens = wanted > 0 ? (uint32_t)wanted : 1;
    return OK;
}
