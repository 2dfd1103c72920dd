/* Any bytes as a template, rendered with a small fixed conversation.
 *
 * The budgets have to hold and nothing may be read or written out of place; what the template
 * prints does not matter. SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/chat_template.h"

#include <stdint.h>
#include <stdlib.h>

static const char context_text[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be \\u00fcber brief.\"},"
    "{\"role\": \"user\", \"content\": \"a,b  c\\n{{ x }}\"},"
    "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"function\":"
    "{\"name\": \"f\", \"arguments\": {\"x\": 1, \"y\": [1.5, true, \"z\"]}}}]}],"
    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"items\": {}}}],"
    "\"add_generation_prompt\": true, \"bos_token\": \"<s>\", \"n\": -3, \"f\": 2.5}";

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count)
{
    static json_t *context;
    if (context == NULL) {
        context = json_loadb(context_text, sizeof context_text - 1, 0, NULL);
        if (context == NULL) {
            abort();
        }
    }
    struct chat_template *chat_template = NULL;
    struct error err;
    struct text_buffer text;
    text_buffer_init(&text, 1 << 20);
    if (chat_template_open(&chat_template, (const char *)bytes, byte_count, &err) == OK) {
        (void)chat_template_render(chat_template, context, 1721995200, &text, &err);
    }
    chat_template_close(chat_template);
    text_buffer_release(&text);
    return 0;
}
