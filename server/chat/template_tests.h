/* template_tests.h - the tests of `value is name`.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_TESTS_H
#define SERVER_CHAT_TEMPLATE_TESTS_H

#include "server/chat/template_call.h"

/* NULL: there is none of that name. */
const struct template_builtin *template_tests_find(const struct template_string *name);

#endif
