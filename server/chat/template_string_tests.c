/* template_string_tests.c - predicates over all characters of a string; empty strings fail.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_string_tests.h"

#include "server/chat/template_case.h"
#include "server/chat/template_text.h"

#include <utf8proc.h>

static bool is_alpha(int32_t codepoint)
{
    utf8proc_category_t category = utf8proc_category(codepoint);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

static bool is_decimal(int32_t codepoint)
{
    return utf8proc_category(codepoint) == UTF8PROC_CATEGORY_ND;
}

/* Superscript digits count as digits, but not as decimals. */
static bool is_digit(int32_t codepoint)
{
    return is_decimal(codepoint) || codepoint == 0xB2 || codepoint == 0xB3 || codepoint == 0xB9 ||
           codepoint == 0x2070 || (codepoint >= 0x2074 && codepoint <= 0x2079) ||
           (codepoint >= 0x2080 && codepoint <= 0x2089);
}

static bool is_numeric(int32_t codepoint)
{
    utf8proc_category_t category = utf8proc_category(codepoint);
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
           category == UTF8PROC_CATEGORY_NO;
}

static bool is_alnum(int32_t codepoint)
{
    return is_alpha(codepoint) || is_numeric(codepoint);
}

static bool is_ascii(int32_t codepoint)
{
    return codepoint < 0x80;
}

static bool all(struct template_run *run, const struct template_call *call,
                bool (*holds)(int32_t codepoint), bool when_empty, struct template_value *out)
{
    const struct template_string *string = call->subject.as.string;
    bool result = string->byte_count > 0 || when_empty;
    for (size_t position = 0; result && position < string->byte_count;) {
        result = holds(template_text_next(string->bytes, &position));
    }
    *out = template_value_bool(result);
    return template_run_spend_bytes(run, 4 * string->byte_count);
}

#define CHARACTER_TEST(NAME, HOLDS, WHEN_EMPTY)                                                    \
    static bool NAME(struct template_run *run, const struct template_call *call,                   \
                     struct template_value *out)                                                   \
    {                                                                                              \
        return all(run, call, HOLDS, WHEN_EMPTY, out);                                             \
    }

CHARACTER_TEST(string_isalpha, is_alpha, false)
CHARACTER_TEST(string_isdecimal, is_decimal, false)
CHARACTER_TEST(string_isdigit, is_digit, false)
CHARACTER_TEST(string_isnumeric, is_numeric, false)
CHARACTER_TEST(string_isalnum, is_alnum, false)
CHARACTER_TEST(string_isspace, template_text_is_space, false)
CHARACTER_TEST(string_isascii, is_ascii, true)

bool template_string_tests_has_case(const struct template_string *string, bool upper)
{
    bool found = false;
    for (size_t position = 0; position < string->byte_count;) {
        int32_t codepoint = template_text_next(string->bytes, &position);
        if (!template_case_is_cased(codepoint)) {
            continue;
        }
        bool is_upper = utf8proc_category(codepoint) == UTF8PROC_CATEGORY_LU;
        if (is_upper != upper || utf8proc_category(codepoint) == UTF8PROC_CATEGORY_LT) {
            return false;
        }
        found = true;
    }
    return found;
}

static bool has_case(struct template_run *run, const struct template_call *call, bool upper,
                     struct template_value *out)
{
    *out = template_value_bool(template_string_tests_has_case(call->subject.as.string, upper));
    return template_run_spend_bytes(run, 4 * call->subject.as.string->byte_count);
}

static bool string_islower(struct template_run *run, const struct template_call *call,
                           struct template_value *out)
{
    return has_case(run, call, false, out);
}

static bool string_isupper(struct template_run *run, const struct template_call *call,
                           struct template_value *out)
{
    return has_case(run, call, true, out);
}

/* Each run of letters starts with its only capital. */
static bool string_istitle(struct template_run *run, const struct template_call *call,
                           struct template_value *out)
{
    const struct template_string *string = call->subject.as.string;
    bool found = false;
    bool inside = false;
    bool holds = true;
    for (size_t position = 0; holds && position < string->byte_count;) {
        int32_t codepoint = template_text_next(string->bytes, &position);
        bool cased = template_case_is_cased(codepoint);
        bool lower = utf8proc_category(codepoint) == UTF8PROC_CATEGORY_LL;
        holds = !cased || lower == inside;
        found = found || cased;
        inside = cased;
    }
    *out = template_value_bool(holds && found);
    return template_run_spend_bytes(run, 4 * string->byte_count);
}

static const struct template_builtin rows[] = {
    {"isalpha", "", 0, string_isalpha}, {"isdecimal", "", 0, string_isdecimal},
    {"isdigit", "", 0, string_isdigit}, {"isnumeric", "", 0, string_isnumeric},
    {"isalnum", "", 0, string_isalnum}, {"isspace", "", 0, string_isspace},
    {"isascii", "", 0, string_isascii}, {"islower", "", 0, string_islower},
    {"isupper", "", 0, string_isupper}, {"istitle", "", 0, string_istitle},
};

const struct template_builtin *template_string_tests_find(const struct template_string *name)
{
    return template_call_find(rows, sizeof rows / sizeof *rows, name);
}
