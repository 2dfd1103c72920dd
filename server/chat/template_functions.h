/* template_functions.h - the functions that templates may call by name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_FUNCTIONS_H
#define SERVER_CHAT_TEMPLATE_FUNCTIONS_H

#include "server/chat/template_call.h"

const struct template_builtin *template_functions_find(const struct template_string *name);

#endif
