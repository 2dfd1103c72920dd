/* template_statement.c - one function a statement, found by its word.
 *
 * Tags that would reach outside the template (include, import, extends) are refused by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_statement.h"

#include "server/chat/template_expression.h"

#include <string.h>

/* Behind a block's last word. */
static bool end_of_tag(struct template_parser *parser)
{
    return template_parser_expect(parser, TOKEN_BLOCK_END, "'%}'");
}

/* Reads the body of a block up to the tag named end, and that tag. */
static bool parse_block_body(struct template_parser *parser, const char *end,
                             struct template_nodes *body)
{
    const char *const ends[] = {end, NULL};
    return end_of_tag(parser) && template_statement_body(parser, ends, body) &&
           template_parser_advance(parser);
}

static bool add_arm(struct template_parser *parser, struct template_node *node)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    size_t count = node->as.branch.arm_count;
    if ((count & (count - 1)) == 0) {
        struct template_arm *arms =
            template_parser_alloc(parser, (count > 0 ? 2 * count : 1) * sizeof *arms);
        if (arms == NULL) {
            return false;
        }
        if (count > 0) {
            memcpy(arms, node->as.branch.arms, count * sizeof *arms);
        }
        node->as.branch.arms = arms;
    }
    struct template_arm *arm = &node->as.branch.arms[count];
    *arm = (struct template_arm){0};
    if (!template_parser_advance(parser)) {
        return false;
    }
    arm->test = template_expression_parse_tuple(parser, false);
    node->as.branch.arm_count++;
    return arm->test != NULL && end_of_tag(parser) &&
           template_statement_body(parser, ends, &arm->body);
}

static bool parse_if(struct template_parser *parser, struct template_node *node)
{
    node->kind = NODE_IF;
    bool was_conditional = parser->conditional;
    parser->conditional = true;
    do {
        if (!add_arm(parser, node)) {
            return false;
        }
    } while (template_parser_at_name(parser, "elif"));
    bool has_else = template_parser_at_name(parser, "else");
    if (!template_parser_advance(parser) ||
        (has_else && !parse_block_body(parser, "endif", &node->as.branch.otherwise))) {
        return false;
    }
    parser->conditional = was_conditional;
    return true;
}

static bool parse_loop_bodies(struct template_parser *parser, struct template_node *node)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    if (!end_of_tag(parser) || !template_statement_body(parser, ends, &node->as.loop.body)) {
        return false;
    }
    bool has_else = template_parser_at_name(parser, "else");
    return template_parser_advance(parser) &&
           (!has_else || parse_block_body(parser, "endfor", &node->as.loop.otherwise));
}

static bool parse_for(struct template_parser *parser, struct template_node *node)
{
    node->kind = NODE_FOR;
    if (!template_parser_advance(parser)) {
        return false;
    }
    node->as.loop.target = template_expression_parse_target(parser, false);
    if (node->as.loop.target == NULL) {
        return false;
    }
    if (!template_parser_at_name(parser, "in")) {
        return template_parser_fail(parser, "expected 'in'");
    }
    node->as.loop.iterable =
        template_parser_advance(parser) ? template_expression_parse_tuple(parser, false) : NULL;
    if (node->as.loop.iterable == NULL) {
        return false;
    }
    if (template_parser_at_name(parser, "if")) {
        node->as.loop.test =
            template_parser_advance(parser) ? template_expression_parse(parser) : NULL;
        if (node->as.loop.test == NULL) {
            return false;
        }
    }
    node->as.loop.recursive = template_parser_at_name(parser, "recursive");
    if (node->as.loop.recursive && !template_parser_advance(parser)) {
        return false;
    }
    bool was_conditional = parser->conditional;
    parser->conditional = false;
    parser->loop_depth++;
    bool ok = parse_loop_bodies(parser, node);
    parser->loop_depth--;
    parser->conditional = was_conditional;
    return ok;
}

static bool parse_set(struct template_parser *parser, struct template_node *node)
{
    if (!template_parser_advance(parser)) {
        return false;
    }
    node->as.set.target = template_expression_parse_target(parser, true);
    if (node->as.set.target == NULL) {
        return false;
    }
    if (parser->current.kind == TOKEN_ASSIGN) {
        node->kind = NODE_SET;
        node->as.set.value =
            template_parser_advance(parser) ? template_expression_parse_tuple(parser, true) : NULL;
        return node->as.set.value != NULL;
    }
    node->kind = NODE_SET_BLOCK;
    if (parser->current.kind == TOKEN_PIPE) {
        node->as.set.value =
            template_parser_advance(parser) ? template_expression_parse_filters(parser) : NULL;
        if (node->as.set.value == NULL) {
            return false;
        }
    }
    return parse_block_body(parser, "endset", &node->as.set.body);
}

