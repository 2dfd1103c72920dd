/* template_call.c - one binder for all built-ins, so that each is written as if its arguments
 * always came in order. SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_call.h"

#include "server/chat/template_loop.h"
#include "server/chat/template_macro.h"

#include <string.h>

const struct template_builtin *template_call_find(const struct template_builtin *rows,
                                                  size_t row_count,
                                                  const struct template_string *name)
{
    for (size_t i = 0; i < row_count; i++) {
        if (strlen(rows[i].name) == name->byte_count &&
            memcmp(rows[i].name, name->bytes, name->byte_count) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

struct signature {
    size_t parameter_count;
    bool any_positional;
    bool any_keywords;
};

/* The parameter that starts at text; its length in *length. NULL behind the last. */
static const char *next_parameter(const char *text, size_t *length)
{
    while (*text == ' ') {
        text++;
    }
    *length = strcspn(text, " ");
    return *length > 0 ? text : NULL;
}

static struct signature read_signature(const char *parameters)
{
    struct signature signature = {0};
    size_t length = 0;
    const char *at = parameters;
    while ((at = next_parameter(at, &length)) != NULL) {
        if (at[0] != '*') {
            signature.parameter_count++;
        } else if (length == 1) {
            signature.any_positional = true;
        } else {
            signature.any_keywords = true;
        }
        at += length;
    }
    return signature;
}

/* Number of the parameter with that name, or SIZE_MAX. */
static size_t find_parameter(const char *parameters, const struct template_string *name)
{
    size_t length = 0;
    const char *at = parameters;
    for (size_t i = 0; (at = next_parameter(at, &length)) != NULL; i++) {
        if (length == name->byte_count && memcmp(at, name->bytes, length) == 0) {
            return i;
        }
        at += length;
    }
    return SIZE_MAX;
}

static bool bind_keywords(struct template_run *run, const struct template_builtin *row,
                          const struct template_arguments *arguments, struct template_call *call)
{
    for (size_t i = 0; i < arguments->keyword_count; i++) {
        const struct template_keyword *keyword = &arguments->keywords[i];
        const struct template_string *name = keyword->name.as.string;
        size_t place = find_parameter(row->parameters, name);
        if (place >= TEMPLATE_CALL_PARAMETERS) {
            return template_run_fail(run, "%s() got an unexpected keyword argument '%.*s'",
                                     row->name, (int)name->byte_count, name->bytes);
        }
        if (template_value_given(call->bound[place])) {
            return template_run_fail(run, "%s() got multiple values for argument '%.*s'", row->name,
                                     (int)name->byte_count, name->bytes);
        }
        call->bound[place] = keyword->value;
    }
    return true;
}

static bool bind(struct template_run *run, const struct template_builtin *row,
                 const struct template_arguments *arguments, struct template_call *call)
{
    struct signature signature = read_signature(row->parameters);
    size_t direct =
        arguments->count < signature.parameter_count ? arguments->count : signature.parameter_count;
    for (size_t i = 0; i < direct; i++) {
        call->bound[i] = arguments->positional[i];
    }
    if (arguments->count > direct) {
        if (!signature.any_positional) {
            return template_run_fail(run, "%s() takes at most %zu arguments but %zu were given",
                                     row->name, signature.parameter_count, arguments->count);
        }
        call->extra = arguments->positional + direct;
        call->extra_count = arguments->count - direct;
    }
    if (signature.any_keywords) {
        call->keywords = arguments->keywords;
        call->keyword_count = arguments->keyword_count;
    } else if (!bind_keywords(run, row, arguments, call)) {
        return false;
    }
    for (size_t i = 0; i < row->required; i++) {
        if (!template_value_given(call->bound[i])) {
            return template_run_fail(run, "%s() misses required argument %zu", row->name, i + 1);
        }
    }
    return true;
}

bool template_call_builtin(struct template_run *run, const struct template_builtin *row,
                           struct template_value subject,
                           const struct template_arguments *arguments, struct template_value *out)
{
    struct template_call call = {.subject = subject};
    return template_run_spend(run, 1) && bind(run, row, arguments, &call) &&
           row->call(run, &call, out);
}

/* joiner: nothing the first time, the separator afterwards. */
static bool call_joiner(struct template_run *run, struct template_joiner *joiner,
                        struct template_value *out)
{
    if (joiner->used) {
        *out = joiner->separator;
        return true;
    }
    joiner->used = true;
    return template_run_text(run, "", out);
}

/* Strings, and those in a list of pieces, become markup. */
static bool mark_strings(struct template_run *run, struct template_value *value)
{
    value->markup = value->kind == TEMPLATE_STRING;
    if (value->kind != TEMPLATE_LIST && value->kind != TEMPLATE_TUPLE) {
        return true;
    }
    size_t count = value->as.list->count;
    struct template_value *items = template_run_alloc_array(run, count, sizeof *items);
    if (items == NULL || !template_run_spend(run, count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        items[i] = value->as.list->items[i];
        items[i].markup = items[i].kind == TEMPLATE_STRING;
    }
    return template_run_list(run, (enum template_kind)value->kind, items, count, value);
}

/* What a method makes of markup is markup again. */
static bool call_method(struct template_run *run, const struct template_method *method,
                        const struct template_arguments *arguments, struct template_value *out)
{
    if (!template_call_builtin(run, method->row, method->receiver, arguments, out)) {
        return false;
    }
    return !method->receiver.markup || mark_strings(run, out);
}

bool template_call_value(struct template_run *run, struct template_value callee,
                         const struct template_arguments *arguments, struct template_value *out)
{
    struct template_value nothing = {.kind = TEMPLATE_ABSENT};
    switch ((enum template_kind)callee.kind) {
    case TEMPLATE_UNDEFINED:
        return template_run_fail_undefined(run, callee);
    case TEMPLATE_MACRO:
        return template_macro_call(run, callee.as.macro, arguments, out);
    case TEMPLATE_FUNCTION:
        return template_call_builtin(run, callee.as.function, nothing, arguments, out);
    case TEMPLATE_METHOD:
        return call_method(run, callee.as.method, arguments, out);
    case TEMPLATE_LOOP:
        return template_loop_recurse(run, callee.as.loop, arguments, out);
    case TEMPLATE_JOINER:
        return call_joiner(run, callee.as.joiner, out);
    default:
        return template_run_fail(run, "'%s' object is not callable",
                                 template_value_type_name(callee));
    }
}

struct template_value template_call_or(struct template_value argument,
                                       struct template_value otherwise)
{
    return template_value_given(argument) ? argument : otherwise;
}

bool template_call_integer(struct template_run *run, struct template_value argument,
                           int64_t otherwise, const char *what, int64_t *out)
{
    *out = otherwise;
    if (!template_value_given(argument) || template_value_as_int(argument, out)) {
        return true;
    }
    if (argument.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, argument);
    }
    return template_run_fail(run, "%s must be an integer, not %s", what,
                             template_value_type_name(argument));
}

bool template_call_string(struct template_run *run, struct template_value argument,
                          const char *what, const struct template_string **out)
{
    if (argument.kind == TEMPLATE_STRING) {
        *out = argument.as.string;
        return true;
    }
    if (argument.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, argument);
    }
    return template_run_fail(run, "%s must be str, not %s", what,
                             template_value_type_name(argument));
}
