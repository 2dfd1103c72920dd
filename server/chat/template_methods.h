/* template_methods.h - methods of strings, lists, tuples, dicts and cyclers.
 *
 * Only methods that leave the value as it is; the ones that change it are not reachable.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_METHODS_H
#define SERVER_CHAT_TEMPLATE_METHODS_H

#include "server/chat/template_call.h"

/* NULL when the type of the value has no such method. */
const struct template_builtin *template_methods_find(struct template_value receiver,
                                                     const struct template_string *name);

/* The method as a value that can be called. */
bool template_methods_bind(struct template_run *run, struct template_value receiver,
                           const struct template_builtin *row, struct template_value *out);

#endif
