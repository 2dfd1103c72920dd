/* template_literal.c - Python's literals: underscores between digits, base prefixes, and the
 * escapes of ordinary strings, where an unknown escape keeps its backslash.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_literal.h"

#include "server/chat/template_text.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    NUMBER_BYTES_MAX = 400 /* no literal needs more digits to name a double */
};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static int digit_value(char byte)
{
    if (is_digit(byte)) {
        return byte - '0';
    }
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 16;
}

static char byte_at(const struct template_lexer *lexer, size_t position)
{
    return (char)(position < lexer->source_bytes ? lexer->source[position] : '\0');
}

/* Copies digits, skipping underscores that stand between two of them. */
static size_t take_digits(const struct template_lexer *lexer, size_t position, int base, char *to,
                          size_t *count)
{
    while (*count < NUMBER_BYTES_MAX) {
        char byte = byte_at(lexer, position);
        if (byte == '_' && digit_value(byte_at(lexer, position + 1)) < base) {
            position++;
            continue;
        }
        if (digit_value(byte) >= base) {
            break;
        }
        to[(*count)++] = byte;
        position++;
    }
    return position;
}

static int base_of_prefix(const struct template_lexer *lexer, size_t position)
{
    if (byte_at(lexer, position) != '0') {
        return 10;
    }
    switch (byte_at(lexer, position + 1) | 0x20) {
    case 'b':
        return 2;
    case 'o':
        return 8;
    case 'x':
        return 16;
    default:
        return 10;
    }
}

static bool fail_number(struct template_lexer *lexer, const struct template_token *token)
{
    return template_lexer_fail(lexer, ERR_UNSUPPORTED, token->line, token->column,
                               "the number is too large");
}

static bool finish_integer(struct template_lexer *lexer, struct template_token *token,
                           const char *digits, size_t count, int base)
{
    int64_t value = 0;
    if (base == 10 && digits[0] == '0' && strspn(digits, "0") < count) {
        return template_lexer_fail(lexer, ERR_FORMAT, token->line, token->column,
                                   "a number starts with 0");
    }
    for (size_t i = 0; i < count; i++) {
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit_value(digits[i]), &value)) {
            return fail_number(lexer, token);
        }
    }
    token->kind = TOKEN_INTEGER;
    token->integer = value;
    return true;
}

/* A fraction or an exponent makes it a float; the dot must have a digit behind it. */
static size_t take_fraction(const struct template_lexer *lexer, size_t position, char *to,
                            size_t *count, bool *is_float)
{
    if (byte_at(lexer, position) == '.' && is_digit(byte_at(lexer, position + 1))) {
        to[(*count)++] = '.';
        position = take_digits(lexer, position + 1, 10, to, count);
        *is_float = true;
    }
    if ((byte_at(lexer, position) | 0x20) != 'e') {
        return position;
    }
    size_t digits = position + 1;
    char sign = byte_at(lexer, digits);
    bool has_sign = sign == '+' || sign == '-';
    if (!is_digit(byte_at(lexer, has_sign ? digits + 1 : digits))) {
        return position;
    }
    to[(*count)++] = 'e';
    if (has_sign) {
        to[(*count)++] = sign;
    }
    *is_float = true;
    return take_digits(lexer, has_sign ? digits + 1 : digits, 10, to, count);
}

bool template_literal_number(struct template_lexer *lexer, struct template_token *token)
{
    char text[NUMBER_BYTES_MAX + 8];
    size_t count = 0;
    size_t position = lexer->position;
    int base = base_of_prefix(lexer, position);
    bool is_float = false;
    bool after_dot = position > 0 && lexer->source[position - 1] == '.';
    position = take_digits(lexer, base == 10 ? position : position + 2, base, text, &count);
    size_t whole_count = count;
    if (count > 0 && count < NUMBER_BYTES_MAX && base == 10 && !after_dot) {
        position = take_fraction(lexer, position, text, &count, &is_float);
    }
    if (count >= NUMBER_BYTES_MAX || count == 0) {
        return fail_number(lexer, token);
    }
    lexer->position = position;
    text[count] = '\0';
    if (!is_float) {
        return finish_integer(lexer, token, text, whole_count, base);
    }
    token->kind = TOKEN_FLOAT;
    token->real = strtod(text, NULL);
    return true;
}

