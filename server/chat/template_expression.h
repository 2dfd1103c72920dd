/* template_expression.h - the expression grammar of templates.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_EXPRESSION_H
#define SERVER_CHAT_TEMPLATE_EXPRESSION_H

#include "server/chat/template_parser.h"

/* One expression, `a if b else c` included. */
struct template_node *template_expression_parse(struct template_parser *parser);

/* Expressions separated by commas make a tuple. Without conditional, `if` ends it. */
struct template_node *template_expression_parse_tuple(struct template_parser *parser,
                                                      bool conditional);

/* The rest of a tuple whose first item stands before a comma; parse reads one item. */
struct template_node *
template_expression_tuple_rest(struct template_parser *parser, struct template_node *first,
                               struct template_node *(*parse)(struct template_parser *));

/* What may stand left of `=` or of `in`: names, tuples of names, and namespace attributes where
 * those are allowed. */
struct template_node *template_expression_parse_target(struct template_parser *parser,
                                                       bool namespaces);

/* `f(x) | g` as it follows the word filter: filters on a text that comes later. */
struct template_node *template_expression_parse_filters(struct template_parser *parser);

/* `| f | g` behind what is already parsed. */
struct template_node *template_expression_parse_pipes(struct template_parser *parser,
                                                      struct template_node *operand);

#endif
