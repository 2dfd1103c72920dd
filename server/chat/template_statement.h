/* template_statement.h - the statements of templates.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_STATEMENT_H
#define SERVER_CHAT_TEMPLATE_STATEMENT_H

#include "server/chat/template_parser.h"

/* Statements up to a tag whose word is in ends (which NULL ends), and which is then current; ends
 * NULL: up to the end of the template. */
bool template_statement_body(struct template_parser *parser, const char *const *ends,
                             struct template_nodes *body);

#endif
