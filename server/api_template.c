/* api_template.c - POST /apply-template, in llama-server's shape: the prompt that a chat request with
 * this body would get, as text.
 *
 * The body passes the validator of /v1/chat/completions, so whatever is refused there is refused
 * here, and in the same words. SPDX-License-Identifier: Apache-2.0 */
#include "server/api.h"

#include "configs/limits.h"
#include "server/chat_prompt.h"
#include "server/json_text.h"

static enum status write_prompt(struct api_call *call, struct engine *engine,
                                const struct params *params)
{
    struct text_buffer prompt;
    text_buffer_init(&prompt, LIMIT_TEMPLATE_OUTPUT);
    text_buffer_append(&prompt, "", 0);
    enum status status = chat_prompt_render(params, api_choose_template(call->context, params),
                                            engine_tokenizer(engine), &prompt, &call->refusal);
    if (status == OK) {
        control_guard_strip(&prompt);
        text_buffer_append_text(call->answer, "{\"prompt\":");
        json_text_string(call->answer, prompt.bytes, prompt.byte_count);
        text_buffer_append_text(call->answer, "}");
    }
    text_buffer_release(&prompt);
    return status;
}

void api_template_handle(struct api_call *call)
{
    struct engine *engine = api_engine(call, false);
    json_t *body = engine != NULL ? api_read_body(call) : NULL;
    if (body == NULL) {
        return;
    }
    struct params params;
    enum status status =
        params_parse(&params, PARAMS_CHAT, body, &call->context->limits, &call->refusal);
    if (status == OK) {
        status = write_prompt(call, engine, &params);
        params_release(&params);
    }
    if (status != OK) {
        api_refuse(call);
    }
    json_decref(body);
}
