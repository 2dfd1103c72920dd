/* template_exec.c - statements other than loops and macro calls, which have their own files.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_exec.h"

#include "server/chat/template_builder.h"
#include "server/chat/template_dict.h"
#include "server/chat/template_eval.h"
#include "server/chat/template_iterate.h"
#include "server/chat/template_loop.h"
#include "server/chat/template_macro.h"
#include "server/chat/template_repr.h"
#include "server/chat/template_scope.h"

static bool exec_text(struct template_run *run, struct template_value text)
{
    return template_run_write(run, text.as.string->bytes, text.as.string->byte_count);
}

static bool exec_print(struct template_run *run, const struct template_node *node)
{
    struct template_value value;
    struct template_value text;
    return template_eval_node(run, node->as.binary.left, &value) &&
           template_repr_str(run, value, &text) && exec_text(run, text);
}

static bool exec_if(struct template_run *run, const struct template_node *node,
                    enum template_flow *flow)
{
    for (size_t i = 0; i < node->as.branch.arm_count; i++) {
        const struct template_arm *arm = &node->as.branch.arms[i];
        struct template_value test;
        if (!template_eval_node(run, arm->test, &test)) {
            return false;
        }
        if (template_value_truth(test)) {
            return template_exec_body(run, &arm->body, flow);
        }
    }
    return template_exec_body(run, &node->as.branch.otherwise, flow);
}

static bool assign_tuple(struct template_run *run, const struct template_nodes *targets,
                         struct template_value value)
{
    struct template_list list;
    if (value.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, value);
    }
    if (!template_iterate_items(run, value, &list)) {
        return false;
    }
    if (list.count != targets->count) {
        return template_run_fail(run, "%s values to unpack (expected %zu, got %zu)",
                                 list.count < targets->count ? "not enough" : "too many",
                                 targets->count, list.count);
    }
    for (size_t i = 0; i < list.count; i++) {
        if (!template_exec_assign(run, targets->items[i], list.items[i])) {
            return false;
        }
    }
    return true;
}

static bool assign_attribute(struct template_run *run, const struct template_node *target,
                             struct template_value value)
{
    struct template_value object;
    if (!template_eval_node(run, target->as.access.object, &object)) {
        return false;
    }
    if (object.kind != TEMPLATE_NAMESPACE) {
        return template_run_fail(run, "cannot assign attribute on non-namespace object");
    }
    return template_dict_set(run, object.as.dict, target->as.access.name, value);
}

bool template_exec_assign(struct template_run *run, const struct template_node *target,
                          struct template_value value)
{
    switch ((enum template_node_kind)target->kind) {
    case NODE_TUPLE: {
        bool ok = template_eval_enter(run);
        ok = ok && assign_tuple(run, &target->as.items, value);
        run->level_count -= ok;
        return ok;
    }
    case NODE_NAMESPACE_TARGET:
        return assign_attribute(run, target, value);
    default:
        return template_scope_set(run, run->scope, target->as.name.symbol, value);
    }
}

static bool exec_set(struct template_run *run, const struct template_node *node)
{
    struct template_value value;
    return template_eval_node(run, node->as.set.value, &value) &&
           template_exec_assign(run, node->as.set.target, value);
}

bool template_exec_capture(struct template_run *run, const struct template_nodes *body,
                           struct template_scope *scope, enum template_flow *flow,
                           struct template_value *out)
{
    struct template_builder text;
    struct template_builder *outer_builder = run->builder;
    struct template_scope *outer_scope = run->scope;
    template_builder_init(&text, run);
    run->builder = &text;
    run->scope = scope;
    bool ok = template_exec_body(run, body, flow);
    run->builder = outer_builder;
    run->scope = outer_scope;
    return ok && template_builder_finish(&text, out);
}

/* The text of a block that has its own scope, through the block's filters. */
static bool capture_filtered(struct template_run *run, const struct template_node *node,
                             enum template_flow *flow, struct template_value *out)
{
    struct template_scope *scope = template_scope_new(run, run->scope);
    if (scope == NULL || !template_exec_capture(run, &node->as.set.body, scope, flow, out)) {
        return false;
    }
    return node->as.set.value == NULL || template_eval_filter(run, node->as.set.value, *out, out);
}

static bool exec_set_block(struct template_run *run, const struct template_node *node,
                           enum template_flow *flow)
{
    struct template_value text;
    if (!capture_filtered(run, node, flow, &text)) {
        return false;
    }
    return *flow != TEMPLATE_FLOW_NEXT || template_exec_assign(run, node->as.set.target, text);
}

