/* template_eval.c - walks the tree. The innermost node that fails puts its place in front of the
 * error; nesting is counted, so neither the tree nor recursive macros can exhaust the stack.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_eval.h"

#include "configs/limits.h"
#include "server/chat/template_access.h"
#include "server/chat/template_builder.h"
#include "server/chat/template_compare.h"
#include "server/chat/template_dict.h"
#include "server/chat/template_iterate.h"
#include "server/chat/template_operator.h"
#include "server/chat/template_repr.h"
#include "server/chat/template_scope.h"

#include <stdio.h>
#include <string.h>

bool template_eval_enter(struct template_run *run)
{
    if (run->level_count >= LIMIT_TEMPLATE_LEVELS) {
        return template_run_fail(run, "evaluation nests more than %u deep", LIMIT_TEMPLATE_LEVELS);
    }
    run->level_count++;
    return true;
}

static bool eval_items(struct template_run *run, const struct template_nodes *nodes,
                       struct template_value *items)
{
    for (size_t i = 0; i < nodes->count; i++) {
        if (!template_eval_node(run, nodes->items[i], &items[i])) {
            return false;
        }
    }
    return true;
}

static bool eval_list(struct template_run *run, const struct template_node *node,
                      struct template_value *out)
{
    size_t count = node->as.items.count;
    struct template_value *items = template_run_alloc_array(run, count, sizeof *items);
    enum template_kind kind = node->kind == NODE_LIST ? TEMPLATE_LIST : TEMPLATE_TUPLE;
    return items != NULL && eval_items(run, &node->as.items, items) &&
           template_run_list(run, kind, items, count, out);
}

static bool eval_dict(struct template_run *run, const struct template_node *node,
                      struct template_value *out)
{
    struct template_dict *dict = template_dict_new(run);
    if (dict == NULL) {
        return false;
    }
    for (size_t i = 0; i < node->as.dict.keys.count; i++) {
        struct template_value key;
        struct template_value value;
        if (!template_eval_node(run, node->as.dict.keys.items[i], &key) ||
            !template_eval_node(run, node->as.dict.values.items[i], &value) ||
            !template_dict_set(run, dict, key, value)) {
            return false;
        }
    }
    *out = template_value_dict(TEMPLATE_DICT, dict);
    return true;
}

static bool eval_prefix(struct template_run *run, const struct template_node *node,
                        struct template_value *out)
{
    struct template_value value;
    if (!template_eval_node(run, node->as.binary.left, &value)) {
        return false;
    }
    if (node->kind == NODE_NOT) {
        *out = template_value_bool(!template_value_truth(value));
        return true;
    }
    if (node->kind == NODE_NEGATE) {
        return template_operator_negate(run, value, out);
    }
    *out = value;
    if (value.kind == TEMPLATE_BOOL) {
        *out = template_value_int(value.as.boolean ? 1 : 0);
    }
    if (value.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, value);
    }
    return template_value_is_number(value) ||
           template_run_fail(run, "bad operand type for unary +: '%s'",
                             template_value_type_name(value));
}

/* `and` and `or` give the operand that decided. */
static bool eval_logic(struct template_run *run, const struct template_node *node,
                       struct template_value *out)
{
    if (!template_eval_node(run, node->as.binary.left, out)) {
        return false;
    }
    bool decided = template_value_truth(*out) == (node->kind == NODE_OR);
    return decided || template_eval_node(run, node->as.binary.right, out);
}

static bool eval_binary(struct template_run *run, const struct template_node *node,
                        struct template_value *out)
{
    struct template_value left;
    struct template_value right;
    return template_eval_node(run, node->as.binary.left, &left) &&
           template_eval_node(run, node->as.binary.right, &right) &&
           template_operator_binary(run, (enum template_node_kind)node->kind, left, right, out);
}

static bool eval_concat(struct template_run *run, const struct template_node *node,
                        struct template_value *out)
{
    struct template_value joined;
    for (size_t i = 0; i < node->as.items.count; i++) {
        struct template_value item;
        struct template_value text;
        if (!template_eval_node(run, node->as.items.items[i], &item) ||
            !template_repr_str(run, item, &text)) {
            return false;
        }
        if (i == 0) {
            joined = text;
        } else if (!template_builder_concat(run, joined.as.string, text.as.string, &joined)) {
            return false;
        }
    }
    *out = joined;
    return true;
}

