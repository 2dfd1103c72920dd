/* template_lexer.h - template source -> tokens, with the white space rules already applied.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_LEXER_H
#define SERVER_CHAT_TEMPLATE_LEXER_H

#include "configs/error.h"
#include "configs/limits.h"
#include "server/chat/template_arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum template_token_kind {
    TOKEN_END,
    TOKEN_DATA,
    TOKEN_PRINT_BEGIN,
    TOKEN_PRINT_END,
    TOKEN_BLOCK_BEGIN,
    TOKEN_BLOCK_END,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_INTEGER,
    TOKEN_FLOAT,
    TOKEN_ADD,
    TOKEN_SUBTRACT,
    TOKEN_MULTIPLY,
    TOKEN_DIVIDE,
    TOKEN_FLOOR_DIVIDE,
    TOKEN_MODULO,
    TOKEN_POWER,
    TOKEN_TILDE,
    TOKEN_EQUAL,
    TOKEN_NOT_EQUAL,
    TOKEN_LESS,
    TOKEN_LESS_EQUAL,
    TOKEN_GREATER,
    TOKEN_GREATER_EQUAL,
    TOKEN_ASSIGN,
    TOKEN_DOT,
    TOKEN_COMMA,
    TOKEN_COLON,
    TOKEN_SEMICOLON,
    TOKEN_PIPE,
    TOKEN_LEFT_PAREN,
    TOKEN_RIGHT_PAREN,
    TOKEN_LEFT_BRACKET,
    TOKEN_RIGHT_BRACKET,
    TOKEN_LEFT_BRACE,
    TOKEN_RIGHT_BRACE,
};

struct template_token {
    enum template_token_kind kind;
    const char *bytes; /* in the source, or in the arena for a string with escapes */
    size_t byte_count;
    int64_t integer;
    double real;
    uint32_t line;
    uint32_t column; /* in characters, from 1 */
};

enum template_lexer_state {
    LEXER_TEXT,
    LEXER_PRINT,
    LEXER_BLOCK
};

struct template_lexer {
    struct template_arena *arena; /* of the tree: strings live there */
    const char *source;           /* newlines normalised, valid UTF-8 */
    size_t source_bytes;
    size_t position;
    size_t counted; /* source read by the line counter */
    uint32_t line;
    uint32_t column;
    enum template_lexer_state state;
    bool line_starting; /* what was read last ended with a newline */
    char brackets[LIMIT_TEMPLATE_DEPTH];
    size_t bracket_count;
    struct error *err;
};

/* Copies the source into the arena. */
enum status template_lexer_open(struct template_lexer *lexer, struct template_arena *arena,
                                const char *source, size_t source_bytes, struct error *err);

/* False after filling err. At the end, TOKEN_END for ever. */
bool template_lexer_next(struct template_lexer *lexer, struct template_token *token);

/* Fills err with place and message; false. */
bool template_lexer_fail(struct template_lexer *lexer, enum status status, uint32_t line,
                         uint32_t column, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
