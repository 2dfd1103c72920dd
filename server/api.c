/* api.c - the context of the handlers, and what several of them do alike.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/api.h"

#include "configs/limits.h"
#include "engine/clock.h"
#include "engine/log.h"
#include "server/chat_prompt.h"
#include "server/chat_style.h"
#include "server/json_guard.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The last part of a path, without slashes behind it. */
static char *last_part(const char *path)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    return strndup(path + start, end - start);
}

/* models/Some-Model.gguf and models/Some-Model/ -> Some-Model; "." -> the directory's own name */
static char *name_from_path(const char *path)
{
    char *name = last_part(path);
    if (name != NULL && (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)) {
        char *resolved = realpath(path, NULL);
        free(name);
        name = resolved != NULL ? last_part(resolved) : strdup(path);
        free(resolved);
    }
    static const char suffix[] = ".gguf";
    size_t byte_count = name != NULL ? strlen(name) : 0;
    if (byte_count > sizeof suffix - 1 &&
        strcmp(name + byte_count - (sizeof suffix - 1), suffix) == 0) {
        name[byte_count - (sizeof suffix - 1)] = '\0';
    }
    return name;
}

enum status api_open(struct api_context *context, const struct config *config, struct error *err)
{
    *context = (struct api_context){
        .config = config, .created = clock_wall_seconds(), .salt_key = salt_draw_key()};
    if (config->served_model_name != NULL) {
        context->model_name = strdup(config->served_model_name);
    } else if (config->model != NULL) {
        context->model_name = name_from_path(config->model);
    } else {
        context->model_name = strdup(ENGINE_DEMO_NAME);
    }
    if (context->model_name == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the model's name");
    }
    return OK;
}

static enum status read_file(const char *path, struct text_buffer *out, struct error *err)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return error_set(err, ERR_IO, "chat-template %s: %s", path, strerror(errno));
    }
    char portion[4096];
    size_t byte_count;
    while ((byte_count = fread(portion, 1, sizeof portion, file)) > 0) {
        text_buffer_append(out, portion, byte_count);
    }
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) {
        return error_set(err, ERR_IO, "chat-template %s: cannot be read", path);
    }
    if (out->failed) {
        return error_set(err, ERR_FORMAT, "chat-template %s: longer than %u bytes", path,
                         LIMIT_TEMPLATE_BYTES);
    }
    return OK;
}

/* How answers are read, by the settings and by what the template's text says. */
static enum status choose_family(struct api_context *context, struct engine *engine,
                                 const char *source, size_t source_bytes, struct error *err)
{
    const struct config *config = context->config;
    struct output_family *family = &context->family;
    enum status status = output_family_choose(family, config->tool_parser, config->reasoning_parser,
                                              source != NULL ? source : "", source_bytes,
                                              engine_tokenizer(engine), err);
    if (status == OK) {
        log_event(LOG_INFO, "answers", "tool calls: %s, reasoning: %s",
                  output_family_format_name(family), output_family_thinking_name(family));
    }
    return status;
}

/* The operator's file, which must work. */
static enum status open_given_template(struct api_context *context, struct engine *engine,
                                       struct error *err)
{
    const char *path = context->config->chat_template;
    struct text_buffer source;
    text_buffer_init(&source, LIMIT_TEMPLATE_BYTES);
    enum status status = read_file(path, &source, err);
    if (status == OK) {
        status =
            chat_template_open(&context->chat_template, source.bytes != NULL ? source.bytes : "",
                               source.byte_count, err);
        if (status != OK) {
            error_prefix(err, "chat-template %s: ", path);
        } else {
            status = choose_family(context, engine, source.bytes, source.byte_count, err);
        }
    }
    text_buffer_release(&source);
    return status;
}

/* A second template that cannot be read costs nothing but itself. */
static void open_tool_template(struct api_context *context, const struct engine_info *info)
{
    struct error error = {0};
    if (chat_template_open(&context->tool_template, info->tool_template,
                           (size_t)info->tool_template_bytes, &error) != OK) {
        log_event(LOG_WARNING, "bad_chat_template",
                  "the model's template for requests with tools (tool_use) is not used: %s",
                  error.message);
        context->tool_template = NULL;
    }
}

