/* template_expression.c - recursive descent with Jinja's precedence, loosest first: conditional,
 * or, and, not, comparison, + -, ~, * / // %, **, sign, postfix, filters and tests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_expression.h"

#include "server/chat/template_filters.h"
#include "server/chat/template_operand.h"
#include "server/chat/template_tests.h"

#include <string.h>

static struct template_node *parse_unary(struct template_parser *parser, bool with_filter);

static bool at(const struct template_parser *parser, enum template_token_kind kind)
{
    return parser->current.kind == kind;
}

static struct template_node *binary(struct template_parser *parser, enum template_node_kind kind,
                                    struct template_node *left, struct template_node *right)
{
    struct template_node *node = right != NULL ? template_parser_node(parser, kind) : NULL;
    if (node == NULL) {
        return NULL;
    }
    node->line = left->line;
    node->column = left->column;
    node->as.binary.left = left;
    node->as.binary.right = right;
    return node;
}

/* Prefix operators; the operand is binary.left. */
static struct template_node *prefix(struct template_parser *parser, enum template_node_kind kind,
                                    struct template_node *(*parse)(struct template_parser *))
{
    struct template_node *node = template_parser_node(parser, kind);
    if (node == NULL || !template_parser_advance(parser) || !template_parser_enter(parser)) {
        return NULL;
    }
    node->as.binary.left = parse(parser);
    parser->depth--;
    return node->as.binary.left != NULL ? node : NULL;
}

static struct template_node *parse_operand(struct template_parser *parser)
{
    return parse_unary(parser, true);
}

static struct template_node *parse_signed(struct template_parser *parser)
{
    return parse_unary(parser, false);
}

static struct template_node *parse_power(struct template_parser *parser)
{
    struct template_node *node = parse_operand(parser);
    while (node != NULL && at(parser, TOKEN_POWER)) {
        node = template_parser_advance(parser)
                   ? binary(parser, NODE_POWER, node, parse_operand(parser))
                   : NULL;
    }
    return node;
}

static bool product_kind(enum template_token_kind token, enum template_node_kind *kind)
{
    switch (token) {
    case TOKEN_MULTIPLY:
        *kind = NODE_MULTIPLY;
        return true;
    case TOKEN_DIVIDE:
        *kind = NODE_DIVIDE;
        return true;
    case TOKEN_FLOOR_DIVIDE:
        *kind = NODE_FLOOR_DIVIDE;
        return true;
    case TOKEN_MODULO:
        *kind = NODE_MODULO;
        return true;
    default:
        return false;
    }
}

static struct template_node *parse_product(struct template_parser *parser)
{
    struct template_node *node = parse_power(parser);
    enum template_node_kind kind = NODE_MULTIPLY;
    while (node != NULL && product_kind(parser->current.kind, &kind)) {
        node = template_parser_advance(parser) ? binary(parser, kind, node, parse_power(parser))
                                               : NULL;
    }
    return node;
}

static struct template_node *parse_concat(struct template_parser *parser)
{
    struct template_node *first = parse_product(parser);
    if (first == NULL || !at(parser, TOKEN_TILDE)) {
        return first;
    }
    struct template_node *node = template_parser_node(parser, NODE_CONCAT);
    if (node == NULL || !template_parser_append(parser, &node->as.items, first)) {
        return NULL;
    }
    while (at(parser, TOKEN_TILDE)) {
        if (!template_parser_advance(parser) ||
            !template_parser_append(parser, &node->as.items, parse_product(parser))) {
            return NULL;
        }
    }
    return node;
}

static struct template_node *parse_sum(struct template_parser *parser)
{
    struct template_node *node = parse_concat(parser);
    while (node != NULL && (at(parser, TOKEN_ADD) || at(parser, TOKEN_SUBTRACT))) {
        enum template_node_kind kind = at(parser, TOKEN_ADD) ? NODE_ADD : NODE_SUBTRACT;
        node = template_parser_advance(parser) ? binary(parser, kind, node, parse_concat(parser))
                                               : NULL;
    }
    return node;
}

