/* template_scope.h - which value a name has.
 *
 * A loop, a macro call and a with block open a scope; if does not. Outside all scopes come the
 * names of the context, then the built-in functions.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_SCOPE_H
#define SERVER_CHAT_TEMPLATE_SCOPE_H

#include "server/chat/template_run.h"

struct template_binding {
    uint32_t symbol;
    struct template_value value;
};

struct template_scope {
    struct template_scope *parent; /* NULL: the template itself */
    struct template_binding *bindings;
    uint32_t count;
    uint32_t capacity;
};

/* A new empty scope inside parent; NULL after a failure. Macros keep scopes alive, so they lie in
 * the arena. */
struct template_scope *template_scope_new(struct template_run *run, struct template_scope *parent);

bool template_scope_set(struct template_run *run, struct template_scope *scope, uint32_t symbol,
                        struct template_value value);

/* Undefined when nobody knows the name. */
bool template_scope_get(struct template_run *run, uint32_t symbol, struct template_value *out);

#endif
