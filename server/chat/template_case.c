/* template_case.c - changing case, and escaping: what makes a new text character by character.
 *
 * utf8proc maps one character to one; the few letters that Python widens (a sharp s becomes two)
 * are listed here. SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_case.h"

#include "server/chat/template_builder.h"
#include "server/chat/template_text.h"

#include <utf8proc.h>

struct wide_case {
    int32_t codepoint;
    int32_t upper[3];
    int32_t title[3];
};

static const struct wide_case wide_cases[] = {
    {0x00DF, {'S', 'S'}, {'S', 's'}},           {0x0149, {0x02BC, 'N'}, {0x02BC, 'N'}},
    {0x01F0, {'J', 0x030C}, {'J', 0x030C}},     {0x0587, {0x0535, 0x0552}, {0x0535, 0x0582}},
    {0x1E96, {'H', 0x0331}, {'H', 0x0331}},     {0x1E97, {'T', 0x0308}, {'T', 0x0308}},
    {0x1E98, {'W', 0x030A}, {'W', 0x030A}},     {0x1E99, {'Y', 0x030A}, {'Y', 0x030A}},
    {0x1E9A, {'A', 0x02BE}, {'A', 0x02BE}},     {0xFB00, {'F', 'F'}, {'F', 'f'}},
    {0xFB01, {'F', 'I'}, {'F', 'i'}},           {0xFB02, {'F', 'L'}, {'F', 'l'}},
    {0xFB03, {'F', 'F', 'I'}, {'F', 'f', 'i'}}, {0xFB04, {'F', 'F', 'L'}, {'F', 'f', 'l'}},
    {0xFB05, {'S', 'T'}, {'S', 't'}},           {0xFB06, {'S', 'T'}, {'S', 't'}},
};

static const struct wide_case *find_wide(int32_t codepoint)
{
    for (size_t i = 0; i < sizeof wide_cases / sizeof *wide_cases; i++) {
        if (wide_cases[i].codepoint == codepoint) {
            return &wide_cases[i];
        }
    }
    return NULL;
}

static bool append_wide(struct template_builder *text, const int32_t *codepoints)
{
    for (size_t i = 0; i < 3 && codepoints[i] != 0; i++) {
        if (!template_builder_append_codepoint(text, codepoints[i])) {
            return false;
        }
    }
    return true;
}

static bool append_upper(struct template_builder *text, int32_t codepoint)
{
    const struct wide_case *wide = codepoint >= 0x80 ? find_wide(codepoint) : NULL;
    if (wide != NULL) {
        return append_wide(text, wide->upper);
    }
    return template_builder_append_codepoint(text, utf8proc_toupper(codepoint));
}

static bool append_title(struct template_builder *text, int32_t codepoint)
{
    const struct wide_case *wide = codepoint >= 0x80 ? find_wide(codepoint) : NULL;
    if (wide != NULL) {
        return append_wide(text, wide->title);
    }
    return template_builder_append_codepoint(text, utf8proc_totitle(codepoint));
}

bool template_case_is_cased(int32_t codepoint)
{
    if (codepoint < 0x80) {
        return (codepoint >= 'a' && codepoint <= 'z') || (codepoint >= 'A' && codepoint <= 'Z');
    }
    utf8proc_category_t category = utf8proc_category(codepoint);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT;
}

/* Greek sigma has its own form at the end of a word. */
static bool append_lower(struct template_builder *text, const struct template_string *string,
                         size_t next, int32_t codepoint, bool after_letter)
{
    if (codepoint == 0x0130) {
        return template_builder_append_codepoint(text, 'i') &&
               template_builder_append_codepoint(text, 0x0307);
    }
    if (codepoint == 0x03A3 && after_letter) {
        bool before_letter = false;
        if (next < string->byte_count) {
            before_letter = template_case_is_cased(template_text_next(string->bytes, &next));
        }
        return template_builder_append_codepoint(text, before_letter ? 0x03C3 : 0x03C2);
    }
    return template_builder_append_codepoint(text, utf8proc_tolower(codepoint));
}

/* Whether the next character starts what the wanted case begins with a capital. */
static bool starts_piece(enum template_case wanted, int32_t previous)
{
    if (wanted == TEMPLATE_TITLE) {
        return !template_case_is_cased(previous);
    }
    return template_text_is_space(previous) || previous == '-' || previous == '(' ||
           previous == '{' || previous == '[' || previous == '<';
}

static bool append_changed(struct template_builder *text, const struct template_string *string,
                           enum template_case wanted, size_t *position, int32_t previous)
{
    bool first = *position == 0;
    int32_t codepoint = template_text_next(string->bytes, position);
    bool after_letter = !first && template_case_is_cased(previous);
    switch (wanted) {
    case TEMPLATE_LOWER:
        break;
    case TEMPLATE_UPPER:
        return append_upper(text, codepoint);
    case TEMPLATE_SWAP:
        if (utf8proc_tolower(codepoint) == codepoint) {
            return append_upper(text, codepoint);
        }
        break;
    case TEMPLATE_CAPITAL:
        if (first) {
            return append_title(text, codepoint);
        }
        break;
    case TEMPLATE_TITLE:
        if (first || starts_piece(wanted, previous)) {
            return append_title(text, codepoint);
        }
        break;
    case TEMPLATE_TITLE_GAP:
        if (first || starts_piece(wanted, previous)) {
            return append_upper(text, codepoint);
        }
        break;
    }
    return append_lower(text, string, *position, codepoint, after_letter);
}

bool template_case_change(struct template_run *run, const struct template_string *string,
                          enum template_case wanted, struct template_value *out)
{
    struct template_builder text;
    template_builder_init(&text, run);
    if (!template_run_spend_bytes(run, 8 * string->byte_count)) {
        return false;
    }
    int32_t previous = 0;
    for (size_t position = 0; position < string->byte_count;) {
        size_t start = position;
        if (!append_changed(&text, string, wanted, &position, previous)) {
            return false;
        }
        previous = template_text_next(string->bytes, &start);
    }
    return template_builder_finish(&text, out);
}

static const char *entity(char byte)
{
    switch (byte) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&#34;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

bool template_case_escape(struct template_run *run, const struct template_string *string,
                          struct template_value *out)
{
    struct template_builder text;
    template_builder_init(&text, run);
    if (!template_run_spend_bytes(run, string->byte_count)) {
        return false;
    }
    for (size_t i = 0; i < string->byte_count; i++) {
        const char *replacement = entity(string->bytes[i]);
        bool ok = replacement != NULL ? template_builder_append_text(&text, replacement)
                                      : template_builder_append(&text, string->bytes + i, 1);
        if (!ok) {
            return false;
        }
    }
    if (!template_builder_finish(&text, out)) {
        return false;
    }
    out->markup = true;
    return true;
}
