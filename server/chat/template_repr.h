/* template_repr.h - values as text, as Python's str() and repr() write them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_REPR_H
#define SERVER_CHAT_TEMPLATE_REPR_H

#include "server/chat/template_builder.h"

/* repr(): strings quoted, inside containers and out. */
bool template_repr_append(struct template_builder *text, struct template_value value);

/* str(): undefined is empty, strings are themselves. */
bool template_repr_append_str(struct template_builder *text, struct template_value value);

/* str() as a string value; a string is returned as it is. */
bool template_repr_str(struct template_run *run, struct template_value value,
                       struct template_value *out);

/* The shortest digits that read back as the same double, in Python's layout. */
bool template_repr_append_float(struct template_builder *text, double number);

#endif
