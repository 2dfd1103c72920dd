/* template_field.c - numbers and text, padded, signed and grouped.
 *
 * Widths and precisions are bounded, so a format cannot make more text than the budgets see.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_field.h"

#include "server/chat/template_repr.h"
#include "server/chat/template_string_methods.h"
#include "server/chat/template_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    PRECISION_MAX = 60,
    NUMBER_BYTES = 512
};

static bool check_field(struct template_run *run, const struct template_field *field)
{
    if (field->width > TEMPLATE_FIELD_WIDTH_MAX || field->precision > PRECISION_MAX) {
        return template_run_fail(run, "a format asks for more than %d characters or %d digits",
                                 TEMPLATE_FIELD_WIDTH_MAX, PRECISION_MAX);
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
static bool integer_digits(uint64_t magnitude, const struct template_field *field, char *text,
                           size_t size)
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

static void float_digits(double magnitude, const struct template_field *field, char *text,
                         size_t size)
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

static bool append_aligned(struct template_builder *text, const struct template_field *field,
                           const struct template_string *body, char default_align)
{
    struct template_value padded;
    char align = (char)(field->align != 0 ? field->align : default_align);
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
static bool append_number(struct template_builder *text, const struct template_field *field,
                          bool negative, const char *digits)
{
    struct template_value body;
    char sign[2] = {(char)(negative ? '-' : field->sign), '\0'};
    struct template_builder joined;
    template_builder_init(&joined, text->run);
    size_t length = strlen(digits) + strlen(sign);
    size_t missing = field->width > (int64_t)length ? (size_t)field->width - length : 0;
    bool inside = field->align == '=';
    if (!template_builder_append_text(&joined, sign) ||
        (inside && !template_builder_append_repeated(
                       &joined, (char)(field->fill < 0x80 ? field->fill : ' '), missing)) ||
        !template_builder_append_text(&joined, digits) ||
        !template_builder_finish(&joined, &body)) {
        return false;
    }
    return append_aligned(text, field, body.as.string, '>');
}

static bool append_float(struct template_builder *text, const struct template_field *field,
                         double number)
{
    char digits[NUMBER_BYTES];
    float_digits(fabs(number), field, digits, sizeof digits);
    if (field->grouped) {
        group_digits(digits, sizeof digits);
    }
    return append_number(text, field, signbit(number) != 0 && !isnan(number), digits);
}

static bool append_integer(struct template_builder *text, const struct template_field *field,
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

static bool append_text(struct template_builder *text, const struct template_field *field,
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

bool template_field_append(struct template_builder *text, const struct template_field *field,
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
            struct template_field general = *field;
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
