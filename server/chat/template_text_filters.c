/* template_text_filters.c - filters on text. They take any value and work on what it prints as.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_builder.h"
#include "server/chat/template_case.h"
#include "server/chat/template_dict.h"
#include "server/chat/template_filters.h"
#include "server/chat/template_format.h"
#include "server/chat/template_iterate.h"
#include "server/chat/template_repr.h"
#include "server/chat/template_split.h"
#include "server/chat/template_string_methods.h"
#include "server/chat/template_text.h"

/* The subject as text; markup stays markup. */
static bool subject_text(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    if (!template_repr_str(run, call->subject, out)) {
        return false;
    }
    out->markup = call->subject.markup;
    return true;
}

static bool change_case(struct template_run *run, const struct template_call *call,
                        enum template_case wanted, struct template_value *out)
{
    struct template_value text;
    if (!subject_text(run, call, &text) ||
        !template_case_change(run, text.as.string, wanted, out)) {
        return false;
    }
    out->markup = text.markup;
    return true;
}

static bool filter_upper(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    return change_case(run, call, TEMPLATE_UPPER, out);
}

static bool filter_lower(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    return change_case(run, call, TEMPLATE_LOWER, out);
}

static bool filter_capitalize(struct template_run *run, const struct template_call *call,
                              struct template_value *out)
{
    return change_case(run, call, TEMPLATE_CAPITAL, out);
}

static bool filter_title(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    bool ok = change_case(run, call, TEMPLATE_TITLE_GAP, out);
    out->markup = false; /* the pieces are joined as plain text */
    return ok;
}

static bool filter_string(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    return subject_text(run, call, out);
}

static bool filter_safe(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    bool ok = subject_text(run, call, out);
    out->markup = true;
    return ok;
}

static bool filter_escape(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    return subject_text(run, call, out) &&
           (out->markup || template_case_escape(run, out->as.string, out));
}

static bool filter_forceescape(struct template_run *run, const struct template_call *call,
                               struct template_value *out)
{
    return subject_text(run, call, out) && template_case_escape(run, out->as.string, out);
}

static bool filter_trim(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    struct template_value text;
    const struct template_string *set = NULL;
    struct template_value chars = call->bound[0];
    if (template_value_given(chars) && chars.kind != TEMPLATE_NONE &&
        !template_call_string(run, chars, "chars", &set)) {
        return false;
    }
    if (!subject_text(run, call, &text)) {
        return false;
    }
    const char *bytes = text.as.string->bytes;
    size_t byte_count = text.as.string->byte_count;
    template_text_strip(&bytes, &byte_count, set, TEMPLATE_BOTH);
    bool ok = template_run_spend_bytes(run, text.as.string->byte_count - byte_count) &&
              template_run_string(run, bytes, byte_count, out);
    out->markup = text.markup;
    return ok;
}

static bool filter_replace(struct template_run *run, const struct template_call *call,
                           struct template_value *out)
{
    struct template_value text;
    struct template_value old;
    struct template_value new;
    int64_t times = -1;
    struct template_value limit = call->bound[2];
    if (limit.kind == TEMPLATE_NONE) {
        limit.kind = TEMPLATE_ABSENT;
    }
    return template_call_integer(run, limit, -1, "count", &times) &&
           template_repr_str(run, call->subject, &text) &&
           template_repr_str(run, call->bound[0], &old) &&
           template_repr_str(run, call->bound[1], &new) &&
           template_string_methods_replace(run, text.as.string, old.as.string, new.as.string, times,
                                           out);
}

/* The indentation: a width in spaces, or the text itself. */
static bool indentation(struct template_run *run, struct template_value width,
                        struct template_value *out)
{
    int64_t count = 4;
    if (width.kind == TEMPLATE_STRING) {
        *out = width;
        return true;
    }
    struct template_builder spaces;
    template_builder_init(&spaces, run);
    return template_call_integer(run, width, 4, "width", &count) &&
           template_builder_append_repeated(&spaces, ' ', count > 0 ? (size_t)count : 0) &&
           template_builder_finish(&spaces, out);
}

static bool append_indented(struct template_builder *text, const struct template_list *lines,
                            const struct template_string *indent, bool blank)
{
    for (size_t i = 0; i < lines->count; i++) {
        const struct template_string *line = lines->items[i].as.string;
        bool indented = i > 0 && (blank || line->byte_count > 0);
        if ((i > 0 && !template_builder_append_text(text, "\n")) ||
            (indented && !template_builder_append_string(text, indent)) ||
            !template_builder_append_string(text, line)) {
            return false;
        }
    }
    return true;
}

/* A newline at the end counts as an empty last line. */
static bool filter_indent(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    const struct template_string *subject = NULL;
    struct template_value indent;
    struct template_value newline;
    struct template_value ended;
    struct template_value lines;
    if (!template_call_string(run, call->subject, "the text to indent", &subject) ||
        !indentation(run, call->bound[0], &indent) || !template_run_text(run, "\n", &newline) ||
        !template_builder_concat(run, subject, newline.as.string, &ended) ||
        !template_split_lines(run, ended.as.string, false, &lines)) {
        return false;
    }
    struct template_builder text;
    template_builder_init(&text, run);
    bool first = template_value_truth(call->bound[1]);
    bool ok = (!first || template_builder_append_string(&text, indent.as.string)) &&
              append_indented(&text, lines.as.list, indent.as.string,
                              template_value_truth(call->bound[2])) &&
              template_builder_finish(&text, out);
    out->markup = call->subject.markup;
    return ok;
}

