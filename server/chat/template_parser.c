/* template_parser.c - the parser's plumbing: tokens, nodes, and numbers for names.
 *
 * Recursion follows the nesting of blocks and expressions and stops at a limit, so a hostile
 * template cannot exhaust the stack. SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_parser.h"

#include "server/chat/template_statement.h"
#include "server/chat/template_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool template_parser_fail(struct template_parser *parser, const char *format, ...)
{
    char message[ERROR_MESSAGE_BYTES / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    const struct template_token *token = &parser->current;
    if (token->kind == TOKEN_END) {
        return template_lexer_fail(&parser->lexer, ERR_FORMAT, token->line, token->column,
                                   "%s, found the end of the template", message);
    }
    bool named = token->bytes != NULL && token->kind != TOKEN_DATA;
    int shown = token->byte_count > 40 ? 40 : (int)token->byte_count;
    if (named && token->kind >= TOKEN_ADD) {
        shown = (int)strlen(token->bytes);
    }
    return template_lexer_fail(&parser->lexer, ERR_FORMAT, token->line, token->column,
                               named ? "%s, found '%.*s'" : "%s", message, shown, token->bytes);
}

bool template_parser_advance(struct template_parser *parser)
{
    parser->current = parser->following;
    return template_lexer_next(&parser->lexer, &parser->following);
}

bool template_parser_expect(struct template_parser *parser, enum template_token_kind kind,
                            const char *what)
{
    if (parser->current.kind != kind) {
        return template_parser_fail(parser, "expected %s", what);
    }
    return template_parser_advance(parser);
}

bool template_parser_at_name(const struct template_parser *parser, const char *name)
{
    const struct template_token *token = &parser->current;
    return token->kind == TOKEN_NAME && token->byte_count == strlen(name) &&
           memcmp(token->bytes, name, token->byte_count) == 0;
}

bool template_parser_enter(struct template_parser *parser)
{
    if (parser->depth == LIMIT_TEMPLATE_DEPTH) {
        return template_lexer_fail(&parser->lexer, ERR_UNSUPPORTED, parser->current.line,
                                   parser->current.column, "nested more than %u deep",
                                   LIMIT_TEMPLATE_DEPTH);
    }
    parser->depth++;
    return true;
}

void *template_parser_alloc(struct template_parser *parser, size_t byte_count)
{
    void *block = template_arena_alloc(&parser->tree->arena, byte_count);
    if (block == NULL) {
        template_lexer_fail(&parser->lexer, ERR_MEMORY, parser->current.line,
                            parser->current.column, "no memory for the template's tree");
    }
    return block;
}

struct template_node *template_parser_node(struct template_parser *parser,
                                           enum template_node_kind kind)
{
    struct template_node *node = template_parser_alloc(parser, sizeof *node);
    if (node != NULL) {
        *node = (struct template_node){
            .kind = (uint8_t)kind, .line = parser->current.line, .column = parser->current.column};
    }
    return node;
}

/* Counts that are a power of two are full: the list then moves to twice the room. */
bool template_parser_append(struct template_parser *parser, struct template_nodes *nodes,
                            struct template_node *node)
{
    if (node == NULL) {
        return false;
    }
    if ((nodes->count & (nodes->count - 1)) == 0) {
        size_t capacity = nodes->count > 0 ? 2 * nodes->count : 1;
        struct template_node **items =
            template_parser_alloc(parser, capacity * sizeof(struct template_node *));
        if (items == NULL) {
            return false;
        }
        if (nodes->count > 0) {
            memcpy(items, nodes->items, nodes->count * sizeof(struct template_node *));
        }
        nodes->items = items;
    }
    nodes->items[nodes->count++] = node;
    return true;
}

