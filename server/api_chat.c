/* api_chat.c - POST /v1/chat/completions: the chat template makes one prompt of the messages.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/api.h"

#include "configs/limits.h"
#include "server/chat_prompt.h"

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

static enum status add_prompt(struct api_call *call, struct engine *engine,
                              const struct params *params, struct generation *generation)
{
    uint32_t *ids = NULL;
    size_t id_count = 0;
    enum status status = prompt_ids(call, engine, params, &ids, &id_count);
    if (status != OK) {
        return status;
    }
    return generation_add_prompt(generation, ids, id_count, NULL, 0, &call->context->limits,
                                 &call->refusal);
}

void api_chat_handle(struct api_call *call)
{
    api_generate(call, PARAMS_CHAT, "chatcmpl-", add_prompt);
}
