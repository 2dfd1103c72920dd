/* template_string_tests.h - str.isdigit and the like.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_STRING_TESTS_H
#define SERVER_CHAT_TEMPLATE_STRING_TESTS_H

#include "server/chat/template_call.h"

const struct template_builtin *template_string_tests_find(const struct template_string *name);

/* At least one letter has case, and all that do have this one. */
bool template_string_tests_has_case(const struct template_string *string, bool upper);

#endif
