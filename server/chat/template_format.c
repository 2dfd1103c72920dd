/* template_format.c - the two formatting languages of Python share one description of a field.
 *
 * Widths and precisions are bounded, so a format cannot make more text than the budgets see.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_format.h"

#include "server/chat/template_builder.h"
#include "server/chat/template_dict.h"
#include "server/chat/template_repr.h"
#include "server/chat/template_string_methods.h"
#include "server/chat/template_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    FIELD_WIDTH_MAX = 10000,
    PRECISION_MAX = 60,
    NUMBER_BYTES = 512
};

struct field {
    int32_t fill;
    char align;     /* < > ^ = or 0 */
    char sign;      /* + space or 0 */
    bool alternate; /* # */
    bool grouped;   /* , */
    int64_t width;
    int64_t precision; /* -1: none */
    char type;         /* 0: as str() */
};

struct cursor {
    const char *bytes;
    size_t byte_count;
    size_t position;
};

static char peek(const struct cursor *at)
{
    return at->position < at->byte_count ? at->bytes[at->position] : '\0';
}

static int64_t take_number(struct cursor *at)
{
    int64_t number = -1;
    while (peek(at) >= '0' && peek(at) <= '9') {
        number = (number < 0 ? 0 : number) * 10 + (peek(at) - '0');
        number = number > FIELD_WIDTH_MAX ? FIELD_WIDTH_MAX + 1 : number;
        at->position++;
    }
    return number;
}

static bool check_field(struct template_run *run, const struct field *field)
{
    if (field->width > FIELD_WIDTH_MAX || field->precision > PRECISION_MAX) {
        return template_run_fail(run, "a format asks for more than %d characters or %d digits",
                                 FIELD_WIDTH_MAX, PRECISION_MAX);
    }
    return true;
}

/* 1234567 -> 1,234,567 in the part before the point. */
static void group_digits(char *text, size_t text_size)
{
    char grouped[NUMBER_BYTES * 2];
    size_t whole = strspn(text, "0123456789");
    size_t count = 0;
    for (size_t i = 0; i < whole; i++) {
        if (i > 0 && (whole - i) % 3 == 0) {
            grouped[count++] = ',';
        }
        grouped[count++] = text[i];
    }
    snprintf(grouped + count, sizeof grouped - count, "%s", text + whole);
    snprintf(text, text_size, "%s", grouped);
}

/* Digits without sign. */
static bool integer_digits(uint64_t magnitude, const struct field *field, char *text, size_t size)
{
    switch (field->type) {
    case 'x':
        snprintf(text, size, field->alternate ? "0x%" PRIx64 : "%" PRIx64, magnitude);
        return true;
    case 'X':
        snprintf(text, size, field->alternate ? "0X%" PRIX64 : "%" PRIX64, magnitude);
        return true;
    case 'o':
        snprintf(text, size, field->alternate ? "0o%" PRIo64 : "%" PRIo64, magnitude);
        return true;
    case 'b': {
        char bits[65];
        size_t at = sizeof bits - 1;
        bits[at] = '\0';
        do {
            bits[--at] = (char)('0' + (magnitude & 1));
            magnitude >>= 1;
        } while (magnitude != 0);
        snprintf(text, size, field->alternate ? "0b%s" : "%s", bits + at);
        return true;
    }
    default:
        snprintf(text, size, "%" PRIu64, magnitude);
        return true;
    }
}

static void float_digits(double magnitude, const struct field *field, char *text, size_t size)
{
    int precision = field->precision >= 0 ? (int)field->precision : 6;
    switch (field->type) {
    case 'e':
        snprintf(text, size, "%.*e", precision, magnitude);
        break;
    case 'E':
        snprintf(text, size, "%.*E", precision, magnitude);
        break;
    case 'g':
        snprintf(text, size, "%.*g", precision, magnitude);
        break;
    case 'G':
        snprintf(text, size, "%.*G", precision, magnitude);
        break;
    case '%':
        snprintf(text, size, "%.*f%%", precision, magnitude * 100.0);
        break;
    default:
        snprintf(text, size, "%.*f", precision, magnitude);
        break;
    }
}

static bool append_aligned(struct template_builder *text, const struct field *field,
                           const struct template_string *body, char default_align)
{
    struct template_value padded;
    char align = field->align != 0 ? field->align : default_align;
    enum template_side side = align == '<'   ? TEMPLATE_LEFT
                              : align == '^' ? TEMPLATE_BOTH
                                             : TEMPLATE_RIGHT;
    int64_t count = (int64_t)template_text_count(body);
    if (side != TEMPLATE_BOTH || field->width <= count) {
        return template_string_methods_pad(text->run, body, field->width, side, field->fill,
                                           &padded) &&
               template_builder_append_string(text, padded.as.string);
    }
    /* format() gives the odd one to the right, unlike center(). */
    int64_t left = count + (field->width - count) / 2;
    return template_string_methods_pad(text->run, body, left, TEMPLATE_RIGHT, field->fill,
                                       &padded) &&
           template_string_methods_pad(text->run, padded.as.string, field->width, TEMPLATE_LEFT,
                                       field->fill, &padded) &&
           template_builder_append_string(text, padded.as.string);
}

/* Sign and digits; padding of the kind '=' goes between the two. */
static bool append_number(struct template_builder *text, const struct field *field, bool negative,
                          const char *digits)
{
    struct template_value body;
    char sign[2] = {negative ? '-' : field->sign, '\0'};
    struct template_builder joined;
    template_builder_init(&joined, text->run);
    size_t length = strlen(digits) + strlen(sign);
    size_t missing = field->width > (int64_t)length ? (size_t)field->width - length : 0;
    bool inside = field->align == '=';
    if (!template_builder_append_text(&joined, sign) ||
        (inside && !template_builder_append_repeated(
                       &joined, field->fill < 0x80 ? (char)field->fill : ' ', missing)) ||
        !template_builder_append_text(&joined, digits) ||
        !template_builder_finish(&joined, &body)) {
        return false;
    }
    return append_aligned(text, field, body.as.string, '>');
}

