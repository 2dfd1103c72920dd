/* template_operator.c - one function an operator; the type decides inside.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_operator.h"

#include "configs/checked.h"
#include "server/chat/template_builder.h"
#include "server/chat/template_case.h"
#include "server/chat/template_format.h"

#include <math.h>

static const char *symbol_of(enum template_node_kind kind)
{
    switch (kind) {
    case NODE_ADD:
        return "+";
    case NODE_SUBTRACT:
        return "-";
    case NODE_MULTIPLY:
        return "*";
    case NODE_DIVIDE:
        return "/";
    case NODE_FLOOR_DIVIDE:
        return "//";
    case NODE_MODULO:
        return "%";
    default:
        return "**";
    }
}

static bool fail_types(struct template_run *run, enum template_node_kind kind,
                       struct template_value left, struct template_value right)
{
    return template_run_fail(run, "unsupported operand type(s) for %s: '%s' and '%s'",
                             symbol_of(kind), template_value_type_name(left),
                             template_value_type_name(right));
}

static bool fail_range(struct template_run *run)
{
    return template_run_fail(run, "the integer does not fit in 64 bits");
}

bool template_operator_join(struct template_run *run, struct template_value left,
                            struct template_value right, struct template_value *out)
{
    bool markup = left.markup || right.markup;
    if (markup && !left.markup && !template_case_escape(run, left.as.string, &left)) {
        return false;
    }
    if (markup && !right.markup && !template_case_escape(run, right.as.string, &right)) {
        return false;
    }
    if (!template_builder_concat(run, left.as.string, right.as.string, out)) {
        return false;
    }
    out->markup = markup;
    return true;
}

static bool join_lists(struct template_run *run, struct template_value left,
                       struct template_value right, struct template_value *out)
{
    struct template_items items;
    template_builder_items_init(&items, run);
    return template_builder_push_all(&items, left.as.list) &&
           template_builder_push_all(&items, right.as.list) &&
           template_builder_finish_items(&items, (enum template_kind)left.kind, out);
}

static bool add_containers(struct template_run *run, struct template_value left,
                           struct template_value right, struct template_value *out)
{
    if (left.kind == TEMPLATE_STRING && right.kind == TEMPLATE_STRING) {
        return template_operator_join(run, left, right, out);
    }
    if (left.kind == right.kind && (left.kind == TEMPLATE_LIST || left.kind == TEMPLATE_TUPLE)) {
        return join_lists(run, left, right, out);
    }
    if (left.kind == TEMPLATE_STRING || left.kind == TEMPLATE_LIST || left.kind == TEMPLATE_TUPLE) {
        const char *type = template_value_type_name(left);
        return template_run_fail(run, "can only concatenate %s (not \"%s\") to %s", type,
                                 template_value_type_name(right), type);
    }
    return fail_types(run, NODE_ADD, left, right);
}

static bool repeat_string(struct template_run *run, struct template_value string, int64_t times,
                          struct template_value *out)
{
    const struct template_string *piece = string.as.string;
    size_t byte_count = 0;
    if (times < 0 || piece->byte_count == 0) {
        times = 0;
    }
    if (!checked_mul_size(piece->byte_count, (size_t)times, &byte_count)) {
        return template_run_fail(run, "a text repeated %lld times is too long", (long long)times);
    }
    struct template_builder text;
    template_builder_init(&text, run);
    if (!template_run_spend_bytes(run, byte_count) || !template_run_spend(run, (uint64_t)times)) {
        return false;
    }
    for (int64_t i = 0; i < times; i++) {
        if (!template_builder_append(&text, piece->bytes, piece->byte_count)) {
            return false;
        }
    }
    bool ok = template_builder_finish(&text, out);
    out->markup = string.markup;
    return ok;
}

static bool repeat_list(struct template_run *run, struct template_value list, int64_t times,
                        struct template_value *out)
{
    struct template_items items;
    template_builder_items_init(&items, run);
    for (int64_t i = 0; i < times && list.as.list->count > 0; i++) {
        if (!template_builder_push_all(&items, list.as.list)) {
            return false;
        }
    }
    return template_builder_finish_items(&items, (enum template_kind)list.kind, out);
}

static bool is_repeatable(struct template_value value)
{
    return value.kind == TEMPLATE_STRING || value.kind == TEMPLATE_LIST ||
           value.kind == TEMPLATE_TUPLE;
}

static bool multiply_containers(struct template_run *run, struct template_value left,
                                struct template_value right, struct template_value *out)
{
    int64_t times = 0;
    if (template_value_as_int(left, &times)) {
        struct template_value swap = left;
        left = right;
        right = swap;
    }
    if (!is_repeatable(left) || !template_value_as_int(right, &times)) {
        return fail_types(run, NODE_MULTIPLY, left, right);
    }
    return left.kind == TEMPLATE_STRING ? repeat_string(run, left, times, out)
                                        : repeat_list(run, left, times, out);
}

static double float_modulo(double left, double right)
{
    double rest = fmod(left, right);
    if (rest != 0.0 && (rest < 0.0) != (right < 0.0)) {
        rest += right;
    }
    return rest == 0.0 ? copysign(0.0, right) : rest;
}

static bool float_power(struct template_run *run, double left, double right, double *out)
{
    if (left == 0.0 && right < 0.0) {
        return template_run_fail(run, "0.0 cannot be raised to a negative power");
    }
    *out = pow(left, right);
    if (isnan(*out) && !isnan(left) && !isnan(right)) {
        return template_run_fail(run, "the power is not a real number");
    }
    if (isinf(*out) && !isinf(left) && !isinf(right)) {
        return template_run_fail(run, "the float result is too large");
    }
    return true;
}

static bool float_binary(struct template_run *run, enum template_node_kind kind, double left,
                         double right, struct template_value *out)
{
    double result = 0.0;
    if ((kind == NODE_DIVIDE || kind == NODE_FLOOR_DIVIDE || kind == NODE_MODULO) && right == 0.0) {
        return template_run_fail(run, "division by zero");
    }
    switch (kind) {
    case NODE_ADD:
        result = left + right;
        break;
    case NODE_SUBTRACT:
        result = left - right;
        break;
    case NODE_MULTIPLY:
        result = left * right;
        break;
    case NODE_DIVIDE:
        result = left / right;
        break;
    case NODE_FLOOR_DIVIDE:
        result = floor((left - float_modulo(left, right)) / right + 0.5);
        break;
    case NODE_MODULO:
        result = float_modulo(left, right);
        break;
    default:
        if (!float_power(run, left, right, &result)) {
            return false;
        }
        break;
    }
    *out = template_value_float(result);
    return true;
}

/* By squaring; only for exponents that are not negative. */
static bool int_power(struct template_run *run, int64_t base, int64_t exponent, int64_t *out)
{
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) {
            return fail_range(run);
        }
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) {
            return fail_range(run);
        }
    }
    *out = result;
    return true;
}

