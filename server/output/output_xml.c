/* output_xml.c - arguments one by one, each between tags, as text.
 *
 * Qwen3-Coder (Seed-OSS with other outer tags):
 *   <tool_call> <function=NAME> <parameter=KEY> VALUE </parameter> ... </function> </tool_call>
 * GLM 4.5 and later:
 *   <tool_call>NAME <arg_key>KEY</arg_key> <arg_value>VALUE</arg_value> ... </tool_call>
 * (their chat templates). What the schema calls a string is given out as it comes; any other value
 * when it is whole, because only then it is known to be JSON. SPDX-License-Identifier: Apache-2.0 */
#include "server/output/output_call.h"
#include "server/output/output_formats.h"
#include "server/output/output_match.h"
#include "server/output/output_value.h"

#include <string.h>

enum qwen_mark {
    CALL,
    FUNCTION, /* may stand without a <tool_call>, as models forget it */
    END,
    FUNCTION_END,
    PARAMETER,
    PARAMETER_END,
};

enum glm_mark {
    GLM_CALL,
    GLM_END,
    KEY,
    KEY_END,
    VALUE,
    VALUE_END,
};

enum place {
    BETWEEN,
    AT_VALUE,
    IN_STRING,
    IN_VALUE,
};

enum {
    KEY_BYTES_MAX = 256
};

/* How the two differ. */
struct dialect {
    enum output_match (*key)(const struct output_parser *, struct slice, size_t *, struct slice *);
    uint32_t value_end;
    bool
        line_breaks; /* one after the opening tag and one before the closing tag are not the value's */
};

/* Text up to a mark, of at most KEY_BYTES_MAX. *at moves behind the mark. */
static enum output_match up_to(struct slice text, size_t *at, const char *end, size_t end_bytes,
                               struct slice *out)
{
    for (size_t i = *at; i < text.byte_count && i - *at <= KEY_BYTES_MAX; i++) {
        enum output_match match = output_match_bytes(output_match_from(text, i), end, end_bytes);
        if (match == OUTPUT_YES) {
            *out = (struct slice){text.bytes + *at, i - *at};
            *at = i + end_bytes;
        }
        if (match != OUTPUT_NO) {
            return match;
        }
    }
    return text.byte_count - *at > KEY_BYTES_MAX ? OUTPUT_NO : OUTPUT_MORE;
}

static enum output_match qwen_key(const struct output_parser *parser, struct slice text, size_t *at,
                                  struct slice *key)
{
    enum output_match match =
        output_match_past_mark(text, at, output_match_mark_at(parser, PARAMETER));
    return match == OUTPUT_YES ? up_to(text, at, ">", 1, key) : match;
}

static enum output_match glm_key(const struct output_parser *parser, struct slice text, size_t *at,
                                 struct slice *key)
{
    enum output_match match = output_match_past_mark(text, at, output_match_mark_at(parser, KEY));
    if (match == OUTPUT_YES) {
        const struct output_mark *end = output_match_mark_at(parser, KEY_END);
        match = up_to(text, at, end->bytes, end->byte_count, key);
    }
    return match == OUTPUT_YES
               ? output_match_past_mark(text, at, output_match_mark_at(parser, VALUE))
               : match;
}

static const struct dialect qwen = {qwen_key, PARAMETER_END, true};
static const struct dialect glm = {glm_key, VALUE_END, false};

static void give(struct output_parser *parser, const char *text)
{
    output_parser_arguments(parser, text, strlen(text));
}

static void close_object(struct output_parser *parser)
{
    give(parser, parser->first ? "{}" : "}");
}

static void begin_value(struct output_parser *parser, struct slice key)
{
    give(parser, parser->first ? "{\"" : ", \"");
    output_value_give_text(parser, key);
    give(parser, "\": ");
    parser->first = false;
    parser->value_type = output_value_types(parser->setup.tools, parser->call_name, key);
    parser->step = AT_VALUE;
}

/* Where the value's last byte is, or might be: NO: not in this text from `searched` on. */
static enum output_match value_end(const struct output_parser *parser,
                                   const struct dialect *dialect, size_t *at, size_t *behind)
{
    struct slice text = output_parser_text(parser);
    const struct output_mark *end = output_match_mark_at(parser, dialect->value_end);
    for (size_t i = parser->searched; i < text.byte_count; i++) {
        size_t line_break = dialect->line_breaks && text.bytes[i] == '\n' ? 1 : 0;
        enum output_match match = output_match_mark(output_match_from(text, i + line_break), end);
        if (match != OUTPUT_NO) {
            *at = i;
            *behind = i + line_break + end->byte_count;
            return match;
        }
    }
    *at = text.byte_count;
    return OUTPUT_NO;
}

