/* output_call.c - looks at a call's object from its beginning each time more of it has come: it is
 * held only until its name is known, which is a few tokens. SPDX-License-Identifier: Apache-2.0 */
#include "server/output/output_call.h"

#include "server/output/output_match.h"

#include <stdio.h>
#include <string.h>

bool output_call_knows(const struct output_parser *parser, const char *name, size_t name_bytes)
{
    for (size_t i = 0; i < json_array_size(parser->setup.tools); i++) {
        const json_t *tool = json_array_get(parser->setup.tools, i);
        const json_t *known = json_object_get(json_object_get(tool, "function"), "name");
        if (json_string_length(known) == name_bytes &&
            memcmp(json_string_value(known), name, name_bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* A string without escapes, at its first quote: *at moves behind the second. */
static enum output_match plain_string(struct slice text, size_t *at, size_t bytes_max,
                                      struct slice *out)
{
    struct slice rest = output_match_from(text, *at);
    if (rest.byte_count == 0) {
        return OUTPUT_MORE;
    }
    if (rest.bytes[0] != '"') {
        return OUTPUT_NO;
    }
    for (size_t i = 1; i < rest.byte_count && i <= bytes_max + 1; i++) {
        if (rest.bytes[i] == '"') {
            *out = (struct slice){rest.bytes + 1, i - 1};
            *at += i + 1;
            return OUTPUT_YES;
        }
        if (rest.bytes[i] == '\\' || (unsigned char)rest.bytes[i] < 0x20) {
            return OUTPUT_NO;
        }
    }
    return rest.byte_count > bytes_max + 1 ? OUTPUT_NO : OUTPUT_MORE;
}

/* An object somewhere in the text: *at moves behind it. */
static enum output_match whole_object(struct slice text, size_t *at)
{
    struct output_json json;
    output_json_begin(&json);
    for (size_t i = *at; i < text.byte_count; i++) {
        enum output_json_result result = output_json_feed(&json, text.bytes[i]);
        if (result == OUTPUT_JSON_BAD) {
            return OUTPUT_NO;
        }
        if (result == OUTPUT_JSON_DONE) {
            *at = i + 1;
            return OUTPUT_YES;
        }
    }
    return OUTPUT_MORE;
}

static bool is(struct slice word, const char *text)
{
    return word.byte_count == strlen(text) && memcmp(word.bytes, text, word.byte_count) == 0;
}

/* "key" : */
static enum output_match member_key(struct slice text, size_t *at, struct slice *key)
{
    enum {
        KEY_BYTES_MAX = 16
    };
    *at += output_match_blanks(output_match_from(text, *at));
    enum output_match match = plain_string(text, at, KEY_BYTES_MAX, key);
    if (match == OUTPUT_YES) {
        match = output_match_past_text(text, at, ":");
        *at += match == OUTPUT_YES ? output_match_blanks(output_match_from(text, *at)) : 0;
    }
    return match;
}

/* What is known of an object so far. */
struct members {
    struct slice name;
    struct slice arguments;
};

static enum output_match member_arguments(struct slice text, size_t *at, struct members *members)
{
    enum output_match match = output_match_text(output_match_from(text, *at), "{");
    if (match != OUTPUT_YES || members->name.bytes != NULL) {
        return match;
    }
    size_t from = *at;
    match = whole_object(text, at);
    members->arguments = (struct slice){text.bytes + from, *at - from};
    return match;
}

static enum output_match member(const struct output_parser *parser, struct slice text, size_t *at,
                                struct members *members, bool *streams)
{
    struct slice key = {0};
    struct slice other = {0};
    enum output_match match = member_key(text, at, &key);
    if (match != OUTPUT_YES) {
        return match;
    }
    if (is(key, "name") && members->name.bytes == NULL) {
        match = plain_string(text, at, LIMIT_TOOL_NAME_BYTES, &members->name);
        bool unknown = match == OUTPUT_YES &&
                       !output_call_knows(parser, members->name.bytes, members->name.byte_count);
        return unknown ? OUTPUT_NO : match;
    }
    if ((is(key, "arguments") || is(key, "parameters")) && members->arguments.bytes == NULL) {
        match = member_arguments(text, at, members);
        *streams = match == OUTPUT_YES && members->arguments.bytes == NULL;
        return match;
    }
    return is(key, "id") || is(key, "type") ? plain_string(text, at, LIMIT_TOOL_NAME_BYTES, &other)
                                            : OUTPUT_NO;
}

static void fill_header(struct output_header *out, const struct members *members, size_t at,
                        bool streams)
{
    static const char none[] = "{}";
    out->name = members->name.bytes;
    out->name_bytes = members->name.byte_count;
    out->byte_count = at;
    out->has_literal = !streams;
    if (!streams) {
        out->literal =
            members->arguments.bytes != NULL ? members->arguments : (struct slice){none, 2};
    }
}

enum output_match output_call_header(const struct output_parser *parser, struct slice text,
                                     size_t at, struct output_header *out)
{
    struct members members = {0};
    enum output_match match = output_match_past_text(text, &at, "{");
    while (match == OUTPUT_YES) {
        bool streams = false;
        match = member(parser, text, &at, &members, &streams);
        if (match != OUTPUT_YES) {
            break;
        }
        if (streams || (members.name.bytes != NULL && members.arguments.bytes != NULL)) {
            fill_header(out, &members, at, streams);
            return OUTPUT_YES;
        }
        match = output_match_past_text(text, &at, ",");
        size_t end = at;
        if (match == OUTPUT_NO && output_match_past_text(text, &end, "}") == OUTPUT_YES &&
            members.name.bytes != NULL) {
            fill_header(out, &members, end - 1, false);
            return OUTPUT_YES;
        }
    }
    return match;
}

enum output_match output_call_tail(struct slice text, size_t *at)
{
    for (;;) {
        enum output_match match = output_match_past_text(text, at, ",");
        if (match != OUTPUT_YES) {
            return match == OUTPUT_NO ? output_match_past_text(text, at, "}") : match;
        }
        struct slice key = {0};
        struct slice value = {0};
        match = member_key(text, at, &key);
        if (match == OUTPUT_YES) {
            match = is(key, "id") || is(key, "type")
                        ? plain_string(text, at, LIMIT_TOOL_NAME_BYTES, &value)
                        : OUTPUT_NO;
        }
        if (match != OUTPUT_YES) {
            return match;
        }
    }
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

enum output_match output_call_name(const struct output_parser *parser, struct slice text,
                                   size_t *at, struct output_header *out)
{
    size_t i = *at;
    while (i < text.byte_count && i - *at <= LIMIT_TOOL_NAME_BYTES && is_name_byte(text.bytes[i])) {
        i++;
    }
    if (i == text.byte_count && i - *at <= LIMIT_TOOL_NAME_BYTES) {
        return OUTPUT_MORE;
    }
    out->name = text.bytes + *at;
    out->name_bytes = i - *at;
    *at = i;
    return output_call_knows(parser, out->name, out->name_bytes) ? OUTPUT_YES : OUTPUT_NO;
}

/* Line breaks and the like inside strings are not JSON; as escapes they are. */
static void give_escaped(struct output_parser *parser, char byte)
{
    char escape[8];
    int length = 0;
    switch (byte) {
    case '\n':
        length = snprintf(escape, sizeof escape, "\\n");
        break;
    case '\r':
        length = snprintf(escape, sizeof escape, "\\r");
        break;
    case '\t':
        length = snprintf(escape, sizeof escape, "\\t");
        break;
    default:
        length = snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)byte);
    }
    output_parser_arguments(parser, escape, (size_t)length);
}

enum output_match output_call_arguments(struct output_parser *parser)
{
    struct slice text = output_parser_text(parser);
    size_t given = 0;
    size_t i = 0;
    enum output_json_result result = OUTPUT_JSON_MORE;
    while (i < text.byte_count && result == OUTPUT_JSON_MORE) {
        bool raw = (unsigned char)text.bytes[i] < 0x20 && output_json_in_string(&parser->json);
        result = output_json_feed(&parser->json, text.bytes[i]);
        if (result == OUTPUT_JSON_BAD) {
            break;
        }
        if (raw) {
            output_parser_arguments(parser, text.bytes + given, i - given);
            give_escaped(parser, text.bytes[i]);
            given = i + 1;
        }
        i++;
    }
    output_parser_arguments(parser, text.bytes + given, i - given);
    output_parser_skip_arguments(parser, i);
    if (result == OUTPUT_JSON_MORE) {
        return OUTPUT_MORE;
    }
    return result == OUTPUT_JSON_DONE ? OUTPUT_YES : OUTPUT_NO;
}