/* The model's own, or a default. A template that this server cannot read costs the chat route, not
 * the model. */
static enum status open_model_template(struct api_context *context, struct engine *engine,
                                       struct error *err)
{
    const struct engine_info *info = engine_info(engine);
    const char *source = info->chat_template;
    size_t source_bytes = (size_t)info->chat_template_bytes;
    if (source == NULL) {
        const char *name;
        source = chat_prompt_default_template(engine_tokenizer(engine), &name);
        source_bytes = strlen(source);
        log_event(LOG_WARNING, "no_chat_template",
                  "the model has no chat template: chats are written as %s; see --chat-template",
                  name);
    }
    struct error error = {0};
    if (chat_template_open(&context->chat_template, source, source_bytes, &error) != OK) {
        log_event(LOG_WARNING, "bad_chat_template",
                  "the model's chat template cannot be used, chat requests are refused: %s",
                  error.message);
    }
    if (info->tool_template == NULL) {
        return choose_family(context, engine, source, source_bytes, err);
    }
    open_tool_template(context, info);
    struct text_buffer both;
    text_buffer_init(&both, LIMIT_TEMPLATE_OUTPUT);
    text_buffer_append(&both, info->tool_template, (size_t)info->tool_template_bytes);
    text_buffer_append(&both, source, source_bytes);
    enum status status = both.failed
                             ? error_set(err, ERR_MEMORY, "no memory for the chat templates")
                             : choose_family(context, engine, both.bytes, both.byte_count, err);
    text_buffer_release(&both);
    return status;
}

const struct chat_template *api_choose_template(const struct api_context *context,
                                                const struct params *params)
{
    bool for_tools = params->tools.tools != NULL && context->tool_template != NULL;
    return for_tools ? context->tool_template : context->chat_template;
}

enum status api_publish(struct api_context *context, struct engine *engine, struct error *err)
{
    loading_enter(&context->loading, LOADING_TEMPLATE);
    enum status status = context->config->chat_template != NULL
                             ? open_given_template(context, engine, err)
                             : open_model_template(context, engine, err);
    if (status == OK) {
        const char *spared[2];
        output_family_thinking_marks(&context->family, spared);
        status = control_guard_open(&context->guard, engine_tokenizer(engine), spared, err);
    }
    if (status != OK) {
        return status;
    }
    const struct engine_info *info = engine_info(engine);
    uint64_t default_max = context->config->default_max_tokens;
    context->limits = (struct params_limits){
        .model_name = context->model_name,
        .salt_key = &context->salt_key,
        .timeout_us = context->config->request_timeout_ms * 1000,
        .vocab_count = info->vocab_count,
        .context_tokens = info->context_tokens,
        .guard = context->guard,
        .sampling = &info->sampling,
        .style = context->chat_template != NULL ? chat_style_judge(context->chat_template)
                                                : (struct chat_style){0},
        .default_max_tokens = (uint32_t)(default_max < UINT32_MAX ? default_max : UINT32_MAX),
    };
    context->limits.tool_style = context->tool_template != NULL
                                     ? chat_style_judge(context->tool_template)
                                     : context->limits.style;
    loading_enter(&context->loading, LOADING_DONE);
    atomic_store(&context->engine, engine);
    atomic_store(&context->phase, API_SERVING);
    return OK;
}

void api_close(struct api_context *context)
{
    chat_template_close(context->chat_template);
    chat_template_close(context->tool_template);
    control_guard_close(context->guard);
    free(context->model_name);
    context->guard = NULL;
    context->chat_template = NULL;
    context->tool_template = NULL;
    context->model_name = NULL;
}

void api_refuse(struct api_call *call)
{
    call->http_status = call->refusal.http_status;
    text_buffer_clear(call->answer);
    refusal_write(&call->refusal, call->answer);
    struct engine *engine = atomic_load(&call->context->engine);
    if (engine != NULL && call->http_status == 400) {
        stats_add(&engine_stats(engine)->refused_invalid, 1);
    }
}

