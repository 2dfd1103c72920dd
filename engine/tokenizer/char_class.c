/* char_class.c - UTF-8 and Unicode classes, strict about bytes and never failing.
 *
 * A byte that is not UTF-8 counts as one symbol, as U+FFFD would, but keeps its own identity:
 * byte-level vocabularies can spell it, so text that is not UTF-8 still survives a round trip.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/char_class.h"

#include <utf8proc.h>

enum {
    U = CLASS_UPPER,
    L = CLASS_LOWER,
    N = CLASS_NUMBER,
    P = CLASS_PUNCTUATION,
    S = CLASS_SYMBOL,
    W = CLASS_SPACE,
    R = CLASS_SPACE | CLASS_NEWLINE,
};

/* clang-format off */
const uint16_t char_class_ascii[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, W, R, W, W, R, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    W, P, P, P, S, P, P, P, P, P, P, S, P, P, P, P,
    N, N, N, N, N, N, N, N, N, N, P, P, S, S, S, P,
    P, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
    U, U, U, U, U, U, U, U, U, U, U, P, P, P, S, P,
    S, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, P, S, P, S, 0,
};
/* clang-format on */

/* The second byte's range depends on the first: this is where overlong forms, surrogates and
 * codes above U+10FFFF are refused. Returns the sequence's length, 0 for a byte that starts none. */
static uint32_t lead_byte(uint8_t lead, uint8_t *second_min, uint8_t *second_max)
{
    *second_min = 0x80;
    *second_max = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (lead == 0xE0) {
            *second_min = 0xA0;
        } else if (lead == 0xED) {
            *second_max = 0x9F;
        }
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (lead == 0xF0) {
            *second_min = 0x90;
        } else if (lead == 0xF4) {
            *second_max = 0x8F;
        }
        return 4;
    }
    return lead < 0x80 ? 1 : 0;
}

/* How many bytes from `at` begin a sequence, up to its full *length. */
static uint32_t matched_bytes(const uint8_t *at, const uint8_t *end, uint32_t *length)
{
    uint8_t second_min;
    uint8_t second_max;
    *length = lead_byte(at[0], &second_min, &second_max);
    uint32_t matched = 1;
    while (matched < *length && at + matched < end) {
        uint8_t byte = at[matched];
        uint8_t min = matched == 1 ? second_min : 0x80;
        uint8_t max = matched == 1 ? second_max : 0xBF;
        if (byte < min || byte > max) {
            break;
        }
        matched++;
    }
    return matched;
}

uint32_t char_class_utf8(const uint8_t *at, const uint8_t *end, uint32_t *code)
{
    if (at >= end) {
        return 0;
    }
    uint32_t length;
    uint32_t matched = matched_bytes(at, end, &length);
    if (matched != length) {
        return 0;
    }
    static const uint8_t lead_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t value = at[0] & lead_mask[length];
    for (uint32_t i = 1; i < length; i++) {
        value = value << 6 | (at[i] & 0x3Fu);
    }
    *code = value;
    return length;
}

uint32_t char_class_ill_formed(const uint8_t *at, const uint8_t *end, bool *unfinished)
{
    uint32_t length;
    uint32_t matched = matched_bytes(at, end, &length);
    *unfinished = matched < length && at + matched == end;
    return matched;
}

/* utf8proc has categories but not the property White_Space, which is short and frozen. */
static bool is_space(uint32_t code)
{
    return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
           code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

static uint16_t classes_of(uint32_t code)
{
    if (is_space(code)) {
        return CLASS_SPACE;
    }
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
        return CLASS_UPPER;
    case UTF8PROC_CATEGORY_LL:
        return CLASS_LOWER;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return CLASS_CASELESS;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return CLASS_MARK;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return CLASS_NUMBER;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return CLASS_PUNCTUATION;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
        return CLASS_SYMBOL;
    default: /* controls, formats, private use, unassigned */
        return 0;
    }
}

struct character char_class_decode(const uint8_t *at, const uint8_t *end)
{
    struct character none = {.code = UINT32_MAX};
    if (at >= end) {
        return none;
    }
    struct character c = {.code = CHAR_REPLACEMENT, .classes = CLASS_SYMBOL, .bytes = 1};
    uint32_t code;
    uint32_t bytes = char_class_utf8(at, end, &code);
    if (bytes > 0) {
        c.code = code;
        c.bytes = (uint16_t)bytes;
        c.classes = code < 128 ? char_class_ascii[code] : classes_of(code);
    }
    return c;
}

const uint8_t *char_class_skip(const uint8_t *at, const uint8_t *end, uint16_t classes)
{
    for (;;) {
        struct character c = char_class_at(at, end);
        if ((c.classes & classes) == 0) {
            return at;
        }
        at += c.bytes;
    }
}

const uint8_t *char_class_skip_not(const uint8_t *at, const uint8_t *end, uint16_t classes)
{
    for (;;) {
        struct character c = char_class_at(at, end);
        if (c.bytes == 0 || (c.classes & classes) != 0) {
            return at;
        }
        at += c.bytes;
    }
}

const uint8_t *char_class_before(const uint8_t *start, const uint8_t *at)
{
    for (uint32_t bytes = 1; bytes <= 4 && at - start >= bytes; bytes++) {
        uint32_t code;
        if ((at[-(ptrdiff_t)bytes] & 0xC0) != 0x80) {
            return char_class_utf8(at - bytes, at, &code) == bytes ? at - bytes : at - 1;
        }
    }
    return at - 1;
}

const uint8_t *char_class_trailing_space(const uint8_t *start, const uint8_t *end)
{
    while (start < end) {
        const uint8_t *before = char_class_before(start, end);
        if ((char_class_at(before, end).classes & CLASS_SPACE) == 0) {
            break;
        }
        end = before;
    }
    return end;
}

/* Signs that count as alphabetic: letters in circles and squares. */
static bool is_circled_letter(uint32_t code)
{
    return (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
           (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189);
}

bool char_class_is_word(struct character c)
{
    if (c.bytes == 0) {
        return false;
    }
    if (c.classes & (CLASS_LETTER | CLASS_MARK)) {
        return true;
    }
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c.code);
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
           category == UTF8PROC_CATEGORY_PC || c.code == 0x200C || c.code == 0x200D ||
           is_circled_letter(c.code);
}
