/* template_macro.h - macros: bodies that are called and give text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_MACRO_H
#define SERVER_CHAT_TEMPLATE_MACRO_H

#include "server/chat/template_call.h"
#include "server/chat/template_tree.h"

struct template_macro {
    const struct template_macro_node *node;
    struct template_scope *scope; /* where it was defined: its free names are looked up there */
};

/* A macro value defined in the run's scope. */
bool template_macro_new(struct template_run *run, const struct template_macro_node *node,
                        struct template_value *out);

bool template_macro_call(struct template_run *run, const struct template_macro *macro,
                         const struct template_arguments *arguments, struct template_value *out);

#endif
