/* template_operand.c - what binds tightest: literals, names, and the calls, attributes and
 * subscripts behind them. SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_operand.h"

#include "server/chat/template_expression.h"

#include <string.h>

static bool at(const struct template_parser *parser, enum template_token_kind kind)
{
    return parser->current.kind == kind;
}

static struct template_node *parse_list(struct template_parser *parser)
{
    struct template_node *node = template_parser_node(parser, NODE_LIST);
    if (node == NULL || !template_parser_advance(parser)) {
        return NULL;
    }
    while (!at(parser, TOKEN_RIGHT_BRACKET)) {
        if (node->as.items.count > 0 && !template_parser_expect(parser, TOKEN_COMMA, "','")) {
            return NULL;
        }
        if (at(parser, TOKEN_RIGHT_BRACKET)) {
            break;
        }
        if (!template_parser_append(parser, &node->as.items, template_expression_parse(parser))) {
            return NULL;
        }
    }
    return template_parser_advance(parser) ? node : NULL;
}

static struct template_node *parse_dict(struct template_parser *parser)
{
    struct template_node *node = template_parser_node(parser, NODE_DICT);
    if (node == NULL || !template_parser_advance(parser)) {
        return NULL;
    }
    while (!at(parser, TOKEN_RIGHT_BRACE)) {
        if (node->as.dict.keys.count > 0 && !template_parser_expect(parser, TOKEN_COMMA, "','")) {
            return NULL;
        }
        if (at(parser, TOKEN_RIGHT_BRACE)) {
            break;
        }
        if (!template_parser_append(parser, &node->as.dict.keys,
                                    template_expression_parse(parser)) ||
            !template_parser_expect(parser, TOKEN_COLON, "':'") ||
            !template_parser_append(parser, &node->as.dict.values,
                                    template_expression_parse(parser))) {
            return NULL;
        }
    }
    return template_parser_advance(parser) ? node : NULL;
}

static struct template_node *parse_parentheses(struct template_parser *parser)
{
    struct template_node *node = template_parser_node(parser, NODE_TUPLE);
    if (node == NULL || !template_parser_advance(parser)) {
        return NULL;
    }
    if (!at(parser, TOKEN_RIGHT_PAREN)) {
        node = template_expression_parse_tuple(parser, true);
    }
    return node != NULL && template_parser_expect(parser, TOKEN_RIGHT_PAREN, "')'") ? node : NULL;
}

/* Strings side by side are one string. */
static struct template_node *parse_strings(struct template_parser *parser)
{
    struct template_node *node = template_parser_node(parser, NODE_CONSTANT);
    const char *bytes = parser->current.bytes;
    size_t byte_count = parser->current.byte_count;
    if (node == NULL || !template_parser_advance(parser)) {
        return NULL;
    }
    while (at(parser, TOKEN_STRING)) {
        char *joined = template_parser_alloc(parser, byte_count + parser->current.byte_count);
        if (joined == NULL) {
            return NULL;
        }
        memcpy(joined, bytes, byte_count);
        memcpy(joined + byte_count, parser->current.bytes, parser->current.byte_count);
        bytes = joined;
        byte_count += parser->current.byte_count;
        if (!template_parser_advance(parser)) {
            return NULL;
        }
    }
    return template_parser_string(parser, bytes, byte_count, &node->as.constant) ? node : NULL;
}

static struct template_node *parse_constant(struct template_parser *parser,
                                            struct template_value value)
{
    struct template_node *node = template_parser_node(parser, NODE_CONSTANT);
    if (node == NULL) {
        return NULL;
    }
    node->as.constant = value;
    return template_parser_advance(parser) ? node : NULL;
}

/* A macro that mentions caller, varargs or kwargs accepts them. */
static void note_special_name(struct template_parser *parser, uint32_t symbol)
{
    struct template_open_macro *open = parser->open_macros;
    for (; open != NULL; open = open->outer) {
        open->macro->uses_caller |= symbol == TEMPLATE_SYMBOL_CALLER;
        open->macro->uses_varargs |= symbol == TEMPLATE_SYMBOL_VARARGS;
        open->macro->uses_kwargs |= symbol == TEMPLATE_SYMBOL_KWARGS;
    }
}

