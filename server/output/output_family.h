/* output_family.h - how a model writes reasoning and calls, judged by its chat template.
 *
 * Thread: constant once set up. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_OUTPUT_OUTPUT_FAMILY_H
#define SERVER_OUTPUT_OUTPUT_FAMILY_H

#include "configs/error.h"
#include "engine/tokenizer/tokenizer.h"
#include "server/text_buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output_format;
struct output_thinking;

enum {
    OUTPUT_MARKS_MAX = 8,
    OUTPUT_MARK_BYTES_MAX = 64,
};

/* A mark as it stands in a parser's input: its text, or that of its control token in brackets. */
struct output_mark {
    char bytes[OUTPUT_MARK_BYTES_MAX];
    uint32_t byte_count;
};

struct output_family {
    const struct output_format *format;     /* of calls; NULL: they are not looked for */
    const struct output_thinking *thinking; /* of reasoning; NULL: likewise */
    struct output_mark marks[OUTPUT_MARKS_MAX];
    uint32_t mark_count;
    struct output_mark think_open; /* empty without thinking */
    struct output_mark think_close;
    bool no_calls; /* the format is there for its messages alone */
    bool variant;  /* the template wants the second of the format's forms */
};

/* format and thinking: names of a row, "auto" (what the template's text says) or "none". Marks
 * that are control tokens of the vocabulary count only as such. tokenizer NULL: none are. */
enum status output_family_choose(struct output_family *family, const char *format,
                                 const char *thinking, const char *template_text,
                                 size_t template_bytes, const struct tokenizer *tokenizer,
                                 struct error *err);

/* Whether calls are looked for, and whether an answer must be parsed at all. */
bool output_family_has_calls(const struct output_family *family);
bool output_family_is_needed(const struct output_family *family, bool with_tools);

/* What the log calls them. */
const char *output_family_format_name(const struct output_family *family);
const char *output_family_thinking_name(const struct output_family *family);

/* The texts that open and close reasoning, or NULL. */
void output_family_thinking_marks(const struct output_family *family, const char *marks[2]);

/* Length and look of the ids of calls that a template accepts back. */
enum output_id_style {
    OUTPUT_ID_CALL,  /* call_ and 24 letters and digits */
    OUTPUT_ID_NINE,  /* nine letters and digits: Mistral's templates refuse others */
    OUTPUT_ID_INDEX, /* functions.NAME:INDEX, which Kimi was trained on */
};
enum output_id_style output_family_id_style(const struct output_family *family);

/* True when the prompt's end has opened the reasoning. */
bool output_family_opens_reasoning(const struct output_family *family, const char *prompt,
                                   size_t prompt_bytes);

/* True when a text's last opening of reasoning is not closed: of a message to be continued. */
bool output_family_left_open(const struct output_family *family, const char *text,
                             size_t text_bytes);

/* Writes what closes reasoning that the prompt has opened. */
void output_family_write_close(const struct output_family *family, struct text_buffer *out);

/* Writes what begins a call of `name`, for a prompt: the model can then only go on with its
 * arguments. The family has calls. */
void output_family_write_call(const struct output_family *family, const char *name,
                              struct text_buffer *out);

/* Such text as a parser's input: the format's marks in their form there. */
void output_family_encode(const struct output_family *family, const char *text, size_t text_bytes,
                          struct text_buffer *out);

#endif
