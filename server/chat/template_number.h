/* template_number.h - numbers written in text, as Python's int() and float() read them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_NUMBER_H
#define SERVER_CHAT_TEMPLATE_NUMBER_H

#include "server/chat/template_value.h"

/* False when the text is no such number, or does not fit. */
bool template_number_parse_int(const struct template_string *string, int64_t base, int64_t *out);
bool template_number_parse_float(const struct template_string *string, double *out);

#endif
