/* output_section.c - calls in a section of their own, each between marks.
 *
 * DeepSeek V3 and R1:  <calls><call>function<sep>NAME, a fence of ```json around {...}, <end>...</calls>
 * DeepSeek V3.1:       <calls><call>NAME<sep>{...}<end>...</calls>
 * Kimi K2:             <section><begin>functions.NAME:0<argument>{...}<end>...</section>
 * (their chat templates). SPDX-License-Identifier: Apache-2.0 */
#include "server/output/output_call.h"
#include "server/output/output_formats.h"
#include "server/output/output_match.h"

enum mark {
    SECTION,
    CALL, /* may stand without a section, as models forget it */
    SEPARATOR,
    CALL_END,
    SECTION_END,
};

enum variant {
    PLAIN,
    FENCED,
};

static const struct output_mark *mark(const struct output_parser *parser, enum mark index)
{
    return output_match_mark_at(parser, (uint32_t)index);
}

static enum output_match past_all(struct slice text, size_t *at, const char *const *words)
{
    enum output_match match = OUTPUT_YES;
    for (; *words != NULL && match == OUTPUT_YES; words++) {
        match = output_match_past_text(text, at, *words);
    }
    return match;
}

/* The arguments' brace ends the header. */
static enum output_match arguments(struct slice text, size_t at, struct output_header *out)
{
    enum output_match match = output_match_past_text(text, &at, "{");
    out->byte_count = at - 1;
    return match;
}

/* function<sep>NAME ```json { */
static enum output_match fenced(const struct output_parser *parser, struct slice text, size_t at,
                                struct output_header *out)
{
    static const char *const fence[] = {"```json", NULL};
    enum output_match match = output_call_name(parser, text, &at, out);
    if (match == OUTPUT_YES) {
        match = past_all(text, &at, fence);
    }
    out->variant = FENCED;
    return match == OUTPUT_YES ? arguments(text, at, out) : match;
}

static enum output_match deepseek_call(const struct output_parser *parser, struct slice text,
                                       size_t at, struct output_header *out)
{
    size_t behind = at;
    enum output_match kind = output_match_past_text(text, &behind, "function");
    if (kind == OUTPUT_YES) {
        kind = output_match_past_mark(text, &behind, mark(parser, SEPARATOR));
    }
    if (kind == OUTPUT_YES) {
        /* A tool may itself be called "function": then its arguments follow at once. */
        size_t probe = behind + output_match_blanks(output_match_from(text, behind));
        if (probe == text.byte_count) {
            return OUTPUT_MORE;
        }
        if (text.bytes[probe] != '{') {
            return fenced(parser, text, probe, out);
        }
    }
    if (kind == OUTPUT_MORE) {
        return kind;
    }
    at += output_match_blanks(output_match_from(text, at));
    enum output_match match = output_call_name(parser, text, &at, out);
    if (match == OUTPUT_YES) {
        match = output_match_past_mark(text, &at, mark(parser, SEPARATOR));
    }
    out->variant = PLAIN;
    return match == OUTPUT_YES ? arguments(text, at, out) : match;
}

static size_t digits(struct slice text)
{
    size_t count = 0;
    while (count < text.byte_count && count < 9 && text.bytes[count] >= '0' &&
           text.bytes[count] <= '9') {
        count++;
    }
    return count;
}

static enum output_match kimi_call(const struct output_parser *parser, struct slice text, size_t at,
                                   struct output_header *out)
{
    enum output_match match = output_match_past_text(text, &at, "functions.");
    if (match == OUTPUT_YES) {
        match = output_call_name(parser, text, &at, out);
    }
    if (match == OUTPUT_YES) {
        match = output_match_past_text(text, &at, ":");
    }
    if (match == OUTPUT_YES) {
        at += digits(output_match_from(text, at));
        match = output_match_past_mark(text, &at, mark(parser, SEPARATOR));
    }
    out->variant = PLAIN;
    return match == OUTPUT_YES ? arguments(text, at, out) : match;
}

