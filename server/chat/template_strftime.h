/* template_strftime.h - dates for templates that tell the model what day it is.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_STRFTIME_H
#define SERVER_CHAT_TEMPLATE_STRFTIME_H

#include "server/chat/template_run.h"

/* strftime in the C locale at seconds since 1970, in UTC. */
bool template_strftime_format(struct template_run *run, const struct template_string *format,
                              int64_t seconds, struct template_value *out);

#endif
