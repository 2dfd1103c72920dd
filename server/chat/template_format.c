/* template_format.c - the two formatting languages of Python share one description of a field.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_format.h"

#include "server/chat/template_builder.h"
#include "server/chat/template_dict.h"
#include "server/chat/template_field.h"
#include "server/chat/template_repr.h"
#include "server/chat/template_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

struct cursor {
    const char *bytes;
    size_t byte_count;
    size_t position;
};

static char peek(const struct cursor *at)
{
    return (char)(at->position < at->byte_count ? at->bytes[at->position] : '\0');
}

static int64_t take_number(struct cursor *at)
{
    int64_t number = -1;
    while (peek(at) >= '0' && peek(at) <= '9') {
        number = (number < 0 ? 0 : number) * 10 + (peek(at) - '0');
        number = number > TEMPLATE_FIELD_WIDTH_MAX ? TEMPLATE_FIELD_WIDTH_MAX + 1 : number;
        at->position++;
    }
    return number;
}

/* What the % conversions take their values from. */
struct percent {
    struct template_builder text;
    struct cursor at;
    struct template_value values;
    size_t next;
};

static bool next_value(struct percent *percent, struct template_value *out)
{
    if (percent->values.kind != TEMPLATE_TUPLE) {
        *out = percent->values;
        return percent->next++ == 0 ||
               template_run_fail(percent->text.run, "not enough arguments for format string");
    }
    if (percent->next >= percent->values.as.list->count) {
        return template_run_fail(percent->text.run, "not enough arguments for format string");
    }
    *out = percent->values.as.list->items[percent->next++];
    return true;
}

/* %(name)s */
static bool named_value(struct percent *percent, struct template_value *out)
{
    struct template_run *run = percent->text.run;
    size_t first = ++percent->at.position;
    while (peek(&percent->at) != ')') {
        if (percent->at.position == percent->at.byte_count) {
            return template_run_fail(run, "incomplete format key");
        }
        percent->at.position++;
    }
    struct template_value key;
    const struct template_value *found = NULL;
    if (percent->values.kind != TEMPLATE_DICT) {
        return template_run_fail(run, "format requires a mapping");
    }
    if (!template_run_string(run, percent->at.bytes + first, percent->at.position - first, &key) ||
        !template_dict_find(run, percent->values.as.dict, key, &found)) {
        return false;
    }
    percent->at.position++;
    percent->next = 1;
    if (found == NULL) {
        return template_run_fail(run, "the format names a key that is not there");
    }
    *out = *found;
    return true;
}

static void percent_flags(struct cursor *at, struct template_field *field)
{
    for (; peek(at) != '\0' && strchr("-+ #0", peek(at)) != NULL; at->position++) {
        switch (peek(at)) {
        case '-':
            field->align = '<';
            break;
        case '0':
            if (field->align == 0) {
                field->align = '=';
                field->fill = '0';
            }
            break;
        case '#':
            field->alternate = true;
            break;
        default:
            field->sign = peek(at);
            break;
        }
    }
    if (field->align == '<') {
        field->fill = ' ';
    }
}

/* %c: a character, or the number of one. */
static bool append_character(struct percent *percent, struct template_field *field,
                             struct template_value value)
{
    struct template_run *run = percent->text.run;
    int64_t code = 0;
    if (template_value_as_int(value, &code)) {
        struct template_builder character;
        template_builder_init(&character, run);
        if (code < 0 || code > 0x10FFFF || !utf8proc_codepoint_valid((int32_t)code)) {
            return template_run_fail(run, "%%c argument is no character");
        }
        if (!template_builder_append_codepoint(&character, (int32_t)code) ||
            !template_builder_finish(&character, &value)) {
            return false;
        }
    }
    if (value.kind != TEMPLATE_STRING || template_text_count(value.as.string) != 1) {
        return template_run_fail(run, "%%c requires an integer or a character");
    }
    field->type = 's';
    field->align = field->align == '<' ? '<' : '>';
    return template_field_append(&percent->text, field, value);
}

