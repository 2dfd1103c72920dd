/* api_chat.c - POST /v1/chat/completions: the chat template makes one prompt of the messages.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/api.h"

#include "configs/limits.h"
#include "engine/clock.h"
#include "server/chat_prompt.h"

#include <stdio.h>
#include <stdlib.h>

/* Messages -> ids, owned by the caller. */
static enum status prompt_ids(struct api_call *call, struct engine *engine,
                              const struct params *params, uint32_t **ids, size_t *id_count)
{
    struct text_buffer prompt;
    text_buffer_init(&prompt, LIMIT_TEMPLATE_OUTPUT);
    text_buffer_append(&prompt, "", 0);
    enum status status = chat_prompt_render(params, call->context->chat_template,
                                            engine_tokenizer(engine), &prompt, &call->refusal);
    if (status == OK) {
        status = api_tokenize_text(engine, prompt.bytes, prompt.byte_count,
                                   params->add_special_tokens, ids, id_count, &call->refusal);
    }
    text_buffer_release(&prompt);
    return status;
}

static void generate(struct api_call *call, struct engine *engine, struct params *params)
{
    uint32_t *ids = NULL;
    size_t id_count = 0;
    char id[ANSWER_ID_BYTES];
    snprintf(id, sizeof id, "chatcmpl-%.36s", call->request_id);
    const struct generation_setup setup = {
        .engine = engine,
        .params = params,
        .id = id,
        .model_name = call->context->model_name,
        .created = clock_wall_seconds(),
        .prompt_count = 1,
        .wake = call->wake,
        .wake_context = call->wake_context,
    };
    struct generation *generation = NULL;
    enum status status = prompt_ids(call, engine, params, &ids, &id_count);
    if (status == OK) {
        status = generation_open(&generation, &setup, &call->refusal);
        if (status != OK) {
            free(ids);
        }
    }
    if (status == OK) {
        status = generation_add_prompt(generation, ids, id_count, NULL, 0, &call->context->limits,
                                       &call->refusal);
    }
    if (status == OK) {
        status = generation_submit(generation, &call->refusal);
    }
    if (status != OK) {
        generation_close(generation);
        api_refuse(call);
        return;
    }
    call->generation = generation;
}

void api_chat_handle(struct api_call *call)
{
    struct engine *engine = api_engine(call, true);
    json_t *body = engine != NULL ? api_read_body(call) : NULL;
    if (body == NULL) {
        return;
    }
    struct params params;
    if (params_parse(&params, PARAMS_CHAT, body, &call->context->limits, &call->refusal) == OK) {
        generate(call, engine, &params);
        params_release(&params);
    } else {
        api_refuse(call);
    }
    json_decref(body);
}
