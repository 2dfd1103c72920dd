/* template_loop.h - for loops, and the `loop` that their bodies see.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_LOOP_H
#define SERVER_CHAT_TEMPLATE_LOOP_H

#include "server/chat/template_call.h"
#include "server/chat/template_exec.h"

struct template_loop {
    const struct template_node *node; /* FOR */
    struct template_scope *outer;     /* where the statement stands */
    struct template_list items;
    size_t index;
    unsigned depth;                /* of recursive loops, from 0 */
    struct template_value changed; /* what changed() saw last; absent at first */
};

bool template_loop_exec(struct template_run *run, const struct template_node *node,
                        enum template_flow *flow);

/* loop(items) in a recursive loop: the body again, for these items; what it prints. */
bool template_loop_recurse(struct template_run *run, struct template_loop *loop,
                           const struct template_arguments *arguments, struct template_value *out);

/* loop.index and the like. */
bool template_loop_attribute(struct template_run *run, struct template_value loop,
                             struct template_value name, struct template_value *out, bool *found);

#endif
