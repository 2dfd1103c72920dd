/* template_filters.c - filters on single values: defaults, JSON, numbers, dict items. Those on
 * text, on sequences, and those that pick elements by a test have their own files.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_filters.h"

#include "server/chat/template_dict.h"
#include "server/chat/template_json.h"
#include "server/chat/template_number.h"
#include "server/chat/template_operator.h"
#include "server/chat/template_repr.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool filter_default(struct template_run *run, const struct template_call *call,
                           struct template_value *out)
{
    bool falsy = template_value_truth(call->bound[1]) && !template_value_truth(call->subject);
    if (call->subject.kind != TEMPLATE_UNDEFINED && !falsy) {
        *out = call->subject;
        return true;
    }
    if (template_value_given(call->bound[0])) {
        *out = call->bound[0];
        return true;
    }
    return template_run_text(run, "", out);
}

/* indent may be a number of spaces or the text itself; separators is a pair. */
static bool json_indent(struct template_run *run, struct template_value indent,
                        struct template_json_style *style)
{
    struct template_value space;
    struct template_value text;
    int64_t width = 0;
    if (!template_value_given(indent) || indent.kind == TEMPLATE_NONE) {
        return true;
    }
    if (indent.kind == TEMPLATE_STRING) {
        style->indent = indent.as.string;
        return true;
    }
    if (!template_call_integer(run, indent, 0, "indent", &width) ||
        !template_run_text(run, " ", &space) ||
        !template_operator_binary(run, NODE_MULTIPLY, space, template_value_int(width), &text)) {
        return false;
    }
    style->indent = text.as.string;
    return true;
}

static bool json_separators(struct template_run *run, struct template_value separators,
                            struct template_json_style *style)
{
    if (!template_value_given(separators) || separators.kind == TEMPLATE_NONE) {
        return true;
    }
    if (!template_value_has_items(separators) || separators.as.list->count != 2) {
        return template_run_fail(run, "separators must be a pair of strings");
    }
    return template_call_string(run, separators.as.list->items[0], "the item separator",
                                &style->item_separator) &&
           template_call_string(run, separators.as.list->items[1], "the key separator",
                                &style->key_separator);
}

static bool filter_tojson(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    struct template_json_style style = {
        .ascii = template_value_truth(call->bound[0]),
        .sort_keys = template_value_truth(call->bound[3]),
    };
    return json_indent(run, call->bound[1], &style) &&
           json_separators(run, call->bound[2], &style) &&
           template_json_export(run, call->subject, &style, out);
}

static bool filter_items(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    struct template_value view;
    if (call->subject.kind == TEMPLATE_UNDEFINED) {
        static const struct template_list nothing = {0};
        return template_run_iterator(run, &nothing, "generator", out);
    }
    if (call->subject.kind != TEMPLATE_DICT) {
        return template_run_fail(run, "Can only get item pairs from a mapping.");
    }
    return template_dict_view(run, call->subject.as.dict, TEMPLATE_VIEW_ITEMS, &view) &&
           template_run_iterator(run, view.as.list, "generator", out);
}

static bool filter_abs(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    struct template_value value = call->subject;
    int64_t integer = 0;
    if (value.kind == TEMPLATE_FLOAT) {
        *out = template_value_float(fabs(value.as.real));
        return true;
    }
    if (!template_call_integer(run, value, 0, "abs", &integer)) {
        return false;
    }
    *out = template_value_int(integer);
    return integer >= 0 || template_operator_negate(run, *out, out);
}

static bool filter_int(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    int64_t base = 10;
    struct template_value otherwise = template_call_or(call->bound[0], template_value_int(0));
    struct template_value value = call->subject;
    if (value.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, value);
    }
    if (!template_call_integer(run, call->bound[1], 10, "base", &base)) {
        return false;
    }
    *out = otherwise;
    int64_t integer = 0;
    double real = 0.0;
    if (template_value_as_int(value, &integer) ||
        (value.kind == TEMPLATE_STRING &&
         template_number_parse_int(value.as.string, base, &integer))) {
        *out = template_value_int(integer);
        return true;
    }
    bool is_real = value.kind == TEMPLATE_STRING
                       ? template_number_parse_float(value.as.string, &real)
                       : value.kind == TEMPLATE_FLOAT;
    if (value.kind == TEMPLATE_FLOAT) {
        real = value.as.real;
    }
    if (is_real && fabs(real) < 9.2e18) {
        *out = template_value_int((int64_t)real);
    }
    return true;
}

