/* template_exec.h - running statements.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_EXEC_H
#define SERVER_CHAT_TEMPLATE_EXEC_H

#include "server/chat/template_run.h"
#include "server/chat/template_tree.h"

/* How a body ended. */
enum template_flow {
    TEMPLATE_FLOW_NEXT,
    TEMPLATE_FLOW_BREAK,
    TEMPLATE_FLOW_CONTINUE
};

/* Runs the statements in the run's scope. */
bool template_exec_body(struct template_run *run, const struct template_nodes *body,
                        enum template_flow *flow);

/* Runs the statements in a new scope inside parent and returns what they print. */
bool template_exec_capture(struct template_run *run, const struct template_nodes *body,
                           struct template_scope *scope, enum template_flow *flow,
                           struct template_value *out);

/* Gives the names of a target, which may be a nested tuple, their values. */
bool template_exec_assign(struct template_run *run, const struct template_node *target,
                          struct template_value value);

#endif
