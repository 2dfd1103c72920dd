/* template_json.c - JSON text as Python's json module writes it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_json.h"

#include "configs/limits.h"
#include "server/chat/template_builder.h"
#include "server/chat/template_compare.h"
#include "server/chat/template_dict.h"
#include "server/chat/template_repr.h"
#include "server/chat/template_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool import_nested(struct template_run *run, const json_t *json, unsigned depth,
                          struct template_value *out);

static bool import_array(struct template_run *run, const json_t *json, unsigned depth,
                         struct template_value *out)
{
    size_t count = json_array_size(json);
    struct template_value *items = template_run_alloc_array(run, count, sizeof *items);
    if (items == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!import_nested(run, json_array_get(json, i), depth, &items[i])) {
            return false;
        }
    }
    return template_run_list(run, TEMPLATE_LIST, items, count, out);
}

static bool import_object(struct template_run *run, const json_t *json, unsigned depth,
                          struct template_value *out)
{
    struct template_dict *dict = template_dict_new(run);
    if (dict == NULL) {
        return false;
    }
    /* Iterating changes nothing; jansson only lacks the const. */
    json_t *object = (json_t *)json;
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        struct template_value key;
        struct template_value value;
        if (!template_run_string(run, json_object_iter_key(at), json_object_iter_key_len(at),
                                 &key) ||
            !import_nested(run, json_object_iter_value(at), depth, &value) ||
            !template_dict_set(run, dict, key, value)) {
            return false;
        }
    }
    *out = template_value_dict(TEMPLATE_DICT, dict);
    return true;
}

static bool import_nested(struct template_run *run, const json_t *json, unsigned depth,
                          struct template_value *out)
{
    if (depth > LIMIT_TEMPLATE_DEPTH) {
        return template_run_fail(run, "the context is nested more than %u deep",
                                 LIMIT_TEMPLATE_DEPTH);
    }
    if (!template_run_spend(run, 1)) {
        return false;
    }
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return import_object(run, json, depth + 1, out);
    case JSON_ARRAY:
        return import_array(run, json, depth + 1, out);
    case JSON_STRING:
        return template_run_string(run, json_string_value(json), json_string_length(json), out);
    case JSON_INTEGER:
        *out = template_value_int(json_integer_value(json));
        return true;
    case JSON_REAL:
        *out = template_value_float(json_real_value(json));
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = template_value_bool(json_is_true(json));
        return true;
    case JSON_NULL:
        break;
    }
    *out = template_value_none();
    return true;
}

bool template_json_import(struct template_run *run, const json_t *json, struct template_value *out)
{
    return import_nested(run, json, 0, out);
}

struct writer {
    struct template_builder text;
    const struct template_json_style *style;
};

static bool write_nested(struct writer *writer, struct template_value value, unsigned depth);

static bool write_unicode_escape(struct writer *writer, int32_t codepoint)
{
    char escape[16];
    if (codepoint < 0x10000) {
        snprintf(escape, sizeof escape, "\\u%04x", (unsigned)codepoint);
    } else {
        unsigned rest = (unsigned)codepoint - 0x10000;
        snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD800 + (rest >> 10),
                 0xDC00 + (rest & 0x3FF));
    }
    return template_builder_append_text(&writer->text, escape);
}

static bool write_character(struct writer *writer, int32_t codepoint)
{
    static const char plain[] = "\"\\\n\r\t\f\b";
    static const char letters[] = "\"\\nrtfb";
    const char *found = codepoint > 0 && codepoint < 0x80 ? strchr(plain, (char)codepoint) : NULL;
    if (found != NULL) {
        char escape[2] = {'\\', letters[found - plain]};
        return template_builder_append(&writer->text, escape, sizeof escape);
    }
    if (codepoint < ' ' || (writer->style->ascii && codepoint > 0x7E)) {
        return write_unicode_escape(writer, codepoint);
    }
    return template_builder_append_codepoint(&writer->text, codepoint);
}

/* Bytes that need no escape are copied in runs. */
static size_t plain_bytes(const struct writer *writer, const struct template_string *string,
                          size_t position)
{
    size_t end = position;
    while (end < string->byte_count) {
        unsigned char byte = (unsigned char)string->bytes[end];
        if (byte < ' ' || byte == '"' || byte == '\\' || (writer->style->ascii && byte > 0x7E)) {
            break;
        }
        end++;
    }
    return end - position;
}

static bool write_string(struct writer *writer, const struct template_string *string)
{
    if (!template_run_spend_bytes(writer->text.run, string->byte_count) ||
        !template_builder_append_text(&writer->text, "\"")) {
        return false;
    }
    size_t position = 0;
    while (position < string->byte_count) {
        size_t plain = plain_bytes(writer, string, position);
        if (!template_builder_append(&writer->text, string->bytes + position, plain)) {
            return false;
        }
        position += plain;
        if (position < string->byte_count &&
            !write_character(writer, template_text_next(string->bytes, &position))) {
            return false;
        }
    }
    return template_builder_append_text(&writer->text, "\"");
}

static bool write_float(struct writer *writer, double number)
{
    if (isnan(number)) {
        return template_builder_append_text(&writer->text, "NaN");
    }
    if (isinf(number)) {
        return template_builder_append_text(&writer->text, number < 0 ? "-Infinity" : "Infinity");
    }
    return template_repr_append_float(&writer->text, number);
}