static bool append_conversion(struct percent *percent, struct template_field *field,
                              struct template_value value)
{
    struct template_run *run = percent->text.run;
    struct template_builder quoted;
    switch (field->type) {
    case 's':
        field->align = field->align == '<' ? '<' : '>';
        field->fill = ' ';
        return template_field_append(&percent->text, field, value);
    case 'r':
        template_builder_init(&quoted, run);
        if (!template_repr_append(&quoted, value) || !template_builder_finish(&quoted, &value)) {
            return false;
        }
        field->type = 's';
        field->align = field->align == '<' ? '<' : '>';
        return template_field_append(&percent->text, field, value);
    case 'c':
        return append_character(percent, field, value);
    case 'd':
    case 'i':
    case 'u':
        field->type = 'd';
        if (value.kind == TEMPLATE_FLOAT && fabs(value.as.real) < 9.2e18) {
            value = template_value_int((int64_t)value.as.real);
        }
        return template_field_append(&percent->text, field, value);
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
    case 'x':
    case 'X':
    case 'o':
        return template_field_append(&percent->text, field, value);
    default:
        return template_run_fail(run, "unsupported format character '%c'",
                                 field->type > ' ' ? field->type : '?');
    }
}

/* The cursor stands behind the percent sign. */
static bool convert(struct percent *percent)
{
    struct template_field field = {.fill = ' ', .precision = -1};
    struct template_value value = {.kind = TEMPLATE_ABSENT};
    if (peek(&percent->at) == '(' && !named_value(percent, &value)) {
        return false;
    }
    percent_flags(&percent->at, &field);
    field.width = take_number(&percent->at);
    if (peek(&percent->at) == '.') {
        percent->at.position++;
        field.precision = take_number(&percent->at);
        field.precision = field.precision < 0 ? 0 : field.precision;
    }
    if (percent->at.position == percent->at.byte_count) {
        return template_run_fail(percent->text.run, "incomplete format");
    }
    field.type = percent->at.bytes[percent->at.position++];
    if (field.type == '%') {
        return template_builder_append_text(&percent->text, "%");
    }
    return (template_value_given(value) || next_value(percent, &value)) &&
           append_conversion(percent, &field, value);
}

/* Text up to the next byte out of stops, which the cursor then stands at. */
static bool copy_until(struct template_builder *text, struct cursor *at, const char *stops)
{
    size_t first = at->position;
    while (at->position < at->byte_count &&
           (at->bytes[at->position] == '\0' || strchr(stops, at->bytes[at->position]) == NULL)) {
        at->position++;
    }
    return template_run_spend_bytes(text->run, at->position - first) &&
           template_builder_append(text, at->bytes + first, at->position - first);
}

bool template_format_percent(struct template_run *run, struct template_value format,
                             struct template_value values, struct template_value *out)
{
    struct percent percent = {.values = values};
    percent.at = (struct cursor){.bytes = format.as.string->bytes,
                                 .byte_count = format.as.string->byte_count};
    template_builder_init(&percent.text, run);
    while (percent.at.position < percent.at.byte_count) {
        if (!copy_until(&percent.text, &percent.at, "%")) {
            return false;
        }
        if (percent.at.position < percent.at.byte_count) {
            percent.at.position++;
            if (!convert(&percent)) {
                return false;
            }
        }
    }
    /* Whatever can be indexed might have been there for its keys. */
    bool indexed = values.kind == TEMPLATE_DICT || values.kind == TEMPLATE_LIST ||
                   values.kind == TEMPLATE_RANGE || values.kind == TEMPLATE_UNDEFINED;
    bool unused = values.kind == TEMPLATE_TUPLE ? percent.next < values.as.list->count
                                                : percent.next == 0 && !indexed;
    if (unused) {
        return template_run_fail(run, "not all arguments converted during string formatting");
    }
    bool ok = template_builder_finish(&percent.text, out);
    out->markup = format.markup;
    return ok;
}

struct braces {
    struct template_builder text;
    struct cursor at;
    const struct template_call *call;
    size_t next;
};

/* The value a field names: nothing for the next one, a number, or a keyword. */
static bool field_value(struct braces *braces, const char *name, size_t name_bytes,
                        struct template_value *out)
{
    struct template_run *run = braces->text.run;
    struct cursor number = {.bytes = name, .byte_count = name_bytes};
    int64_t index = name_bytes == 0 ? (int64_t)braces->next++ : take_number(&number);
    if (number.position == name_bytes) {
        if (index >= (int64_t)braces->call->extra_count) {
            return template_run_fail(
                run, "Replacement index %" PRId64 " out of range for positional args tuple", index);
        }
        *out = braces->call->extra[index];
        return true;
    }
    for (size_t i = 0; i < braces->call->keyword_count; i++) {
        const struct template_string *keyword = braces->call->keywords[i].name.as.string;
        if (keyword->byte_count == name_bytes && memcmp(keyword->bytes, name, name_bytes) == 0) {
            *out = braces->call->keywords[i].value;
            return true;
        }
    }
    return template_run_fail(run, "format() has no argument for field '%.*s'", (int)name_bytes,
                             name);
}

