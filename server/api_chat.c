/* api_chat.c - POST /v1/chat/completions: the chat template makes one prompt of the messages, and what
 * the model answers is taken apart again as that template puts it together.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/api.h"

#include "configs/limits.h"
#include "server/chat_prompt.h"

#include <string.h>

static enum status refuse_memory(struct api_call *call)
{
    return refusal_set_status(&call->refusal, ERR_MEMORY, "out_of_memory",
                              "There is not enough memory for this request now.");
}

/* Writes the beginning of the forced call to the prompt, and to output as the parser sees it. */
static enum status force_call(struct api_call *call, const char *name, struct text_buffer *prompt,
                              struct generation_output *output)
{
    const struct output_family *family = &call->context->family;
    if (!output_family_has_calls(family)) {
        return refusal_set(&call->refusal, "unsupported_value", "tool_choice",
                           "tool_choice asks for a call, but how this model writes calls is not "
                           "known (tool-parser is none).");
    }
    if (output->reasoning_open) {
        output_family_write_close(family, prompt);
        output->reasoning_open = false;
    }
    size_t begin = prompt->byte_count;
    output_family_write_call(family, name, prompt);
    struct text_buffer encoded;
    text_buffer_init(&encoded, LIMIT_CALL_HEADER_BYTES);
    if (!prompt->failed) {
        output_family_encode(family, prompt->bytes + begin, prompt->byte_count - begin, &encoded);
    }
    if (prompt->failed || encoded.failed) {
        text_buffer_release(&encoded);
        return refuse_memory(call);
    }
    output->forced = encoded.bytes;
    output->forced_bytes = encoded.byte_count;
    return OK;
}

/* A final message that is continued may have opened its reasoning itself. */
static bool opens_reasoning(const struct api_call *call, const struct params *params,
                            const struct text_buffer *prompt)
{
    const struct output_family *family = &call->context->family;
    size_t last = json_array_size(params->messages) - 1;
    const json_t *content = json_object_get(json_array_get(params->messages, last), "content");
    return output_family_opens_reasoning(family, prompt->bytes, prompt->byte_count) ||
           (params->continue_final_message && json_is_string(content) &&
            output_family_left_open(family, json_string_value(content),
                                    json_string_length(content)));
}

static enum status plan_output(struct api_call *call, const struct params *params,
                               struct text_buffer *prompt, struct generation_output *output)
{
    const struct output_family *family = &call->context->family;
    if (!output_family_is_needed(family, params->tools.tools != NULL) &&
        params->tools.forced_name == NULL) {
        return OK;
    }
    bool calls = output_family_has_calls(family) && params->tools.tools != NULL;
    *output = (struct generation_output){
        .family = family,
        .tools = calls ? json_incref((json_t *)(uintptr_t)params->tools.tools) : NULL,
        .reasoning_open = opens_reasoning(call, params, prompt),
        .one_call = params->tools.one_call,
    };
    return params->tools.forced_name != NULL
               ? force_call(call, params->tools.forced_name, prompt, output)
               : OK;
}

/* Messages -> ids, owned by the caller, and how to read the answer. */
static enum status make_prompt(struct api_call *call, struct engine *engine,
                               const struct params *params, struct generation_output *output,
                               uint32_t **ids, size_t *id_count)
{
    struct text_buffer prompt;
    text_buffer_init(&prompt, LIMIT_TEMPLATE_OUTPUT);
    text_buffer_append(&prompt, "", 0);
    enum status status = chat_prompt_render(params, api_choose_template(call->context, params),
                                            engine_tokenizer(engine), &prompt, &call->refusal);
    if (status == OK) {
        status = plan_output(call, params, &prompt, output);
    }
    if (status == OK) {
        unsigned flags =
            TOKENIZER_DROP_GUARDS | (params->add_special_tokens ? TOKENIZER_ADD_SPECIAL : 0u);
        status = api_tokenize_text(engine, prompt.bytes, prompt.byte_count, flags, ids, id_count,
                                   &call->refusal);
    }
    text_buffer_release(&prompt);
    return status;
}

static enum status add_prompt(struct api_call *call, struct engine *engine,
                              const struct params *params, struct generation *generation)
{
    uint32_t *ids = NULL;
    size_t id_count = 0;
    struct generation_output output = {0};
    enum status status = make_prompt(call, engine, params, &output, &ids, &id_count);
    generation_set_output(generation, &output);
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