static bool keyword_dict(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    struct template_dict *dict = template_dict_new(run);
    bool ok = dict != NULL;
    for (size_t i = 0; ok && i < call->keyword_count; i++) {
        ok = template_dict_set(run, dict, call->keywords[i].name, call->keywords[i].value);
    }
    *out = (struct template_value){.kind = TEMPLATE_DICT, .as.dict = dict};
    return ok;
}

static bool filter_format(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    struct template_value text;
    struct template_value values;
    if (!subject_text(run, call, &text)) {
        return false;
    }
    if (call->keyword_count > 0) {
        return call->extra_count > 0
                   ? template_run_fail(run, "can't handle positional and keyword arguments at the "
                                            "same time")
                   : keyword_dict(run, call, &values) &&
                         template_format_percent(run, text, values, out);
    }
    return template_run_list(run, TEMPLATE_TUPLE, call->extra, call->extra_count, &values) &&
           template_format_percent(run, text, values, out);
}

static bool filter_center(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    struct template_value text;
    int64_t width = 80;
    return subject_text(run, call, &text) &&
           template_call_integer(run, call->bound[0], 80, "width", &width) &&
           template_string_methods_pad(run, text.as.string, width, TEMPLATE_BOTH, ' ', out);
}

static bool filter_wordcount(struct template_run *run, const struct template_call *call,
                             struct template_value *out)
{
    struct template_value text;
    if (!subject_text(run, call, &text) ||
        !template_run_spend_bytes(run, 8 * text.as.string->byte_count)) {
        return false;
    }
    const struct template_string *string = text.as.string;
    int64_t count = 0;
    bool inside = false;
    for (size_t position = 0; position < string->byte_count;) {
        bool word = template_text_is_word(template_text_next(string->bytes, &position));
        count += word && !inside;
        inside = word;
    }
    *out = template_value_int(count);
    return true;
}

/* Cuts before the last space, unless words may be cut. */
static size_t truncated_bytes(const struct template_string *string, size_t char_count,
                              bool kill_words)
{
    size_t byte_count = template_text_offset(string, char_count);
    if (kill_words) {
        return byte_count;
    }
    for (size_t i = byte_count; i > 0; i--) {
        if (string->bytes[i - 1] == ' ') {
            return i - 1;
        }
    }
    return byte_count;
}

static bool filter_truncate(struct template_run *run, const struct template_call *call,
                            struct template_value *out)
{
    const struct template_string *subject = NULL;
    struct template_value end;
    int64_t length = 255;
    int64_t leeway = 5;

    if (!template_run_text(run, "...", &end)) {
        return false;
    }
    end = template_call_or(call->bound[2], end);
    struct template_value slack = call->bound[3];
    if (slack.kind == TEMPLATE_NONE) {
        slack.kind = TEMPLATE_ABSENT;
    }
    if (!template_call_integer(run, call->bound[0], 255, "length", &length) ||
        !template_call_integer(run, slack, 5, "leeway", &leeway) ||
        !template_repr_str(run, end, &end)) {
        return false;
    }
    int64_t end_count = (int64_t)template_text_count(end.as.string);
    if (length < end_count || leeway < 0 || leeway > INT32_MAX || length > INT32_MAX) {
        return template_run_fail(run, "expected length >= %lld and leeway >= 0",
                                 (long long)end_count);
    }
    size_t subject_count = 0;
    if (call->subject.kind != TEMPLATE_STRING) {
        if (!template_iterate_length(run, call->subject, &subject_count)) {
            return false;
        }
        if ((int64_t)subject_count <= length + leeway) {
            *out = call->subject; /* what need not be cut may be a list as well */
            return true;
        }
    }
    if (!template_call_string(run, call->subject, "the text to cut", &subject)) {
        return false;
    }
    if ((int64_t)template_text_count(subject) <= length + leeway) {
        *out = call->subject;
        return true;
    }
    struct template_string kept = {.bytes = subject->bytes, .char_count = TEMPLATE_CHARS_UNKNOWN};
    kept.byte_count = truncated_bytes(subject, (size_t)(length - end_count),
                                      template_value_truth(call->bound[1]));
    return template_builder_concat(run, &kept, end.as.string, out);
}

static const struct template_builtin filters[] = {
    {"upper", "", 0, filter_upper},
    {"lower", "", 0, filter_lower},
    {"capitalize", "", 0, filter_capitalize},
    {"title", "", 0, filter_title},
    {"string", "", 0, filter_string},
    {"safe", "", 0, filter_safe},
    {"escape", "", 0, filter_escape},
    {"e", "", 0, filter_escape},
    {"forceescape", "", 0, filter_forceescape},
    {"trim", "chars", 0, filter_trim},
    {"replace", "old new count", 2, filter_replace},
    {"indent", "width first blank", 0, filter_indent},
    {"format", "* **", 0, filter_format},
    {"center", "width", 0, filter_center},
    {"wordcount", "", 0, filter_wordcount},
    {"truncate", "length killwords end leeway", 0, filter_truncate},
};

const struct template_builtin *template_text_filters_find(const struct template_string *name)
{
    return template_call_find(filters, sizeof filters / sizeof *filters, name);
}
