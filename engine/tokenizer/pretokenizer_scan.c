/* pretokenizer_scan.c - regular expressions as straight-line scanners.
 *
 * A backtracking engine is quadratic or worse on a long run and recursive on some; these know for
 * each expression where the greedy match must end. Alternatives are tried in the order of the
 * expression; each looks at most one character past a run.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/pretokenizer_scan.h"

#include <assert.h>

/* U+017F is an s to a case-blind comparison, by Unicode's folding. */
static uint32_t fold(uint32_t code)
{
    if (code >= 'A' && code <= 'Z') {
        return code + ('a' - 'A');
    }
    return code == 0x17F ? 's' : code;
}

/* The end of 's 't 're 've 'm 'll 'd at `at`, or NULL. */
static const uint8_t *contraction(const uint8_t *at, const uint8_t *end, bool fold_case)
{
    if (at >= end || *at != '\'') {
        return NULL;
    }
    struct character first = char_class_at(at + 1, end);
    const uint8_t *after_first = at + 1 + first.bytes;
    uint32_t a = fold_case ? fold(first.code) : first.code;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') {
        return after_first;
    }
    struct character second = char_class_at(after_first, end);
    uint32_t b = fold_case ? fold(second.code) : second.code;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) {
        return after_first + second.bytes;
    }
    return NULL;
}

