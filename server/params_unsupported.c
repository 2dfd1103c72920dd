/* params_unsupported.c - one table: field, the value that changes nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/params_unsupported.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum neutral_kind {
    NEUTRAL_NONE,   /* any value is refused */
    NEUTRAL_NUMBER, /* this number passes */
    NEUTRAL_FALSE,
    NEUTRAL_TRUE,
    NEUTRAL_EMPTY, /* "", [] and {} pass */
    NEUTRAL_TEXT,  /* these words pass: "a|b" */
    NEUTRAL_FORMAT /* an object whose type is "text" */
};

struct unsupported {
    const char *name;
    enum neutral_kind kind;
    double number;
    const char *words;
};

static const struct unsupported unsupported[] = {
    {"best_of", NEUTRAL_NUMBER, 1, NULL},
    {"suffix", NEUTRAL_EMPTY, 0, NULL},
    {"response_format", NEUTRAL_FORMAT, 0, NULL},
    {"functions", NEUTRAL_EMPTY, 0, NULL},
    {"function_call", NEUTRAL_TEXT, 0, "none|auto"},
    {"audio", NEUTRAL_NONE, 0, NULL},
    {"web_search_options", NEUTRAL_NONE, 0, NULL},
    {"use_beam_search", NEUTRAL_FALSE, 0, NULL},
    {"length_penalty", NEUTRAL_NUMBER, 1, NULL},
    {"guided_json", NEUTRAL_NONE, 0, NULL},
    {"guided_regex", NEUTRAL_NONE, 0, NULL},
    {"guided_choice", NEUTRAL_NONE, 0, NULL},
    {"guided_grammar", NEUTRAL_NONE, 0, NULL},
    {"structured_outputs", NEUTRAL_NONE, 0, NULL},
    {"structural_tag", NEUTRAL_NONE, 0, NULL},
    {"grammar", NEUTRAL_EMPTY, 0, NULL},
    {"json_schema", NEUTRAL_EMPTY, 0, NULL},
    {"regex", NEUTRAL_EMPTY, 0, NULL},
    {"ebnf", NEUTRAL_EMPTY, 0, NULL},
    {"stop_regex", NEUTRAL_EMPTY, 0, NULL},
    {"prompt_logprobs", NEUTRAL_NONE, 0, NULL},
    {"truncate_prompt_tokens", NEUTRAL_NONE, 0, NULL},
    {"bad_words", NEUTRAL_EMPTY, 0, NULL},
    {"allowed_token_ids", NEUTRAL_EMPTY, 0, NULL},
    {"logits_processors", NEUTRAL_EMPTY, 0, NULL},
    {"typical_p", NEUTRAL_NUMBER, 1, NULL},
    {"tfs_z", NEUTRAL_NUMBER, 1, NULL},
    {"top_a", NEUTRAL_NUMBER, 0, NULL},
    {"top_n_sigma", NEUTRAL_NUMBER, -1, NULL},
    {"mirostat", NEUTRAL_NUMBER, 0, NULL},
    {"dry_multiplier", NEUTRAL_NUMBER, 0, NULL},
    {"xtc_probability", NEUTRAL_NUMBER, 0, NULL},
    {"dynatemp_range", NEUTRAL_NUMBER, 0, NULL},
    {"thinking_token_budget", NEUTRAL_NONE, 0, NULL},
    {"chat_template", NEUTRAL_NONE, 0, NULL}, /* a template is code: the operator's to choose */
    {"documents", NEUTRAL_EMPTY, 0, NULL},
    {"mm_processor_kwargs", NEUTRAL_EMPTY, 0, NULL},
    {"lora", NEUTRAL_EMPTY, 0, NULL},
    {"n_keep", NEUTRAL_NUMBER, 0, NULL},
    {"n_discard", NEUTRAL_NUMBER, 0, NULL},
    {"id_slot", NEUTRAL_NUMBER, -1, NULL},
    {"slot_id", NEUTRAL_NUMBER, -1, NULL},
    {"cache_prompt", NEUTRAL_TRUE, 0, NULL},
};

static bool is_empty(const json_t *value)
{
    return (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static bool is_one_of(const json_t *value, const char *words)
{
    const char *text = json_string_value(value);
    size_t byte_count = text != NULL ? strlen(text) : 0;
    for (const char *at = words; byte_count > 0 && *at != '\0';) {
        size_t word_bytes = strcspn(at, "|");
        if (word_bytes == byte_count && memcmp(at, text, byte_count) == 0) {
            return true;
        }
        at += word_bytes + (at[word_bytes] == '|');
    }
    return false;
}

static bool is_neutral(const struct unsupported *row, const json_t *value)
{
    switch (row->kind) {
    case NEUTRAL_NUMBER:
        return json_is_number(value) && fabs(json_number_value(value) - row->number) < 1e-9;
    case NEUTRAL_FALSE:
        return json_is_false(value);
    case NEUTRAL_TRUE:
        return json_is_true(value);
    case NEUTRAL_EMPTY:
        return is_empty(value);
    case NEUTRAL_TEXT:
        return is_one_of(value, row->words);
    case NEUTRAL_FORMAT:
        return is_one_of(json_object_get(value, "type"), "text");
    case NEUTRAL_NONE:
        break;
    }
    return false;
}

/* Only text comes out of this server. */
static void check_modalities(struct json_fields *fields)
{
    const json_t *modalities = json_fields_array(fields, "modalities");
    for (size_t i = 0; i < json_array_size(modalities); i++) {
        if (!is_one_of(json_array_get(modalities, i), "text")) {
            json_fields_refuse(fields, "modalities", json_array_get(modalities, i),
                               "[\"text\"], the only one this server has");
        }
    }
}

void params_unsupported_check(struct json_fields *fields)
{
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++) {
        const struct unsupported *row = &unsupported[i];
        const json_t *value = json_fields_find(fields, row->name);
        if (value == NULL || is_neutral(row, value) || fields->status != OK) {
            continue;
        }
        char shown[JSON_FIELDS_SHOWN_BYTES];
        json_fields_describe(value, shown);
        fields->status =
            refusal_set(fields->refusal, "unsupported_parameter", row->name,
                        "%s is not supported by this server (given: %s).", row->name, shown);
    }
    check_modalities(fields);
}
