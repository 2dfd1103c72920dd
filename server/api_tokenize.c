/* api_tokenize.c - POST /tokenize and /detokenize, in vLLM's shapes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/api.h"

#include "configs/limits.h"
#include "server/chat_prompt.h"
#include "server/json_fields.h"
#include "server/json_text.h"

#include <stdlib.h>

/* A prompt as such, or messages through the chat template. ids: owned by the caller. */
static enum status read_ids(struct api_call *call, struct engine *engine, const json_t *body,
                            uint32_t **ids, size_t *id_count)
{
    struct json_fields fields = {body, &call->refusal, NULL, OK};
    const char *text = json_fields_text(&fields, "prompt", SIZE_MAX);
    const json_t *messages = json_fields_array(&fields, "messages");
    bool add_special = json_fields_flag(&fields, "add_special_tokens", messages == NULL);
    struct params params = {
        .route = PARAMS_CHAT,
        .messages = messages,
        .guard = call->context->guard,
        .template_values = json_fields_object(&fields, "chat_template_kwargs"),
        .continue_final_message = json_fields_flag(&fields, "continue_final_message", false),
    };
    params_tools_read(&fields, &params.tools);
    const struct params_limits *limits = &call->context->limits;
    params.style = params.tools.tools != NULL ? limits->tool_style : limits->style;
    params.add_generation_prompt =
        json_fields_flag(&fields, "add_generation_prompt", !params.continue_final_message);
    if (fields.status == OK && (text == NULL) == (json_array_size(messages) == 0)) {
        fields.status = refusal_set(&call->refusal, "missing_required_parameter", "prompt",
                                    "Give either prompt (a string) or messages (an array).");
    }
    if (fields.status != OK) {
        return fields.status;
    }
    struct text_buffer prompt;
    text_buffer_init(&prompt, LIMIT_TEMPLATE_OUTPUT);
    text_buffer_append(&prompt, "", 0);
    if (text != NULL) {
        text_buffer_append_text(&prompt, text);
    } else {
        fields.status = chat_prompt_render(&params, api_choose_template(call->context, &params),
                                           engine_tokenizer(engine), &prompt, &call->refusal);
    }
    if (fields.status == OK) {
        unsigned flags = (add_special ? TOKENIZER_ADD_SPECIAL : 0u) |
                         (messages != NULL ? TOKENIZER_DROP_GUARDS : 0u);
        fields.status = api_tokenize_text(engine, prompt.bytes, prompt.byte_count, flags, ids,
                                          id_count, &call->refusal);
    }
    text_buffer_release(&prompt);
    return fields.status;
}

static void write_token_texts(struct text_buffer *out, const struct tokenizer *tokenizer,
                              const uint32_t *ids, size_t id_count)
{
    text_buffer_append_text(out, "[");
    for (size_t i = 0; i < id_count; i++) {
        size_t byte_count;
        const char *bytes = tokenizer_token_bytes(tokenizer, ids[i], true, &byte_count);
        text_buffer_append_text(out, i > 0 ? "," : "");
        json_text_string(out, bytes, byte_count);
    }
    text_buffer_append_text(out, "]");
}

static enum status tokenize(struct api_call *call, struct engine *engine, const json_t *body)
{
    struct json_fields fields = {body, &call->refusal, NULL, OK};
    bool with_texts = json_fields_flag(&fields, "return_token_strs", false);
    if (fields.status != OK) {
        return fields.status;
    }
    uint32_t *ids = NULL;
    size_t id_count = 0;
    enum status status = params_check_model(body, call->context->model_name, &call->refusal);
    if (status == OK) {
        status = read_ids(call, engine, body, &ids, &id_count);
    }
    if (status != OK) {
        return status;
    }
    text_buffer_printf(call->answer, "{\"count\":%zu,\"max_model_len\":%u,\"tokens\":", id_count,
                       call->context->limits.context_tokens);
    json_text_ids(call->answer, ids, id_count);
    text_buffer_append_text(call->answer, ",\"token_strs\":");
    if (with_texts) {
        write_token_texts(call->answer, engine_tokenizer(engine), ids, id_count);
    } else {
        text_buffer_append_text(call->answer, "null");
    }
    text_buffer_append_text(call->answer, "}");
    free(ids);
    return OK;
}

static void write_text(struct text_buffer *out, const struct tokenizer *tokenizer,
                       const uint32_t *ids, uint32_t id_count)
{
    struct text_buffer text;
    text_buffer_init(&text, LIMIT_ANSWER_BYTES);
    text_buffer_append(&text, "", 0);
    struct detokenizer detokenizer;
    detokenizer_init(&detokenizer, tokenizer, true, false);
    for (uint32_t i = 0; i < id_count; i++) {
        size_t token_bytes;
        tokenizer_token_bytes(tokenizer, ids[i], true, &token_bytes);
        char *room = text_buffer_room(&text, token_bytes * 3 + 16);
        if (room == NULL) {
            out->failed = true;
            break;
        }
        text.byte_count += detokenizer_feed(&detokenizer, ids[i], room, token_bytes * 3 + 16);
    }
    char *room = text_buffer_room(&text, 16);
    if (room != NULL) {
        text.byte_count += detokenizer_finish(&detokenizer, room, 16);
        json_text_string(out, text.bytes, text.byte_count);
    }
    text_buffer_release(&text);
}

static enum status detokenize(struct api_call *call, struct engine *engine, const json_t *body)
{
    struct json_fields fields = {body, &call->refusal, NULL, OK};
    const json_t *tokens = json_fields_array(&fields, "tokens");
    enum status status = params_check_model(body, call->context->model_name, &call->refusal);
    if (status == OK && fields.status == OK && tokens == NULL) {
        status = refusal_set(&call->refusal, "missing_required_parameter", "tokens",
                             "tokens is required: an array of token ids.");
    }
    if (status != OK || fields.status != OK) {
        return status != OK ? status : fields.status;
    }
    uint32_t *ids = NULL;
    uint32_t id_count = 0;
    status = params_read_ids(tokens, "tokens", call->context->limits.vocab_count, &ids, &id_count,
                             &call->refusal);
    if (status != OK) {
        return status;
    }
    text_buffer_append_text(call->answer, "{\"prompt\":");
    write_text(call->answer, engine_tokenizer(engine), ids, id_count);
    text_buffer_append_text(call->answer, "}");
    free(ids);
    return OK;
}

typedef enum status (*body_fn)(struct api_call *call, struct engine *engine, const json_t *body);

static void with_body(struct api_call *call, body_fn run)
{
    struct engine *engine = api_engine(call, false);
    json_t *body = engine != NULL ? api_read_body(call) : NULL;
    if (body == NULL) {
        return;
    }
    if (run(call, engine, body) != OK) {
        api_refuse(call);
    }
    json_decref(body);
}

void api_tokenize_handle(struct api_call *call)
{
    with_body(call, tokenize);
}

void api_tokenize_handle_back(struct api_call *call)
{
    with_body(call, detokenize);
}
