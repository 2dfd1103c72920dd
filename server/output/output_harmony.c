/* output_harmony.c - messages with headers, of gpt-oss (openai/harmony):
 *
 *   <|channel|>analysis<|message|>...<|end|>
 *   <|start|>assistant<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{...}<|call|>
 *   <|start|>assistant<|channel|>final<|message|>...<|return|>
 *
 * analysis is reasoning; commentary to a function of the request is a call; all else is content.
 * The marks that end a turn never arrive, or arrive as the text's end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/output/output_call.h"
#include "server/output/output_formats.h"
#include "server/output/output_match.h"

#include <string.h>

enum mark {
    END,
    CALL,
    RETURN,
    START,
    CHANNEL,
    BODY_MARKS, /* those above end a body */
    MESSAGE = BODY_MARKS,
    CONSTRAIN,
};

enum message {
    HEADER,
    CONTENT,
    REASONING,
};

/* What a header says. */
struct header {
    struct slice recipient;
    struct slice channel;
    size_t byte_count;
};

static const struct output_mark *mark(const struct output_parser *parser, enum mark index)
{
    return output_match_mark_at(parser, (uint32_t)index);
}

static bool begins(struct slice word, const char *text)
{
    return word.byte_count >= strlen(text) && memcmp(word.bytes, text, strlen(text)) == 0;
}

static bool is(struct slice word, const char *text)
{
    return word.byte_count == strlen(text) && begins(word, text);
}

/* Up to white space or a control token: MORE when neither has come. */
static enum output_match take_word(struct slice text, size_t *at, struct slice *word)
{
    size_t i = *at;
    while (i < text.byte_count && !output_match_is_blank(text.bytes[i]) &&
           text.bytes[i] != OUTPUT_CONTROL_OPEN && text.bytes[i] != '<') {
        i++;
    }
    *word = output_match_from(text, *at);
    word->byte_count = i - *at;
    *at = i;
    if (i == text.byte_count) {
        return OUTPUT_MORE;
    }
    return word->byte_count > 0 ? OUTPUT_YES : OUTPUT_NO;
}

/* One of the marks that a header has. *which: untouched when there is none. */
static enum output_match take_mark(const struct output_parser *parser, struct slice text,
                                   size_t *at, enum mark *which)
{
    static const enum mark marks[] = {START, CHANNEL, MESSAGE, CONSTRAIN};
    enum output_match best = OUTPUT_NO;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const struct output_mark *one = mark(parser, marks[i]);
        enum output_match match = output_match_mark(output_match_from(text, *at), one);
        if (match == OUTPUT_YES) {
            *which = marks[i];
            *at += one->byte_count;
            return match;
        }
        best = match > best ? match : best;
    }
    return best;
}

static enum output_match read_header(const struct output_parser *parser, struct slice text,
                                     struct header *out)
{
    enum mark last = MESSAGE; /* none yet */
    *out = (struct header){0};
    for (size_t at = 0;;) {
        at += output_match_blanks(output_match_from(text, at));
        if (at == text.byte_count) {
            return OUTPUT_MORE;
        }
        enum output_match match = take_mark(parser, text, &at, &last);
        if (match == OUTPUT_YES && last == MESSAGE) {
            out->byte_count = at;
            return OUTPUT_YES;
        }
        if (match == OUTPUT_YES) {
            continue;
        }
        struct slice word = {0};
        match = match == OUTPUT_NO ? take_word(text, &at, &word) : match;
        if (last == MESSAGE && word.byte_count >= 3 && !begins(word, "to=")) {
            return OUTPUT_NO; /* text that has no header */
        }
        if (match != OUTPUT_YES) {
            return match;
        }
        if (begins(word, "to=")) {
            out->recipient = output_match_from(word, 3);
            last = last == MESSAGE ? START : last;
        } else if (last == MESSAGE) {
            return OUTPUT_NO;
        } else if (last == CHANNEL && out->channel.bytes == NULL) {
            out->channel = word;
        }
    }
}

/* A header with a recipient. YES: a call has begun. */
static enum output_match begin_call(struct output_parser *parser, const struct header *header,
                                    struct slice text)
{
    static const char prefix[] = "functions.";
    struct output_header call = {.name = header->recipient.bytes,
                                 .name_bytes = header->recipient.byte_count};
    if (begins(header->recipient, prefix)) {
        call.name += sizeof prefix - 1;
        call.name_bytes -= sizeof prefix - 1;
    }
    if (!output_call_knows(parser, call.name, call.name_bytes)) {
        return OUTPUT_NO;
    }
    size_t at = header->byte_count;
    enum output_match match = output_match_past_text(text, &at, "{");
    if (match == OUTPUT_YES) {
        call.byte_count = at - 1;
        output_parser_begin_call(parser, &call);
        parser->message = HEADER;
    }
    return match;
}

