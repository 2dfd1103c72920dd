/* tool_render.c - templates and contexts in, prompts out: for comparison with other interpreters.
 *
 * In, per case: u32 bytes, the template; u32 bytes, the context as JSON. Out: u32 whether it was
 * rendered, u32 bytes, the text or what was wrong. Little-endian. The clock stands at 2024-07-26 12:00:00.
 * SPDX-License-Identifier: Apache-2.0 */
#include "configs/limits.h"
#include "server/chat/chat_template.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_SECONDS 1721995200

static bool read_text(char **text, uint32_t *byte_count)
{
    if (fread(byte_count, sizeof *byte_count, 1, stdin) != 1) {
        return false;
    }
    *text = malloc((size_t)*byte_count + 1);
    return *text != NULL && fread(*text, 1, *byte_count, stdin) == *byte_count;
}

static void answer(bool rendered, const char *text, size_t byte_count)
{
    uint32_t numbers[2] = {rendered, (uint32_t)byte_count};
    fwrite(numbers, sizeof numbers, 1, stdout);
    fwrite(text, 1, byte_count, stdout);
}

static void render(const char *source, uint32_t source_bytes, const json_t *context)
{
    struct chat_template *parsed = NULL;
    struct error err = {0};
    struct text_buffer out;
    text_buffer_init(&out, LIMIT_TEMPLATE_OUTPUT);
    text_buffer_append(&out, "", 0);
    enum status status = chat_template_open(&parsed, source, source_bytes, &err);
    if (status == OK) {
        status = chat_template_render(parsed, context, CLOCK_SECONDS, &out, &err);
    }
    if (status == OK) {
        answer(true, out.bytes, out.byte_count);
    } else {
        answer(false, err.message, strlen(err.message));
    }
    text_buffer_release(&out);
    chat_template_close(parsed);
}

int main(void)
{
    char *source = NULL;
    uint32_t source_bytes = 0;
    while (read_text(&source, &source_bytes)) {
        char *text = NULL;
        uint32_t text_bytes = 0;
        json_t *context = read_text(&text, &text_bytes)
                              ? json_loadb(text, text_bytes, JSON_ALLOW_NUL, NULL)
                              : NULL;
        if (context == NULL) {
            return 1;
        }
        render(source, source_bytes, context);
        json_decref(context);
        free(text);
        free(source);
    }
    return 0;
}
