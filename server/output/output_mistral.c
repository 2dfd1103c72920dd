/* output_mistral.c - [TOOL_CALLS][{"name": NAME, "arguments": {...}}, ...] of the tokenizers v3 and
 * v7, and [TOOL_CALLS]NAME[ARGS]{...} (with [CALL_ID] before [ARGS] in some) of v11 and later
 * (mistral-common). SPDX-License-Identifier: Apache-2.0 */
#include "server/output/output_call.h"
#include "server/output/output_formats.h"
#include "server/output/output_match.h"

enum mark {
    CALLS,
    ARGS,
    CALL_ID,
};

enum variant {
    ARRAY,
    NAMED,
};

static size_t name_like(struct slice text)
{
    size_t count = 0;
    while (count < text.byte_count && count < LIMIT_TOOL_NAME_BYTES &&
           ((text.bytes[count] >= 'a' && text.bytes[count] <= 'z') ||
            (text.bytes[count] >= 'A' && text.bytes[count] <= 'Z') ||
            (text.bytes[count] >= '0' && text.bytes[count] <= '9'))) {
        count++;
    }
    return count;
}

static enum output_match open_named(const struct output_parser *parser, struct slice text,
                                    size_t at, struct output_header *out)
{
    enum output_match match = output_call_name(parser, text, &at, out);
    if (match != OUTPUT_YES) {
        return match;
    }
    match = output_match_past_mark(text, &at, output_match_mark_at(parser, CALL_ID));
    if (match == OUTPUT_YES) {
        at += name_like(output_match_from(text, at));
    }
    if (match != OUTPUT_MORE) {
        match = output_match_past_mark(text, &at, output_match_mark_at(parser, ARGS));
    }
    if (match == OUTPUT_MORE) {
        return match;
    }
    match = output_match_past_text(text, &at, "{");
    out->byte_count = at - 1;
    out->variant = NAMED;
    return match;
}

static enum output_match open_call(const struct output_parser *parser, struct slice text,
                                   struct output_header *out)
{
    size_t at = output_match_mark_at(parser, CALLS)->byte_count;
    enum output_match match = output_match_past_text(text, &at, "[");
    if (match == OUTPUT_YES) {
        out->variant = ARRAY;
        return output_call_header(parser, text, at, out);
    }
    at += output_match_blanks(output_match_from(text, at));
    return match == OUTPUT_MORE ? match : open_named(parser, text, at, out);
}

static enum output_match tail(const struct output_parser *parser, struct slice text, size_t *length)
{
    return parser->variant == ARRAY ? output_call_tail(text, length) : OUTPUT_YES;
}

static enum output_match chain(const struct output_parser *parser, struct slice text,
                               struct output_header *out)
{
    size_t at = 0;
    enum output_match match =
        parser->variant == ARRAY ? output_match_past_text(text, &at, ",") : OUTPUT_NO;
    return match == OUTPUT_YES ? output_call_header(parser, text, at, out) : match;
}

static enum output_match finish(const struct output_parser *parser, struct slice text,
                                size_t *length)
{
    return parser->variant == ARRAY ? output_match_past_text(text, length, "]") : OUTPUT_YES;
}

const struct output_format output_mistral_format = {
    .name = "mistral",
    .marks = {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"},
    .opening_count = 1,
    .open = open_call,
    .tail = tail,
    .chain = chain,
    .finish = finish,
    .id_style = OUTPUT_ID_NINE,
    .forced = {"[TOOL_CALLS][{\"name\": \"", "\", \"arguments\": {"},
    .forced_variant = {"[TOOL_CALLS]", "[ARGS]{"},
    .variant_word = "[ARGS]",
    .words = {{"[TOOL_CALLS]"}},
};
