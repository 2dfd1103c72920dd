/* template_lexer.c - one token at a time. Outside tags everything up to the next tag is one text
 * token; `-` beside a tag eats white space, a block tag alone on its line eats that line's
 * indentation and its newline (Jinja's lstrip_blocks and trim_blocks).
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_lexer.h"

#include "server/chat/template_literal.h"
#include "server/chat/template_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool template_lexer_fail(struct template_lexer *lexer, enum status status, uint32_t line,
                         uint32_t column, const char *format, ...)
{
    char message[ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    error_set(lexer->err, status, "chat template line %u column %u: %s", line, column, message);
    return false;
}

/* \r\n and \r become \n; one newline at the very end is dropped. */
static size_t normalise(char *to, const char *source, size_t source_bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < source_bytes; i++) {
        if (source[i] != '\r') {
            to[count++] = source[i];
            continue;
        }
        to[count++] = '\n';
        if (i + 1 < source_bytes && source[i + 1] == '\n') {
            i++;
        }
    }
    return count > 0 && to[count - 1] == '\n' ? count - 1 : count;
}

/* Moves the line counter up to a byte of the source. */
static void count_lines(struct template_lexer *lexer, size_t until)
{
    for (; lexer->counted < until; lexer->counted++) {
        unsigned char byte = (unsigned char)lexer->source[lexer->counted];
        if (byte == '\n') {
            lexer->line++;
            lexer->column = 1;
        } else if ((byte & 0xC0) != 0x80) {
            lexer->column++;
        }
    }
}

enum status template_lexer_open(struct template_lexer *lexer, struct template_arena *arena,
                                const char *source, size_t source_bytes, struct error *err)
{
    *lexer = (struct template_lexer){
        .arena = arena, .line = 1, .column = 1, .line_starting = true, .err = err};
    size_t valid = template_text_valid_bytes(source, source_bytes);
    if (valid < source_bytes) {
        return error_set(err, ERR_FORMAT, "chat template byte %zu is not UTF-8", valid);
    }
    char *copy = template_arena_alloc(arena, source_bytes);
    if (copy == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for a chat template of %zu bytes",
                         source_bytes);
    }
    lexer->source_bytes = normalise(copy, source, source_bytes);
    lexer->source = copy;
    return OK;
}

static bool at_text(const struct template_lexer *lexer, size_t position, const char *text)
{
    size_t length = strlen(text);
    return lexer->source_bytes - position >= length &&
           memcmp(lexer->source + position, text, length) == 0;
}

static size_t skip_space(const struct template_lexer *lexer, size_t position)
{
    while (position < lexer->source_bytes) {
        size_t next = position;
        if (!template_text_is_space(template_text_next(lexer->source, &next))) {
            break;
        }
        position = next;
    }
    return position;
}

static void place(struct template_lexer *lexer, size_t position, struct template_token *token)
{
    count_lines(lexer, position);
    token->line = lexer->line;
    token->column = lexer->column;
}

/* Start of the next tag at or after position, or the end of the source. */
static size_t find_tag(const struct template_lexer *lexer, size_t position)
{
    while (position < lexer->source_bytes) {
        const char *brace = memchr(lexer->source + position, '{', lexer->source_bytes - position);
        if (brace == NULL) {
            break;
        }
        position = (size_t)(brace - lexer->source);
        if (position + 1 < lexer->source_bytes && strchr("{%#", brace[1]) != NULL &&
            brace[1] != '\0') {
            return position;
        }
        position++;
    }
    return lexer->source_bytes;
}

/* The text in front of a tag, less what the tag strips. sign: '-', '+' or anything else. */
static size_t strip_before_tag(const struct template_lexer *lexer, size_t first, size_t end,
                               char sign, bool is_block)
{
    const char *text = lexer->source + first;
    size_t byte_count = end - first;
    if (sign == '-') {
        template_text_strip(&text, &byte_count, NULL, TEMPLATE_RIGHT);
        return first + byte_count;
    }
    if (sign == '+' || !is_block) {
        return end;
    }
    size_t line = end;
    while (line > first && lexer->source[line - 1] != '\n') {
        line--;
    }
    if (line == first && !lexer->line_starting) {
        return end;
    }
    return skip_space(lexer, line) >= end ? line : end;
}

/* The end of a tag at position: `-` then eats white space, a block's end its newline. Returns the
 * position behind it, or SIZE_MAX when no end is there. */
static size_t match_end(const struct template_lexer *lexer, size_t position, const char *mark,
                        bool is_block)
{
    if (position >= lexer->source_bytes) {
        return SIZE_MAX;
    }
    char sign = lexer->source[position];
    bool signs = sign == '-' || (sign == '+' && is_block);
    size_t start = signs ? position + 1 : position;
    if (!at_text(lexer, start, mark)) {
        return SIZE_MAX;
    }
    size_t behind = start + 2;
    if (sign == '-') {
        return skip_space(lexer, behind);
    }
    if (is_block && !signs && behind < lexer->source_bytes && lexer->source[behind] == '\n') {
        behind++;
    }
    return behind;
}