bool template_parser_string(struct template_parser *parser, const char *bytes, size_t byte_count,
                            struct template_value *out)
{
    struct template_string *string = template_parser_alloc(parser, sizeof *string);
    if (string == NULL) {
        return false;
    }
    *string = (struct template_string){.bytes = byte_count > 0 ? bytes : "",
                                       .byte_count = byte_count,
                                       .char_count = template_text_count_bytes(bytes, byte_count)};
    *out = template_value_string(string);
    return true;
}

static size_t symbol_slot(const struct template_parser *parser, const char *bytes,
                          size_t byte_count)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < byte_count; i++) {
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001B3u;
    }
    return (size_t)(hash ^ (hash >> 32)) & (parser->symbol_index_size - 1);
}

static bool grow_symbols(struct template_parser *parser)
{
    struct template_tree *tree = parser->tree;
    size_t capacity = parser->symbol_capacity > 0 ? 2 * parser->symbol_capacity : 64;
    struct template_value *symbols = template_parser_alloc(parser, capacity * sizeof *symbols);
    uint32_t *index = template_parser_alloc(parser, 2 * capacity * sizeof *index);
    if (symbols == NULL || index == NULL) {
        return false;
    }
    memset(index, 0, 2 * capacity * sizeof *index);
    parser->symbol_index = index;
    parser->symbol_index_size = 2 * capacity;
    parser->symbol_capacity = capacity;
    for (size_t i = 0; i < tree->symbol_count; i++) {
        const struct template_string *name = tree->symbols[i].as.string;
        size_t slot = symbol_slot(parser, name->bytes, name->byte_count);
        symbols[i] = tree->symbols[i];
        while (index[slot] != 0) {
            slot = (slot + 1) & (parser->symbol_index_size - 1);
        }
        index[slot] = (uint32_t)i + 1;
    }
    tree->symbols = symbols;
    return true;
}

bool template_parser_symbol(struct template_parser *parser, const struct template_token *name,
                            uint32_t *symbol, struct template_value *text)
{
    struct template_tree *tree = parser->tree;
    if (tree->symbol_count == parser->symbol_capacity && !grow_symbols(parser)) {
        return false;
    }
    size_t slot = symbol_slot(parser, name->bytes, name->byte_count);
    while (parser->symbol_index[slot] != 0) {
        *symbol = parser->symbol_index[slot] - 1;
        *text = tree->symbols[*symbol];
        if (text->as.string->byte_count == name->byte_count &&
            memcmp(text->as.string->bytes, name->bytes, name->byte_count) == 0) {
            return true;
        }
        slot = (slot + 1) & (parser->symbol_index_size - 1);
    }
    if (!template_parser_string(parser, name->bytes, name->byte_count, text)) {
        return false;
    }
    *symbol = (uint32_t)tree->symbol_count;
    tree->symbols[tree->symbol_count++] = *text;
    parser->symbol_index[slot] = *symbol + 1;
    return true;
}

static bool add_special_symbols(struct template_parser *parser)
{
    static const char *const names[TEMPLATE_SYMBOL_FIRST_FREE] = {"loop", "caller", "varargs",
                                                                  "kwargs"};
    for (size_t i = 0; i < TEMPLATE_SYMBOL_FIRST_FREE; i++) {
        struct template_token name = {.bytes = names[i], .byte_count = strlen(names[i])};
        struct template_value text;
        uint32_t symbol = 0;
        if (!template_parser_symbol(parser, &name, &symbol, &text)) {
            return false;
        }
    }
    return true;
}

enum status template_parser_run(struct template_tree *tree, const char *source, size_t source_bytes,
                                struct error *err)
{
    struct template_parser parser = {.tree = tree};
    struct error ignored = {.status = OK};
    struct error *filled = err != NULL ? err : &ignored;
    enum status status =
        template_lexer_open(&parser.lexer, &tree->arena, source, source_bytes, filled);
    if (status != OK) {
        return status;
    }
    bool ok = add_special_symbols(&parser) && template_parser_advance(&parser) &&
              template_parser_advance(&parser) &&
              template_statement_body(&parser, NULL, &tree->body);
    return ok ? OK : filled->status;
}
