/* template_format.h - "..." % values, and "...".format(values).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_FORMAT_H
#define SERVER_CHAT_TEMPLATE_FORMAT_H

#include "server/chat/template_call.h"

/* values: a tuple, a dict for %(name)s, or the only value. */
bool template_format_percent(struct template_run *run, struct template_value format,
                             struct template_value values, struct template_value *out);

/* The subject is the format; arguments are extra and keywords. Fields are numbered or named, and
 * cannot reach into their values. */
bool template_format_braces(struct template_run *run, const struct template_call *call,
                            struct template_value *out);

#endif
