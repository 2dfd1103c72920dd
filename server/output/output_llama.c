/* output_llama.c - {"name": NAME, "parameters": {...}} as the whole answer, or behind
 * <|python_tag|>, of Llama 3.1 and later (Meta's prompt format documentation).
 *
 * Several calls stand one after the other, mostly with a semicolon in between.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/output/output_call.h"
#include "server/output/output_formats.h"
#include "server/output/output_match.h"

enum mark {
    PYTHON,
};

static enum output_match open_call(const struct output_parser *parser, struct slice text,
                                   struct output_header *out)
{
    size_t at = 0;
    enum output_match match =
        output_match_past_mark(text, &at, output_match_mark_at(parser, PYTHON));
    return match == OUTPUT_MORE ? match : output_call_header(parser, text, at, out);
}

static enum output_match tail(const struct output_parser *parser, struct slice text, size_t *length)
{
    (void)parser;
    return output_call_tail(text, length);
}

static enum output_match chain(const struct output_parser *parser, struct slice text,
                               struct output_header *out)
{
    size_t at = 0;
    enum output_match match = output_match_past_text(text, &at, ";");
    if (match == OUTPUT_NO) {
        match = output_match_past_text(text, &at, ",");
    }
    if (match == OUTPUT_MORE) {
        return match;
    }
    match = output_match_past_mark(text, &at, output_match_mark_at(parser, PYTHON));
    return match == OUTPUT_MORE ? match : output_call_header(parser, text, at, out);
}

static enum output_match finish(const struct output_parser *parser, struct slice text,
                                size_t *length)
{
    (void)parser;
    (void)text;
    *length = 0;
    return OUTPUT_YES;
}

const struct output_format output_llama_format = {
    .name = "llama3",
    .marks = {"<|python_tag|>"},
    .opening_count = 1,
    .opens_bare = true,
    .open = open_call,
    .tail = tail,
    .chain = chain,
    .finish = finish,
    .forced = {"{\"name\": \"", "\", \"parameters\": {"},
    .words = {{"<|python_tag|>"}, {"<|start_header_id|>", "\"parameters\""}},
};