static void move_behind(struct template_lexer *lexer, size_t behind)
{
    lexer->line_starting = behind > 0 && lexer->source[behind - 1] == '\n';
    lexer->position = behind;
}

static bool skip_comment(struct template_lexer *lexer, size_t tag)
{
    size_t position = tag + 2;
    if (position < lexer->source_bytes &&
        (lexer->source[position] == '-' || lexer->source[position] == '+')) {
        position++;
    }
    for (; position < lexer->source_bytes; position++) {
        size_t behind = match_end(lexer, position, "#}", true);
        if (behind != SIZE_MAX) {
            move_behind(lexer, behind);
            return true;
        }
    }
    count_lines(lexer, tag);
    return template_lexer_fail(lexer, ERR_FORMAT, lexer->line, lexer->column,
                               "the comment is not closed by #}");
}

/* `{% word` with any sign and spaces: the position behind the word, or SIZE_MAX. */
static size_t match_block_word(const struct template_lexer *lexer, size_t tag, const char *word)
{
    size_t position = tag + 2;
    if (position < lexer->source_bytes &&
        (lexer->source[position] == '-' || lexer->source[position] == '+')) {
        position++;
    }
    position = skip_space(lexer, position);
    return at_text(lexer, position, word) ? skip_space(lexer, position + strlen(word)) : SIZE_MAX;
}

/* Position behind `{% raw %}`, or SIZE_MAX when the tag is another. */
static size_t match_raw(const struct template_lexer *lexer, size_t tag)
{
    size_t position = match_block_word(lexer, tag, "raw");
    if (position == SIZE_MAX) {
        return SIZE_MAX;
    }
    if (at_text(lexer, position, "-%}")) {
        return skip_space(lexer, position + 3);
    }
    return at_text(lexer, position, "%}") ? position + 2 : SIZE_MAX;
}

static bool lex_raw(struct template_lexer *lexer, size_t tag, size_t body,
                    struct template_token *token)
{
    lexer->line_starting = lexer->source[body - 1] == '\n';
    for (size_t end = body; end + 1 < lexer->source_bytes; end++) {
        if (!at_text(lexer, end, "{%")) {
            continue;
        }
        size_t position = match_block_word(lexer, end, "endraw");
        size_t behind = position == SIZE_MAX ? SIZE_MAX : match_end(lexer, position, "%}", true);
        if (behind != SIZE_MAX) {
            size_t text_end = strip_before_tag(lexer, body, end, lexer->source[end + 2], true);
            token->kind = TOKEN_DATA;
            token->bytes = lexer->source + body;
            token->byte_count = text_end - body;
            place(lexer, body, token);
            move_behind(lexer, behind);
            return true;
        }
    }
    count_lines(lexer, tag);
    return template_lexer_fail(lexer, ERR_FORMAT, lexer->line, lexer->column,
                               "the raw block is not closed by endraw");
}

static bool begin_tag(struct template_lexer *lexer, size_t tag, struct template_token *token)
{
    char mark = lexer->source[tag + 1];
    if (mark == '#') {
        token->kind = TOKEN_DATA;
        token->byte_count = 0;
        return skip_comment(lexer, tag);
    }
    size_t raw = mark == '%' ? match_raw(lexer, tag) : SIZE_MAX;
    if (raw != SIZE_MAX) {
        return lex_raw(lexer, tag, raw, token);
    }
    place(lexer, tag, token);
    token->kind = mark == '%' ? TOKEN_BLOCK_BEGIN : TOKEN_PRINT_BEGIN;
    lexer->state = mark == '%' ? LEXER_BLOCK : LEXER_PRINT;
    lexer->position = tag + 2;
    if (lexer->position < lexer->source_bytes &&
        (lexer->source[tag + 2] == '-' || lexer->source[tag + 2] == '+')) {
        lexer->position++;
    }
    lexer->line_starting = false;
    return true;
}

/* Text up to the next tag, or that tag when no text is left in front of it. */
static bool lex_text(struct template_lexer *lexer, struct template_token *token)
{
    size_t first = lexer->position;
    size_t tag = find_tag(lexer, first);
    if (first == lexer->source_bytes) {
        token->kind = TOKEN_END;
        place(lexer, first, token);
        return true;
    }
    size_t end = tag;
    if (tag < lexer->source_bytes) {
        char sign = (char)(tag + 2 < lexer->source_bytes ? lexer->source[tag + 2] : '\0');
        end = strip_before_tag(lexer, first, tag, sign, lexer->source[tag + 1] != '{');
    }
    if (end == first && tag < lexer->source_bytes) {
        return begin_tag(lexer, tag, token);
    }
    token->kind = TOKEN_DATA;
    token->bytes = lexer->source + first;
    token->byte_count = end - first;
    place(lexer, first, token);
    /* White space that the tag strips is gone once the position is at the tag. */
    lexer->position = tag;
    lexer->line_starting = false;
    return true;
}

struct operator_row {
    char text[3];
    enum template_token_kind kind;
};