/* A line break keeps two messages of one kind apart. */
static void begin_body(struct output_parser *parser, enum message message)
{
    enum output_kind kind = message == REASONING ? OUTPUT_REASONING : OUTPUT_CONTENT;
    if (parser->written[kind]) {
        parser->setup.take(parser->setup.take_context, kind, "\n", 1);
    }
    parser->written[kind] = true;
    parser->message = message;
}

/* A mark that ended a message, or one too many of them. */
static enum output_match past_ends(struct output_parser *parser)
{
    enum output_match best = OUTPUT_NO;
    for (uint32_t m = 0; m <= RETURN; m++) {
        const struct output_mark *one = mark(parser, (enum mark)m);
        enum output_match match = output_match_mark(output_parser_text(parser), one);
        if (match == OUTPUT_YES) {
            output_parser_skip(parser, one->byte_count);
        }
        best = match > best ? match : best;
    }
    return best;
}

/* What looked like a header is none: its first mark is text, as is what follows. */
static void begin_as_text(struct output_parser *parser)
{
    size_t shown = 0;
    for (uint32_t m = START; m < BODY_MARKS; m++) {
        const struct output_mark *one = mark(parser, (enum mark)m);
        if (output_match_mark(output_parser_text(parser), one) == OUTPUT_YES) {
            shown = one->byte_count;
        }
    }
    begin_body(parser, CONTENT);
    output_parser_text_out(parser, OUTPUT_CONTENT, shown);
}

static bool step_header(struct output_parser *parser, bool final)
{
    enum output_match ends = past_ends(parser);
    if (ends == OUTPUT_YES) {
        return true;
    }
    if (ends == OUTPUT_MORE && !final) {
        return false;
    }
    struct slice text = output_parser_text(parser);
    bool clipped = text.byte_count >= LIMIT_CALL_HEADER_BYTES;
    text.byte_count = clipped ? LIMIT_CALL_HEADER_BYTES : text.byte_count;
    struct header header;
    enum output_match match = read_header(parser, text, &header);
    if (match == OUTPUT_YES && header.recipient.bytes != NULL) {
        match = begin_call(parser, &header, text);
        if (match == OUTPUT_YES) {
            return true;
        }
        if (match == OUTPUT_NO || clipped || final) { /* for nobody we know: shown as it is */
            begin_body(parser, CONTENT);
            output_parser_text_out(parser, OUTPUT_CONTENT, header.byte_count);
            return true;
        }
    } else if (match == OUTPUT_YES) {
        bool reasons = is(header.channel, "analysis") && parser->setup.family->thinking != NULL;
        begin_body(parser, reasons ? REASONING : CONTENT);
        output_parser_at_mark(parser);
        output_parser_skip(parser, header.byte_count);
        return true;
    }
    if (match == OUTPUT_MORE && !clipped) {
        bool marked = text.bytes[0] == OUTPUT_CONTROL_OPEN;
        if (!final) {
            return false;
        }
        if (marked) { /* a header that was cut off says nothing */
            output_parser_skip(parser, text.byte_count);
            return false;
        }
    }
    begin_as_text(parser);
    return true;
}

static bool step(struct output_parser *parser, bool final)
{
    if (parser->message == HEADER) {
        return step_header(parser, final);
    }
    enum output_kind kind = parser->message == REASONING ? OUTPUT_REASONING : OUTPUT_CONTENT;
    enum output_match match =
        output_parser_text_until(parser, kind, parser->setup.family->marks, BODY_MARKS, final);
    if (match != OUTPUT_YES) {
        return false;
    }
    output_parser_at_mark(parser);
    past_ends(parser);
    parser->message = HEADER;
    return true;
}

/* The marks that end a call, if they come at all. */
static enum output_match tail(const struct output_parser *parser, struct slice text, size_t *length)
{
    enum output_match match = output_match_past_mark(text, length, mark(parser, CALL));
    if (match == OUTPUT_NO) {
        match = output_match_past_mark(text, length, mark(parser, END));
    }
    return match;
}

const struct output_format output_harmony_format = {
    .name = "harmony",
    .marks = {"<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>", "<|message|>",
              "<|constrain|>"},
    .tail = tail,
    .step = step,
    .forced = {"<|channel|>commentary to=functions.", " <|constrain|>json<|message|>{"},
    .words = {{"<|channel|>", "<|message|>"}},
};