static struct template_node *parse_name(struct template_parser *parser)
{
    if (template_parser_at_name(parser, "true") || template_parser_at_name(parser, "True")) {
        return parse_constant(parser, template_value_bool(true));
    }
    if (template_parser_at_name(parser, "false") || template_parser_at_name(parser, "False")) {
        return parse_constant(parser, template_value_bool(false));
    }
    if (template_parser_at_name(parser, "none") || template_parser_at_name(parser, "None")) {
        return parse_constant(parser, template_value_none());
    }
    struct template_node *node = template_parser_node(parser, NODE_NAME);
    if (node == NULL || !template_parser_symbol(parser, &parser->current, &node->as.name.symbol,
                                                &node->as.name.text)) {
        return NULL;
    }
    if (node->as.name.symbol < TEMPLATE_SYMBOL_FIRST_FREE) {
        note_special_name(parser, node->as.name.symbol);
    }
    return template_parser_advance(parser) ? node : NULL;
}

struct template_node *template_operand_primary(struct template_parser *parser)
{
    switch (parser->current.kind) {
    case TOKEN_NAME:
        return parse_name(parser);
    case TOKEN_STRING:
        return parse_strings(parser);
    case TOKEN_INTEGER:
        return parse_constant(parser, template_value_int(parser->current.integer));
    case TOKEN_FLOAT:
        return parse_constant(parser, template_value_float(parser->current.real));
    case TOKEN_LEFT_PAREN:
        return parse_parentheses(parser);
    case TOKEN_LEFT_BRACKET:
        return parse_list(parser);
    case TOKEN_LEFT_BRACE:
        return parse_dict(parser);
    default:
        template_parser_fail(parser, "expected an expression");
        return NULL;
    }
}

static bool parse_keyword(struct template_parser *parser, struct template_call_node *call)
{
    size_t count = call->keyword_count;
    if ((count & (count - 1)) == 0) {
        struct template_keyword_node *keywords =
            template_parser_alloc(parser, (count > 0 ? 2 * count : 1) * sizeof *keywords);
        if (keywords == NULL) {
            return false;
        }
        if (count > 0) {
            memcpy(keywords, call->keywords, count * sizeof *keywords);
        }
        call->keywords = keywords;
    }
    struct template_keyword_node *keyword = &call->keywords[count];
    if (!template_parser_string(parser, parser->current.bytes, parser->current.byte_count,
                                &keyword->name) ||
        !template_parser_advance(parser) || !template_parser_advance(parser)) {
        return false;
    }
    keyword->value = template_expression_parse(parser);
    call->keyword_count++;
    return keyword->value != NULL;
}

static bool parse_star(struct template_parser *parser, struct template_node **slot)
{
    if (*slot != NULL) {
        return template_parser_fail(parser, "an argument list may have one * and one **");
    }
    if (!template_parser_advance(parser)) {
        return false;
    }
    *slot = template_expression_parse(parser);
    return *slot != NULL;
}

static bool parse_argument(struct template_parser *parser, struct template_call_node *call)
{
    if (at(parser, TOKEN_MULTIPLY)) {
        return parse_star(parser, &call->more_positional);
    }
    if (at(parser, TOKEN_POWER)) {
        return parse_star(parser, &call->more_keywords);
    }
    if (at(parser, TOKEN_NAME) && parser->following.kind == TOKEN_ASSIGN) {
        return parse_keyword(parser, call);
    }
    if (call->keyword_count > 0 || call->more_positional != NULL || call->more_keywords != NULL) {
        return template_parser_fail(parser, "a positional argument follows a keyword argument");
    }
    return template_parser_append(parser, &call->positional, template_expression_parse(parser));
}

/* The current token is the opening parenthesis. */
bool template_operand_arguments(struct template_parser *parser, struct template_call_node *call)
{
    bool first = true;
    if (!template_parser_advance(parser)) {
        return false;
    }
    while (!at(parser, TOKEN_RIGHT_PAREN)) {
        if (!first && !template_parser_expect(parser, TOKEN_COMMA, "',' or ')'")) {
            return false;
        }
        if (at(parser, TOKEN_RIGHT_PAREN)) {
            break;
        }
        if (!parse_argument(parser, call)) {
            return false;
        }
        first = false;
    }
    return template_parser_advance(parser);
}