static bool exec_filter_block(struct template_run *run, const struct template_node *node,
                              enum template_flow *flow)
{
    struct template_value value;
    struct template_value text;
    if (!capture_filtered(run, node, flow, &value)) {
        return false;
    }
    return *flow != TEMPLATE_FLOW_NEXT ||
           (template_repr_str(run, value, &text) && exec_text(run, text));
}

static bool exec_in_scope(struct template_run *run, const struct template_nodes *body,
                          struct template_scope *scope, enum template_flow *flow)
{
    struct template_scope *outer = run->scope;
    run->scope = scope;
    bool ok = template_exec_body(run, body, flow);
    run->scope = outer;
    return ok;
}

/* The values are computed outside the new scope. */
static bool exec_with(struct template_run *run, const struct template_node *node,
                      enum template_flow *flow)
{
    struct template_scope *outer = run->scope;
    struct template_scope *scope = template_scope_new(run, outer);
    if (scope == NULL) {
        return false;
    }
    for (size_t i = 0; i < node->as.with.targets.count; i++) {
        struct template_value value;
        if (!template_eval_node(run, node->as.with.values.items[i], &value)) {
            return false;
        }
        run->scope = scope;
        bool ok = template_exec_assign(run, node->as.with.targets.items[i], value);
        run->scope = outer;
        if (!ok) {
            return false;
        }
    }
    return exec_in_scope(run, &node->as.with.body, scope, flow);
}

static bool exec_generation(struct template_run *run, const struct template_node *node,
                            enum template_flow *flow)
{
    struct template_scope *scope = template_scope_new(run, run->scope);
    return scope != NULL && exec_in_scope(run, &node->as.body, scope, flow);
}

static bool exec_call_block(struct template_run *run, const struct template_node *node)
{
    struct template_keyword caller = {.value = {.kind = TEMPLATE_ABSENT}};
    struct template_value value;
    struct template_value text;
    caller.name = run->tree->symbols[TEMPLATE_SYMBOL_CALLER];
    return template_macro_new(run, node->as.call_block.caller, &caller.value) &&
           template_eval_call(run, node->as.call_block.call, &caller, &value) &&
           template_repr_str(run, value, &text) && exec_text(run, text);
}

static bool exec_macro(struct template_run *run, const struct template_node *node)
{
    struct template_value macro;
    return template_macro_new(run, node->as.macro, &macro) &&
           template_scope_set(run, run->scope, node->as.macro->symbol, macro);
}

static bool exec_kind(struct template_run *run, const struct template_node *node,
                      enum template_flow *flow)
{
    switch ((enum template_node_kind)node->kind) {
    case NODE_TEXT:
        return exec_text(run, node->as.constant);
    case NODE_PRINT:
        return exec_print(run, node);
    case NODE_IF:
        return exec_if(run, node, flow);
    case NODE_FOR:
        return template_loop_exec(run, node, flow);
    case NODE_SET:
        return exec_set(run, node);
    case NODE_SET_BLOCK:
        return exec_set_block(run, node, flow);
    case NODE_FILTER_BLOCK:
        return exec_filter_block(run, node, flow);
    case NODE_MACRO:
        return exec_macro(run, node);
    case NODE_CALL_BLOCK:
        return exec_call_block(run, node);
    case NODE_WITH:
        return exec_with(run, node, flow);
    case NODE_GENERATION:
        return exec_generation(run, node, flow);
    default:
        *flow = node->kind == NODE_BREAK ? TEMPLATE_FLOW_BREAK : TEMPLATE_FLOW_CONTINUE;
        return true;
    }
}

static bool exec_statement(struct template_run *run, const struct template_node *node,
                           enum template_flow *flow)
{
    bool ok = template_run_spend(run, 1) && template_eval_enter(run);
    if (ok) {
        ok = exec_kind(run, node, flow);
        run->level_count--;
    }
    if (!ok) {
        template_run_locate(run, node->line, node->column);
    }
    return ok;
}

bool template_exec_body(struct template_run *run, const struct template_nodes *body,
                        enum template_flow *flow)
{
    *flow = TEMPLATE_FLOW_NEXT;
    for (size_t i = 0; i < body->count && *flow == TEMPLATE_FLOW_NEXT; i++) {
        if (!exec_statement(run, body->items[i], flow)) {
            return false;
        }
    }
    return true;
}