static enum output_match in_string(struct output_parser *parser, const struct dialect *dialect,
                                   bool final)
{
    size_t at = 0;
    size_t behind = 0;
    enum output_match match = value_end(parser, dialect, &at, &behind);
    struct slice text = output_parser_text(parser);
    if (match == OUTPUT_MORE && final) {
        at = text.byte_count;
    }
    output_value_give_text(parser, (struct slice){text.bytes, at});
    output_parser_skip_arguments(parser, at);
    if (match != OUTPUT_YES) {
        return OUTPUT_MORE;
    }
    output_parser_skip(parser, behind - at);
    give(parser, "\"");
    parser->step = BETWEEN;
    return OUTPUT_YES;
}

static enum output_match in_value(struct output_parser *parser, const struct dialect *dialect,
                                  bool final)
{
    size_t at = 0;
    size_t behind = 0;
    enum output_match match = value_end(parser, dialect, &at, &behind);
    struct slice text = output_parser_text(parser);
    if (match == OUTPUT_YES) {
        output_value_give(parser, (struct slice){text.bytes, at}, parser->value_type);
        output_parser_skip_arguments(parser, at);
        output_parser_skip(parser, behind - at);
        parser->searched = 0;
        parser->step = BETWEEN;
        return OUTPUT_YES;
    }
    parser->searched = at;
    if (final) { /* cut off: as far as it came */
        output_parser_arguments(parser, text.bytes, text.byte_count);
        output_parser_skip_arguments(parser, text.byte_count);
    }
    return OUTPUT_MORE;
}

static enum output_match at_value(struct output_parser *parser, const struct dialect *dialect)
{
    struct slice text = output_parser_text(parser);
    if (dialect->line_breaks && text.bytes[0] == '\n') {
        /* Both breaks around an empty value may be one and the same. */
        struct slice rest = output_match_from(text, 1);
        enum output_match ends =
            output_match_mark(rest, output_match_mark_at(parser, dialect->value_end));
        if (ends == OUTPUT_MORE) {
            return OUTPUT_MORE;
        }
        if (ends == OUTPUT_NO) {
            output_parser_skip(parser, 1);
        }
    }
    bool string = parser->value_type == OUTPUT_VALUE_STRING;
    parser->step = string ? IN_STRING : IN_VALUE;
    parser->searched = 0;
    give(parser, string ? "\"" : "");
    return OUTPUT_YES;
}

/* A parameter, or the end of the call. */
static enum output_match between(struct output_parser *parser, const struct dialect *dialect,
                                 output_tail_fn end, bool *ended)
{
    struct slice text = output_parser_text(parser);
    struct slice key;
    size_t at = 0;
    enum output_match match = dialect->key(parser, text, &at, &key);
    if (match == OUTPUT_YES) {
        begin_value(parser, key);
        output_parser_skip(parser, at);
        return OUTPUT_YES;
    }
    size_t length = 0;
    enum output_match closes = end(parser, text, &length);
    if (closes == OUTPUT_YES) {
        output_parser_skip(parser, length);
        *ended = true;
    }
    return closes == OUTPUT_NO ? match : closes;
}

static enum output_match arguments(struct output_parser *parser, const struct dialect *dialect,
                                   output_tail_fn end, bool final)
{
    enum output_match match = OUTPUT_YES;
    bool ended = false;
    while (match == OUTPUT_YES && !ended && output_parser_text(parser).byte_count > 0) {
        switch ((enum place)parser->step) {
        case BETWEEN:
            match = between(parser, dialect, end, &ended);
            break;
        case AT_VALUE:
            match = at_value(parser, dialect);
            break;
        case IN_STRING:
            match = in_string(parser, dialect, final);
            break;
        case IN_VALUE:
            match = in_value(parser, dialect, final);
            break;
        }
    }
    if (ended || match == OUTPUT_NO) {
        close_object(parser);
        return match;
    }
    if (!final) {
        return OUTPUT_MORE;
    }
    output_parser_skip(parser, output_parser_text(parser).byte_count);
    if (parser->step != BETWEEN || parser->truncated) {
        return OUTPUT_MORE;
    }
    close_object(parser); /* the closing tags were forgotten */
    return OUTPUT_YES;
}

