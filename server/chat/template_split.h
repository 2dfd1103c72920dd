/* template_split.h - str.split, rsplit, splitlines, partition, rpartition.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_SPLIT_H
#define SERVER_CHAT_TEMPLATE_SPLIT_H

#include "server/chat/template_call.h"

const struct template_builtin *template_split_find(const struct template_string *name);

/* A list of lines, with their ends where keep_ends. */
bool template_split_lines(struct template_run *run, const struct template_string *string,
                          bool keep_ends, struct template_value *out);

#endif
