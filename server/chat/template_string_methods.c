/* template_string_methods.c - searching, replacing and filling. Splitting has its own file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_string_methods.h"

#include "server/chat/template_access.h"
#include "server/chat/template_builder.h"
#include "server/chat/template_case.h"
#include "server/chat/template_format.h"
#include "server/chat/template_iterate.h"
#include "server/chat/template_operator.h"
#include "server/chat/template_split.h"

#include <string.h>

static bool change_case(struct template_run *run, const struct template_call *call,
                        enum template_case wanted, struct template_value *out)
{
    return template_case_change(run, call->subject.as.string, wanted, out);
}

static bool string_upper(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    return change_case(run, call, TEMPLATE_UPPER, out);
}

static bool string_lower(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    return change_case(run, call, TEMPLATE_LOWER, out);
}

static bool string_capitalize(struct template_run *run, const struct template_call *call,
                              struct template_value *out)
{
    return change_case(run, call, TEMPLATE_CAPITAL, out);
}

static bool string_title(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    return change_case(run, call, TEMPLATE_TITLE, out);
}

static bool string_swapcase(struct template_run *run, const struct template_call *call,
                            struct template_value *out)
{
    return change_case(run, call, TEMPLATE_SWAP, out);
}

static bool strip(struct template_run *run, const struct template_call *call,
                  enum template_side side, struct template_value *out)
{
    const struct template_string *set = NULL;
    struct template_value chars = call->bound[0];
    if (template_value_given(chars) && chars.kind != TEMPLATE_NONE &&
        !template_call_string(run, chars, "strip arg", &set)) {
        return false;
    }
    const char *bytes = call->subject.as.string->bytes;
    size_t byte_count = call->subject.as.string->byte_count;
    template_text_strip(&bytes, &byte_count, set, side);
    return template_run_spend_bytes(run, call->subject.as.string->byte_count - byte_count) &&
           template_run_string(run, bytes, byte_count, out);
}

static bool string_strip(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    return strip(run, call, TEMPLATE_BOTH, out);
}

static bool string_lstrip(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    return strip(run, call, TEMPLATE_LEFT, out);
}

static bool string_rstrip(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    return strip(run, call, TEMPLATE_RIGHT, out);
}

/* Between every two characters too, when old is empty. */
static bool replace_empty(struct template_run *run, const struct template_string *string,
                          const struct template_string *new, int64_t times,
                          struct template_value *out)
{
    struct template_builder text;
    template_builder_init(&text, run);
    size_t position = 0;
    for (;;) {
        if (times != 0 && !template_builder_append_string(&text, new)) {
            return false;
        }
        times -= times > 0;
        if (position == string->byte_count) {
            return template_builder_finish(&text, out);
        }
        size_t step = template_text_step(string->bytes[position]);
        if (!template_builder_append(&text, string->bytes + position, step)) {
            return false;
        }
        position += step;
    }
}

bool template_string_methods_replace(struct template_run *run, const struct template_string *string,
                                     const struct template_string *old,
                                     const struct template_string *new, int64_t times,
                                     struct template_value *out)
{
    if (!template_run_spend_bytes(run, string->byte_count)) {
        return false;
    }
    if (old->byte_count == 0) {
        return replace_empty(run, string, new, times, out);
    }
    struct template_builder text;
    template_builder_init(&text, run);
    size_t position = 0;
    for (; times != 0; times -= times > 0) {
        size_t found =
            template_text_find(string->bytes + position, string->byte_count - position, old);
        if (found == SIZE_MAX) {
            break;
        }
        if (!template_builder_append(&text, string->bytes + position, found) ||
            !template_builder_append_string(&text, new)) {
            return false;
        }
        position += found + old->byte_count;
    }
    if (position == 0) {
        *out = template_value_string(string);
        return true;
    }
    return template_builder_append(&text, string->bytes + position,
                                   string->byte_count - position) &&
           template_builder_finish(&text, out);
}

static bool string_replace(struct template_run *run, const struct template_call *call,
                           struct template_value *out)
{
    const struct template_string *old = NULL;
    const struct template_string *new = NULL;
    int64_t times = -1;
    return template_call_string(run, call->bound[0], "replace() argument 1", &old) &&
           template_call_string(run, call->bound[1], "replace() argument 2", &new) &&
           template_call_integer(run, call->bound[2], -1, "count", &times) &&
           template_string_methods_replace(run, call->subject.as.string, old, new, times, out);
}

/* The part of the subject between the characters start and end; *before is what it leaves out in
 * front. */
static bool window(struct template_run *run, const struct template_call *call,
                   struct template_value start, struct template_value end,
                   const struct template_string **part, size_t *before)
{
    *part = call->subject.as.string;
    *before = 0;
    if (!template_value_given(start) && !template_value_given(end)) {
        return true;
    }
    struct template_value bounds[3] = {start, end, {.kind = TEMPLATE_ABSENT}};
    struct template_value piece;
    if (!template_access_slice(run, template_value_string(*part), bounds, &piece)) {
        return false;
    }
    if (piece.as.string->byte_count > 0) {
        *before = (size_t)(piece.as.string->bytes - (*part)->bytes);
    }
    *part = piece.as.string;
    return true;
}

