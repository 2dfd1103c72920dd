/* chat_prompt.c - builds the names a template sees (as Hugging Face transformers does: absent tools
 * and documents are none, not undefined) and renders. SPDX-License-Identifier: Apache-2.0 */
#include "server/chat_prompt.h"

#include "configs/limits.h"
#include "engine/clock.h"
#include "server/chat_messages.h"

#include <jansson.h>
#include <string.h>

static const char chatml[] =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] or '') + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/* A model that was never taught roles goes on with the text it is given, so it gets the texts. */
#define PLAIN                                                                                      \
    "{% for message in messages %}{{ message['content'] or '' }}"                                  \
    "{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}"
static const char plain[] = PLAIN;
static const char plain_with_bos[] = "{{ bos_token }}" PLAIN;

const char *chat_prompt_default_template(const struct tokenizer *tokenizer, const char **name)
{
    static const char start[] = "<|im_start|>";
    if (tokenizer_find(tokenizer, start, sizeof start - 1) != TOKEN_NONE) {
        *name = "ChatML";
        return chatml;
    }
    *name = "the messages' texts, a line each";
    return tokenizer_info(tokenizer)->add_bos ? plain_with_bos : plain;
}

/* Without a name of that kind, the one given. Takes value. */
static void set_default(json_t *context, const char *name, json_t *value)
{
    if (json_object_get(context, name) == NULL) {
        json_object_set_new(context, name, value);
    } else {
        json_decref(value);
    }
}

static void set_token_text(json_t *context, const char *name, const struct tokenizer *tokenizer,
                           uint32_t token_id)
{
    size_t byte_count = 0;
    const char *bytes = "";
    if (token_id != TOKEN_NONE) {
        bytes = tokenizer_token_bytes(tokenizer, token_id, true, &byte_count);
    }
    json_object_set_new(context, name, json_stringn(bytes, byte_count));
}

/* As the model has them; without a model, as the client says. */
static void set_token_texts(json_t *context, const struct tokenizer *tokenizer)
{
    if (tokenizer == NULL) {
        set_default(context, "bos_token", json_string(""));
        set_default(context, "eos_token", json_string(""));
        return;
    }
    const struct tokenizer_info *info = tokenizer_info(tokenizer);
    set_token_text(context, "bos_token", tokenizer, info->bos_id);
    set_token_text(context, "eos_token", tokenizer, info->eos_id);
}

/* Takes value, which may be NULL: the same with guards. */
static json_t *guarded(const struct params *params, json_t *value)
{
    json_t *result = params->guard != NULL && value != NULL
                         ? control_guard_apply(params->guard, value)
                         : json_incref(value);
    json_decref(value);
    return result;
}

/* Takes messages. NULL: no memory. */
static json_t *make_context(const struct params *params, const struct tokenizer *tokenizer,
                            json_t *messages)
{
    json_t *given = (json_t *)(uintptr_t)params->template_values;
    json_t *context = given != NULL ? guarded(params, json_copy(given)) : json_object();
    if (params->reasoning_effort != NULL) {
        json_object_set_new(context, "reasoning_effort",
                            guarded(params, json_string(params->reasoning_effort)));
    }
    /* After the client's own values, so that those cannot replace what was checked. */
    json_object_set_new(context, "messages", messages);
    json_t *tools = (json_t *)(uintptr_t)params->tools.tools;
    tools = guarded(params, json_incref(tools));
    json_object_set_new(context, "tools", tools != NULL ? tools : json_null());
    set_default(context, "documents", json_null());
    json_object_set_new(context, "add_generation_prompt",
                        json_boolean(params->add_generation_prompt));
    set_token_texts(context, tokenizer);
    return context;
}

/* Where the last occurrence of needle ends in text, or NULL. */
static const char *end_of_last(const char *text, size_t text_bytes, const char *needle,
                               size_t needle_bytes)
{
    for (size_t at = text_bytes; at >= needle_bytes; at--) {
        if (memcmp(text + at - needle_bytes, needle, needle_bytes) == 0) {
            return text + at;
        }
    }
    return NULL;
}

static size_t trimmed_bytes(const char **text, size_t byte_count)
{
    static const char blanks[] = " \t\r\n";
    while (byte_count > 0 && strchr(blanks, (*text)[byte_count - 1]) != NULL) {
        byte_count--;
    }
    while (byte_count > 0 && strchr(blanks, (*text)[0]) != NULL) {
        (*text)++;
        byte_count--;
    }
    return byte_count;
}

/* Cuts what the template writes after the final message, so that the model goes on with it. */
static enum status cut_after_final(const json_t *messages, struct text_buffer *out,
                                   struct refusal *refusal)
{
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    const json_t *content = json_object_get(last, "content");
    const char *text = json_string_value(content);
    size_t byte_count = text != NULL ? trimmed_bytes(&text, json_string_length(content)) : 0;
    const char *end =
        byte_count > 0 ? end_of_last(out->bytes, out->byte_count, text, byte_count) : NULL;
    if (end == NULL) {
        return refusal_set(refusal, "invalid_value", "continue_final_message",
                           "continue_final_message needs a final message whose text the chat "
                           "template repeats.");
    }
    out->byte_count = (size_t)(end - out->bytes);
    out->bytes[out->byte_count] = '\0';
    return OK;
}

enum status chat_prompt_render(const struct params *params,
                               const struct chat_template *chat_template,
                               const struct tokenizer *tokenizer, struct text_buffer *out,
                               struct refusal *refusal)
{
    if (chat_template == NULL) {
        return refusal_set(refusal, "no_chat_template", "messages",
                           "This model's chat template cannot be used, so messages cannot become a "
                           "prompt; use /v1/completions, or start the server with --chat-template "
                           "FILE.");
    }
    json_t *messages = NULL;
    enum status status =
        chat_messages_normalise(&messages, params->messages, &params->style, refusal);
    if (status == OK && params->guard != NULL) {
        json_t *unguarded = messages;
        messages = control_guard_apply_messages(params->guard, unguarded);
        json_decref(unguarded);
    }
    json_t *context = status == OK ? make_context(params, tokenizer, messages) : NULL;
    if (status == OK && (messages == NULL || context == NULL)) {
        json_decref(context);
        status = refusal_set_status(refusal, ERR_MEMORY, "out_of_memory",
                                    "There is not enough memory for this request now.");
    }
    if (status != OK) {
        return status;
    }
    struct error error = {0};
    status = chat_template_render(chat_template, context, clock_wall_seconds(), out, &error);
    if (status != OK) {
        refusal_set(refusal, "chat_template_failed", "messages",
                    "The chat template refused the messages: %.400s", error.message);
        refusal->error.status = status;
    } else if (params->continue_final_message) {
        status = cut_after_final(messages, out, refusal);
    }
    json_decref(context);
    return status;
}
