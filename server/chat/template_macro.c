/* template_macro.c - binding a macro's arguments and running its body.
 *
 * Names that are not parameters are looked up where the macro was defined, at the time of the
 * call. Calls nest to a limit. SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_macro.h"

#include "configs/limits.h"
#include "server/chat/template_dict.h"
#include "server/chat/template_eval.h"
#include "server/chat/template_exec.h"
#include "server/chat/template_scope.h"
#include "server/chat/template_text.h"

bool template_macro_new(struct template_run *run, const struct template_macro_node *node,
                        struct template_value *out)
{
    struct template_macro *macro = template_run_alloc(run, sizeof *macro);
    if (macro == NULL) {
        return false;
    }
    *macro = (struct template_macro){.node = node, .scope = run->scope};
    *out = (struct template_value){.kind = TEMPLATE_MACRO, .as.macro = macro};
    return true;
}

static const struct template_keyword *find_keyword(const struct template_arguments *arguments,
                                                   struct template_value name)
{
    for (size_t i = 0; i < arguments->keyword_count; i++) {
        if (template_text_equal(arguments->keywords[i].name.as.string, name.as.string)) {
            return &arguments->keywords[i];
        }
    }
    return NULL;
}

/* The value of one parameter; defaults are computed inside the macro, in order. */
static bool parameter_value(struct template_run *run, const struct template_macro_node *node,
                            size_t place, const struct template_arguments *arguments,
                            struct template_value *out)
{
    const struct template_keyword *keyword = find_keyword(arguments, node->parameter_names[place]);
    if (place < arguments->count) {
        *out = arguments->positional[place];
        return true;
    }
    if (keyword != NULL) {
        *out = keyword->value;
        return true;
    }
    if (node->defaults[place] != NULL) {
        return template_eval_node(run, node->defaults[place], out);
    }
    return template_run_undefined_name(run, node->parameter_names[place], out);
}

static bool is_parameter(const struct template_macro_node *node, struct template_value name,
                         size_t first)
{
    for (size_t i = first; i < node->parameter_count; i++) {
        if (template_text_equal(node->parameter_names[i].as.string, name.as.string)) {
            return true;
        }
    }
    return false;
}

static bool bind_caller(struct template_run *run, const struct template_macro_node *node,
                        struct template_value caller, struct template_scope *scope)
{
    if (!node->uses_caller || is_parameter(node, run->tree->symbols[TEMPLATE_SYMBOL_CALLER], 0)) {
        return true;
    }
    if (!template_value_given(caller) &&
        !template_run_undefined_hint(run, "No caller defined", &caller)) {
        return false;
    }
    return template_scope_set(run, scope, TEMPLATE_SYMBOL_CALLER, caller);
}

static bool bind_varargs(struct template_run *run, const struct template_macro_node *node,
                         const struct template_arguments *arguments, struct template_scope *scope)
{
    struct template_value rest;
    bool more = arguments->count > node->parameter_count;
    if (!node->uses_varargs) {
        return true;
    }
    return template_run_list(run, TEMPLATE_TUPLE,
                             more ? arguments->positional + node->parameter_count : NULL,
                             more ? arguments->count - node->parameter_count : 0, &rest) &&
           template_scope_set(run, scope, TEMPLATE_SYMBOL_VARARGS, rest);
}

/* Arguments that no parameter took go to varargs, kwargs and caller, if the body uses those. */
static bool bind_rest(struct template_run *run, const struct template_macro_node *node,
                      const struct template_arguments *arguments, struct template_scope *scope)
{
    struct template_dict *rest = template_dict_new(run);
    struct template_value caller = {.kind = TEMPLATE_ABSENT};
    size_t direct =
        arguments->count < node->parameter_count ? arguments->count : node->parameter_count;
    if (rest == NULL) {
        return false;
    }
    for (size_t i = 0; i < arguments->keyword_count; i++) {
        const struct template_keyword *keyword = &arguments->keywords[i];
        if (is_parameter(node, keyword->name, direct)) {
            continue;
        }
        if (node->uses_caller && template_value_is_text(keyword->name, "caller")) {
            caller = keyword->value;
        } else if (!node->uses_kwargs) {
            const struct template_string *name = keyword->name.as.string;
            return template_run_fail(run, "the macro takes no keyword argument '%.*s'",
                                     (int)name->byte_count, name->bytes);
        } else if (!template_dict_set(run, rest, keyword->name, keyword->value)) {
            return false;
        }
    }
    return bind_caller(run, node, caller, scope) && bind_varargs(run, node, arguments, scope) &&
           (!node->uses_kwargs || template_scope_set(run, scope, TEMPLATE_SYMBOL_KWARGS,
                                                     template_value_dict(TEMPLATE_DICT, rest)));
}

static bool bind_parameters(struct template_run *run, const struct template_macro_node *node,
                            const struct template_arguments *arguments,
                            struct template_scope *scope)
{
    if (arguments->count > node->parameter_count && !node->uses_varargs) {
        return template_run_fail(run, "the macro takes not more than %zu argument(s)",
                                 node->parameter_count);
    }
    struct template_scope *outer = run->scope;
    run->scope = scope;
    bool ok = true;
    for (size_t i = 0; ok && i < node->parameter_count; i++) {
        struct template_value value;
        ok = parameter_value(run, node, i, arguments, &value) &&
             template_scope_set(run, scope, node->parameters[i], value);
    }
    run->scope = outer;
    bool plain = arguments->keyword_count == 0 && !node->uses_caller && !node->uses_varargs &&
                 !node->uses_kwargs;
    return ok && (plain || bind_rest(run, node, arguments, scope));
}

bool template_macro_call(struct template_run *run, const struct template_macro *macro,
                         const struct template_arguments *arguments, struct template_value *out)
{
    if (run->macro_depth >= LIMIT_TEMPLATE_DEPTH) {
        return template_run_fail(run, "macro calls nest more than %u deep", LIMIT_TEMPLATE_DEPTH);
    }
    enum template_flow flow = TEMPLATE_FLOW_NEXT;
    struct template_scope *scope = template_scope_new(run, macro->scope);
    run->macro_depth++;
    bool ok = scope != NULL && bind_parameters(run, macro->node, arguments, scope) &&
              template_exec_capture(run, &macro->node->body, scope, &flow, out);
    run->macro_depth--;
    return ok;
}
