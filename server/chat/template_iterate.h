/* template_iterate.h - any iterable as a row of values, and Python's len().
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_ITERATE_H
#define SERVER_CHAT_TEMPLATE_ITERATE_H

#include "server/chat/template_run.h"

/* What is left to iterate over; an iterator is used up by this. Fails for what Python cannot
 * iterate over. Lists are not copied. */
bool template_iterate_items(struct template_run *run, struct template_value value,
                            struct template_list *out);

bool template_iterate_possible(struct template_value value);

bool template_iterate_length(struct template_run *run, struct template_value value, size_t *out);

/* True for values that have a length and can be indexed. */
bool template_iterate_is_sequence(struct template_value value);

#endif