static bool comparison(const struct template_parser *parser, enum template_comparison *out)
{
    switch (parser->current.kind) {
    case TOKEN_EQUAL:
        *out = COMPARE_EQUAL;
        return true;
    case TOKEN_NOT_EQUAL:
        *out = COMPARE_NOT_EQUAL;
        return true;
    case TOKEN_LESS:
        *out = COMPARE_LESS;
        return true;
    case TOKEN_LESS_EQUAL:
        *out = COMPARE_LESS_EQUAL;
        return true;
    case TOKEN_GREATER:
        *out = COMPARE_GREATER;
        return true;
    case TOKEN_GREATER_EQUAL:
        *out = COMPARE_GREATER_EQUAL;
        return true;
    default:
        break;
    }
    if (template_parser_at_name(parser, "in")) {
        *out = COMPARE_IN;
        return true;
    }
    *out = COMPARE_NOT_IN;
    return template_parser_at_name(parser, "not") && parser->following.kind == TOKEN_NAME &&
           parser->following.byte_count == 2 && memcmp(parser->following.bytes, "in", 2) == 0;
}

/* One more `< operand` of a chain. The operators are collected as nodes are, by doubling. */
static bool add_comparison(struct template_parser *parser, struct template_node *node,
                           enum template_comparison operator)
{
    if ((operator== COMPARE_NOT_IN && !template_parser_advance(parser)) ||
        !template_parser_advance(parser)) {
        return false;
    }
    size_t count = node->as.compare.operands.count;
    if ((count & (count - 1)) == 0) {
        uint8_t *operators = template_parser_alloc(parser, count > 0 ? 2 * count : 1);
        if (operators == NULL) {
            return false;
        }
        if (count > 0) {
            memcpy(operators, node->as.compare.operators, count);
        }
        node->as.compare.operators = operators;
    }
    node->as.compare.operators[count] = (uint8_t) operator;
    return template_parser_append(parser, &node->as.compare.operands, parse_sum(parser));
}

static struct template_node *parse_comparison(struct template_parser *parser)
{
    struct template_node *first = parse_sum(parser);
    enum template_comparison operator= COMPARE_EQUAL;
    if (first == NULL || !comparison(parser, &operator)) {
        return first;
    }
    struct template_node *node = template_parser_node(parser, NODE_COMPARE);
    if (node == NULL) {
        return NULL;
    }
    node->as.compare.first = first;
    while (comparison(parser, &operator)) {
        if (!add_comparison(parser, node, operator)) {
            return NULL;
        }
    }
    return node;
}

static struct template_node *parse_not(struct template_parser *parser)
{
    if (template_parser_at_name(parser, "not")) {
        return prefix(parser, NODE_NOT, parse_not);
    }
    return parse_comparison(parser);
}

static struct template_node *parse_and(struct template_parser *parser)
{
    struct template_node *node = parse_not(parser);
    while (node != NULL && template_parser_at_name(parser, "and")) {
        node = template_parser_advance(parser) ? binary(parser, NODE_AND, node, parse_not(parser))
                                               : NULL;
    }
    return node;
}

static struct template_node *parse_or(struct template_parser *parser)
{
    struct template_node *node = parse_and(parser);
    while (node != NULL && template_parser_at_name(parser, "or")) {
        node = template_parser_advance(parser) ? binary(parser, NODE_OR, node, parse_and(parser))
                                               : NULL;
    }
    return node;
}

static struct template_node *parse_conditional(struct template_parser *parser)
{
    /* Whether unknown filters in the first part may wait is known only behind it. */
    bool was_conditional = parser->conditional;
    struct template_node *then = parse_or(parser);
    while (then != NULL && template_parser_at_name(parser, "if")) {
        struct template_node *node = template_parser_node(parser, NODE_CONDITIONAL);
        parser->conditional = true;
        if (node == NULL || !template_parser_advance(parser)) {
            return NULL;
        }
        node->as.conditional.then = then;
        node->as.conditional.test = parse_or(parser);
        if (node->as.conditional.test == NULL) {
            return NULL;
        }
        if (template_parser_at_name(parser, "else")) {
            node->as.conditional.otherwise =
                template_parser_advance(parser) ? template_expression_parse(parser) : NULL;
            if (node->as.conditional.otherwise == NULL) {
                return NULL;
            }
        }
        then = node;
        parser->conditional = was_conditional;
    }
    return then;
}

struct template_node *template_expression_parse(struct template_parser *parser)
{
    if (!template_parser_enter(parser)) {
        return NULL;
    }
    struct template_node *node = parse_conditional(parser);
    parser->depth--;
    return node;
}

static bool at_tuple_end(const struct template_parser *parser)
{
    return at(parser, TOKEN_PRINT_END) || at(parser, TOKEN_BLOCK_END) ||
           at(parser, TOKEN_RIGHT_PAREN) || template_parser_at_name(parser, "in") ||
           template_parser_at_name(parser, "recursive");
}

