/* template_operand.h - the smallest pieces of expressions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_OPERAND_H
#define SERVER_CHAT_TEMPLATE_OPERAND_H

#include "server/chat/template_parser.h"

/* A literal, a name, or something in brackets. */
struct template_node *template_operand_primary(struct template_parser *parser);

/* The attributes, subscripts and calls behind node; NULL stays NULL. */
struct template_node *template_operand_postfix(struct template_parser *parser,
                                               struct template_node *node);

/* A call of callee, and an argument list; the current token is the opening parenthesis. */
struct template_node *template_operand_call(struct template_parser *parser,
                                            struct template_node *callee);
bool template_operand_arguments(struct template_parser *parser, struct template_call_node *call);

#endif