static bool affix_matches(const struct template_string *text, const struct template_string *affix,
                          bool at_end)
{
    if (affix->byte_count > text->byte_count) {
        return false;
    }
    const char *at = at_end ? text->bytes + (text->byte_count - affix->byte_count) : text->bytes;
    return memcmp(at, affix->bytes, affix->byte_count) == 0;
}

/* The affix may be a tuple: any of them. */
static bool has_affix(struct template_run *run, const struct template_call *call, bool at_end,
                      struct template_value *out)
{
    const struct template_string *part = NULL;
    size_t before = 0;
    struct template_list one = {.items = &call->bound[0], .count = 1};
    const struct template_list *affixes =
        call->bound[0].kind == TEMPLATE_TUPLE ? call->bound[0].as.list : &one;
    if (!window(run, call, call->bound[1], call->bound[2], &part, &before)) {
        return false;
    }
    bool matches = false;
    for (size_t i = 0; !matches && i < affixes->count; i++) {
        const struct template_string *affix = NULL;
        if (!template_call_string(run, affixes->items[i],
                                  at_end ? "endswith first arg" : "startswith first arg", &affix) ||
            !template_run_spend_bytes(run, affix->byte_count)) {
            return false;
        }
        matches = affix_matches(part, affix, at_end);
    }
    *out = template_value_bool(matches);
    return true;
}

static bool string_startswith(struct template_run *run, const struct template_call *call,
                              struct template_value *out)
{
    return has_affix(run, call, false, out);
}

static bool string_endswith(struct template_run *run, const struct template_call *call,
                            struct template_value *out)
{
    return has_affix(run, call, true, out);
}

static bool remove_affix(struct template_run *run, const struct template_call *call, bool at_end,
                         struct template_value *out)
{
    const struct template_string *text = call->subject.as.string;
    const struct template_string *affix = NULL;
    if (!template_call_string(run, call->bound[0], "the affix", &affix)) {
        return false;
    }
    size_t cut = affix_matches(text, affix, at_end) ? affix->byte_count : 0;
    return template_text_piece(run, text, at_end ? 0 : cut, text->byte_count - cut, out);
}

static bool string_removeprefix(struct template_run *run, const struct template_call *call,
                                struct template_value *out)
{
    return remove_affix(run, call, false, out);
}

static bool string_removesuffix(struct template_run *run, const struct template_call *call,
                                struct template_value *out)
{
    return remove_affix(run, call, true, out);
}

/* Character position, or -1. */
static bool find(struct template_run *run, const struct template_call *call, bool last,
                 int64_t *out)
{
    const struct template_string *needle = NULL;
    const struct template_string *part = NULL;
    size_t before = 0;
    if (!template_call_string(run, call->bound[0], "the text to find", &needle) ||
        !window(run, call, call->bound[1], call->bound[2], &part, &before) ||
        !template_run_spend_bytes(run, 2 * part->byte_count)) {
        return false;
    }
    size_t found = last ? template_text_find_last(part->bytes, part->byte_count, needle)
                        : template_text_find(part->bytes, part->byte_count, needle);
    *out = -1;
    if (found != SIZE_MAX) {
        *out = (int64_t)template_text_count_bytes(call->subject.as.string->bytes, before + found);
    }
    return true;
}

static bool string_find(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    int64_t place = 0;
    bool ok = find(run, call, false, &place);
    *out = template_value_int(place);
    return ok;
}

static bool string_rfind(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    int64_t place = 0;
    bool ok = find(run, call, true, &place);
    *out = template_value_int(place);
    return ok;
}

static bool string_index(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    return string_find(run, call, out) &&
           (out->as.integer >= 0 || template_run_fail(run, "substring not found"));
}

static bool string_rindex(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    return string_rfind(run, call, out) &&
           (out->as.integer >= 0 || template_run_fail(run, "substring not found"));
}

static bool string_count(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    const struct template_string *needle = NULL;
    const struct template_string *part = NULL;
    size_t before = 0;
    if (!template_call_string(run, call->bound[0], "the text to count", &needle) ||
        !window(run, call, call->bound[1], call->bound[2], &part, &before) ||
        !template_run_spend_bytes(run, part->byte_count)) {
        return false;
    }
    if (needle->byte_count == 0) {
        *out = template_value_int((int64_t)template_text_count(part) + 1);
        return true;
    }
    int64_t count = 0;
    size_t position = 0;
    for (;;) {
        size_t found =
            template_text_find(part->bytes + position, part->byte_count - position, needle);
        if (found == SIZE_MAX) {
            *out = template_value_int(count);
            return true;
        }
        count++;
        position += found + needle->byte_count;
    }
}