/* The rest of a tuple whose first item stands before a comma. */
struct template_node *
template_expression_tuple_rest(struct template_parser *parser, struct template_node *first,
                               struct template_node *(*parse)(struct template_parser *))
{
    struct template_node *node = template_parser_node(parser, NODE_TUPLE);
    if (node == NULL || !template_parser_append(parser, &node->as.items, first)) {
        return NULL;
    }
    while (at(parser, TOKEN_COMMA)) {
        if (!template_parser_advance(parser)) {
            return NULL;
        }
        if (at_tuple_end(parser)) {
            break;
        }
        if (!template_parser_append(parser, &node->as.items, parse(parser))) {
            return NULL;
        }
    }
    return node;
}

struct template_node *template_expression_parse_tuple(struct template_parser *parser,
                                                      bool conditional)
{
    struct template_node *(*parse)(struct template_parser *) =
        conditional ? template_expression_parse : parse_or;
    struct template_node *first = parse(parser);
    if (first == NULL || !at(parser, TOKEN_COMMA)) {
        return first;
    }
    return template_expression_tuple_rest(parser, first, parse);
}

static struct template_node *namespace_target(struct template_parser *parser,
                                              struct template_node *object)
{
    struct template_node *node = template_parser_node(parser, NODE_NAMESPACE_TARGET);
    if (node == NULL || !template_parser_advance(parser)) {
        return NULL;
    }
    node->as.access.object = object;
    if (!at(parser, TOKEN_NAME) ||
        !template_parser_string(parser, parser->current.bytes, parser->current.byte_count,
                                &node->as.access.name)) {
        template_parser_fail(parser, "expected an attribute name");
        return NULL;
    }
    return template_parser_advance(parser) ? node : NULL;
}

static struct template_node *parse_one_target(struct template_parser *parser, bool namespaces)
{
    struct template_node *node = template_operand_primary(parser);
    if (node == NULL) {
        return NULL;
    }
    if (namespaces && node->kind == NODE_NAME && at(parser, TOKEN_DOT)) {
        return namespace_target(parser, node);
    }
    if (node->kind != NODE_NAME && node->kind != NODE_TUPLE) {
        template_parser_fail(parser, "cannot assign to this expression");
        return NULL;
    }
    return node;
}

static struct template_node *parse_name_target(struct template_parser *parser)
{
    return parse_one_target(parser, false);
}

static struct template_node *parse_any_target(struct template_parser *parser)
{
    return parse_one_target(parser, true);
}

/* Tuples in parentheses were parsed as expressions: they may only hold names. */
static bool check_target(struct template_parser *parser, const struct template_node *node)
{
    if (node->kind != NODE_TUPLE) {
        return node->kind == NODE_NAME || node->kind == NODE_NAMESPACE_TARGET ||
               template_parser_fail(parser, "cannot assign to this expression");
    }
    for (size_t i = 0; i < node->as.items.count; i++) {
        if (!check_target(parser, node->as.items.items[i])) {
            return false;
        }
    }
    return true;
}

struct template_node *template_expression_parse_target(struct template_parser *parser,
                                                       bool namespaces)
{
    struct template_node *(*parse)(struct template_parser *) =
        namespaces ? parse_any_target : parse_name_target;
    struct template_node *node = parse(parser);
    if (node != NULL && at(parser, TOKEN_COMMA)) {
        node = template_expression_tuple_rest(parser, node, parse);
    }
    return node != NULL && check_target(parser, node) ? node : NULL;
}

/* The name of a filter or test, dots included. */
static bool parse_dotted_name(struct template_parser *parser, struct template_value *name)
{
    if (!at(parser, TOKEN_NAME)) {
        return template_parser_fail(parser, "expected a name");
    }
    const char *first = parser->current.bytes;
    const char *end = first + parser->current.byte_count;
    if (!template_parser_advance(parser)) {
        return false;
    }
    while (at(parser, TOKEN_DOT)) {
        if (!template_parser_advance(parser) || !at(parser, TOKEN_NAME)) {
            return template_parser_fail(parser, "expected a name");
        }
        end = parser->current.bytes + parser->current.byte_count;
        if (!template_parser_advance(parser)) {
            return false;
        }
    }
    return template_parser_string(parser, first, (size_t)(end - first), name);
}

/* Templates ask for filters that only some engines have and guard them with an if, so there the
 * unknown name is an error only when it is reached. */
