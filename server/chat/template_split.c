/* template_split.c - the pieces share the bytes of the whole.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_split.h"

#include "server/chat/template_builder.h"
#include "server/chat/template_text.h"

static bool push_piece(struct template_items *pieces, const struct template_string *string,
                       size_t first, size_t end)
{
    struct template_value piece;
    return template_text_piece(pieces->run, string, first, end - first, &piece) &&
           template_builder_push(pieces, piece);
}

/* Position of the first (or of none: the end) space character at or behind position. */
static size_t next_space(const struct template_string *string, size_t position)
{
    while (position < string->byte_count) {
        size_t next = position;
        if (template_text_is_space(template_text_next(string->bytes, &next))) {
            break;
        }
        position = next;
    }
    return position;
}

static size_t skip_space(const struct template_string *string, size_t position)
{
    const char *bytes = string->bytes + position;
    size_t byte_count = string->byte_count - position;
    template_text_strip(&bytes, &byte_count, NULL, TEMPLATE_LEFT);
    return string->byte_count - byte_count;
}

/* By runs of white space; none at the ends. */
static bool split_space(struct template_items *pieces, const struct template_string *string,
                        int64_t times)
{
    size_t position = skip_space(string, 0);
    for (; position < string->byte_count && times != 0; times -= times > 0) {
        size_t end = next_space(string, position);
        if (!push_piece(pieces, string, position, end)) {
            return false;
        }
        position = skip_space(string, end);
    }
    return position == string->byte_count ||
           push_piece(pieces, string, position, string->byte_count);
}

static bool split_text(struct template_items *pieces, const struct template_string *string,
                       const struct template_string *separator, int64_t times)
{
    size_t position = 0;
    for (; times != 0; times -= times > 0) {
        size_t found =
            template_text_find(string->bytes + position, string->byte_count - position, separator);
        if (found == SIZE_MAX) {
            break;
        }
        if (!push_piece(pieces, string, position, position + found)) {
            return false;
        }
        position += found + separator->byte_count;
    }
    return push_piece(pieces, string, position, string->byte_count);
}

static void reverse(struct template_items *pieces)
{
    for (size_t i = 0; i < pieces->count / 2; i++) {
        struct template_value swap = pieces->items[i];
        pieces->items[i] = pieces->items[pieces->count - 1 - i];
        pieces->items[pieces->count - 1 - i] = swap;
    }
}

static size_t trimmed_end(const struct template_string *string, size_t end)
{
    const char *bytes = string->bytes;
    template_text_strip(&bytes, &end, NULL, TEMPLATE_RIGHT);
    return end;
}

/* From the right; the pieces come out reversed. */
static bool rsplit_space(struct template_items *pieces, const struct template_string *string,
                         int64_t times)
{
    size_t end = trimmed_end(string, string->byte_count);
    for (; end > 0 && times != 0; times -= times > 0) {
        size_t first = end;
        while (first > 0) {
            size_t before = first - 1;
            while (((unsigned char)string->bytes[before] & 0xC0) == 0x80) {
                before--;
            }
            size_t next = before;
            if (template_text_is_space(template_text_next(string->bytes, &next))) {
                break;
            }
            first = before;
        }
        if (!push_piece(pieces, string, first, end)) {
            return false;
        }
        end = trimmed_end(string, first);
    }
    return end == 0 || push_piece(pieces, string, 0, end);
}

static bool rsplit_text(struct template_items *pieces, const struct template_string *string,
                        const struct template_string *separator, int64_t times)
{
    size_t end = string->byte_count;
    for (; times != 0; times -= times > 0) {
        size_t found = template_text_find_last(string->bytes, end, separator);
        if (found == SIZE_MAX || !template_run_spend_bytes(pieces->run, end)) {
            break;
        }
        if (!push_piece(pieces, string, found + separator->byte_count, end)) {
            return false;
        }
        end = found;
    }
    return push_piece(pieces, string, 0, end);
}

/* The separator, NULL for white space, and how often to split. */
static bool split_arguments(struct template_run *run, const struct template_call *call,
                            const struct template_string **separator, int64_t *times)
{
    struct template_value sep = call->bound[0];
    *separator = NULL;
    if (!template_call_integer(run, call->bound[1], -1, "maxsplit", times) ||
        !template_run_spend_bytes(run, call->subject.as.string->byte_count)) {
        return false;
    }
    if (!template_value_given(sep) || sep.kind == TEMPLATE_NONE) {
        return true;
    }
    if (!template_call_string(run, sep, "the separator", separator)) {
        return false;
    }
    return (*separator)->byte_count > 0 || template_run_fail(run, "empty separator");
}