static bool append_float(struct template_builder *text, const struct field *field, double number)
{
    char digits[NUMBER_BYTES];
    float_digits(fabs(number), field, digits, sizeof digits);
    if (field->grouped) {
        group_digits(digits, sizeof digits);
    }
    return append_number(text, field, signbit(number) != 0 && !isnan(number), digits);
}

static bool append_integer(struct template_builder *text, const struct field *field,
                           int64_t integer)
{
    char digits[NUMBER_BYTES];
    uint64_t magnitude = integer < 0 ? 0 - (uint64_t)integer : (uint64_t)integer;
    if (!integer_digits(magnitude, field, digits, sizeof digits)) {
        return false;
    }
    if (field->grouped) {
        group_digits(digits, sizeof digits);
    }
    return append_number(text, field, integer < 0, digits);
}

static bool append_text(struct template_builder *text, const struct field *field,
                        struct template_value value, char default_align)
{
    struct template_value shown;
    if (!template_repr_str(text->run, value, &shown)) {
        return false;
    }
    struct template_string cut = *shown.as.string;
    if (field->precision >= 0 && field->precision < (int64_t)template_text_count(&cut)) {
        cut.byte_count = template_text_offset(&cut, (size_t)field->precision);
        cut.char_count = (size_t)field->precision;
    }
    cut.tail = NULL;
    return append_aligned(text, field, &cut, default_align);
}

static bool fail_type(struct template_run *run, char type, struct template_value value)
{
    return template_run_fail(run, "format '%c' does not take %s", type,
                             template_value_type_name(value));
}

static bool append_field(struct template_builder *text, const struct field *field,
                         struct template_value value)
{
    int64_t integer = 0;
    bool is_number = template_value_is_number(value);
    if (!check_field(text->run, field)) {
        return false;
    }
    if (field->type == 0 || field->type == 's') {
        bool plain_number = field->type == 0 && is_number && value.kind != TEMPLATE_BOOL;
        if (plain_number && value.kind == TEMPLATE_INT) {
            return append_integer(text, field, value.as.integer);
        }
        if (plain_number && (field->precision >= 0 || field->grouped)) {
            struct field general = *field;
            general.type = field->precision >= 0 ? 'g' : 'f';
            return append_float(text, &general, value.as.real);
        }
        return append_text(text, field, value, plain_number ? '>' : '<');
    }
    if (!is_number) {
        return value.kind == TEMPLATE_UNDEFINED ? template_run_fail_undefined(text->run, value)
                                                : fail_type(text->run, field->type, value);
    }
    if (strchr("eEfFgG%", field->type) != NULL) {
        return append_float(text, field, template_value_as_float(value));
    }
    if (!template_value_as_int(value, &integer)) {
        return fail_type(text->run, field->type, value);
    }
    return append_integer(text, field, integer);
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

static void percent_flags(struct cursor *at, struct field *field)
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

static bool append_conversion(struct percent *percent, struct field *field,
                              struct template_value value)
{
    struct template_run *run = percent->text.run;
    struct template_builder quoted;
    switch (field->type) {
    case 's':
        field->align = field->align == '<' ? '<' : '>';
        field->fill = ' ';
        return append_field(&percent->text, field, value);
    case 'r':
        template_builder_init(&quoted, run);
        if (!template_repr_append(&quoted, value) || !template_builder_finish(&quoted, &value)) {
            return false;
        }
        field->type = 's';
        field->align = field->align == '<' ? '<' : '>';
        return append_field(&percent->text, field, value);
    case 'd':
    case 'i':
    case 'u':
        field->type = 'd';
        if (value.kind == TEMPLATE_FLOAT && fabs(value.as.real) < 9.2e18) {
            value = template_value_int((int64_t)value.as.real);
        }
        return append_field(&percent->text, field, value);
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
    case 'x':
    case 'X':
    case 'o':
        return append_field(&percent->text, field, value);
    default:
        return template_run_fail(run, "unsupported format character '%c'",
                                 field->type > ' ' ? field->type : '?');
    }
}

/* The cursor stands behind the percent sign. */
static bool convert(struct percent *percent)
{
    struct field field = {.fill = ' ', .precision = -1};
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
    bool unused = values.kind == TEMPLATE_TUPLE ? percent.next < values.as.list->count
                                                : percent.next == 0 && values.kind != TEMPLATE_DICT;
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
static bool parse_spec(struct cursor *at, struct field *field)
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
        field->sign = peek(at) == '-' ? '\0' : peek(at);
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
    char conversion = name_bytes >= 2 && first[name_bytes - 2] == '!' ? first[name_bytes - 1] : 0;
    struct template_value value;
    struct field field = {.fill = ' ', .precision = -1};
    struct cursor spec = {.bytes = colon != NULL ? colon + 1 : close,
                          .byte_count = colon != NULL ? (size_t)(close - colon) - 1 : 0};
    at->position += inside + 1;
    if (!field_value(braces, first, conversion != 0 ? name_bytes - 2 : name_bytes, &value) ||
        (conversion == 'r' && !quoted_value(run, &value)) ||
        (conversion == 's' && !template_repr_str(run, value, &value))) {
        return false;
    }
    if (!parse_spec(&spec, &field)) {
        return template_run_fail(run, "Invalid format specifier '%.*s'", (int)spec.byte_count,
                                 spec.bytes);
    }
    return append_field(&braces->text, &field, value);
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
