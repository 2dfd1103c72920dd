/* template_parser.h - tokens -> tree.
 *
 * template_statement.c, template_expression.c and template_operand.c work on this parser. Functions
 * return NULL or false after filling err.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_PARSER_H
#define SERVER_CHAT_TEMPLATE_PARSER_H

#include "server/chat/template_lexer.h"
#include "server/chat/template_tree.h"

/* A macro that is being parsed, innermost first. */
struct template_open_macro {
    struct template_open_macro *outer;
    struct template_macro_node *macro;
};

struct template_parser {
    struct template_lexer lexer;
    struct template_tree *tree;
    struct template_token current;
    struct template_token following;
    unsigned depth;      /* of nested expressions and blocks: bounds the C stack */
    unsigned loop_depth; /* break and continue need a loop */
    bool conditional;    /* inside an if: unknown filters fail only when reached */
    struct template_open_macro *open_macros;
    uint32_t *symbol_index; /* open addressing, symbol + 1 */
    size_t symbol_index_size;
    size_t symbol_capacity;
};

/* Parses a whole template; the tree's arena is initialised by the caller. */
enum status template_parser_run(struct template_tree *tree, const char *source, size_t source_bytes,
                                struct error *err);

bool template_parser_fail(struct template_parser *parser, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool template_parser_advance(struct template_parser *parser);
bool template_parser_expect(struct template_parser *parser, enum template_token_kind kind,
                            const char *what);
bool template_parser_at_name(const struct template_parser *parser, const char *name);
bool template_parser_enter(struct template_parser *parser); /* depth + 1, refused past the limit */
void *template_parser_alloc(struct template_parser *parser, size_t byte_count);
struct template_node *template_parser_node(struct template_parser *parser,
                                           enum template_node_kind kind);
bool template_parser_append(struct template_parser *parser, struct template_nodes *nodes,
                            struct template_node *node);
bool template_parser_string(struct template_parser *parser, const char *bytes, size_t byte_count,
                            struct template_value *out);
bool template_parser_symbol(struct template_parser *parser, const struct template_token *name,
                            uint32_t *symbol, struct template_value *text);

#endif
