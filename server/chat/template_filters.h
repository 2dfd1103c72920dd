/* template_filters.h - the filters of `value | filter(...)`.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_FILTERS_H
#define SERVER_CHAT_TEMPLATE_FILTERS_H

#include "server/chat/template_call.h"

/* NULL: there is none of that name. */
const struct template_builtin *template_filters_find(const struct template_string *name);

/* The parts of the table, by what they work on. */
const struct template_builtin *template_text_filters_find(const struct template_string *name);
const struct template_builtin *template_list_filters_find(const struct template_string *name);
const struct template_builtin *template_pick_filters_find(const struct template_string *name);

#endif
