/* template_tests.c - each test is a row; those that only look at the kind share one function a
 * kind. SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_tests.h"

#include "server/chat/template_compare.h"
#include "server/chat/template_filters.h"
#include "server/chat/template_iterate.h"
#include "server/chat/template_operator.h"
#include "server/chat/template_repr.h"
#include "server/chat/template_string_tests.h"
#include "server/chat/template_text.h"

/* Tests on the kind alone. */
#define KIND_TEST(NAME, CONDITION)                                                                 \
    static bool NAME(struct template_run *run, const struct template_call *call,                   \
                     struct template_value *out)                                                   \
    {                                                                                              \
        struct template_value subject = call->subject;                                             \
        (void)run;                                                                                 \
        *out = template_value_bool(CONDITION);                                                     \
        return true;                                                                               \
    }

KIND_TEST(test_defined, subject.kind != TEMPLATE_UNDEFINED)
KIND_TEST(test_undefined, subject.kind == TEMPLATE_UNDEFINED)
KIND_TEST(test_none, subject.kind == TEMPLATE_NONE)
KIND_TEST(test_boolean, subject.kind == TEMPLATE_BOOL)
KIND_TEST(test_true, subject.kind == TEMPLATE_BOOL && subject.as.boolean)
KIND_TEST(test_false, subject.kind == TEMPLATE_BOOL && !subject.as.boolean)
KIND_TEST(test_integer, subject.kind == TEMPLATE_INT)
KIND_TEST(test_float, subject.kind == TEMPLATE_FLOAT)
KIND_TEST(test_number, template_value_is_number(subject))
KIND_TEST(test_string, subject.kind == TEMPLATE_STRING)
KIND_TEST(test_mapping, subject.kind == TEMPLATE_DICT)
KIND_TEST(test_sequence, template_iterate_is_sequence(subject))
KIND_TEST(test_iterable, template_iterate_possible(subject))
KIND_TEST(test_escaped, subject.kind == TEMPLATE_STRING && subject.markup)
KIND_TEST(test_callable, (subject.kind >= TEMPLATE_MACRO && subject.kind <= TEMPLATE_LOOP) ||
                             subject.kind == TEMPLATE_JOINER || subject.kind == TEMPLATE_UNDEFINED)

static bool test_lower(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    struct template_value text;
    bool ok = template_repr_str(run, call->subject, &text);
    *out = template_value_bool(ok && template_string_tests_has_case(text.as.string, false));
    return ok;
}

static bool test_upper(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    struct template_value text;
    bool ok = template_repr_str(run, call->subject, &text);
    *out = template_value_bool(ok && template_string_tests_has_case(text.as.string, true));
    return ok;
}

static bool modulo_is(struct template_run *run, struct template_value value,
                      struct template_value divisor, int64_t wanted, struct template_value *out)
{
    struct template_value rest;
    bool equal = false;
    bool ok = template_operator_binary(run, NODE_MODULO, value, divisor, &rest) &&
              template_compare_equal(run, rest, template_value_int(wanted), &equal);
    *out = template_value_bool(equal);
    return ok;
}

static bool test_odd(struct template_run *run, const struct template_call *call,
                     struct template_value *out)
{
    return modulo_is(run, call->subject, template_value_int(2), 1, out);
}

static bool test_even(struct template_run *run, const struct template_call *call,
                      struct template_value *out)
{
    return modulo_is(run, call->subject, template_value_int(2), 0, out);
}

static bool test_divisibleby(struct template_run *run, const struct template_call *call,
                             struct template_value *out)
{
    return modulo_is(run, call->subject, call->bound[0], 0, out);
}

static bool test_equal(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    bool equal = false;
    bool ok = template_compare_equal(run, call->subject, call->bound[0], &equal);
    *out = template_value_bool(equal);
    return ok;
}

static bool test_unequal(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    bool ok = test_equal(run, call, out);
    out->as.boolean = !out->as.boolean;
    return ok;
}

