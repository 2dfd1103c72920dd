/* template_tree.h - a parsed template: nodes in an arena, immutable after the parser.
 *
 * Names of variables are numbered (symbols), so that scopes compare integers.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_TREE_H
#define SERVER_CHAT_TEMPLATE_TREE_H

#include "server/chat/template_arena.h"
#include "server/chat/template_value.h"

enum template_node_kind {
    /* expressions */
    NODE_CONSTANT,
    NODE_NAME,
    NODE_LIST,
    NODE_TUPLE,
    NODE_DICT,
    NODE_NOT,
    NODE_NEGATE,
    NODE_PLUS,
    NODE_AND,
    NODE_OR,
    NODE_ADD,
    NODE_SUBTRACT,
    NODE_MULTIPLY,
    NODE_DIVIDE,
    NODE_FLOOR_DIVIDE,
    NODE_MODULO,
    NODE_POWER,
    NODE_CONCAT,
    NODE_COMPARE,
    NODE_CONDITIONAL,
    NODE_ATTRIBUTE,
    NODE_SUBSCRIPT,
    NODE_SLICE,
    NODE_CALL,
    NODE_FILTER,
    NODE_TEST,
    /* statements */
    NODE_TEXT,
    NODE_PRINT,
    NODE_IF,
    NODE_FOR,
    NODE_SET,
    NODE_SET_BLOCK,
    NODE_MACRO,
    NODE_CALL_BLOCK,
    NODE_FILTER_BLOCK,
    NODE_WITH,
    NODE_GENERATION,
    NODE_BREAK,
    NODE_CONTINUE,
    /* the target `ns.name` of a set */
    NODE_NAMESPACE_TARGET,
};

enum template_comparison {
    COMPARE_EQUAL,
    COMPARE_NOT_EQUAL,
    COMPARE_LESS,
    COMPARE_LESS_EQUAL,
    COMPARE_GREATER,
    COMPARE_GREATER_EQUAL,
    COMPARE_IN,
    COMPARE_NOT_IN
};

struct template_node;

struct template_nodes {
    struct template_node **items;
    size_t count;
};

struct template_keyword_node {
    struct template_value name;
    struct template_node *value;
};

struct template_call_node {
    struct template_nodes positional;
    struct template_keyword_node *keywords;
    size_t keyword_count;
    struct template_node *more_positional; /* *args, or NULL */
    struct template_node *more_keywords;   /* **kwargs, or NULL */
};

struct template_arm {
    struct template_node *test;
    struct template_nodes body;
};

struct template_macro_node {
    struct template_value name; /* none: the body of a call block */
    uint32_t symbol;
    uint32_t *parameters;
    struct template_value *parameter_names;
    struct template_node **defaults; /* by parameter, NULL where it has none */
    size_t parameter_count;
    struct template_nodes body;
    bool uses_caller; /* the body names these, so calls may give them */
    bool uses_varargs;
    bool uses_kwargs;
};

struct template_node {
    uint8_t kind; /* enum template_node_kind */
    uint32_t line;
    uint32_t column;
    union {
        struct template_value constant; /* CONSTANT, TEXT */
        struct {
            struct template_value text;
            uint32_t symbol;
        } name;                      /* NAME */
        struct template_nodes items; /* LIST, TUPLE, CONCAT */
        struct {
            struct template_nodes keys;
            struct template_nodes values;
        } dict; /* DICT; WITH's targets are in with */
        struct {
            struct template_node *left; /* the operand of NOT, NEGATE, PLUS, PRINT */
            struct template_node *right;
        } binary;
        struct {
            struct template_node *first;
            struct template_nodes operands;
            uint8_t *operators; /* enum template_comparison */
        } compare;
        struct {
            struct template_node *test;
            struct template_node *then;
            struct template_node *otherwise; /* or NULL */
        } conditional;
        struct {
            struct template_node *object;
            struct template_value name;  /* ATTRIBUTE */
            struct template_node *index; /* SUBSCRIPT */
        } access;
        struct {
            struct template_node *start;
            struct template_node *stop;
            struct template_node *step;
        } slice; /* each may be NULL */
        struct {
            struct template_node *operand;      /* callee; NULL for the text of a filter block */
            const struct template_builtin *row; /* NULL: no such filter, an error when reached */
            struct template_value name;
            struct template_call_node arguments;
        } call; /* CALL, FILTER, TEST */
        struct {
            struct template_arm *arms;
            size_t arm_count;
            struct template_nodes otherwise;
        } branch;
        struct {
            struct template_node *target;
            struct template_node *iterable;
            struct template_node *test; /* or NULL */
            struct template_nodes body;
            struct template_nodes otherwise;
            bool recursive;
        } loop;
        struct {
            struct template_node *target;
            struct template_node *value; /* SET; the filter of a SET_BLOCK, or NULL */
            struct template_nodes body;  /* SET_BLOCK, FILTER_BLOCK (value is its filter) */
        } set;
        struct template_macro_node *macro; /* MACRO */
        struct {
            struct template_node *call;
            struct template_macro_node *caller;
        } call_block;
        struct {
            struct template_nodes targets;
            struct template_nodes values;
            struct template_nodes body;
        } with;
        struct template_nodes body; /* GENERATION */
    } as;
};

/* Symbols every template has. */
enum template_symbol {
    TEMPLATE_SYMBOL_LOOP,
    TEMPLATE_SYMBOL_CALLER,
    TEMPLATE_SYMBOL_VARARGS,
    TEMPLATE_SYMBOL_KWARGS,
    TEMPLATE_SYMBOL_FIRST_FREE
};

struct template_tree {
    struct template_arena arena;
    struct template_nodes body;
    struct template_value *symbols; /* their names, by number */
    size_t symbol_count;
};

#endif