/* \s+(?!\S)|\s+ at a space: a run gives its last character to the word behind it. */
static const uint8_t *spaces(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *last = at;
    const uint8_t *next = at;
    for (;;) {
        struct character c = char_class_at(next, end);
        if ((c.classes & CLASS_SPACE) == 0) {
            break;
        }
        last = next;
        next += c.bytes;
    }
    return next == end || last == at ? next : last;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ at a space: a run with a line end in it goes up to its last one. */
static const uint8_t *lines_or_spaces(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *after_newline = NULL;
    const uint8_t *last = at;
    const uint8_t *next = at;
    for (;;) {
        struct character c = char_class_at(next, end);
        if ((c.classes & CLASS_SPACE) == 0) {
            break;
        }
        last = next;
        next += c.bytes;
        if (c.classes & CLASS_NEWLINE) {
            after_newline = next;
        }
    }
    if (after_newline != NULL) {
        return after_newline;
    }
    return next == end || last == at ? next : last;
}

static const uint8_t *digits(const uint8_t *at, const uint8_t *end, uint32_t count_max)
{
    for (uint32_t count = 0; count < count_max; count++) {
        struct character c = char_class_at(at, end);
        if ((c.classes & CLASS_NUMBER) == 0) {
            break;
        }
        at += c.bytes;
    }
    return at;
}

/* The character a run would start with when one plain space may stand in front of it. */
static struct character past_space(const uint8_t **at, const uint8_t *end)
{
    struct character c = char_class_at(*at, end);
    if (c.code == ' ') {
        struct character next = char_class_at(*at + 1, end);
        if (next.bytes > 0 && (next.classes & CLASS_SPACE) == 0) {
            *at += 1;
            return next;
        }
    }
    return c;
}

const uint8_t *pretokenizer_scan_gpt2(const void *options, const uint8_t *at, const uint8_t *end)
{
    (void)options;
    const uint8_t *short_form = contraction(at, end, false);
    if (short_form != NULL) {
        return short_form;
    }
    const uint8_t *body = at;
    struct character c = past_space(&body, end);
    if (c.classes & CLASS_LETTER) {
        return char_class_skip(body, end, CLASS_LETTER);
    }
    if (c.classes & CLASS_NUMBER) {
        return char_class_skip(body, end, CLASS_NUMBER);
    }
    if (c.classes & CLASS_SPACE) {
        return spaces(at, end);
    }
    return char_class_skip_not(body, end, CLASS_SPACE | CLASS_LETTER | CLASS_NUMBER);
}

/* PREFIX?WORD+ at c, where PREFIX is any one character but line ends and `not_prefix`. NULL when
 * there is no word. */
static const uint8_t *prefixed_word(struct character c, const uint8_t *at, const uint8_t *end,
                                    uint16_t not_prefix, uint16_t word_classes)
{
    if ((c.classes & (not_prefix | CLASS_NEWLINE)) == 0) {
        const uint8_t *body = at + c.bytes;
        if (char_class_at(body, end).classes & word_classes) {
            return char_class_skip(body, end, word_classes);
        }
    }
    return c.classes & word_classes ? char_class_skip(at, end, word_classes) : NULL;
}

static const uint8_t *skip_line_ends(const uint8_t *at, const uint8_t *end, bool slashes)
{
    while (at < end && (*at == '\r' || *at == '\n' || (slashes && *at == '/'))) {
        at++;
    }
    return at;
}

const uint8_t *pretokenizer_scan_words(const void *options, const uint8_t *at, const uint8_t *end)
{
    const struct scan_words *o = options;
    const uint8_t *short_form = o->contractions ? contraction(at, end, true) : NULL;
    if (short_form != NULL) {
        return short_form;
    }
    struct character c = char_class_at(at, end);
    const uint8_t *word = prefixed_word(c, at, end, CLASS_LETTER | CLASS_NUMBER, o->word_classes);
    if (word != NULL) {
        return word;
    }
    if (c.classes & CLASS_NUMBER) {
        return digits(at, end, o->digits_max);
    }
    const uint16_t not_symbol = CLASS_SPACE | CLASS_NUMBER | o->word_classes;
    const uint8_t *body = at;
    if ((past_space(&body, end).classes & not_symbol) == 0) {
        const uint8_t *after = char_class_skip_not(body, end, not_symbol);
        return o->newlines_after_symbols ? skip_line_ends(after, end, false) : after;
    }
    return lines_or_spaces(at, end);
}

enum {
    CASED_UPPER = CLASS_UPPER | CLASS_CASELESS | CLASS_MARK,
    CASED_LOWER = CLASS_LOWER | CLASS_CASELESS | CLASS_MARK,
};

/* UPPER*LOWER+ at `at`, or NULL. What follows the greedy UPPER* decides: a lower-case letter goes
 * on; otherwise the match ends with the last character of UPPER* that is in LOWER too. */
static const uint8_t *upper_then_lower(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *after_both = NULL;
    for (;;) {
        struct character c = char_class_at(at, end);
        if (c.classes & CLASS_LOWER) {
            return char_class_skip(at, end, CASED_LOWER);
        }
        if ((c.classes & CASED_UPPER) == 0) {
            return after_both;
        }
        at += c.bytes;
        if (c.classes & CASED_LOWER) {
            after_both = at;
        }
    }
}

/* UPPER+LOWER* at `at`, or NULL. */
static const uint8_t *upper_only(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *after = char_class_skip(at, end, CASED_UPPER);
    return after == at ? NULL : char_class_skip(after, end, CASED_LOWER);
}

static const uint8_t *cased_word(const uint8_t *at, const uint8_t *end)
{
    assert(at != NULL && at < end);
    struct character c = char_class_at(at, end);
    bool prefix = (c.classes & (CLASS_LETTER | CLASS_NUMBER | CLASS_NEWLINE)) == 0;
    const uint8_t *body = at + c.bytes;
    const uint8_t *word = prefix ? upper_then_lower(body, end) : NULL;
    if (word == NULL) {
        word = upper_then_lower(at, end);
    }
    if (word == NULL && prefix) {
        word = upper_only(body, end);
    }
    return word != NULL ? word : upper_only(at, end);
}

const uint8_t *pretokenizer_scan_cased(const void *options, const uint8_t *at, const uint8_t *end)
{
    const struct scan_cased *o = options;
    const uint8_t *word = cased_word(at, end);
    if (word != NULL) {
        const uint8_t *suffix = o->contractions ? contraction(word, end, true) : NULL;
        return suffix != NULL ? suffix : word;
    }
    struct character c = char_class_at(at, end);
    if (c.classes & CLASS_NUMBER) {
        return digits(at, end, o->digits_max);
    }
    const uint16_t not_symbol = CLASS_SPACE | CLASS_NUMBER | CLASS_LETTER;
    const uint8_t *body = at;
    if ((past_space(&body, end).classes & not_symbol) == 0) {
        return skip_line_ends(char_class_skip_not(body, end, not_symbol), end, true);
    }
    return lines_or_spaces(at, end);
}

static bool ascii_letter(const uint8_t *at, const uint8_t *end)
{
    return at < end && *at < 128 && (char_class_ascii[*at] & CLASS_LETTER) != 0;
}

/* The end of what matches exactly at `start`; `start` itself when nothing does. */
static const uint8_t *deepseek_match(const uint8_t *start, const uint8_t *end)
{
    const uint16_t signs = CLASS_PUNCTUATION | CLASS_SYMBOL;
    struct character c = char_class_at(start, end);
    const uint8_t *at = start + c.bytes;
    if (c.code < 128 && (c.classes & signs) && ascii_letter(at, end)) {
        while (ascii_letter(at, end)) {
            at++;
        }
        return at;
    }
    const uint8_t *word =
        prefixed_word(c, start, end, CLASS_LETTER | signs, CLASS_LETTER | CLASS_MARK);
    if (word != NULL) {
        return word;
    }
    const uint8_t *body = start;
    if (past_space(&body, end).classes & signs) {
        return skip_line_ends(char_class_skip(body, end, signs), end, false);
    }
    return c.classes & CLASS_SPACE ? lines_or_spaces(start, end) : start;
}

const uint8_t *pretokenizer_scan_deepseek(const void *options, const uint8_t *at,
                                          const uint8_t *end)
{
    (void)options;
    const uint8_t *match = deepseek_match(at, end);
    if (match != at) {
        return match;
    }
    /* Numbers and unassigned characters belong to no alternative; a stretch of them is a piece. */
    do {
        at += char_class_at(at, end).bytes;
    } while (at < end && deepseek_match(at, end) == at);
    return at;
}

/* Likewise. */
static const uint8_t *run_match(const struct scan_run *o, const uint8_t *start, const uint8_t *end)
{
    const uint8_t *at = start;
    struct character c = char_class_at(at, end);
    if ((o->after_space && (c.classes & CLASS_SPACE)) || (o->after_plain_space && c.code == ' ')) {
        struct character next = char_class_at(at + c.bytes, end);
        if (next.bytes > 0 && o->holds(next)) {
            at += c.bytes;
            c = next;
        }
    }
    uint32_t count = 0;
    while (c.bytes > 0 && count < o->count_max && o->holds(c)) {
        at += c.bytes;
        count++;
        c = char_class_at(at, end);
    }
    return count > 0 && count >= o->count_min ? at : start;
}

const uint8_t *pretokenizer_scan_run(const void *options, const uint8_t *at, const uint8_t *end)
{
    const struct scan_run *o = options;
    const uint8_t *match = run_match(o, at, end);
    if (match != at) {
        return match;
    }
    do {
        at += char_class_at(at, end).bytes;
    } while (at < end && run_match(o, at, end) == at);
    return at;
}

const uint8_t *pretokenizer_scan_trailing_space(const void *options, const uint8_t *at,
                                                const uint8_t *end)
{
    (void)options;
    const uint8_t *tail = char_class_trailing_space(at, end);
    return at < tail ? tail : end;
}
