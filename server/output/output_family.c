/* output_family.c - two tables: how calls are written, how reasoning is. A row is chosen by words that
 * its templates, and no others before it in the table, have.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/output/output_family.h"

#include "server/output/output_formats.h"

#include <stdio.h>
#include <string.h>

/* In the order in which they are tried: those with words of their own first. */
static const struct output_format *const formats[] = {
    &output_harmony_format,  &output_section_deepseek_format, &output_section_kimi_format,
    &output_mistral_format,  &output_xml_glm_format,          &output_xml_seed_format,
    &output_xml_qwen_format, &output_hermes_format,           &output_llama_format,
};

static const struct output_thinking thinkings[] = {
    {"harmony", NULL, NULL, {{"<|channel|>", "<|message|>"}}},
    {"mistral", "[THINK]", "[/THINK]", {{"[THINK]"}}},
    {"seed_oss", "<seed:think>", "</seed:think>", {{"</seed:think>"}}},
    {"cohere", "<|START_THINKING|>", "<|END_THINKING|>", {{"<|START_THINKING|>"}}},
    {"think", "<think>", "</think>", {{"</think>"}, {"<think>"}}},
};

enum {
    FORMATS = sizeof formats / sizeof formats[0],
    THINKINGS = sizeof thinkings / sizeof thinkings[0],
};

static bool has_words(const char *text, size_t text_bytes, const char *const *words)
{
    if (words[0] == NULL) {
        return false;
    }
    for (size_t i = 0; i < OUTPUT_WORDS_MAX && words[i] != NULL; i++) {
        if (memmem(text, text_bytes, words[i], strlen(words[i])) == NULL) {
            return false;
        }
    }
    return true;
}

static bool fits(const char *text, size_t text_bytes,
                 const char *const words[OUTPUT_WORDS_MAX][OUTPUT_WORDS_MAX])
{
    for (size_t i = 0; i < OUTPUT_WORDS_MAX; i++) {
        if (has_words(text, text_bytes, words[i])) {
            return true;
        }
    }
    return false;
}

static bool is_choice(const char *name, const char *row, const char *text, size_t text_bytes,
                      const char *const words[OUTPUT_WORDS_MAX][OUTPUT_WORDS_MAX])
{
    return strcmp(name, row) == 0 || (strcmp(name, "auto") == 0 && fits(text, text_bytes, words));
}

static void set_mark(struct output_mark *mark, const char *text, const struct tokenizer *tokenizer)
{
    size_t byte_count = strlen(text);
    uint32_t id = tokenizer != NULL ? tokenizer_find(tokenizer, text, byte_count) : TOKEN_NONE;
    bool control = id != TOKEN_NONE && tokenizer_is_special(tokenizer, id);
    int written = snprintf(mark->bytes, sizeof mark->bytes, control ? "\xFF%s\xFE" : "%s", text);
    mark->byte_count = (uint32_t)written;
}

enum status output_family_choose(struct output_family *family, const char *format,
                                 const char *thinking, const char *template_text,
                                 size_t template_bytes, const struct tokenizer *tokenizer,
                                 struct error *err)
{
    *family = (struct output_family){0};
    for (size_t i = 0; i < FORMATS && family->format == NULL; i++) {
        if (is_choice(format, formats[i]->name, template_text, template_bytes, formats[i]->words)) {
            family->format = formats[i];
        }
    }
    for (size_t i = 0; i < THINKINGS && family->thinking == NULL; i++) {
        if (is_choice(thinking, thinkings[i].name, template_text, template_bytes,
                      thinkings[i].words)) {
            family->thinking = &thinkings[i];
        }
    }
    bool channels = family->thinking == &thinkings[0];
    if (channels && family->format != &output_harmony_format) {
        if (family->format != NULL) {
            return error_set(err, ERR_INVALID,
                             "reasoning-parser harmony reads messages that tool-parser %s cannot",
                             family->format->name);
        }
        family->format = &output_harmony_format; /* for its channels alone */
        family->no_calls = true;
    }
    for (uint32_t m = 0; family->format != NULL && m < OUTPUT_MARKS_MAX; m++) {
        if (family->format->marks[m] != NULL) {
            set_mark(&family->marks[m], family->format->marks[m], tokenizer);
            family->mark_count = m + 1;
        }
    }
    if (family->thinking != NULL && family->thinking->close != NULL) {
        set_mark(&family->think_open, family->thinking->open, tokenizer);
        set_mark(&family->think_close, family->thinking->close, tokenizer);
    }
    const char *word = family->format != NULL ? family->format->variant_word : NULL;
    family->variant = word != NULL && memmem(template_text, template_bytes, word, strlen(word));
    return OK;
}

