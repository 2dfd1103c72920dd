/* output_hermes.c - <tool_call>{"name": NAME, "arguments": {...}}</tool_call>, of Hermes, Qwen 2.5 and
 * Qwen 3 (the function-calling standard of NousResearch/Hermes-Function-Calling).
 *
 * The closing mark may be missing, as small models forget it. SPDX-License-Identifier: Apache-2.0 */
#include "server/output/output_call.h"
#include "server/output/output_formats.h"
#include "server/output/output_match.h"

enum mark {
    CALL,
    END,
};

static enum output_match open_call(const struct output_parser *parser, struct slice text,
                                   struct output_header *out)
{
    return output_call_header(parser, text, output_match_mark_at(parser, CALL)->byte_count, out);
}

static enum output_match tail(const struct output_parser *parser, struct slice text, size_t *length)
{
    enum output_match match = output_call_tail(text, length);
    if (match != OUTPUT_YES) {
        return match;
    }
    match = output_match_past_mark(text, length, output_match_mark_at(parser, END));
    return match == OUTPUT_MORE ? match : OUTPUT_YES;
}

const struct output_format output_hermes_format = {
    .name = "hermes",
    .marks = {"<tool_call>", "</tool_call>"},
    .opening_count = 1,
    .open = open_call,
    .tail = tail,
    .forced = {"<tool_call>\n{\"name\": \"", "\", \"arguments\": {"},
    .words = {{"<tool_call>", "\"arguments\""}, {"<tool_call>", "\"name\""}},
};