static bool filter_float(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    struct template_value value = call->subject;
    double real = 0.0;
    if (value.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, value);
    }
    if (template_value_is_number(value)) {
        *out = template_value_float(template_value_as_float(value));
    } else if (value.kind == TEMPLATE_STRING &&
               template_number_parse_float(value.as.string, &real)) {
        *out = template_value_float(real);
    } else {
        *out = template_call_or(call->bound[0], template_value_float(0.0));
    }
    return true;
}

/* To tens, hundreds, ...: half to even. */
static int64_t round_integer(int64_t value, int64_t precision)
{
    int64_t unit = 1;
    for (int64_t i = precision; i < 0; i++) {
        if (__builtin_mul_overflow(unit, 10, &unit)) {
            return 0;
        }
    }
    int64_t rest = value % unit;
    int64_t down = value - rest;
    int64_t above = rest < 0 ? -rest : rest;
    bool up = above > unit / 2 || (above == unit / 2 && unit > 1 && (down / unit) % 2 != 0);
    int64_t step = value < 0 ? -unit : unit;
    return up && !__builtin_add_overflow(down, step, &down) ? down : value - rest;
}

/* Half to even on the exact binary value, as printf and Python both round. */
static double round_common(double value, int64_t precision)
{
    char text[400];
    if (precision >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)precision, value);
        return strtod(text, NULL);
    }
    double scale = pow(10.0, (double)-precision);
    return nearbyint(value / scale) * scale;
}

static bool filter_round(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    int64_t precision = 0;
    struct template_value value = call->subject;
    struct template_value method = call->bound[1];
    if (value.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, value);
    }
    if (!template_value_is_number(value)) {
        return template_run_fail(run, "round needs a number, not %s",
                                 template_value_type_name(value));
    }
    if (!template_call_integer(run, call->bound[0], 0, "precision", &precision)) {
        return false;
    }
    if (precision < -300 || precision > 60) {
        return template_run_fail(run, "round to %lld digits", (long long)precision);
    }
    double number = template_value_as_float(value);
    if (!template_value_given(method) || template_value_is_text(method, "common")) {
        int64_t integer = 0;
        *out = template_value_as_int(value, &integer)
                   ? template_value_int(round_integer(integer, precision))
                   : template_value_float(round_common(number, precision));
        return true;
    }
    bool up = template_value_is_text(method, "ceil");
    if (!up && !template_value_is_text(method, "floor")) {
        return template_run_fail(run, "method must be common, ceil or floor");
    }
    double scale = pow(10.0, (double)precision);
    number *= scale;
    *out = template_value_float((up ? ceil(number) : floor(number)) / scale);
    return true;
}

static const struct template_builtin filters[] = {
    {"default", "default_value boolean", 0, filter_default},
    {"d", "default_value boolean", 0, filter_default},
    {"tojson", "ensure_ascii indent separators sort_keys", 0, filter_tojson},
    {"items", "", 0, filter_items},
    {"abs", "", 0, filter_abs},
    {"int", "default base", 0, filter_int},
    {"float", "default", 0, filter_float},
    {"round", "precision method", 0, filter_round},
};

const struct template_builtin *template_filters_find(const struct template_string *name)
{
    const struct template_builtin *row =
        template_call_find(filters, sizeof filters / sizeof *filters, name);
    if (row == NULL) {
        row = template_text_filters_find(name);
    }
    if (row == NULL) {
        row = template_list_filters_find(name);
    }
    return row != NULL ? row : template_pick_filters_find(name);
}
