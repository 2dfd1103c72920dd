/* template_string_methods.h - str.split, str.replace and the like.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_STRING_METHODS_H
#define SERVER_CHAT_TEMPLATE_STRING_METHODS_H

#include "server/chat/template_call.h"
#include "server/chat/template_text.h"

const struct template_builtin *template_string_methods_find(const struct template_string *name);

/* The first `times` places (below zero: all) of old become new. */
bool template_string_methods_replace(struct template_run *run, const struct template_string *string,
                                     const struct template_string *old,
                                     const struct template_string *new, int64_t times,
                                     struct template_value *out);

/* Fills up to width characters. The side names where the text goes to: TEMPLATE_LEFT pads on its
 * right. */
bool template_string_methods_pad(struct template_run *run, const struct template_string *string,
                                 int64_t width, enum template_side side, int32_t fill,
                                 struct template_value *out);

#endif
