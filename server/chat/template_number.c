/* template_number.c - white space around, a sign, underscores between digits.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_number.h"

#include "server/chat/template_text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int digit_value(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

static bool parse_digits(const char *at, const char *end, int64_t base, bool negative, int64_t *out)
{
    int64_t value = 0;
    bool after_digit = false;
    for (; at < end; at++) {
        if (*at == '_' && after_digit && at + 1 < end) {
            after_digit = false;
            continue;
        }
        int digit = digit_value(*at);
        if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value)) {
            return false;
        }
        after_digit = true;
    }
    *out = value;
    return after_digit;
}

/* 0x, 0o, 0b in front, when the base is that one, or 0 for any. */
static const char *skip_prefix(const char *at, const char *end, int64_t *base)
{
    static const struct {
        char letter;
        int64_t base;
    } prefixes[] = {{'x', 16}, {'o', 8}, {'b', 2}};
    if (end - at > 2 && at[0] == '0') {
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
            if ((at[1] | 0x20) == prefixes[i].letter && (*base == prefixes[i].base || *base == 0)) {
                *base = prefixes[i].base;
                return at + 2;
            }
        }
    }
    *base = *base == 0 ? 10 : *base;
    return at;
}

bool template_number_parse_int(const struct template_string *string, int64_t base, int64_t *out)
{
    const char *at = string->bytes;
    size_t byte_count = string->byte_count;
    template_text_strip(&at, &byte_count, NULL, TEMPLATE_BOTH);
    const char *end = at + byte_count;
    if (base != 0 && (base < 2 || base > 36)) {
        return false;
    }
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    at = skip_prefix(at, end, &base);
    return parse_digits(at, end, base, negative, out);
}

/* Copies the number without underscores; false when something else than a decimal number or the
 * word of a special value is there, since strtod also reads hexadecimal. */
static bool copy_float(const char *at, size_t byte_count, char *to, size_t to_size)
{
    size_t count = 0;
    for (size_t i = 0; i < byte_count; i++) {
        if (at[i] == '_' && i > 0 && digit_value(at[i - 1]) < 10 && i + 1 < byte_count &&
            digit_value(at[i + 1]) < 10) {
            continue;
        }
        if (count + 1 >= to_size || at[i] == '\0') {
            return false;
        }
        to[count++] = at[i];
    }
    to[count] = '\0';
    const char *body = to + (to[0] == '-' || to[0] == '+');
    return strspn(body, "0123456789.eE+-") == strlen(body) || strcasecmp(body, "inf") == 0 ||
           strcasecmp(body, "infinity") == 0 || strcasecmp(body, "nan") == 0;
}

bool template_number_parse_float(const struct template_string *string, double *out)
{
    char text[512];
    const char *at = string->bytes;
    size_t byte_count = string->byte_count;
    template_text_strip(&at, &byte_count, NULL, TEMPLATE_BOTH);
    if (byte_count == 0 || !copy_float(at, byte_count, text, sizeof text)) {
        return false;
    }
    char *end = NULL;
    *out = strtod(text, &end);
    return *end == '\0';
}