static bool compare(struct template_run *run, enum template_comparison operator,
                    struct template_value left, struct template_value right, bool *out)
{
    int order = 0;
    switch (operator) {
    case COMPARE_EQUAL:
        return template_compare_equal(run, left, right, out);
    case COMPARE_NOT_EQUAL:
        if (!template_compare_equal(run, left, right, out)) {
            return false;
        }
        *out = !*out;
        return true;
    case COMPARE_IN:
        return template_compare_contains(run, right, left, out);
    case COMPARE_NOT_IN:
        if (!template_compare_contains(run, right, left, out)) {
            return false;
        }
        *out = !*out;
        return true;
    case COMPARE_LESS:
        *out = template_compare_order(run, left, right, "<", &order) && order < 0;
        break;
    case COMPARE_LESS_EQUAL:
        *out = template_compare_order(run, left, right, "<=", &order) && order <= 0;
        break;
    case COMPARE_GREATER:
        *out = template_compare_order(run, left, right, ">", &order) && order > 0;
        break;
    case COMPARE_GREATER_EQUAL:
        *out = template_compare_order(run, left, right, ">=", &order) && order >= 0;
        break;
    }
    return run->error.status == OK;
}

/* a < b < c: each neighbour pair, until one is false. */
static bool eval_compare(struct template_run *run, const struct template_node *node,
                         struct template_value *out)
{
    struct template_value left;
    if (!template_eval_node(run, node->as.compare.first, &left)) {
        return false;
    }
    bool holds = true;
    for (size_t i = 0; holds && i < node->as.compare.operands.count; i++) {
        struct template_value right;
        enum template_comparison operator=(enum template_comparison) node->as.compare.operators[i];
        if (!template_eval_node(run, node->as.compare.operands.items[i], &right) ||
            !compare(run, operator, left, right, &holds)) {
            return false;
        }
        left = right;
    }
    *out = template_value_bool(holds);
    return true;
}

static bool eval_conditional(struct template_run *run, const struct template_node *node,
                             struct template_value *out)
{
    struct template_value test;
    if (!template_eval_node(run, node->as.conditional.test, &test)) {
        return false;
    }
    if (template_value_truth(test)) {
        return template_eval_node(run, node->as.conditional.then, out);
    }
    if (node->as.conditional.otherwise != NULL) {
        return template_eval_node(run, node->as.conditional.otherwise, out);
    }
    return template_run_undefined_hint(
        run, "the inline if-expression was false and has no else part", out);
}

static bool eval_slice(struct template_run *run, const struct template_node *slice,
                       struct template_value object, struct template_value *out)
{
    const struct template_node *parts[3] = {slice->as.slice.start, slice->as.slice.stop,
                                            slice->as.slice.step};
    struct template_value bounds[3] = {{.kind = TEMPLATE_ABSENT}};
    for (size_t i = 0; i < 3; i++) {
        if (parts[i] != NULL && !template_eval_node(run, parts[i], &bounds[i])) {
            return false;
        }
    }
    return template_access_slice(run, object, bounds, out);
}

static bool eval_subscript(struct template_run *run, const struct template_node *node,
                           struct template_value *out)
{
    struct template_value object;
    struct template_value index;
    if (!template_eval_node(run, node->as.access.object, &object)) {
        return false;
    }
    if (node->as.access.index->kind == NODE_SLICE) {
        return eval_slice(run, node->as.access.index, object, out);
    }
    return template_eval_node(run, node->as.access.index, &index) &&
           template_access_item(run, object, index, out);
}

static bool eval_attribute(struct template_run *run, const struct template_node *node,
                           struct template_value *out)
{
    struct template_value object;
    return template_eval_node(run, node->as.access.object, &object) &&
           template_access_attribute(run, object, node->as.access.name, out);
}

/* *args */
static bool spread_positional(struct template_run *run, const struct template_call_node *call,
                              struct template_items *items)
{
    struct template_value more;
    struct template_list list;
    if (call->more_positional == NULL) {
        return true;
    }
    return template_eval_node(run, call->more_positional, &more) &&
           template_iterate_items(run, more, &list) && template_builder_push_all(items, &list);
}

static bool eval_positional(struct template_run *run, const struct template_call_node *call,
                            struct template_arguments *arguments)
{
    struct template_items items;
    template_builder_items_init(&items, run);
    for (size_t i = 0; i < call->positional.count; i++) {
        struct template_value value;
        if (!template_eval_node(run, call->positional.items[i], &value) ||
            !template_builder_push(&items, value)) {
            return false;
        }
    }
    if (!spread_positional(run, call, &items)) {
        return false;
    }
    arguments->positional = items.items;
    arguments->count = items.count;
    return true;
}

/* **kwargs: a dict whose keys are strings, or NULL. */
static bool eval_more_keywords(struct template_run *run, const struct template_call_node *call,
                               const struct template_dict **out)
{
    struct template_value more;
    *out = NULL;
    if (call->more_keywords == NULL) {
        return true;
    }
    if (!template_eval_node(run, call->more_keywords, &more)) {
        return false;
    }
    if (more.kind != TEMPLATE_DICT) {
        return template_run_fail(run, "argument after ** must be a mapping, not %s",
                                 template_value_type_name(more));
    }
    for (size_t i = 0; i < more.as.dict->count; i++) {
        if (more.as.dict->entries[i].key.kind != TEMPLATE_STRING) {
            return template_run_fail(run, "keywords must be strings");
        }
    }
    *out = more.as.dict;
    return true;
}

