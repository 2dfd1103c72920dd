/* template_eval.h - the value of an expression.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_EVAL_H
#define SERVER_CHAT_TEMPLATE_EVAL_H

#include "server/chat/template_call.h"
#include "server/chat/template_tree.h"

bool template_eval_node(struct template_run *run, const struct template_node *node,
                        struct template_value *out);

/* A FILTER node applied to text that is already there: the filters of blocks. */
bool template_eval_filter(struct template_run *run, const struct template_node *node,
                          struct template_value text, struct template_value *out);

/* A CALL node with one keyword more. */
bool template_eval_call(struct template_run *run, const struct template_node *node,
                        const struct template_keyword *added, struct template_value *out);

/* One more nested evaluation; refused past the limit. Every entered level is left with
 * run->level_count--. */
bool template_eval_enter(struct template_run *run);

#endif