struct unescape {
    const char *bytes;
    size_t byte_count;
    size_t position; /* behind the backslash */
    char *to;
    size_t written;
};

/* Up to digits_max digits; -1 when fewer than digits_min are there. */
static int32_t take_code(struct unescape *text, int base, size_t digits_min, size_t digits_max)
{
    int64_t code = 0;
    size_t digits = 0;
    while (digits < digits_max && text->position < text->byte_count &&
           digit_value(text->bytes[text->position]) < base) {
        code = code * base + digit_value(text->bytes[text->position]);
        text->position++;
        digits++;
    }
    return digits < digits_min || code > 0x10FFFF ? -1 : (int32_t)code;
}

/* The value of \x, \u, \U and octal escapes; -1 when it is malformed or no character, -2 when the
 * letter starts no escape. */
static int32_t coded_character(struct unescape *text)
{
    char letter = text->bytes[text->position];
    if (letter >= '0' && letter <= '7') {
        return take_code(text, 8, 1, 3);
    }
    size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    if (digits == 0) {
        return letter == 'N' ? -1 : -2;
    }
    text->position++;
    int32_t code = take_code(text, 16, digits, digits);
    return utf8proc_codepoint_valid(code) ? code : -1;
}

static bool simple_character(char letter, char *out)
{
    static const char letters[] = "\\'\"abfnrtv";
    static const char values[] = "\\'\"\a\b\f\n\r\t\v";
    const char *found = letter != '\0' ? strchr(letters, letter) : NULL;
    if (found == NULL) {
        return false;
    }
    *out = values[found - letters];
    return true;
}

static bool unescape_one(struct unescape *text)
{
    char letter = text->bytes[text->position];
    if (letter == '\n') {
        text->position++;
        return true;
    }
    if (simple_character(letter, &text->to[text->written])) {
        text->position++;
        text->written++;
        return true;
    }
    int32_t code = coded_character(text);
    if (code == -1) {
        return false;
    }
    if (code == -2) {
        text->to[text->written++] = '\\';
        return true;
    }
    text->written +=
        (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)text->to + text->written);
    return true;
}

/* The result is never longer than the source: the shortest escape of a character that takes two
 * bytes, an octal one, has four. */
static bool unescape(struct template_lexer *lexer, struct template_token *token)
{
    struct unescape text = {.bytes = token->bytes, .byte_count = token->byte_count};
    text.to = template_arena_alloc(lexer->arena, token->byte_count + 4);
    if (text.to == NULL) {
        return template_lexer_fail(lexer, ERR_MEMORY, token->line, token->column,
                                   "no memory for a string");
    }
    while (text.position < text.byte_count) {
        char byte = text.bytes[text.position++];
        if (byte != '\\') {
            text.to[text.written++] = byte;
        } else if (!unescape_one(&text)) {
            return template_lexer_fail(lexer, ERR_FORMAT, token->line, token->column,
                                       "the string has an escape that names no character");
        }
    }
    token->bytes = text.to;
    token->byte_count = text.written;
    return true;
}

bool template_literal_string(struct template_lexer *lexer, struct template_token *token)
{
    char quote = lexer->source[lexer->position];
    size_t first = lexer->position + 1;
    size_t end = first;
    bool escaped = false;
    while (end < lexer->source_bytes && lexer->source[end] != quote) {
        bool is_escape = lexer->source[end] == '\\';
        escaped = escaped || is_escape;
        end += is_escape ? 2 : 1;
    }
    if (end >= lexer->source_bytes) {
        return template_lexer_fail(lexer, ERR_FORMAT, token->line, token->column,
                                   "the string is not closed");
    }
    token->kind = TOKEN_STRING;
    token->bytes = lexer->source + first;
    token->byte_count = end - first;
    lexer->position = end + 1;
    return !escaped || unescape(lexer, token);
}
