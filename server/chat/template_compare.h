/* template_compare.h - equality, order, hashing and membership, as Python defines them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_COMPARE_H
#define SERVER_CHAT_TEMPLATE_COMPARE_H

#include "server/chat/template_run.h"

bool template_compare_equal(struct template_run *run, struct template_value left,
                            struct template_value right, bool *equal);

/* Below, equal or above zero in *order; fails for values without an order. operator_text is for
 * that message. */
bool template_compare_order(struct template_run *run, struct template_value left,
                            struct template_value right, const char *operator_text, int *order);

/* Fails for values that cannot be keys. */
bool template_compare_hash(struct template_run *run, struct template_value value, uint64_t *hash);

/* needle in haystack. */
bool template_compare_contains(struct template_run *run, struct template_value haystack,
                               struct template_value needle, bool *contains);

/* Stable; the items are reordered where they stand. keys[i] belongs to items[i]. */
bool template_compare_sort(struct template_run *run, struct template_value *keys,
                           struct template_value *items, size_t count, bool descending);

#endif