struct template_node *template_operand_call(struct template_parser *parser,
                                            struct template_node *callee)
{
    struct template_node *node = template_parser_node(parser, NODE_CALL);
    if (node == NULL) {
        return NULL;
    }
    node->as.call.operand = callee;
    return template_operand_arguments(parser, &node->as.call.arguments) ? node : NULL;
}

static struct template_node *parse_attribute(struct template_parser *parser,
                                             struct template_node *object)
{
    struct template_node *node = template_parser_node(parser, NODE_ATTRIBUTE);
    if (node == NULL || !template_parser_advance(parser)) {
        return NULL;
    }
    node->as.access.object = object;
    if (at(parser, TOKEN_INTEGER)) {
        node->kind = NODE_SUBSCRIPT;
        node->as.access.index = parse_constant(parser, template_value_int(parser->current.integer));
        return node->as.access.index != NULL ? node : NULL;
    }
    if (!at(parser, TOKEN_NAME)) {
        template_parser_fail(parser, "expected a name or a number after '.'");
        return NULL;
    }
    if (!template_parser_string(parser, parser->current.bytes, parser->current.byte_count,
                                &node->as.access.name)) {
        return NULL;
    }
    return template_parser_advance(parser) ? node : NULL;
}

/* One of start, stop, step: empty before the next ':' or the end. */
static bool parse_slice_part(struct template_parser *parser, struct template_node **part)
{
    if (at(parser, TOKEN_COLON) || at(parser, TOKEN_RIGHT_BRACKET) || at(parser, TOKEN_COMMA)) {
        return true;
    }
    *part = template_expression_parse(parser);
    return *part != NULL;
}

static struct template_node *parse_index(struct template_parser *parser)
{
    struct template_node *start = NULL;
    if (!parse_slice_part(parser, &start)) {
        return NULL;
    }
    if (!at(parser, TOKEN_COLON)) {
        if (start == NULL) {
            template_parser_fail(parser, "expected an index");
        }
        return start;
    }
    struct template_node *node = template_parser_node(parser, NODE_SLICE);
    if (node == NULL || !template_parser_advance(parser)) {
        return NULL;
    }
    node->as.slice.start = start;
    if (!parse_slice_part(parser, &node->as.slice.stop)) {
        return NULL;
    }
    if (at(parser, TOKEN_COLON) &&
        (!template_parser_advance(parser) || !parse_slice_part(parser, &node->as.slice.step))) {
        return NULL;
    }
    return node;
}

static struct template_node *parse_subscript(struct template_parser *parser,
                                             struct template_node *object)
{
    struct template_node *node = template_parser_node(parser, NODE_SUBSCRIPT);
    if (node == NULL || !template_parser_advance(parser)) {
        return NULL;
    }
    node->as.access.object = object;
    node->as.access.index = parse_index(parser);
    if (node->as.access.index != NULL && at(parser, TOKEN_COMMA)) {
        if (node->as.access.index->kind == NODE_SLICE) {
            template_parser_fail(parser, "expected ']' behind a slice");
            return NULL;
        }
        node->as.access.index = template_expression_tuple_rest(parser, node->as.access.index,
                                                               template_expression_parse);
    }
    return node->as.access.index != NULL &&
                   template_parser_expect(parser, TOKEN_RIGHT_BRACKET, "']'")
               ? node
               : NULL;
}

struct template_node *template_operand_postfix(struct template_parser *parser,
                                               struct template_node *node)
{
    while (node != NULL) {
        if (at(parser, TOKEN_DOT)) {
            node = parse_attribute(parser, node);
        } else if (at(parser, TOKEN_LEFT_BRACKET)) {
            node = parse_subscript(parser, node);
        } else if (at(parser, TOKEN_LEFT_PAREN)) {
            node = template_operand_call(parser, node);
        } else {
            break;
        }
    }
    return node;
}
