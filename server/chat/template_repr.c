/* template_repr.c - Python's way of writing values.
 *
 * Containers are walked recursively, so their depth is bounded; the size of the text is bounded
 * by the run's budgets. SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_repr.h"

#include "configs/limits.h"
#include "server/chat/template_macro.h"
#include "server/chat/template_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool append_nested(struct template_builder *text, struct template_value value,
                          unsigned depth);

static bool append_int(struct template_builder *text, int64_t integer)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, integer);
    return template_builder_append_text(text, digits);
}

/* Digits and decimal exponent of the shortest decimal that reads back as the same number. */
static int shortest_digits(double magnitude, char *digits, size_t digits_size)
{
    char scientific[40];
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(scientific, sizeof scientific, "%.*e", precision, magnitude);
        if (strtod(scientific, NULL) == magnitude) {
            break;
        }
    }
    size_t count = 0;
    const char *at = scientific;
    for (; *at != 'e' && *at != '\0'; at++) {
        if (*at >= '0' && *at <= '9' && count + 1 < digits_size) {
            digits[count++] = *at;
        }
    }
    digits[count] = '\0';
    return *at == 'e' ? (int)strtol(at + 1, NULL, 10) : 0;
}

static bool append_plain_float(struct template_builder *text, const char *digits, int exponent)
{
    size_t count = strlen(digits);
    if (exponent < 0) {
        return template_builder_append_text(text, "0.") &&
               template_builder_append_repeated(text, '0', (size_t)(-exponent - 1)) &&
               template_builder_append_text(text, digits);
    }
    size_t whole = (size_t)exponent + 1;
    if (count <= whole) {
        return template_builder_append_text(text, digits) &&
               template_builder_append_repeated(text, '0', whole - count) &&
               template_builder_append_text(text, ".0");
    }
    return template_builder_append(text, digits, whole) &&
           template_builder_append_text(text, ".") &&
           template_builder_append_text(text, digits + whole);
}

