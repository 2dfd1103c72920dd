/* template_loop.c - the items are all known before the first turn, so length, last and nextitem
 * need no tricks. One scope serves all turns of a loop and is emptied in between.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_loop.h"

#include "server/chat/template_builder.h"
#include "server/chat/template_compare.h"
#include "server/chat/template_eval.h"
#include "server/chat/template_iterate.h"
#include "server/chat/template_methods.h"
#include "server/chat/template_scope.h"

/* Keeps the items for which the loop's own condition holds. */
static bool filter_items(struct template_run *run, const struct template_node *node,
                         struct template_scope *scope, struct template_list *items)
{
    struct template_items kept;
    struct template_scope *outer = run->scope;
    template_builder_items_init(&kept, run);
    run->scope = scope;
    bool ok = true;
    for (size_t i = 0; ok && i < items->count; i++) {
        struct template_value holds = template_value_bool(false);
        scope->count = 0;
        ok = template_exec_assign(run, node->as.loop.target, items->items[i]) &&
             template_eval_node(run, node->as.loop.test, &holds) &&
             (!template_value_truth(holds) || template_builder_push(&kept, items->items[i]));
    }
    run->scope = outer;
    *items = (struct template_list){.items = kept.items, .count = kept.count};
    return ok;
}

static bool run_turn(struct template_run *run, const struct template_loop *loop,
                     struct template_scope *scope, struct template_value loop_value,
                     enum template_flow *flow)
{
    scope->count = 0;
    return template_run_spend(run, 1) &&
           template_scope_set(run, scope, TEMPLATE_SYMBOL_LOOP, loop_value) &&
           template_exec_assign(run, loop->node->as.loop.target, loop->items.items[loop->index]) &&
           template_exec_body(run, &loop->node->as.loop.body, flow);
}

/* All turns, then the else part if none of them came to its end: also a turn that break or continue
 * cut short counts as none, as in Jinja. */
static bool run_turns(struct template_run *run, struct template_loop *loop,
                      struct template_scope *scope, enum template_flow *flow)
{
    struct template_value loop_value = {.kind = TEMPLATE_LOOP, .as.loop = loop};
    struct template_scope *outer = run->scope;
    run->scope = scope;
    bool ok = true;
    bool completed = false;
    enum template_flow turn = TEMPLATE_FLOW_NEXT;
    for (loop->index = 0; ok && loop->index < loop->items.count && turn != TEMPLATE_FLOW_BREAK;
         loop->index++) {
        ok = run_turn(run, loop, scope, loop_value, &turn);
        completed = completed || turn == TEMPLATE_FLOW_NEXT;
    }
    if (ok && !completed) {
        scope->count = 0;
        ok = template_exec_body(run, &loop->node->as.loop.otherwise, flow);
    }
    run->scope = outer;
    return ok;
}

static bool run_loop(struct template_run *run, const struct template_node *node,
                     struct template_value iterable, unsigned depth, enum template_flow *flow)
{
    struct template_loop *loop = template_run_alloc(run, sizeof *loop);
    struct template_scope *scope = template_scope_new(run, run->scope);
    if (loop == NULL || scope == NULL) {
        return false;
    }
    *loop = (struct template_loop){.node = node, .outer = run->scope, .depth = depth};
    if (!template_iterate_items(run, iterable, &loop->items)) {
        return false;
    }
    if (node->as.loop.test != NULL && !filter_items(run, node, scope, &loop->items)) {
        return false;
    }
    return run_turns(run, loop, scope, flow);
}

bool template_loop_exec(struct template_run *run, const struct template_node *node,
                        enum template_flow *flow)
{
    struct template_value iterable;
    return template_eval_node(run, node->as.loop.iterable, &iterable) &&
           run_loop(run, node, iterable, 0, flow);
}

bool template_loop_recurse(struct template_run *run, struct template_loop *loop,
                           const struct template_arguments *arguments, struct template_value *out)
{
    if (!loop->node->as.loop.recursive) {
        return template_run_fail(run, "the loop must have the 'recursive' marker to be called");
    }
    if (arguments->count != 1 || arguments->keyword_count != 0) {
        return template_run_fail(run, "a recursive loop is called with one argument");
    }
    struct template_builder text;
    struct template_builder *outer_builder = run->builder;
    struct template_scope *outer_scope = run->scope;
    enum template_flow flow = TEMPLATE_FLOW_NEXT;
    template_builder_init(&text, run);
    run->builder = &text;
    run->scope = loop->outer;
    bool ok = run_loop(run, loop->node, arguments->positional[0], loop->depth + 1, &flow);
    run->builder = outer_builder;
    run->scope = outer_scope;
    return ok && template_builder_finish(&text, out);
}

/* Attributes that are numbers or truths. */
static bool counted_attribute(const struct template_loop *loop, struct template_value name,
                              struct template_value *out)
{
    int64_t count = (int64_t)loop->items.count;
    int64_t index = (int64_t)loop->index;
    const struct {
        const char *name;
        struct template_value value;
    } rows[] = {
        {"index", template_value_int(index + 1)},
        {"index0", template_value_int(index)},
        {"first", template_value_bool(index == 0)},
        {"last", template_value_bool(index + 1 == count)},
        {"length", template_value_int(count)},
        {"revindex", template_value_int(count - index)},
        {"revindex0", template_value_int(count - index - 1)},
        {"depth", template_value_int((int64_t)loop->depth + 1)},
        {"depth0", template_value_int((int64_t)loop->depth)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (template_value_is_text(name, rows[i].name)) {
            *out = rows[i].value;
            return true;
        }
    }
    return false;
}

static bool call_cycle(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    if (call->extra_count == 0) {
        return template_run_fail(run, "no items for cycling given");
    }
    *out = call->extra[call->subject.as.loop->index % call->extra_count];
    return true;
}

static bool call_changed(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    struct template_loop *loop = call->subject.as.loop;
    struct template_value now;
    bool equal = false;
    if (!template_run_list(run, TEMPLATE_TUPLE, call->extra, call->extra_count, &now)) {
        return false;
    }
    if (template_value_given(loop->changed) &&
        !template_compare_equal(run, loop->changed, now, &equal)) {
        return false;
    }
    loop->changed = now;
    *out = template_value_bool(!equal);
    return true;
}

bool template_loop_attribute(struct template_run *run, struct template_value loop_value,
                             struct template_value name, struct template_value *out, bool *found)
{
    static const struct template_builtin cycle = {"cycle", "*", 0, call_cycle};
    static const struct template_builtin changed = {"changed", "*", 0, call_changed};
    const struct template_loop *loop = loop_value.as.loop;
    *found = true;
    if (counted_attribute(loop, name, out)) {
        return true;
    }
    if (template_value_is_text(name, "previtem")) {
        if (loop->index == 0) {
            return template_run_undefined_hint(run, "there is no previous item", out);
        }
        *out = loop->items.items[loop->index - 1];
        return true;
    }
    if (template_value_is_text(name, "nextitem")) {
        if (loop->index + 1 >= loop->items.count) {
            return template_run_undefined_hint(run, "there is no next item", out);
        }
        *out = loop->items.items[loop->index + 1];
        return true;
    }
    if (template_value_is_text(name, "cycle")) {
        return template_methods_bind(run, loop_value, &cycle, out);
    }
    if (template_value_is_text(name, "changed")) {
        return template_methods_bind(run, loop_value, &changed, out);
    }
    *found = false;
    return true;
}
