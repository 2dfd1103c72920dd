/* template_scope.c - scopes hold a handful of names, so a scan finds them; names of the context
 * are converted from JSON when first used and remembered by symbol.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_scope.h"

#include "server/chat/template_functions.h"
#include "server/chat/template_json.h"
#include "server/chat/template_tree.h"

#include <string.h>

enum {
    SCOPE_FIRST_BINDINGS = 4
};

struct template_scope *template_scope_new(struct template_run *run, struct template_scope *parent)
{
    struct template_scope *scope = template_run_alloc(run, sizeof *scope);
    if (scope != NULL) {
        *scope = (struct template_scope){.parent = parent};
    }
    return scope;
}

static bool grow(struct template_run *run, struct template_scope *scope)
{
    uint32_t capacity = scope->capacity > 0 ? 2 * scope->capacity : SCOPE_FIRST_BINDINGS;
    struct template_binding *bindings = template_run_alloc_array(run, capacity, sizeof *bindings);
    if (bindings == NULL) {
        return false;
    }
    if (scope->count > 0) {
        memcpy(bindings, scope->bindings, scope->count * sizeof *bindings);
    }
    scope->bindings = bindings;
    scope->capacity = capacity;
    return true;
}

bool template_scope_set(struct template_run *run, struct template_scope *scope, uint32_t symbol,
                        struct template_value value)
{
    for (uint32_t i = 0; i < scope->count; i++) {
        if (scope->bindings[i].symbol == symbol) {
            scope->bindings[i].value = value;
            return true;
        }
    }
    if (scope->count == scope->capacity && !grow(run, scope)) {
        return false;
    }
    scope->bindings[scope->count++] = (struct template_binding){.symbol = symbol, .value = value};
    return template_run_spend(run, 1 + scope->count / 16);
}

static bool find_global(struct template_run *run, uint32_t symbol, struct template_value *out)
{
    struct template_value text = run->tree->symbols[symbol];
    const struct template_string *name = text.as.string;
    const json_t *json = json_object_getn(run->context, name->bytes, name->byte_count);
    if (json != NULL) {
        return template_json_import(run, json, out);
    }
    const struct template_builtin *function = template_functions_find(name);
    if (function != NULL) {
        *out = (struct template_value){.kind = TEMPLATE_FUNCTION, .as.function = function};
        return true;
    }
    return template_run_undefined_name(run, text, out);
}

bool template_scope_get(struct template_run *run, uint32_t symbol, struct template_value *out)
{
    for (const struct template_scope *scope = run->scope; scope != NULL; scope = scope->parent) {
        for (uint32_t i = 0; i < scope->count; i++) {
            if (scope->bindings[i].symbol == symbol) {
                *out = scope->bindings[i].value;
                return true;
            }
        }
    }
    struct template_value *global = &run->globals[symbol];
    if (!template_value_given(*global) && !find_global(run, symbol, global)) {
        return false;
    }
    *out = *global;
    return true;
}