static void refuse_loading(struct api_call *call)
{
    struct loading_state state = loading_read(&call->context->loading);
    refusal_set_status(&call->refusal, ERR_MEMORY, "loading",
                       "Loading model: %s, %u %% (%" PRIu64 " of %" PRIu64 " bytes of weights).",
                       state.phase_name, state.percent, state.bytes, state.total_bytes);
}

struct engine *api_engine(struct api_call *call, bool for_new_work)
{
    struct engine *engine = atomic_load(&call->context->engine);
    int phase = atomic_load(&call->context->phase);
    if (engine == NULL) {
        refuse_loading(call);
    } else if (for_new_work && phase != API_SERVING) {
        refusal_set_status(&call->refusal, ERR_CANCELLED, "shutting_down",
                           "The server is stopping and takes no new requests.");
    } else {
        return engine;
    }
    api_refuse(call);
    return NULL;
}

json_t *api_read_body(struct api_call *call)
{
    json_t *body = NULL;
    if (json_guard_load(&body, call->body, call->body_bytes, &call->refusal) != OK) {
        api_refuse(call);
        return NULL;
    }
    return body;
}

enum status api_tokenize_text(struct engine *engine, const char *text, size_t text_bytes,
                              unsigned flags, uint32_t **ids, size_t *id_count,
                              struct refusal *refusal)
{
    size_t capacity = tokenizer_id_count_bound(engine_tokenizer(engine), text_bytes);
    uint32_t *room = malloc(capacity * sizeof *room);
    struct error error = {.status = ERR_MEMORY, .message = "No memory for the prompt's tokens."};
    enum status status = ERR_MEMORY;
    if (room != NULL) {
        status =
            tokenizer_encode(engine_tokenizer(engine), text, text_bytes,
                             flags | TOKENIZER_PARSE_SPECIAL, room, capacity, id_count, &error);
    }
    if (status != OK) {
        free(room);
        refusal_from_error(refusal, &error, "tokenizer_error");
        return status;
    }
    /* The rest of the room is mostly unused: a token of English is four bytes. */
    uint32_t *fitted = realloc(room, (*id_count > 0 ? *id_count : 1) * sizeof *room);
    if (fitted != NULL) {
        room = fitted;
    }
    *ids = room;
    return OK;
}

static enum status open_generation(struct api_call *call, struct engine *engine,
                                   struct params *params, const char *id_prefix,
                                   api_add_prompts_fn add_prompts)
{
    char id[ANSWER_ID_BYTES];
    snprintf(id, sizeof id, "%s%.36s", id_prefix, call->request_id);
    /* The generation takes what params owns; this view of it lives as long as the generation. */
    const struct params view = *params;
    const struct generation_setup setup = {
        .engine = engine,
        .params = params,
        .id = id,
        .model_name = call->context->model_name,
        .created = clock_wall_seconds(),
        .prompt_count = view.route == PARAMS_CHAT ? 1 : view.prompt_count,
        .wake = call->wake,
        .wake_context = call->wake_context,
    };
    struct generation *generation = NULL;
    enum status status = generation_open(&generation, &setup, &call->refusal);
    if (status == OK) {
        status = add_prompts(call, engine, &view, generation);
    }
    if (status == OK) {
        status = generation_submit(generation, &call->refusal);
    }
    if (status != OK) {
        generation_close(generation);
        return status;
    }
    call->generation = generation;
    return OK;
}

void api_generate(struct api_call *call, enum params_route route, const char *id_prefix,
                  api_add_prompts_fn add_prompts)
{
    struct engine *engine = api_engine(call, true);
    json_t *body = engine != NULL ? api_read_body(call) : NULL;
    if (body == NULL) {
        return;
    }
    struct params params;
    enum status status = params_parse(&params, route, body, &call->context->limits, &call->refusal);
    if (status == OK) {
        status = open_generation(call, engine, &params, id_prefix, add_prompts);
        params_release(&params);
    }
    if (status != OK) {
        api_refuse(call);
    }
    json_decref(body);
}
