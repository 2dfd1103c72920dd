/* template_dict.h - dictionaries in insertion order.
 *
 * Templates cannot change a dict; those who make one fill it before anyone sees it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_DICT_H
#define SERVER_CHAT_TEMPLATE_DICT_H

#include "server/chat/template_run.h"

struct template_dict *template_dict_new(struct template_run *run);

/* Adds, or replaces where the key is there. */
bool template_dict_set(struct template_run *run, struct template_dict *dict,
                       struct template_value key, struct template_value value);

/* *found is NULL when there is no such key. */
bool template_dict_find(struct template_run *run, const struct template_dict *dict,
                        struct template_value key, const struct template_value **found);

/* Same for a key that is plain text; cannot fail. */
const struct template_value *template_dict_find_text(const struct template_dict *dict,
                                                     const char *key);

/* keys(), values(), items() as a list of the dict as it is now. */
bool template_dict_view(struct template_run *run, const struct template_dict *dict,
                        enum template_view view, struct template_value *out);

#endif