static bool add_parameter(struct template_parser *parser, struct template_macro_node *macro)
{
    size_t count = macro->parameter_count;
    if (parser->current.kind != TOKEN_NAME) {
        return template_parser_fail(parser, "expected a parameter name");
    }
    if (!template_parser_symbol(parser, &parser->current, &macro->parameters[count],
                                &macro->parameter_names[count]) ||
        !template_parser_advance(parser)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (macro->parameters[i] == macro->parameters[count]) {
            return template_parser_fail(parser, "a parameter is named twice");
        }
    }
    macro->defaults[count] = NULL;
    if (parser->current.kind == TOKEN_ASSIGN) {
        macro->defaults[count] =
            template_parser_advance(parser) ? template_expression_parse(parser) : NULL;
        if (macro->defaults[count] == NULL) {
            return false;
        }
    } else if (count > 0 && macro->defaults[count - 1] != NULL) {
        return template_parser_fail(parser, "a parameter without default follows one with");
    }
    macro->parameter_count++;
    return true;
}

/* `(a, b=1)`; the current token is the opening parenthesis. */
static bool parse_parameters(struct template_parser *parser, struct template_macro_node *macro)
{
    macro->parameters =
        template_parser_alloc(parser, LIMIT_TEMPLATE_PARAMETERS * sizeof *macro->parameters);
    macro->parameter_names =
        template_parser_alloc(parser, LIMIT_TEMPLATE_PARAMETERS * sizeof *macro->parameter_names);
    macro->defaults =
        template_parser_alloc(parser, LIMIT_TEMPLATE_PARAMETERS * sizeof(struct template_node *));
    if (macro->parameters == NULL || macro->parameter_names == NULL || macro->defaults == NULL ||
        !template_parser_expect(parser, TOKEN_LEFT_PAREN, "'('")) {
        return false;
    }
    while (parser->current.kind != TOKEN_RIGHT_PAREN) {
        if (macro->parameter_count > 0 && !template_parser_expect(parser, TOKEN_COMMA, "','")) {
            return false;
        }
        if (macro->parameter_count == LIMIT_TEMPLATE_PARAMETERS) {
            return template_parser_fail(parser, "a macro has more than %u parameters",
                                        LIMIT_TEMPLATE_PARAMETERS);
        }
        if (!add_parameter(parser, macro)) {
            return false;
        }
    }
    return template_parser_advance(parser);
}

static bool parse_macro_body(struct template_parser *parser, struct template_macro_node *macro,
                             const char *end)
{
    struct template_open_macro open = {.outer = parser->open_macros, .macro = macro};
    bool was_conditional = parser->conditional;
    unsigned loop_depth = parser->loop_depth;
    parser->open_macros = &open;
    parser->conditional = false;
    parser->loop_depth = 0;
    bool ok = parse_block_body(parser, end, &macro->body);
    parser->open_macros = open.outer;
    parser->conditional = was_conditional;
    parser->loop_depth = loop_depth;
    return ok;
}

static struct template_macro_node *new_macro(struct template_parser *parser)
{
    struct template_macro_node *macro = template_parser_alloc(parser, sizeof *macro);
    if (macro != NULL) {
        *macro = (struct template_macro_node){.name = template_value_none()};
    }
    return macro;
}

static bool parse_macro(struct template_parser *parser, struct template_node *node)
{
    node->kind = NODE_MACRO;
    struct template_macro_node *macro = new_macro(parser);
    node->as.macro = macro;
    if (macro == NULL || !template_parser_advance(parser)) {
        return false;
    }
    if (parser->current.kind != TOKEN_NAME) {
        return template_parser_fail(parser, "expected a macro name");
    }
    return template_parser_symbol(parser, &parser->current, &macro->symbol, &macro->name) &&
           template_parser_advance(parser) && parse_parameters(parser, macro) &&
           parse_macro_body(parser, macro, "endmacro");
}

static bool parse_call_block(struct template_parser *parser, struct template_node *node)
{
    node->kind = NODE_CALL_BLOCK;
    struct template_macro_node *caller = new_macro(parser);
    node->as.call_block.caller = caller;
    if (caller == NULL || !template_parser_advance(parser) ||
        (parser->current.kind == TOKEN_LEFT_PAREN && !parse_parameters(parser, caller))) {
        return false;
    }
    node->as.call_block.call = template_expression_parse(parser);
    if (node->as.call_block.call == NULL) {
        return false;
    }
    if (node->as.call_block.call->kind != NODE_CALL) {
        return template_parser_fail(parser, "a call block needs a call");
    }
    return parse_macro_body(parser, caller, "endcall");
}

static bool parse_filter_block(struct template_parser *parser, struct template_node *node)
{
    node->kind = NODE_FILTER_BLOCK;
    node->as.set.value =
        template_parser_advance(parser) ? template_expression_parse_filters(parser) : NULL;
    return node->as.set.value != NULL && parse_block_body(parser, "endfilter", &node->as.set.body);
}