static enum output_match next(const struct output_parser *parser, struct slice text, size_t at,
                              struct output_header *out, bool kimi)
{
    enum output_match match = output_match_past_mark(text, &at, mark(parser, CALL));
    if (match != OUTPUT_YES) {
        return match;
    }
    return kimi ? kimi_call(parser, text, at, out) : deepseek_call(parser, text, at, out);
}

static enum output_match open_section(const struct output_parser *parser, struct slice text,
                                      struct output_header *out, bool kimi)
{
    size_t at = 0;
    enum output_match match = output_match_past_mark(text, &at, mark(parser, SECTION));
    return match == OUTPUT_MORE ? match : next(parser, text, at, out, kimi);
}

static enum output_match open_deepseek(const struct output_parser *parser, struct slice text,
                                       struct output_header *out)
{
    return open_section(parser, text, out, false);
}

static enum output_match open_kimi(const struct output_parser *parser, struct slice text,
                                   struct output_header *out)
{
    return open_section(parser, text, out, true);
}

static enum output_match chain_deepseek(const struct output_parser *parser, struct slice text,
                                        struct output_header *out)
{
    return next(parser, text, 0, out, false);
}

static enum output_match chain_kimi(const struct output_parser *parser, struct slice text,
                                    struct output_header *out)
{
    return next(parser, text, 0, out, true);
}

static enum output_match tail(const struct output_parser *parser, struct slice text, size_t *length)
{
    enum output_match match = OUTPUT_YES;
    if (parser->variant == FENCED) {
        match = output_match_past_text(text, length, "```");
    }
    return match == OUTPUT_YES ? output_match_past_mark(text, length, mark(parser, CALL_END))
                               : match;
}

static enum output_match finish(const struct output_parser *parser, struct slice text,
                                size_t *length)
{
    return output_match_past_mark(text, length, mark(parser, SECTION_END));
}

#define DEEPSEEK(word) "<\xEF\xBD\x9Ctool" word "\xEF\xBD\x9C>"
#define SPACE          "\xE2\x96\x81"

const struct output_format output_section_deepseek_format = {
    .name = "deepseek",
    .marks = {DEEPSEEK(SPACE "calls" SPACE "begin"), DEEPSEEK(SPACE "call" SPACE "begin"),
              DEEPSEEK(SPACE "sep"), DEEPSEEK(SPACE "call" SPACE "end"),
              DEEPSEEK(SPACE "calls" SPACE "end")},
    .opening_count = 2,
    .open = open_deepseek,
    .tail = tail,
    .chain = chain_deepseek,
    .finish = finish,
    .forced = {DEEPSEEK(SPACE "calls" SPACE "begin") DEEPSEEK(SPACE "call" SPACE "begin"),
               DEEPSEEK(SPACE "sep") "{"},
    .forced_variant = {DEEPSEEK(SPACE "calls" SPACE "begin")
                           DEEPSEEK(SPACE "call" SPACE "begin") "function" DEEPSEEK(SPACE "sep"),
                       "\n```json\n{"},
    .variant_word = "```json",
    .words = {{DEEPSEEK(SPACE "calls" SPACE "begin")}},
};

const struct output_format output_section_kimi_format = {
    .name = "kimi_k2",
    .marks = {"<|tool_calls_section_begin|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>",
              "<|tool_call_end|>", "<|tool_calls_section_end|>"},
    .opening_count = 2,
    .open = open_kimi,
    .tail = tail,
    .chain = chain_kimi,
    .finish = finish,
    .id_style = OUTPUT_ID_INDEX,
    .forced = {"<|tool_calls_section_begin|><|tool_call_begin|>functions.",
               ":0<|tool_call_argument_begin|>{"},
    .words = {{"<|tool_calls_section_begin|>"}},
};
