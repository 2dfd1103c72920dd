/* template_literal.h - numbers and quoted strings of template source.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_LITERAL_H
#define SERVER_CHAT_TEMPLATE_LITERAL_H

#include "server/chat/template_lexer.h"

/* The lexer stands at the first digit or quote; it moves behind the literal. */
bool template_literal_number(struct template_lexer *lexer, struct template_token *token);
bool template_literal_string(struct template_lexer *lexer, struct template_token *token);

#endif
