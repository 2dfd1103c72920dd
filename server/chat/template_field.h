/* template_field.h - one value laid out as a format asks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_FIELD_H
#define SERVER_CHAT_TEMPLATE_FIELD_H

#include "server/chat/template_builder.h"

enum {
    TEMPLATE_FIELD_WIDTH_MAX = 10000 /* so that a format cannot outrun the budgets */
};

struct template_field {
    int32_t fill;
    char align;     /* < > ^ = or 0 */
    char sign;      /* + space or 0 */
    bool alternate; /* # */
    bool grouped;   /* , */
    int64_t width;
    int64_t precision; /* -1: none */
    char type;         /* 0: as str() */
};

bool template_field_append(struct template_builder *text, const struct template_field *field,
                           struct template_value value);

#endif