static bool eval_keywords(struct template_run *run, const struct template_call_node *call,
                          const struct template_keyword *added,
                          struct template_arguments *arguments)
{
    const struct template_dict *more = NULL;
    if (!eval_more_keywords(run, call, &more)) {
        return false;
    }
    size_t count = call->keyword_count + (added != NULL) + (more != NULL ? more->count : 0);
    if (count == 0) {
        return true;
    }
    struct template_keyword *keywords = template_run_alloc_array(run, count, sizeof *keywords);
    if (keywords == NULL) {
        return false;
    }
    arguments->keywords = keywords;
    for (size_t i = 0; i < call->keyword_count; i++) {
        keywords->name = call->keywords[i].name;
        if (!template_eval_node(run, call->keywords[i].value, &keywords->value)) {
            return false;
        }
        keywords++;
    }
    for (size_t i = 0; more != NULL && i < more->count; i++) {
        *keywords++ = (struct template_keyword){.name = more->entries[i].key,
                                                .value = more->entries[i].value};
    }
    if (added != NULL) {
        *keywords = *added;
    }
    arguments->keyword_count = count;
    return true;
}

bool template_eval_call(struct template_run *run, const struct template_node *node,
                        const struct template_keyword *added, struct template_value *out)
{
    struct template_value callee;
    struct template_arguments arguments = {0};
    return template_eval_node(run, node->as.call.operand, &callee) &&
           eval_positional(run, &node->as.call.arguments, &arguments) &&
           eval_keywords(run, &node->as.call.arguments, added, &arguments) &&
           template_call_value(run, callee, &arguments, out);
}

/* A filter or test on a subject. */
static bool apply(struct template_run *run, const struct template_node *node,
                  struct template_value subject, struct template_value *out)
{
    struct template_arguments arguments = {0};
    if (node->as.call.row == NULL) {
        const struct template_string *name = node->as.call.name.as.string;
        return template_run_fail(run, "No %s named '%.*s' found.",
                                 node->kind == NODE_FILTER ? "filter" : "test",
                                 (int)name->byte_count, name->bytes);
    }
    return eval_positional(run, &node->as.call.arguments, &arguments) &&
           eval_keywords(run, &node->as.call.arguments, NULL, &arguments) &&
           template_call_builtin(run, node->as.call.row, subject, &arguments, out);
}

static bool eval_applied(struct template_run *run, const struct template_node *node,
                         struct template_value *out)
{
    struct template_value subject;
    return template_eval_node(run, node->as.call.operand, &subject) &&
           apply(run, node, subject, out);
}

bool template_eval_filter(struct template_run *run, const struct template_node *node,
                          struct template_value text, struct template_value *out)
{
    struct template_value subject = text;
    if (!template_eval_enter(run)) {
        return false;
    }
    bool ok = (node->as.call.operand == NULL ||
               template_eval_filter(run, node->as.call.operand, text, &subject)) &&
              apply(run, node, subject, out);
    run->level_count--;
    if (!ok) {
        template_run_locate(run, node->line, node->column);
    }
    return ok;
}

static bool eval_kind(struct template_run *run, const struct template_node *node,
                      struct template_value *out)
{
    switch ((enum template_node_kind)node->kind) {
    case NODE_LIST:
    case NODE_TUPLE:
        return eval_list(run, node, out);
    case NODE_DICT:
        return eval_dict(run, node, out);
    case NODE_NOT:
    case NODE_NEGATE:
    case NODE_PLUS:
        return eval_prefix(run, node, out);
    case NODE_AND:
    case NODE_OR:
        return eval_logic(run, node, out);
    case NODE_CONCAT:
        return eval_concat(run, node, out);
    case NODE_COMPARE:
        return eval_compare(run, node, out);
    case NODE_CONDITIONAL:
        return eval_conditional(run, node, out);
    case NODE_ATTRIBUTE:
        return eval_attribute(run, node, out);
    case NODE_SUBSCRIPT:
        return eval_subscript(run, node, out);
    case NODE_CALL:
        return template_eval_call(run, node, NULL, out);
    case NODE_FILTER:
    case NODE_TEST:
        return eval_applied(run, node, out);
    default:
        return eval_binary(run, node, out);
    }
}

bool template_eval_node(struct template_run *run, const struct template_node *node,
                        struct template_value *out)
{
    if (node->kind == NODE_CONSTANT) {
        *out = node->as.constant;
        return true;
    }
    bool ok = template_run_spend(run, 1) && template_eval_enter(run);
    if (ok) {
        ok = node->kind == NODE_NAME ? template_scope_get(run, node->as.name.symbol, out)
                                     : eval_kind(run, node, out);
        run->level_count--;
    }
    if (!ok) {
        template_run_locate(run, node->line, node->column);
    }
    return ok;
}
