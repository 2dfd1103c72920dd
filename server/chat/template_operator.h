/* template_operator.h - arithmetic on values, as Python does it.
 *
 * Integers are 64 bits wide; a result that does not fit is an error.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_OPERATOR_H
#define SERVER_CHAT_TEMPLATE_OPERATOR_H

#include "server/chat/template_run.h"
#include "server/chat/template_tree.h"

/* kind: NODE_ADD to NODE_POWER. */
bool template_operator_binary(struct template_run *run, enum template_node_kind kind,
                              struct template_value left, struct template_value right,
                              struct template_value *out);

bool template_operator_negate(struct template_run *run, struct template_value value,
                              struct template_value *out);

/* str + str, with the escaping that markup asks for. */
bool template_operator_join(struct template_run *run, struct template_value left,
                            struct template_value right, struct template_value *out);

#endif