static bool test_in(struct template_run *run, const struct template_call *call,
                    struct template_value *out)
{
    bool contains = false;
    bool ok = template_compare_contains(run, call->bound[0], call->subject, &contains);
    *out = template_value_bool(contains);
    return ok;
}

static bool test_less(struct template_run *run, const struct template_call *call,
                      struct template_value *out)
{
    int order = 0;
    bool ok = template_compare_order(run, call->subject, call->bound[0], "<", &order);
    *out = template_value_bool(order < 0);
    return ok;
}

static bool test_less_equal(struct template_run *run, const struct template_call *call,
                            struct template_value *out)
{
    int order = 0;
    bool ok = template_compare_order(run, call->subject, call->bound[0], "<=", &order);
    *out = template_value_bool(order <= 0);
    return ok;
}

static bool test_greater(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    int order = 0;
    bool ok = template_compare_order(run, call->subject, call->bound[0], ">", &order);
    *out = template_value_bool(order > 0);
    return ok;
}

static bool test_greater_equal(struct template_run *run, const struct template_call *call,
                               struct template_value *out)
{
    int order = 0;
    bool ok = template_compare_order(run, call->subject, call->bound[0], ">=", &order);
    *out = template_value_bool(order >= 0);
    return ok;
}

/* Identity: containers are the same only when they are one; plain values when equal. */
static bool test_sameas(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    struct template_value subject = call->subject;
    struct template_value other = call->bound[0];
    bool plain = subject.kind <= TEMPLATE_STRING;
    if (subject.kind != other.kind) {
        *out = template_value_bool(false);
        return true;
    }
    if (plain) {
        return test_equal(run, call, out);
    }
    *out = template_value_bool(subject.as.dict == other.as.dict);
    return true;
}

static bool test_filter(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    (void)run;
    *out = template_value_bool(call->subject.kind == TEMPLATE_STRING &&
                               template_filters_find(call->subject.as.string) != NULL);
    return true;
}

static bool test_test(struct template_run *run, const struct template_call *call,
                      struct template_value *out)
{
    (void)run;
    *out = template_value_bool(call->subject.kind == TEMPLATE_STRING &&
                               template_tests_find(call->subject.as.string) != NULL);
    return true;
}

static const struct template_builtin tests[] = {
    {"defined", "", 0, test_defined},
    {"undefined", "", 0, test_undefined},
    {"none", "", 0, test_none},
    {"boolean", "", 0, test_boolean},
    {"true", "", 0, test_true},
    {"false", "", 0, test_false},
    {"integer", "", 0, test_integer},
    {"float", "", 0, test_float},
    {"number", "", 0, test_number},
    {"string", "", 0, test_string},
    {"mapping", "", 0, test_mapping},
    {"sequence", "", 0, test_sequence},
    {"iterable", "", 0, test_iterable},
    {"escaped", "", 0, test_escaped},
    {"callable", "", 0, test_callable},
    {"lower", "", 0, test_lower},
    {"upper", "", 0, test_upper},
    {"odd", "", 0, test_odd},
    {"even", "", 0, test_even},
    {"divisibleby", "num", 1, test_divisibleby},
    {"sameas", "other", 1, test_sameas},
    {"in", "seq", 1, test_in},
    {"filter", "", 0, test_filter},
    {"test", "", 0, test_test},
    {"eq", "b", 1, test_equal},
    {"==", "b", 1, test_equal},
    {"equalto", "b", 1, test_equal},
    {"ne", "b", 1, test_unequal},
    {"!=", "b", 1, test_unequal},
    {"lt", "b", 1, test_less},
    {"<", "b", 1, test_less},
    {"lessthan", "b", 1, test_less},
    {"le", "b", 1, test_less_equal},
    {"<=", "b", 1, test_less_equal},
    {"gt", "b", 1, test_greater},
    {">", "b", 1, test_greater},
    {"greaterthan", "b", 1, test_greater},
    {"ge", "b", 1, test_greater_equal},
    {">=", "b", 1, test_greater_equal},
};

const struct template_builtin *template_tests_find(const struct template_string *name)
{
    return template_call_find(tests, sizeof tests / sizeof *tests, name);
}
