/* output_value.c - schema types as bits, strings escaped, everything else checked by the JSON parser.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/output/output_value.h"

#include "server/output/output_match.h"

#include <stdio.h>
#include <string.h>

static uint32_t type_bit(const json_t *name)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } rows[] = {
        {"string", OUTPUT_VALUE_STRING},  {"number", OUTPUT_VALUE_NUMBER},
        {"integer", OUTPUT_VALUE_NUMBER}, {"boolean", OUTPUT_VALUE_BOOLEAN},
        {"null", OUTPUT_VALUE_NULL},      {"object", OUTPUT_VALUE_OBJECT},
        {"array", OUTPUT_VALUE_ARRAY},
    };
    const char *text = json_string_value(name);
    for (size_t i = 0; text != NULL && i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(text, rows[i].name) == 0) {
            return rows[i].bit;
        }
    }
    return 0;
}

/* "type": a name or several. */
static uint32_t declared_types(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    uint32_t bits = type_bit(type);
    for (size_t i = 0; i < json_array_size(type); i++) {
        bits |= type_bit(json_array_get(type, i));
    }
    return bits;
}

static uint32_t schema_types(const json_t *schema)
{
    static const char *const unions[] = {"anyOf", "oneOf"};
    uint32_t bits = declared_types(schema);
    for (size_t u = 0; u < 2; u++) {
        const json_t *list = json_object_get(schema, unions[u]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            uint32_t one = declared_types(json_array_get(list, i));
            if (one == 0) {
                return 0; /* a branch that says nothing */
            }
            bits |= one;
        }
    }
    return bits;
}

uint32_t output_value_types(const json_t *tools, const char *tool, struct slice key)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *function = json_object_get(json_array_get(tools, i), "function");
        const char *name = json_string_value(json_object_get(function, "name"));
        if (name != NULL && strcmp(name, tool) == 0) {
            const json_t *parameters = json_object_get(function, "parameters");
            return schema_types(json_object_getn(json_object_get(parameters, "properties"),
                                                 key.bytes, key.byte_count));
        }
    }
    return 0;
}

static bool is_plain(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 0x20 && byte < 0xFE && c != '"' && c != '\\';
}

void output_value_give_text(struct output_parser *parser, struct slice text)
{
    for (size_t i = 0; i < text.byte_count;) {
        size_t run = 0;
        while (i + run < text.byte_count && is_plain(text.bytes[i + run])) {
            run++;
        }
        output_parser_arguments(parser, text.bytes + i, run);
        i += run;
        if (i == text.byte_count) {
            break;
        }
        unsigned char byte = (unsigned char)text.bytes[i++];
        char escape[8];
        int length = 0; /* the brackets of a control token are left out */
        if (byte == '"' || byte == '\\') {
            length = snprintf(escape, sizeof escape, "\\%c", byte);
        } else if (byte == '\n' || byte == '\t' || byte == '\r') {
            length = snprintf(escape, sizeof escape, "\\%c",
                              byte == '\n'   ? 'n'
                              : byte == '\t' ? 't'
                                             : 'r');
        } else if (byte < 0x20) {
            length = snprintf(escape, sizeof escape, "\\u%04x", byte);
        }
        output_parser_arguments(parser, escape, (size_t)length);
    }
}

static uint32_t type_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return OUTPUT_VALUE_OBJECT;
    case JSON_ARRAY:
        return OUTPUT_VALUE_ARRAY;
    case JSON_STRING:
        return OUTPUT_VALUE_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return OUTPUT_VALUE_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return OUTPUT_VALUE_BOOLEAN;
    case JSON_NULL:
        break;
    }
    return OUTPUT_VALUE_NULL;
}

/* True, False and None, which models trained on Python write. */
static struct slice as_json_word(struct slice text)
{
    static const char *const words[][2] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};
    for (size_t i = 0; i < 3; i++) {
        if (text.byte_count == strlen(words[i][0]) &&
            memcmp(text.bytes, words[i][0], text.byte_count) == 0) {
            return (struct slice){words[i][1], strlen(words[i][1])};
        }
    }
    return text;
}

static bool stands_as_json(struct slice text, uint32_t types)
{
    json_t *value =
        json_loadb(text.bytes, text.byte_count, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (value == NULL) {
        return false;
    }
    uint32_t type = type_of(value);
    json_decref(value);
    /* Where it may be anything, quotes are part of the text. */
    return types == 0 ? type != OUTPUT_VALUE_STRING
                      : (types & type) != 0 && type != OUTPUT_VALUE_STRING;
}

void output_value_give(struct output_parser *parser, struct slice text, uint32_t types)
{
    struct slice trimmed = output_match_from(text, output_match_blanks(text));
    while (trimmed.byte_count > 0 && output_match_is_blank(trimmed.bytes[trimmed.byte_count - 1])) {
        trimmed.byte_count--;
    }
    if (types != 0 && (types & OUTPUT_VALUE_STRING) == 0) {
        trimmed = as_json_word(trimmed);
    }
    if (stands_as_json(trimmed, types)) {
        output_parser_arguments(parser, trimmed.bytes, trimmed.byte_count);
        return;
    }
    output_parser_arguments(parser, "\"", 1);
    output_value_give_text(parser, text);
    output_parser_arguments(parser, "\"", 1);
}
