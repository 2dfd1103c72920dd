/* template_access.h - object.name, object[index], object[start:stop:step].
 *
 * Only what a value holds, and the methods listed here, can be reached; anything else is
 * undefined. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_ACCESS_H
#define SERVER_CHAT_TEMPLATE_ACCESS_H

#include "server/chat/template_run.h"

/* Methods first, then keys. */
bool template_access_attribute(struct template_run *run, struct template_value object,
                               struct template_value name, struct template_value *out);

/* Keys and elements first, then methods. */
bool template_access_item(struct template_run *run, struct template_value object,
                          struct template_value index, struct template_value *out);

/* Bounds are absent, None or integers. */
bool template_access_slice(struct template_run *run, struct template_value object,
                           const struct template_value bounds[3], struct template_value *out);

/* What `attribute='a.b.0'` of filters means: each part is an item. otherwise: instead of each that is
 * undefined; absent: none. */
bool template_access_path(struct template_run *run, struct template_value object,
                          struct template_value path, struct template_value otherwise,
                          struct template_value *out);

#endif