static bool parse_with(struct template_parser *parser, struct template_node *node)
{
    node->kind = NODE_WITH;
    if (!template_parser_advance(parser)) {
        return false;
    }
    while (parser->current.kind != TOKEN_BLOCK_END) {
        if (node->as.with.targets.count > 0 &&
            !template_parser_expect(parser, TOKEN_COMMA, "','")) {
            return false;
        }
        if (!template_parser_append(parser, &node->as.with.targets,
                                    template_expression_parse_target(parser, false)) ||
            !template_parser_expect(parser, TOKEN_ASSIGN, "'='") ||
            !template_parser_append(parser, &node->as.with.values,
                                    template_expression_parse(parser))) {
            return false;
        }
    }
    return parse_block_body(parser, "endwith", &node->as.with.body);
}

static bool parse_generation(struct template_parser *parser, struct template_node *node)
{
    node->kind = NODE_GENERATION;
    return template_parser_advance(parser) &&
           parse_block_body(parser, "endgeneration", &node->as.body);
}

/* `print a, b` prints one after the other. */
static bool parse_print(struct template_parser *parser, struct template_node *node)
{
    struct template_node *parts = template_parser_node(parser, NODE_CONCAT);
    node->kind = NODE_PRINT;
    node->as.binary.left = parts;
    if (parts == NULL) {
        return false;
    }
    do {
        if (!template_parser_advance(parser) ||
            !template_parser_append(parser, &parts->as.items, template_expression_parse(parser))) {
            return false;
        }
    } while (parser->current.kind == TOKEN_COMMA);
    return true;
}

static bool parse_jump(struct template_parser *parser, struct template_node *node)
{
    node->kind = template_parser_at_name(parser, "break") ? NODE_BREAK : NODE_CONTINUE;
    if (parser->loop_depth == 0) {
        return template_parser_fail(parser, "break and continue need a loop around them");
    }
    return template_parser_advance(parser);
}

struct statement_row {
    const char *name;
    bool (*parse)(struct template_parser *parser, struct template_node *node);
};

static const struct statement_row statements[] = {
    {"if", parse_if},           {"for", parse_for},
    {"set", parse_set},         {"macro", parse_macro},
    {"call", parse_call_block}, {"filter", parse_filter_block},
    {"with", parse_with},       {"generation", parse_generation},
    {"print", parse_print},     {"break", parse_jump},
    {"continue", parse_jump},
};

static bool refuse_statement(struct template_parser *parser)
{
    static const char *const refused[] = {"include", "import", "from",
                                          "extends", "block",  "autoescape"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (template_parser_at_name(parser, refused[i])) {
            return template_lexer_fail(&parser->lexer, ERR_UNSUPPORTED, parser->current.line,
                                       parser->current.column, "a chat template cannot use '%s'",
                                       refused[i]);
        }
    }
    return template_parser_fail(parser, "expected a statement");
}

/* Behind `{%`; the tag that ends the statement is read to its end. */
static struct template_node *parse_statement(struct template_parser *parser)
{
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (!template_parser_at_name(parser, statements[i].name)) {
            continue;
        }
        struct template_node *node = template_parser_node(parser, NODE_TEXT);
        if (node == NULL || !template_parser_enter(parser)) {
            return NULL;
        }
        bool ok = statements[i].parse(parser, node) && end_of_tag(parser);
        parser->depth--;
        return ok ? node : NULL;
    }
    refuse_statement(parser);
    return NULL;
}

static struct template_node *parse_text(struct template_parser *parser)
{
    struct template_node *node = template_parser_node(parser, NODE_TEXT);
    if (node == NULL || !template_parser_string(parser, parser->current.bytes,
                                                parser->current.byte_count, &node->as.constant)) {
        return NULL;
    }
    return template_parser_advance(parser) ? node : NULL;
}

static struct template_node *parse_output(struct template_parser *parser)
{
    struct template_node *node = template_parser_node(parser, NODE_PRINT);
    if (node == NULL || !template_parser_advance(parser)) {
        return NULL;
    }
    node->as.binary.left = template_expression_parse_tuple(parser, true);
    return node->as.binary.left != NULL && template_parser_expect(parser, TOKEN_PRINT_END, "'}}'")
               ? node
               : NULL;
}

static bool at_end_word(const struct template_parser *parser, const char *const *ends)
{
    for (; ends != NULL && *ends != NULL; ends++) {
        if (template_parser_at_name(parser, *ends)) {
            return true;
        }
    }
    return false;
}

bool template_statement_body(struct template_parser *parser, const char *const *ends,
                             struct template_nodes *body)
{
    while (parser->current.kind != TOKEN_END) {
        struct template_node *node = NULL;
        if (parser->current.kind == TOKEN_DATA) {
            node = parse_text(parser);
        } else if (parser->current.kind == TOKEN_PRINT_BEGIN) {
            node = parse_output(parser);
        } else {
            if (!template_parser_advance(parser)) {
                return false;
            }
            if (at_end_word(parser, ends)) {
                return true;
            }
            node = parse_statement(parser);
        }
        if (!template_parser_append(parser, body, node)) {
            return false;
        }
    }
    return ends == NULL || template_parser_fail(parser, "expected '%s'", ends[0]);
}