/* Towards minus infinity, as Python divides. */
static bool int_divide(struct template_run *run, enum template_node_kind kind, int64_t left,
                       int64_t right, int64_t *out)
{
    if (right == 0) {
        return template_run_fail(run, "integer division or modulo by zero");
    }
    if (right == -1) {
        *out = 0;
        return kind == NODE_MODULO || !__builtin_sub_overflow(0, left, out) || fail_range(run);
    }
    int64_t rest = left % right;
    bool uneven = rest != 0 && (rest < 0) != (right < 0);
    *out = kind == NODE_MODULO ? rest + (uneven ? right : 0) : left / right - (uneven ? 1 : 0);
    return true;
}

static bool int_binary(struct template_run *run, enum template_node_kind kind, int64_t left,
                       int64_t right, struct template_value *out)
{
    int64_t result = 0;
    bool ok = true;
    switch (kind) {
    case NODE_ADD:
        ok = !__builtin_add_overflow(left, right, &result) || fail_range(run);
        break;
    case NODE_SUBTRACT:
        ok = !__builtin_sub_overflow(left, right, &result) || fail_range(run);
        break;
    case NODE_MULTIPLY:
        ok = !__builtin_mul_overflow(left, right, &result) || fail_range(run);
        break;
    case NODE_FLOOR_DIVIDE:
    case NODE_MODULO:
        ok = int_divide(run, kind, left, right, &result);
        break;
    default:
        if (kind == NODE_DIVIDE || right < 0) {
            return float_binary(run, kind, (double)left, (double)right, out);
        }
        ok = int_power(run, left, right, &result);
        break;
    }
    *out = template_value_int(result);
    return ok;
}

bool template_operator_binary(struct template_run *run, enum template_node_kind kind,
                              struct template_value left, struct template_value right,
                              struct template_value *out)
{
    if (kind == NODE_MODULO && left.kind == TEMPLATE_STRING) {
        return template_format_percent(run, left, right, out);
    }
    if (left.kind == TEMPLATE_UNDEFINED || right.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, left.kind == TEMPLATE_UNDEFINED ? left : right);
    }
    if (template_value_is_number(left) && template_value_is_number(right)) {
        int64_t a = 0;
        int64_t b = 0;
        if (template_value_as_int(left, &a) && template_value_as_int(right, &b)) {
            return int_binary(run, kind, a, b, out);
        }
        return float_binary(run, kind, template_value_as_float(left),
                            template_value_as_float(right), out);
    }
    if (kind == NODE_ADD) {
        return add_containers(run, left, right, out);
    }
    if (kind == NODE_MULTIPLY) {
        return multiply_containers(run, left, right, out);
    }
    return fail_types(run, kind, left, right);
}

bool template_operator_negate(struct template_run *run, struct template_value value,
                              struct template_value *out)
{
    int64_t integer = 0;
    if (value.kind == TEMPLATE_FLOAT) {
        *out = template_value_float(-value.as.real);
        return true;
    }
    if (template_value_as_int(value, &integer)) {
        bool overflow = __builtin_sub_overflow(0, integer, &integer);
        *out = template_value_int(integer);
        return !overflow || fail_range(run);
    }
    if (value.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, value);
    }
    return template_run_fail(run, "bad operand type for unary -: '%s'",
                             template_value_type_name(value));
}