static bool string_split(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    const struct template_string *separator = NULL;
    struct template_items pieces;
    int64_t times = -1;
    template_builder_items_init(&pieces, run);
    return split_arguments(run, call, &separator, &times) &&
           (separator == NULL ? split_space(&pieces, call->subject.as.string, times)
                              : split_text(&pieces, call->subject.as.string, separator, times)) &&
           template_builder_finish_items(&pieces, TEMPLATE_LIST, out);
}

static bool string_rsplit(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    const struct template_string *separator = NULL;
    struct template_items pieces;
    int64_t times = -1;
    template_builder_items_init(&pieces, run);
    if (!split_arguments(run, call, &separator, &times)) {
        return false;
    }
    if (times < 0) {
        return string_split(run, call, out); /* all pieces: the side makes no difference */
    }
    if (!(separator == NULL ? rsplit_space(&pieces, call->subject.as.string, times)
                            : rsplit_text(&pieces, call->subject.as.string, separator, times))) {
        return false;
    }
    reverse(&pieces);
    return run->error.status == OK && template_builder_finish_items(&pieces, TEMPLATE_LIST, out);
}

bool template_split_lines(struct template_run *run, const struct template_string *string,
                          bool keep_ends, struct template_value *out)
{
    struct template_items lines;
    template_builder_items_init(&lines, run);
    if (!template_run_spend_bytes(run, 4 * string->byte_count)) {
        return false;
    }
    size_t first = 0;
    size_t position = 0;
    while (position < string->byte_count) {
        size_t end = position;
        int32_t codepoint = template_text_next(string->bytes, &position);
        if (!template_text_is_line_end(codepoint)) {
            continue;
        }
        if (codepoint == '\r' && position < string->byte_count && string->bytes[position] == '\n') {
            position++;
        }
        if (!push_piece(&lines, string, first, keep_ends ? position : end)) {
            return false;
        }
        first = position;
    }
    return (first == string->byte_count || push_piece(&lines, string, first, string->byte_count)) &&
           template_builder_finish_items(&lines, TEMPLATE_LIST, out);
}

static bool string_splitlines(struct template_run *run, const struct template_call *call,
                              struct template_value *out)
{
    return template_split_lines(run, call->subject.as.string, template_value_truth(call->bound[0]),
                                out);
}

/* Three parts; without the separator everything is in the first (from the right: last) one. */
static bool partition(struct template_run *run, const struct template_call *call, bool last,
                      struct template_value *out)
{
    const struct template_string *string = call->subject.as.string;
    const struct template_string *separator = NULL;
    struct template_items parts;
    template_builder_items_init(&parts, run);
    if (!template_call_string(run, call->bound[0], "the separator", &separator) ||
        !template_run_spend_bytes(run, string->byte_count)) {
        return false;
    }
    if (separator->byte_count == 0) {
        return template_run_fail(run, "empty separator");
    }
    size_t found = last ? template_text_find_last(string->bytes, string->byte_count, separator)
                        : template_text_find(string->bytes, string->byte_count, separator);
    size_t first_end = found;
    size_t last_start = found + separator->byte_count;
    if (found == SIZE_MAX) {
        first_end = last ? 0 : string->byte_count;
        last_start = first_end;
    }
    return push_piece(&parts, string, 0, first_end) &&
           push_piece(&parts, string, first_end, last_start) &&
           push_piece(&parts, string, last_start, string->byte_count) &&
           template_builder_finish_items(&parts, TEMPLATE_TUPLE, out);
}

static bool string_partition(struct template_run *run, const struct template_call *call,
                             struct template_value *out)
{
    return partition(run, call, false, out);
}

static bool string_rpartition(struct template_run *run, const struct template_call *call,
                              struct template_value *out)
{
    return partition(run, call, true, out);
}

static const struct template_builtin rows[] = {
    {"split", "sep maxsplit", 0, string_split},       {"rsplit", "sep maxsplit", 0, string_rsplit},
    {"splitlines", "keepends", 0, string_splitlines}, {"partition", "sep", 1, string_partition},
    {"rpartition", "sep", 1, string_rpartition},
};

const struct template_builtin *template_split_find(const struct template_string *name)
{
    return template_call_find(rows, sizeof rows / sizeof *rows, name);
}