static bool string_join(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    struct template_list list;
    struct template_builder text;
    template_builder_init(&text, run);
    if (!template_iterate_items(run, call->bound[0], &list)) {
        return false;
    }
    for (size_t i = 0; i < list.count; i++) {
        if (list.items[i].kind != TEMPLATE_STRING) {
            return template_run_fail(run, "sequence item %zu: expected str instance, %s found", i,
                                     template_value_type_name(list.items[i]));
        }
        if ((i > 0 && !template_builder_append_string(&text, call->subject.as.string)) ||
            !template_builder_append_string(&text, list.items[i].as.string)) {
            return false;
        }
    }
    return template_builder_finish(&text, out);
}

static bool append_fill(struct template_builder *text, int32_t fill, size_t count)
{
    if (fill < 0x80) {
        return template_builder_append_repeated(text, (char)fill, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (!template_run_spend(text->run, 1) || !template_builder_append_codepoint(text, fill)) {
            return false;
        }
    }
    return true;
}

bool template_string_methods_pad(struct template_run *run, const struct template_string *string,
                                 int64_t width, enum template_side side, int32_t fill,
                                 struct template_value *out)
{
    int64_t count = (int64_t)template_text_count(string);
    size_t missing = width > count ? (size_t)(width - count) : 0;
    size_t left = side == TEMPLATE_RIGHT ? missing : 0;
    if (side == TEMPLATE_BOTH) {
        /* Python gives the odd one to the left when the width is odd. */
        left = missing / 2 + (missing & (size_t)width & 1);
    }
    struct template_builder text;
    template_builder_init(&text, run);
    return append_fill(&text, fill, left) && template_builder_append_string(&text, string) &&
           append_fill(&text, fill, missing - left) && template_builder_finish(&text, out);
}

static bool pad(struct template_run *run, const struct template_call *call, enum template_side side,
                struct template_value *out)
{
    int64_t width = 0;
    int32_t fill = ' ';
    if (!template_call_integer(run, call->bound[0], 0, "width", &width)) {
        return false;
    }
    if (template_value_given(call->bound[1])) {
        const struct template_string *character = NULL;
        if (!template_call_string(run, call->bound[1], "the fill character", &character)) {
            return false;
        }
        if (template_text_count(character) != 1) {
            return template_run_fail(run, "the fill character must be exactly one character long");
        }
        size_t position = 0;
        fill = template_text_next(character->bytes, &position);
    }
    return template_string_methods_pad(run, call->subject.as.string, width, side, fill, out);
}

static bool string_center(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    return pad(run, call, TEMPLATE_BOTH, out);
}

static bool string_ljust(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    return pad(run, call, TEMPLATE_LEFT, out);
}

static bool string_rjust(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    return pad(run, call, TEMPLATE_RIGHT, out);
}

/* Zeros go behind a sign. */
static bool string_zfill(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    const struct template_string *text = call->subject.as.string;
    int64_t width = 0;
    size_t sign = text->byte_count > 0 && (text->bytes[0] == '-' || text->bytes[0] == '+');
    struct template_value body;
    struct template_value filled;
    struct template_value head;
    return template_call_integer(run, call->bound[0], 0, "width", &width) &&
           template_text_piece(run, text, sign, text->byte_count - sign, &body) &&
           template_string_methods_pad(run, body.as.string, width - (int64_t)sign, TEMPLATE_RIGHT,
                                       '0', &filled) &&
           template_text_piece(run, text, 0, sign, &head) &&
           template_builder_concat(run, head.as.string, filled.as.string, out);
}

static bool string_format(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    return template_format_braces(run, call, out);
}

static const struct template_builtin rows[] = {
    {"upper", "", 0, string_upper},
    {"lower", "", 0, string_lower},
    {"casefold", "", 0, string_lower},
    {"capitalize", "", 0, string_capitalize},
    {"title", "", 0, string_title},
    {"swapcase", "", 0, string_swapcase},
    {"strip", "chars", 0, string_strip},
    {"lstrip", "chars", 0, string_lstrip},
    {"rstrip", "chars", 0, string_rstrip},
    {"replace", "old new count", 2, string_replace},
    {"startswith", "prefix start end", 1, string_startswith},
    {"endswith", "suffix start end", 1, string_endswith},
    {"removeprefix", "prefix", 1, string_removeprefix},
    {"removesuffix", "suffix", 1, string_removesuffix},
    {"find", "sub start end", 1, string_find},
    {"rfind", "sub start end", 1, string_rfind},
    {"index", "sub start end", 1, string_index},
    {"rindex", "sub start end", 1, string_rindex},
    {"count", "sub start end", 1, string_count},
    {"join", "iterable", 1, string_join},
    {"center", "width fillchar", 1, string_center},
    {"ljust", "width fillchar", 1, string_ljust},
    {"rjust", "width fillchar", 1, string_rjust},
    {"zfill", "width", 1, string_zfill},
    {"format", "* **", 0, string_format},
};

const struct template_builtin *template_string_methods_find(const struct template_string *name)
{
    const struct template_builtin *row = template_call_find(rows, sizeof rows / sizeof *rows, name);
    return row != NULL ? row : template_split_find(name);
}