/* Two characters before one, so that the longer is tried first. */
static const struct operator_row operators[] = {
    {"//", TOKEN_FLOOR_DIVIDE}, {"**", TOKEN_POWER},         {"==", TOKEN_EQUAL},
    {"!=", TOKEN_NOT_EQUAL},    {">=", TOKEN_GREATER_EQUAL}, {"<=", TOKEN_LESS_EQUAL},
    {"+", TOKEN_ADD},           {"-", TOKEN_SUBTRACT},       {"/", TOKEN_DIVIDE},
    {"*", TOKEN_MULTIPLY},      {"%", TOKEN_MODULO},         {"~", TOKEN_TILDE},
    {"[", TOKEN_LEFT_BRACKET},  {"]", TOKEN_RIGHT_BRACKET},  {"(", TOKEN_LEFT_PAREN},
    {")", TOKEN_RIGHT_PAREN},   {"{", TOKEN_LEFT_BRACE},     {"}", TOKEN_RIGHT_BRACE},
    {">", TOKEN_GREATER},       {"<", TOKEN_LESS},           {"=", TOKEN_ASSIGN},
    {".", TOKEN_DOT},           {":", TOKEN_COLON},          {"|", TOKEN_PIPE},
    {",", TOKEN_COMMA},         {";", TOKEN_SEMICOLON},
};

/* Brackets have to match inside a tag; while one is open, `}}` and `%}` do not end the tag. */
static bool balance(struct template_lexer *lexer, struct template_token *token)
{
    char bracket = token->bytes[0];
    if (strchr("([{", bracket) != NULL) {
        if (lexer->bracket_count == LIMIT_TEMPLATE_DEPTH) {
            return template_lexer_fail(lexer, ERR_UNSUPPORTED, token->line, token->column,
                                       "brackets nest more than %u deep", LIMIT_TEMPLATE_DEPTH);
        }
        char closing = (char)(bracket == '(' ? ')' : bracket == '[' ? ']' : '}');
        lexer->brackets[lexer->bracket_count++] = closing;
        return true;
    }
    if (strchr(")]}", bracket) == NULL) {
        return true;
    }
    if (lexer->bracket_count == 0 || lexer->brackets[lexer->bracket_count - 1] != bracket) {
        return template_lexer_fail(lexer, ERR_FORMAT, token->line, token->column, "unexpected '%c'",
                                   bracket);
    }
    lexer->bracket_count--;
    return true;
}

static bool lex_operator(struct template_lexer *lexer, struct template_token *token)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (at_text(lexer, lexer->position, operators[i].text)) {
            token->kind = operators[i].kind;
            token->bytes = operators[i].text;
            lexer->position += strlen(operators[i].text);
            return balance(lexer, token);
        }
    }
    size_t next = lexer->position;
    template_text_next(lexer->source, &next);
    return template_lexer_fail(lexer, ERR_FORMAT, token->line, token->column,
                               "unexpected character '%.*s'", (int)(next - lexer->position),
                               lexer->source + lexer->position);
}

static bool lex_name(struct template_lexer *lexer, struct template_token *token)
{
    size_t first = lexer->position;
    size_t position = first;
    while (position < lexer->source_bytes) {
        size_t next = position;
        if (!template_text_is_word(template_text_next(lexer->source, &next))) {
            break;
        }
        position = next;
    }
    if (position == first) {
        return false;
    }
    token->kind = TOKEN_NAME;
    token->bytes = lexer->source + first;
    token->byte_count = position - first;
    lexer->position = position;
    return true;
}

static bool end_tag(struct template_lexer *lexer, struct template_token *token)
{
    if (lexer->bracket_count > 0) {
        return false;
    }
    bool is_block = lexer->state == LEXER_BLOCK;
    size_t behind = match_end(lexer, lexer->position, is_block ? "%}" : "}}", is_block);
    if (behind == SIZE_MAX) {
        return false;
    }
    token->kind = is_block ? TOKEN_BLOCK_END : TOKEN_PRINT_END;
    lexer->state = LEXER_TEXT;
    move_behind(lexer, behind);
    return true;
}

static bool lex_tag(struct template_lexer *lexer, struct template_token *token)
{
    lexer->position = skip_space(lexer, lexer->position);
    place(lexer, lexer->position, token);
    if (lexer->position == lexer->source_bytes) {
        return template_lexer_fail(lexer, ERR_FORMAT, token->line, token->column,
                                   "the template ends inside a tag");
    }
    if (end_tag(lexer, token)) {
        return true;
    }
    char first = lexer->source[lexer->position];
    if (first >= '0' && first <= '9') {
        return template_literal_number(lexer, token);
    }
    if (first == '\'' || first == '"') {
        return template_literal_string(lexer, token);
    }
    return lex_name(lexer, token) || lex_operator(lexer, token);
}

bool template_lexer_next(struct template_lexer *lexer, struct template_token *token)
{
    do {
        *token = (struct template_token){.kind = TOKEN_END};
        bool ok = lexer->state == LEXER_TEXT ? lex_text(lexer, token) : lex_tag(lexer, token);
        if (!ok) {
            return false;
        }
    } while (token->kind == TOKEN_DATA && token->byte_count == 0);
    return true;
}