const char *output_family_format_name(const struct output_family *family)
{
    return family->format != NULL && !family->no_calls ? family->format->name : "none";
}

const char *output_family_thinking_name(const struct output_family *family)
{
    return family->thinking != NULL ? family->thinking->name : "none";
}

void output_family_thinking_marks(const struct output_family *family, const char *marks[2])
{
    marks[0] = family->thinking != NULL ? family->thinking->open : NULL;
    marks[1] = family->thinking != NULL ? family->thinking->close : NULL;
}

bool output_family_has_calls(const struct output_family *family)
{
    return family->format != NULL && !family->no_calls;
}

bool output_family_is_needed(const struct output_family *family, bool with_tools)
{
    bool messages = family->format != NULL && family->format->step != NULL;
    return family->thinking != NULL || messages || (with_tools && output_family_has_calls(family));
}

enum output_id_style output_family_id_style(const struct output_family *family)
{
    return family->format != NULL ? family->format->id_style : OUTPUT_ID_CALL;
}

bool output_family_opens_reasoning(const struct output_family *family, const char *prompt,
                                   size_t prompt_bytes)
{
    if (family->thinking == NULL || family->thinking->open == NULL) {
        return false;
    }
    while (prompt_bytes > 0 && strchr(" \t\r\n", prompt[prompt_bytes - 1]) != NULL) {
        prompt_bytes--;
    }
    size_t open_bytes = strlen(family->thinking->open);
    return prompt_bytes >= open_bytes &&
           memcmp(prompt + prompt_bytes - open_bytes, family->thinking->open, open_bytes) == 0;
}

/* Where word begins for the last time, or NULL. */
static const char *last_of(const char *text, size_t text_bytes, const char *word)
{
    const char *found = NULL;
    const char *at = text;
    size_t word_bytes = strlen(word);
    while ((at = memmem(at, text_bytes - (size_t)(at - text), word, word_bytes)) != NULL) {
        found = at;
        at += word_bytes;
    }
    return found;
}

bool output_family_left_open(const struct output_family *family, const char *text,
                             size_t text_bytes)
{
    if (family->thinking == NULL || family->thinking->open == NULL) {
        return false;
    }
    const char *open = last_of(text, text_bytes, family->thinking->open);
    const char *close = last_of(text, text_bytes, family->thinking->close);
    return open != NULL && (close == NULL || close < open);
}

void output_family_write_close(const struct output_family *family, struct text_buffer *out)
{
    text_buffer_append_text(out, family->thinking->close);
    text_buffer_append_text(out, "\n\n");
}

void output_family_write_call(const struct output_family *family, const char *name,
                              struct text_buffer *out)
{
    const struct output_format *format = family->format;
    const char *const *around = family->variant ? format->forced_variant : format->forced;
    text_buffer_append_text(out, around[0]);
    text_buffer_append_text(out, name);
    text_buffer_append_text(out, around[1]);
}

void output_family_encode(const struct output_family *family, const char *text, size_t text_bytes,
                          struct text_buffer *out)
{
    for (size_t i = 0; i < text_bytes;) {
        const struct output_mark *mark = NULL;
        size_t length = 1;
        for (uint32_t m = 0; m < family->mark_count; m++) {
            const char *word = family->format->marks[m];
            size_t word_bytes = strlen(word);
            if (word_bytes <= text_bytes - i && memcmp(text + i, word, word_bytes) == 0) {
                mark = &family->marks[m];
                length = word_bytes;
            }
        }
        text_buffer_append(out, mark != NULL ? mark->bytes : text + i,
                           mark != NULL ? mark->byte_count : 1);
        i += length;
    }
}