static enum output_match qwen_end(const struct output_parser *parser, struct slice text,
                                  size_t *length)
{
    enum output_match match =
        output_match_past_mark(text, length, output_match_mark_at(parser, FUNCTION_END));
    if (match != OUTPUT_NO) {
        return match;
    }
    size_t probe = 0; /* left for the tail */
    return output_match_past_mark(text, &probe, output_match_mark_at(parser, END));
}

static enum output_match glm_end(const struct output_parser *parser, struct slice text,
                                 size_t *length)
{
    return output_match_past_mark(text, length, output_match_mark_at(parser, GLM_END));
}

static enum output_match qwen_arguments(struct output_parser *parser, bool final)
{
    return arguments(parser, &qwen, qwen_end, final);
}

static enum output_match glm_arguments(struct output_parser *parser, bool final)
{
    return arguments(parser, &glm, glm_end, final);
}

static enum output_match qwen_open(const struct output_parser *parser, struct slice text,
                                   struct output_header *out)
{
    size_t at = 0;
    enum output_match match = output_match_past_mark(text, &at, output_match_mark_at(parser, CALL));
    if (match == OUTPUT_MORE) {
        return match;
    }
    match = output_match_past_mark(text, &at, output_match_mark_at(parser, FUNCTION));
    if (match == OUTPUT_YES) {
        match = output_call_name(parser, text, &at, out);
    }
    if (match == OUTPUT_YES) {
        match = output_match_past_text(text, &at, ">");
    }
    out->byte_count = at;
    return match;
}

/* After the name only what a call goes on with may stand; a forced call's name needs no witness. */
static enum output_match glm_open(const struct output_parser *parser, struct slice text,
                                  struct output_header *out)
{
    size_t at = output_match_mark_at(parser, GLM_CALL)->byte_count;
    at += output_match_blanks(output_match_from(text, at));
    enum output_match match = output_call_name(parser, text, &at, out);
    if (match != OUTPUT_YES) {
        return match;
    }
    out->byte_count = at;
    if (parser->setup.forced && parser->call_count == 0 && text.bytes[at] == '\n') {
        return OUTPUT_YES;
    }
    size_t probe = at;
    match = output_match_past_mark(text, &probe, output_match_mark_at(parser, KEY));
    return match != OUTPUT_NO
               ? match
               : output_match_past_mark(text, &probe, output_match_mark_at(parser, GLM_END));
}

static enum output_match qwen_tail(const struct output_parser *parser, struct slice text,
                                   size_t *length)
{
    enum output_match match =
        output_match_past_mark(text, length, output_match_mark_at(parser, END));
    return match == OUTPUT_MORE ? match : OUTPUT_YES;
}

static enum output_match glm_tail(const struct output_parser *parser, struct slice text,
                                  size_t *length)
{
    (void)parser;
    (void)text;
    (void)length;
    return OUTPUT_YES;
}

const struct output_format output_xml_qwen_format = {
    .name = "qwen3_coder",
    .marks = {"<tool_call>", "<function=", "</tool_call>", "</function>",
              "<parameter=", "</parameter>"},
    .opening_count = 2,
    .open = qwen_open,
    .tail = qwen_tail,
    .arguments = qwen_arguments,
    .forced = {"<tool_call>\n<function=", ">\n"},
    .words = {{"<function=", "<tool_call>"}},
};

const struct output_format output_xml_seed_format = {
    .name = "seed_oss",
    .marks = {"<seed:tool_call>", "<function=", "</seed:tool_call>", "</function>",
              "<parameter=", "</parameter>"},
    .opening_count = 2,
    .open = qwen_open,
    .tail = qwen_tail,
    .arguments = qwen_arguments,
    .forced = {"<seed:tool_call>\n<function=", ">\n"},
    .words = {{"<function=", "<seed:tool_call>"}},
};

const struct output_format output_xml_glm_format = {
    .name = "glm45",
    .marks = {"<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>",
              "</arg_value>"},
    .opening_count = 1,
    .open = glm_open,
    .tail = glm_tail,
    .arguments = glm_arguments,
    .forced = {"<tool_call>", "\n"},
    .words = {{"<arg_key>", "<tool_call>"}},
};
