/* Any bytes as a model's answer, in every format, whole and in pieces: what comes out must not
 * depend on the pieces, and every byte must be somewhere. The bytes are seen through a dictionary of
 * marks, so that calls are reached at once. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/output_rig.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count);

static const char *const formats[][2] = {
    {"hermes", "think"},      {"qwen3_coder", "think"}, {"llama3", "none"},  {"mistral", "mistral"},
    {"deepseek", "think"},    {"harmony", "harmony"},   {"glm45", "think"},  {"kimi_k2", "think"},
    {"seed_oss", "seed_oss"}, {"none", "think"},        {"harmony", "none"},
};

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"s\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"},\"u\":{\"type\":"
    "[\"string\",\"null\"]}}}}}]";

/* A byte from 0x80 on stands for one of these; the family's own marks come after them. */
static const char *const words[] = {
    "{\"name\": \"f\", \"arguments\": {",
    "{\"name\": \"f\"",
    "\"parameters\":{}}",
    "}",
    "}}",
    "\n",
    "<function=f>",
    "s>",
    "n>",
    "u>",
    "f",
    "functions.f",
    ":0",
    "analysis",
    "final",
    "commentary to=functions.f ",
    "function",
    "\n```json\n{",
    "\n```",
    "[",
    ",",
    ";",
    "{\"a\":[1,",
    "\"x\\\"\"",
    "]}",
    "\xFF<|other|>\xFE",
    "\xE4\xB8\xAD",
    "null",
    "{",
    "assistant",
    "json",
};

static void expand(struct text_buffer *out, const struct output_family *family,
                   const uint8_t *bytes, size_t byte_count)
{
    size_t word_count = sizeof words / sizeof words[0];
    for (size_t i = 0; i < byte_count; i++) {
        size_t index = bytes[i] - 0x80u;
        if (bytes[i] < 0x80) {
            text_buffer_append(out, (const char *)&bytes[i], 1);
        } else if (index < word_count) {
            text_buffer_append_text(out, words[index]);
        } else if (index - word_count < family->mark_count) {
            const struct output_mark *mark = &family->marks[index - word_count];
            text_buffer_append(out, mark->bytes, mark->byte_count);
        } else if (index - word_count == OUTPUT_MARKS_MAX) {
            text_buffer_append(out, family->think_open.bytes, family->think_open.byte_count);
        } else if (index - word_count == OUTPUT_MARKS_MAX + 1) {
            text_buffer_append(out, family->think_close.bytes, family->think_close.byte_count);
        } else {
            text_buffer_append(out, (const char *)&bytes[i], 1);
        }
    }
}

static size_t next_piece(void *context)
{
    uint32_t *state = context;
    *state = *state * 1664525u + 1013904223u;
    return 1 + (*state >> 24) % (1 + (*state >> 16) % 32);
}

static void check(const struct output_setup *setup, const struct text_buffer *text, bool truncated,
                  uint32_t seed)
{
    struct output_outcome whole;
    struct output_outcome pieces;
    output_rig_run(&whole, *setup, text->bytes, text->byte_count, truncated, NULL, NULL);
    output_rig_run(&pieces, *setup, text->bytes, text->byte_count, truncated, next_piece, &seed);
    const struct output_account *account = &whole.account;
    bool accounted =
        setup->one_call || account->text + account->arguments + account->markup == text->byte_count;
    if (!output_rig_same(&whole, &pieces) || !accounted || whole.orphaned) {
        abort();
    }
    output_rig_release(&whole);
    output_rig_release(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count)
{
    static json_t *tools;
    if (byte_count < 3) {
        return 0;
    }
    if (tools == NULL) {
        tools = json_loads(tools_text, 0, NULL);
    }
    size_t row = bytes[0] % (sizeof formats / sizeof formats[0]);
    struct output_family family;
    struct error error = {0};
    static const char template_text[] = "[ARGS] ```json";
    if (output_family_choose(&family, formats[row][0], formats[row][1], template_text,
                             sizeof template_text - 1, NULL, &error) != OK) {
        abort();
    }
    const struct output_setup setup = {
        .family = &family,
        .tools = (bytes[1] & 1) != 0 ? NULL : tools,
        .reasoning_open = family.think_close.byte_count > 0 && (bytes[1] & 2) != 0,
        .one_call = (bytes[1] & 4) != 0,
        .forced = (bytes[1] & 8) != 0,
        .show_control = (bytes[1] & 16) != 0,
    };
    struct text_buffer text;
    text_buffer_init(&text, 1u << 24);
    text_buffer_append(&text, "", 0);
    expand(&text, &family, bytes + 3, byte_count - 3);
    if (!text.failed) {
        check(&setup, &text, (bytes[1] & 32) != 0, bytes[2]);
    }
    text_buffer_release(&text);
    return 0;
}