static bool check_known(struct template_parser *parser, const struct template_node *node,
                        const char *what)
{
    const struct template_string *name = node->as.call.name.as.string;
    if (node->as.call.row != NULL || parser->conditional) {
        return true;
    }
    return template_lexer_fail(&parser->lexer, ERR_UNSUPPORTED, node->line, node->column,
                               "no %s named '%.*s'", what, (int)name->byte_count, name->bytes);
}

/* The current token is the name. */
static struct template_node *parse_filter(struct template_parser *parser,
                                          struct template_node *operand)
{
    struct template_node *node = template_parser_node(parser, NODE_FILTER);
    if (node == NULL || !parse_dotted_name(parser, &node->as.call.name)) {
        return NULL;
    }
    node->as.call.operand = operand;
    node->as.call.row = template_filters_find(node->as.call.name.as.string);
    if (!check_known(parser, node, "filter")) {
        return NULL;
    }
    if (at(parser, TOKEN_LEFT_PAREN) &&
        !template_operand_arguments(parser, &node->as.call.arguments)) {
        return NULL;
    }
    return node;
}

static bool starts_test_argument(const struct template_parser *parser)
{
    switch (parser->current.kind) {
    case TOKEN_STRING:
    case TOKEN_INTEGER:
    case TOKEN_FLOAT:
    case TOKEN_LEFT_BRACKET:
    case TOKEN_LEFT_BRACE:
        return true;
    case TOKEN_NAME:
        return !template_parser_at_name(parser, "else") && !template_parser_at_name(parser, "or") &&
               !template_parser_at_name(parser, "and") && !template_parser_at_name(parser, "is");
    default:
        return false;
    }
}

static bool parse_test_arguments(struct template_parser *parser, struct template_call_node *call)
{
    if (at(parser, TOKEN_LEFT_PAREN)) {
        return template_operand_arguments(parser, call);
    }
    if (template_parser_at_name(parser, "is")) {
        return template_parser_fail(parser, "tests cannot be chained with 'is'");
    }
    if (!starts_test_argument(parser)) {
        return true;
    }
    struct template_node *argument = template_operand_primary(parser);
    return argument != NULL && template_parser_append(parser, &call->positional,
                                                      template_operand_postfix(parser, argument));
}

/* `is name`, `is not name argument`; the current token is `is`. */
static struct template_node *parse_test(struct template_parser *parser,
                                        struct template_node *operand)
{
    struct template_node *negation = NULL;
    if (!template_parser_advance(parser)) {
        return NULL;
    }
    if (template_parser_at_name(parser, "not")) {
        negation = template_parser_node(parser, NODE_NOT);
        if (negation == NULL || !template_parser_advance(parser)) {
            return NULL;
        }
    }
    struct template_node *node = template_parser_node(parser, NODE_TEST);
    if (node == NULL || !parse_dotted_name(parser, &node->as.call.name)) {
        return NULL;
    }
    node->as.call.operand = operand;
    node->as.call.row = template_tests_find(node->as.call.name.as.string);
    if (!check_known(parser, node, "test") ||
        !parse_test_arguments(parser, &node->as.call.arguments)) {
        return NULL;
    }
    if (negation == NULL) {
        return node;
    }
    negation->as.binary.left = node;
    return negation;
}

struct template_node *template_expression_parse_pipes(struct template_parser *parser,
                                                      struct template_node *operand)
{
    struct template_node *node = operand;
    while (at(parser, TOKEN_PIPE)) {
        node = template_parser_advance(parser) ? parse_filter(parser, node) : NULL;
        if (node == NULL) {
            return NULL;
        }
    }
    return node;
}

struct template_node *template_expression_parse_filters(struct template_parser *parser)
{
    struct template_node *node = parse_filter(parser, NULL);
    return node != NULL ? template_expression_parse_pipes(parser, node) : NULL;
}

static struct template_node *parse_unary(struct template_parser *parser, bool with_filter)
{
    struct template_node *node = NULL;
    if (at(parser, TOKEN_SUBTRACT)) {
        node = prefix(parser, NODE_NEGATE, parse_signed);
    } else if (at(parser, TOKEN_ADD)) {
        node = prefix(parser, NODE_PLUS, parse_signed);
    } else {
        node = template_operand_primary(parser);
    }
    node = template_operand_postfix(parser, node);
    while (with_filter && node != NULL) {
        if (at(parser, TOKEN_PIPE)) {
            node = template_expression_parse_pipes(parser, node);
        } else if (template_parser_at_name(parser, "is")) {
            node = parse_test(parser, node);
        } else if (at(parser, TOKEN_LEFT_PAREN)) {
            node = template_operand_call(parser, node);
        } else {
            break;
        }
    }
    return node;
}