static bool append_scientific(struct template_builder *text, const char *digits, int exponent)
{
    char suffix[16];
    snprintf(suffix, sizeof suffix, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    return template_builder_append(text, digits, 1) &&
           (digits[1] == '\0' || (template_builder_append_text(text, ".") &&
                                  template_builder_append_text(text, digits + 1))) &&
           template_builder_append_text(text, suffix);
}

bool template_repr_append_float(struct template_builder *text, double number)
{
    if (isnan(number)) {
        return template_builder_append_text(text, "nan");
    }
    if (signbit(number) != 0 && !template_builder_append_text(text, "-")) {
        return false;
    }
    if (isinf(number)) {
        return template_builder_append_text(text, "inf");
    }
    char digits[24] = "";
    int exponent = shortest_digits(fabs(number), digits, sizeof digits);
    if (exponent < -4 || exponent >= 16) {
        return append_scientific(text, digits, exponent);
    }
    return append_plain_float(text, digits, exponent);
}

static bool is_printable(int32_t codepoint)
{
    if (codepoint < 0x7F) {
        return codepoint >= ' ';
    }
    switch (utf8proc_category(codepoint)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

static bool append_hidden(struct template_builder *text, int32_t codepoint)
{
    char escape[16];
    if (codepoint == '\n' || codepoint == '\r' || codepoint == '\t') {
        char letter = (char)(codepoint == '\n' ? 'n' : codepoint == '\r' ? 'r' : 't');
        snprintf(escape, sizeof escape, "\\%c", letter);
    } else if (codepoint < 0x100) {
        snprintf(escape, sizeof escape, "\\x%02x", (unsigned)codepoint);
    } else if (codepoint < 0x10000) {
        snprintf(escape, sizeof escape, "\\u%04x", (unsigned)codepoint);
    } else {
        snprintf(escape, sizeof escape, "\\U%08x", (unsigned)codepoint);
    }
    return template_builder_append_text(text, escape);
}

/* Single quotes, unless only those occur inside. */
static bool append_quoted(struct template_builder *text, const struct template_string *string)
{
    bool has_single = memchr(string->bytes, '\'', string->byte_count) != NULL;
    bool has_double = memchr(string->bytes, '"', string->byte_count) != NULL;
    char quote = has_single && !has_double ? '"' : '\'';
    if (!template_run_spend_bytes(text->run, 4 * string->byte_count) ||
        !template_builder_append(text, &quote, 1)) {
        return false;
    }
    for (size_t position = 0; position < string->byte_count;) {
        int32_t codepoint = template_text_next(string->bytes, &position);
        bool ok = true;
        if (codepoint == quote || codepoint == '\\') {
            ok = template_builder_append_text(text, "\\") &&
                 template_builder_append_codepoint(text, codepoint);
        } else if (is_printable(codepoint)) {
            ok = template_builder_append_codepoint(text, codepoint);
        } else {
            ok = append_hidden(text, codepoint);
        }
        if (!ok) {
            return false;
        }
    }
    return template_builder_append(text, &quote, 1);
}

static bool append_items(struct template_builder *text, const struct template_list *list,
                         unsigned depth)
{
    for (size_t i = 0; i < list->count; i++) {
        if ((i > 0 && !template_builder_append_text(text, ", ")) ||
            !append_nested(text, list->items[i], depth)) {
            return false;
        }
    }
    return true;
}

static bool append_enclosed(struct template_builder *text, const char *open,
                            const struct template_list *list, const char *close, unsigned depth)
{
    return template_builder_append_text(text, open) && append_items(text, list, depth) &&
           template_builder_append_text(text, close);
}

static bool append_dict(struct template_builder *text, const struct template_dict *dict,
                        unsigned depth)
{
    if (!template_builder_append_text(text, "{")) {
        return false;
    }
    for (size_t i = 0; i < dict->count; i++) {
        if ((i > 0 && !template_builder_append_text(text, ", ")) ||
            !append_nested(text, dict->entries[i].key, depth) ||
            !template_builder_append_text(text, ": ") ||
            !append_nested(text, dict->entries[i].value, depth)) {
            return false;
        }
    }
    return template_builder_append_text(text, "}");
}

/* range(0, 3); the step is shown when it is not 1. */
static bool append_range(struct template_builder *text, const struct template_list *list)
{
    int64_t first = list->count > 0 ? list->items[0].as.integer : 0;
    int64_t step = list->count > 1 ? list->items[1].as.integer - first : 1;
    int64_t stop = list->count > 0 ? list->items[list->count - 1].as.integer + step : 0;
    char line[96];
    snprintf(line, sizeof line, "range(%" PRId64 ", %" PRId64, first, stop);
    char suffix[32] = ")";
    if (step != 1) {
        snprintf(suffix, sizeof suffix, ", %" PRId64 ")", step);
    }
    return template_builder_append_text(text, line) && template_builder_append_text(text, suffix);
}

static bool append_object(struct template_builder *text, struct template_value value)
{
    bool named = value.kind == TEMPLATE_MACRO && value.as.macro->node->name.kind != TEMPLATE_NONE;
    return template_builder_append_text(text, "<") &&
           template_builder_append_text(text, template_value_type_name(value)) &&
           (!named || (template_builder_append_text(text, " ") &&
                       template_repr_append(text, value.as.macro->node->name))) &&
           template_builder_append_text(text, ">");
}

static bool append_container(struct template_builder *text, struct template_value value,
                             unsigned depth)
{
    switch ((enum template_kind)value.kind) {
    case TEMPLATE_LIST:
        return append_enclosed(text, "[", value.as.list, "]", depth);
    case TEMPLATE_TUPLE:
        return append_enclosed(text, "(", value.as.list, value.as.list->count == 1 ? ",)" : ")",
                               depth);
    case TEMPLATE_VIEW:
        return template_builder_append_text(text, template_value_type_name(value)) &&
               append_enclosed(text, "([", value.as.list, "])", depth);
    case TEMPLATE_DICT:
        return append_dict(text, value.as.dict, depth);
    case TEMPLATE_NAMESPACE:
        return template_builder_append_text(text, "<Namespace ") &&
               append_dict(text, value.as.dict, depth) && template_builder_append_text(text, ">");
    default:
        return append_object(text, value);
    }
}

static bool append_nested(struct template_builder *text, struct template_value value,
                          unsigned depth)
{
    if (depth > LIMIT_TEMPLATE_DEPTH) {
        return template_run_fail(text->run, "a value is nested more than %u deep",
                                 LIMIT_TEMPLATE_DEPTH);
    }
    if (!template_run_spend(text->run, 1)) {
        return false;
    }
    switch ((enum template_kind)value.kind) {
    case TEMPLATE_ABSENT:
    case TEMPLATE_UNDEFINED:
        return template_builder_append_text(text, "Undefined");
    case TEMPLATE_NONE:
        return template_builder_append_text(text, "None");
    case TEMPLATE_BOOL:
        return template_builder_append_text(text, value.as.boolean ? "True" : "False");
    case TEMPLATE_INT:
        return append_int(text, value.as.integer);
    case TEMPLATE_FLOAT:
        return template_repr_append_float(text, value.as.real);
    case TEMPLATE_STRING:
        if (value.markup) {
            return template_builder_append_text(text, "Markup(") &&
                   append_quoted(text, value.as.string) && template_builder_append_text(text, ")");
        }
        return append_quoted(text, value.as.string);
    case TEMPLATE_RANGE:
        return append_range(text, value.as.list);
    default:
        return append_container(text, value, depth + 1);
    }
}

bool template_repr_append(struct template_builder *text, struct template_value value)
{
    return append_nested(text, value, 0);
}

bool template_repr_append_str(struct template_builder *text, struct template_value value)
{
    if (value.kind == TEMPLATE_STRING) {
        return template_builder_append_string(text, value.as.string);
    }
    if (value.kind == TEMPLATE_UNDEFINED) {
        return true;
    }
    return append_nested(text, value, 0);
}

bool template_repr_str(struct template_run *run, struct template_value value,
                       struct template_value *out)
{
    if (value.kind == TEMPLATE_STRING) {
        *out = template_value_string(value.as.string);
        return true;
    }
    struct template_builder text;
    template_builder_init(&text, run);
    return template_repr_append_str(&text, value) && template_builder_finish(&text, out);
}
