/* chat_style.c - one chat, up to four renderings, as llama.cpp judges templates too.
 *
 * An object is right where it comes out as JSON, or taken apart; the string is right where it comes
 * out as it went in. Where neither is, the object is given, as transformers does.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat_style.h"

#include "configs/limits.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KEY   "probe_key"
#define VALUE "probe_value"

/* The id has the nine letters and digits that some templates insist on. */
static const char chat[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"},"
    " {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"call00001\","
    "  \"type\": \"function\", \"function\": {\"name\": \"f\", \"arguments\": {}}}]},"
    " {\"role\": \"tool\", \"tool_call_id\": \"call00001\", \"name\": \"f\", \"content\": \"b\"}],"
    " \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"c\","
    "  \"parameters\": {\"type\": \"object\", \"properties\": {}}}}],"
    " \"documents\": null, \"bos_token\": \"\", \"eos_token\": \"\","
    " \"add_generation_prompt\": true}";

static const char arguments_text[] = "{\"" KEY "\": \"" VALUE "\"}";

/* The chat in one form, as a prompt. */
static bool render(const struct chat_template *chat_template, struct chat_style style,
                   struct text_buffer *out)
{
    json_t *context = json_loads(chat, 0, NULL);
    json_t *message = json_array_get(json_object_get(context, "messages"), 1);
    json_t *call = json_array_get(json_object_get(message, "tool_calls"), 0);
    json_t *function = json_object_get(call, "function");
    json_object_set_new(function, "arguments",
                        style.string_arguments ? json_string(arguments_text)
                                               : json_pack("{s:s}", KEY, VALUE));
    json_object_set_new(message, "content", style.empty_content ? json_string("") : json_null());
    text_buffer_init(out, LIMIT_TEMPLATE_OUTPUT);
    text_buffer_append(out, "", 0);
    struct error ignored = {0};
    bool fine = context != NULL && !out->failed &&
                chat_template_render(chat_template, context, 0, out, &ignored) == OK;
    json_decref(context);
    return fine;
}

static bool fits(const struct chat_template *chat_template, struct chat_style style)
{
    struct text_buffer prompt;
    bool fine = render(chat_template, style, &prompt);
    if (fine && style.string_arguments) {
        fine = strstr(prompt.bytes, arguments_text) != NULL;
    } else if (fine) {
        fine = strstr(prompt.bytes, VALUE) != NULL && strstr(prompt.bytes, "'" KEY "'") == NULL;
    }
    text_buffer_release(&prompt);
    return fine;
}

struct chat_style chat_style_judge(const struct chat_template *chat_template)
{
    static const struct chat_style styles[] = {
        {false, false}, {false, true}, {true, false}, {true, true}};
    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) {
        if (fits(chat_template, styles[i])) {
            return styles[i];
        }
    }
    return styles[0];
}