static bool is_align(char byte)
{
    return byte != '\0' && strchr("<>^=", byte) != NULL;
}

/* [[fill]align][sign][#][0][width][,][.precision][type] up to the closing brace. */
static bool parse_spec(struct cursor *at, struct template_field *field)
{
    if (at->position < at->byte_count) {
        size_t behind = at->position + template_text_step(at->bytes[at->position]);
        if (behind < at->byte_count && is_align(at->bytes[behind])) {
            field->fill = template_text_next(at->bytes, &at->position);
        }
    }
    if (is_align(peek(at))) {
        field->align = at->bytes[at->position++];
    }
    if (peek(at) == '+' || peek(at) == '-' || peek(at) == ' ') {
        field->sign = (char)(peek(at) == '-' ? '\0' : peek(at));
        at->position++;
    }
    if (peek(at) == '#') {
        field->alternate = true;
        at->position++;
    }
    if (peek(at) == '0' && field->align == 0) {
        field->align = '=';
        field->fill = '0';
    }
    field->width = take_number(at);
    if (peek(at) == ',') {
        field->grouped = true;
        at->position++;
    }
    if (peek(at) == '.') {
        at->position++;
        field->precision = take_number(at);
    }
    if (peek(at) != '\0' && strchr("sdxXobeEfFgG%", peek(at)) != NULL) {
        field->type = at->bytes[at->position++];
    }
    return at->position == at->byte_count;
}

static bool quoted_value(struct template_run *run, struct template_value *value)
{
    struct template_builder quoted;
    template_builder_init(&quoted, run);
    return template_repr_append(&quoted, *value) && template_builder_finish(&quoted, value);
}

/* The cursor stands behind the opening brace. */
static bool replace_field(struct braces *braces)
{
    struct template_run *run = braces->text.run;
    struct cursor *at = &braces->at;
    const char *first = at->bytes + at->position;
    const char *close = memchr(first, '}', at->byte_count - at->position);
    if (close == NULL) {
        return template_run_fail(run, "expected '}' before end of string");
    }
    size_t inside = (size_t)(close - first);
    const char *colon = memchr(first, ':', inside);
    size_t name_bytes = colon != NULL ? (size_t)(colon - first) : inside;
    bool converted = name_bytes >= 2 && first[name_bytes - 2] == '!';
    char conversion = (char)(converted ? first[name_bytes - 1] : '\0');
    struct template_value value = {.kind = TEMPLATE_ABSENT};
    struct template_field field = {.fill = ' ', .precision = -1};
    struct cursor spec = {.bytes = colon != NULL ? colon + 1 : close,
                          .byte_count = colon != NULL ? (size_t)(close - colon) - 1 : 0};
    at->position += inside + 1;
    if (!field_value(braces, first, converted ? name_bytes - 2 : name_bytes, &value) ||
        (conversion == 'r' && !quoted_value(run, &value)) ||
        (conversion == 's' && !template_repr_str(run, value, &value))) {
        return false;
    }
    if (!parse_spec(&spec, &field)) {
        return template_run_fail(run, "Invalid format specifier '%.*s'", (int)spec.byte_count,
                                 spec.bytes);
    }
    return template_field_append(&braces->text, &field, value);
}

bool template_format_braces(struct template_run *run, const struct template_call *call,
                            struct template_value *out)
{
    struct braces braces = {.call = call};
    struct cursor *at = &braces.at;
    *at = (struct cursor){.bytes = call->subject.as.string->bytes,
                          .byte_count = call->subject.as.string->byte_count};
    template_builder_init(&braces.text, run);
    while (at->position < at->byte_count) {
        if (!copy_until(&braces.text, at, "{}")) {
            return false;
        }
        if (at->position == at->byte_count) {
            break;
        }
        char brace = at->bytes[at->position++];
        if (peek(at) == brace) {
            at->position++;
            if (!template_builder_append(&braces.text, &brace, 1)) {
                return false;
            }
        } else if (brace == '}') {
            return template_run_fail(run, "Single '}' encountered in format string");
        } else if (!replace_field(&braces)) {
            return false;
        }
    }
    return template_builder_finish(&braces.text, out);
}