static bool write_newline(struct writer *writer, unsigned depth)
{
    if (writer->style->indent == NULL) {
        return true;
    }
    bool ok = template_builder_append_text(&writer->text, "\n");
    for (unsigned i = 0; ok && i < depth; i++) {
        ok = template_builder_append_string(&writer->text, writer->style->indent);
    }
    return ok;
}

static bool write_item_separator(struct writer *writer)
{
    if (writer->style->item_separator != NULL) {
        return template_builder_append_string(&writer->text, writer->style->item_separator);
    }
    return template_builder_append_text(&writer->text, writer->style->indent != NULL ? "," : ", ");
}

static bool write_key_separator(struct writer *writer)
{
    if (writer->style->key_separator != NULL) {
        return template_builder_append_string(&writer->text, writer->style->key_separator);
    }
    return template_builder_append_text(&writer->text, ": ");
}

static bool write_list(struct writer *writer, const struct template_list *list, unsigned depth)
{
    if (list->count == 0) {
        return template_builder_append_text(&writer->text, "[]");
    }
    bool ok = template_builder_append_text(&writer->text, "[");
    for (size_t i = 0; ok && i < list->count; i++) {
        ok = (i == 0 || write_item_separator(writer)) && write_newline(writer, depth) &&
             write_nested(writer, list->items[i], depth);
    }
    return ok && write_newline(writer, depth - 1) &&
           template_builder_append_text(&writer->text, "]");
}

static bool write_key(struct writer *writer, struct template_value key)
{
    if (key.kind == TEMPLATE_STRING) {
        return write_string(writer, key.as.string);
    }
    if (!template_value_is_number(key) && key.kind != TEMPLATE_NONE) {
        return template_run_fail(writer->text.run,
                                 "keys must be str, int, float, bool or None, not %s",
                                 template_value_type_name(key));
    }
    return template_builder_append_text(&writer->text, "\"") && write_nested(writer, key, 0) &&
           template_builder_append_text(&writer->text, "\"");
}

/* The entries in the order of their keys; a copy, since dicts cannot change. */
static bool sorted_entries(struct template_run *run, const struct template_dict *dict,
                           struct template_value *keys, struct template_value *values)
{
    for (size_t i = 0; i < dict->count; i++) {
        keys[i] = dict->entries[i].key;
        values[i] = dict->entries[i].value;
    }
    return template_compare_sort(run, keys, values, dict->count, false);
}

static bool write_entries(struct writer *writer, const struct template_dict *dict, unsigned depth)
{
    struct template_run *run = writer->text.run;
    struct template_value *keys = NULL;
    struct template_value *values = NULL;
    if (writer->style->sort_keys) {
        keys = template_run_alloc_array(run, dict->count, sizeof *keys);
        values = template_run_alloc_array(run, dict->count, sizeof *values);
        if (keys == NULL || values == NULL || !sorted_entries(run, dict, keys, values)) {
            return false;
        }
    }
    bool ok = true;
    for (size_t i = 0; ok && i < dict->count; i++) {
        ok = (i == 0 || write_item_separator(writer)) && write_newline(writer, depth) &&
             write_key(writer, keys != NULL ? keys[i] : dict->entries[i].key) &&
             write_key_separator(writer) &&
             write_nested(writer, values != NULL ? values[i] : dict->entries[i].value, depth);
    }
    return ok;
}

static bool write_dict(struct writer *writer, const struct template_dict *dict, unsigned depth)
{
    if (dict->count == 0) {
        return template_builder_append_text(&writer->text, "{}");
    }
    return template_builder_append_text(&writer->text, "{") && write_entries(writer, dict, depth) &&
           write_newline(writer, depth - 1) && template_builder_append_text(&writer->text, "}");
}

static bool write_nested(struct writer *writer, struct template_value value, unsigned depth)
{
    struct template_run *run = writer->text.run;
    if (depth > LIMIT_TEMPLATE_DEPTH) {
        return template_run_fail(run, "a value is nested more than %u deep", LIMIT_TEMPLATE_DEPTH);
    }
    if (!template_run_spend(run, 1)) {
        return false;
    }
    switch ((enum template_kind)value.kind) {
    case TEMPLATE_NONE:
        return template_builder_append_text(&writer->text, "null");
    case TEMPLATE_BOOL:
        return template_builder_append_text(&writer->text, value.as.boolean ? "true" : "false");
    case TEMPLATE_INT:
        return template_repr_append(&writer->text, value);
    case TEMPLATE_FLOAT:
        return write_float(writer, value.as.real);
    case TEMPLATE_STRING:
        return write_string(writer, value.as.string);
    case TEMPLATE_LIST:
    case TEMPLATE_TUPLE:
        return write_list(writer, value.as.list, depth + 1);
    case TEMPLATE_DICT:
        return write_dict(writer, value.as.dict, depth + 1);
    default:
        return template_run_fail(run, "Object of type %s is not JSON serializable",
                                 template_value_type_name(value));
    }
}

bool template_json_export(struct template_run *run, struct template_value value,
                          const struct template_json_style *style, struct template_value *out)
{
    struct writer writer = {.style = style};
    template_builder_init(&writer.text, run);
    return write_nested(&writer, value, 0) && template_builder_finish(&writer.text, out);
}
