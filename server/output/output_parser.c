/* output_parser.c - one loop over stages; what differs between formats is asked of their matchers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/output/output_parser.h"

#include "server/output/output_call.h"
#include "server/output/output_format.h"
#include "server/output/output_match.h"

#include <stdlib.h>
#include <string.h>

struct output_parser *output_parser_open(const struct output_setup *setup)
{
    struct output_parser *parser = calloc(1, sizeof *parser);
    if (parser == NULL) {
        return NULL;
    }
    parser->setup = *setup;
    parser->bare_allowed = true;
    parser->stage = setup->reasoning_open ? OUTPUT_IN_REASONING : OUTPUT_AT_START;
    parser->drop_blanks = setup->reasoning_open;
    text_buffer_init(&parser->held, LIMIT_ANSWER_BYTES);
    text_buffer_init(&parser->blanks, LIMIT_ANSWER_BYTES);
    return parser;
}

void output_parser_close(struct output_parser *parser)
{
    if (parser != NULL) {
        text_buffer_release(&parser->held);
        text_buffer_release(&parser->blanks);
        free(parser);
    }
}

bool output_parser_failed(const struct output_parser *parser)
{
    return parser->failed || parser->held.failed || parser->blanks.failed;
}

uint32_t output_parser_call_count(const struct output_parser *parser)
{
    return parser->call_count;
}

const struct output_account *output_parser_account(const struct output_parser *parser)
{
    return &parser->account;
}

/* ---- what formats ask for ---- */

struct slice output_parser_text(const struct output_parser *parser)
{
    const char *bytes = parser->held.bytes != NULL ? parser->held.bytes : "";
    return (struct slice){bytes + parser->at, parser->held.byte_count - parser->at};
}

void output_parser_skip(struct output_parser *parser, size_t byte_count)
{
    parser->at += byte_count;
    parser->account.markup += byte_count;
}

void output_parser_skip_arguments(struct output_parser *parser, size_t byte_count)
{
    parser->at += byte_count;
    parser->account.arguments += byte_count;
}

static void give(struct output_parser *parser, enum output_kind kind, const char *bytes,
                 size_t byte_count)
{
    if (byte_count > 0 && !output_parser_failed(parser)) {
        parser->setup.take(parser->setup.take_context, kind, bytes, byte_count);
    }
}

static void settle_blanks(struct output_parser *parser, bool wanted)
{
    size_t byte_count = parser->blanks.byte_count;
    if (wanted) {
        give(parser, parser->blanks_kind, parser->blanks.bytes, byte_count);
        parser->account.text += byte_count;
    } else {
        parser->account.markup += byte_count;
    }
    text_buffer_clear(&parser->blanks);
}

void output_parser_at_mark(struct output_parser *parser)
{
    settle_blanks(parser, false);
    parser->drop_blanks = true;
}

static bool is_bracket(char c)
{
    return c == OUTPUT_CONTROL_OPEN || c == OUTPUT_CONTROL_CLOSE;
}

void output_parser_text_out(struct output_parser *parser, enum output_kind kind, size_t byte_count)
{
    struct slice text = {output_parser_text(parser).bytes, byte_count};
    for (size_t i = 0; i < byte_count;) {
        size_t run = output_match_blanks(output_match_from(text, i));
        if (run > 0) {
            parser->blanks_kind = kind;
            text_buffer_append(&parser->blanks, text.bytes + i, run);
            i += run;
            continue;
        }
        while (i + run < byte_count && !output_match_is_blank(text.bytes[i + run]) &&
               !is_bracket(text.bytes[i + run])) {
            run++;
        }
        if (run == 0) {
            parser->account.markup++; /* the brackets are ours, not the text's */
            i++;
            continue;
        }
        settle_blanks(parser, !parser->drop_blanks);
        parser->drop_blanks = false;
        give(parser, kind, text.bytes + i, run);
        parser->account.text += run;
        i += run;
    }
    parser->at += byte_count;
}

void output_parser_arguments(struct output_parser *parser, const char *bytes, size_t byte_count)
{
    give(parser, OUTPUT_ARGUMENTS, bytes, byte_count);
}

void output_parser_begin_call(struct output_parser *parser, const struct output_header *header)
{
    output_parser_at_mark(parser);
    size_t name_bytes = header->name_bytes;
    if (name_bytes >= sizeof parser->call_name) {
        name_bytes = sizeof parser->call_name - 1;
    }
    memcpy(parser->call_name, header->name, name_bytes);
    parser->call_name[name_bytes] = '\0';
    give(parser, OUTPUT_CALL, parser->call_name, name_bytes);
    parser->call_count++;
    parser->bare_allowed = false;
    parser->variant = header->variant;
    parser->step = 0;
    parser->first = true;
    parser->searched = 0;
    output_json_begin(&parser->json);
    give(parser, OUTPUT_ARGUMENTS, header->literal.bytes, header->literal.byte_count);
    output_parser_skip(parser, header->byte_count);
    parser->stage = OUTPUT_IN_ARGUMENTS;
    if (header->has_literal) {
        parser->stage = parser->setup.one_call ? OUTPUT_ENDED : OUTPUT_IN_TAIL;
    }
}

/* A control token that is no mark: its whole length, or 0 when its end is not here yet. */
static size_t control_bytes(struct slice text)
{
    const char *end = memchr(text.bytes, (unsigned char)OUTPUT_CONTROL_CLOSE, text.byte_count);
    return end != NULL ? (size_t)(end - text.bytes) + 1 : 0;
}

static enum output_match mark_at(struct slice text, const struct output_mark *marks, uint32_t count)
{
    enum output_match best = OUTPUT_NO;
    for (uint32_t m = 0; m < count; m++) {
        if (marks[m].byte_count > 0 && marks[m].bytes[0] == text.bytes[0]) {
            enum output_match match = output_match_mark(text, &marks[m]);
            best = match > best ? match : best;
        }
    }
    return best;
}

enum output_match output_parser_text_until(struct output_parser *parser, enum output_kind kind,
                                           const struct output_mark *marks, uint32_t count,
                                           bool final)
{
    struct slice text = output_parser_text(parser);
    size_t i = 0;
    enum output_match match = OUTPUT_NO;
    while (i < text.byte_count) {
        struct slice rest = output_match_from(text, i);
        match = mark_at(rest, marks, count);
        if (match == OUTPUT_YES || (match == OUTPUT_MORE && !final)) {
            break;
        }
        match = OUTPUT_NO;
        if (rest.bytes[0] != OUTPUT_CONTROL_OPEN) {
            i++;
            continue;
        }
        size_t control = control_bytes(rest);
        if (control == 0 && !final) {
            match = OUTPUT_MORE;
            break;
        }
        if (control == 0 || parser->setup.show_control) {
            i += control > 0 ? control : 1;
            continue;
        }
        output_parser_text_out(parser, kind, i);
        output_parser_skip(parser, control);
        text = output_parser_text(parser);
        i = 0;
    }
    output_parser_text_out(parser, kind, i);
    return match;
}

/* ---- the stages ---- */

static const struct output_format *format_of(const struct output_parser *parser)
{
    return parser->setup.tools != NULL ? parser->setup.family->format : NULL;
}

/* Asks about no more text than a header may have: past that, undecided is no. */
static enum output_match ask_open(const struct output_parser *parser, output_open_fn open,
                                  struct output_header *header)
{
    struct slice text = output_parser_text(parser);
    bool clipped = text.byte_count >= LIMIT_CALL_HEADER_BYTES;
    text.byte_count = clipped ? LIMIT_CALL_HEADER_BYTES : text.byte_count;
    *header = (struct output_header){0};
    enum output_match match = open(parser, text, header);
    return match == OUTPUT_MORE && clipped ? OUTPUT_NO : match;
}

static enum output_match ask_tail(const struct output_parser *parser, output_tail_fn tail,
                                  size_t *length)
{
    struct slice text = output_parser_text(parser);
    bool clipped = text.byte_count >= LIMIT_CALL_HEADER_BYTES;
    text.byte_count = clipped ? LIMIT_CALL_HEADER_BYTES : text.byte_count;
    *length = 0;
    enum output_match match = tail(parser, text, length);
    return match == OUTPUT_MORE && clipped ? OUTPUT_NO : match;
}

/* White space goes first, so that it never stands between the parser and a mark. */
static bool take_blanks(struct output_parser *parser)
{
    output_parser_text_out(parser, OUTPUT_CONTENT, output_match_blanks(output_parser_text(parser)));
    return output_parser_text(parser).byte_count > 0;
}

/* True: took something or moved on. */
static bool step_start(struct output_parser *parser, bool final)
{
    if (!take_blanks(parser)) {
        return false;
    }
    const struct output_mark *open = &parser->setup.family->think_open;
    enum output_match match =
        open->byte_count > 0 ? output_match_mark(output_parser_text(parser), open) : OUTPUT_NO;
    if (match == OUTPUT_MORE && !final) {
        return false;
    }
    if (match == OUTPUT_YES) {
        output_parser_at_mark(parser);
        output_parser_skip(parser, open->byte_count);
        parser->stage = OUTPUT_IN_REASONING;
    } else {
        parser->stage = OUTPUT_IN_TEXT;
    }
    return true;
}

static bool step_reasoning(struct output_parser *parser, bool final)
{
    const struct output_mark *close = &parser->setup.family->think_close;
    enum output_match match = output_parser_text_until(parser, OUTPUT_REASONING, close, 1, final);
    if (match != OUTPUT_YES) {
        return false;
    }
    output_parser_at_mark(parser);
    output_parser_skip(parser, close->byte_count);
    parser->stage = OUTPUT_IN_TEXT;
    return true;
}

/* At an opening mark, or where a bare call may begin; mark_bytes: what is text if it is none. */
static bool step_open(struct output_parser *parser, size_t mark_bytes, bool final)
{
    struct output_header header;
    enum output_match match = ask_open(parser, format_of(parser)->open, &header);
    if (match == OUTPUT_YES) {
        output_parser_begin_call(parser, &header);
        return true;
    }
    if (match == OUTPUT_MORE && !final) {
        return false;
    }
    parser->bare_allowed = false;
    output_parser_text_out(parser, OUTPUT_CONTENT, mark_bytes);
    return true;
}

static size_t mark_bytes_at(const struct output_parser *parser)
{
    const struct output_family *family = parser->setup.family;
    for (uint32_t m = 0; m < family->format->opening_count; m++) {
        if (output_match_mark(output_parser_text(parser), &family->marks[m]) == OUTPUT_YES) {
            return family->marks[m].byte_count;
        }
    }
    return 0;
}

static bool step_text(struct output_parser *parser, bool final)
{
    const struct output_format *format = format_of(parser);
    if (format != NULL && format->opens_bare && parser->bare_allowed) {
        if (!take_blanks(parser)) {
            return false;
        }
        if (output_parser_text(parser).bytes[0] == '{') {
            return step_open(parser, 1, final);
        }
        parser->bare_allowed = false;
    }
    enum output_match match =
        output_parser_text_until(parser, OUTPUT_CONTENT, parser->setup.family->marks,
                                 format != NULL ? format->opening_count : 0, final);
    return match == OUTPUT_YES && step_open(parser, mark_bytes_at(parser), final);
}

static bool step_arguments(struct output_parser *parser, bool final)
{
    const struct output_format *format = format_of(parser);
    enum output_match match = format->arguments != NULL ? format->arguments(parser, final)
                                                        : output_call_arguments(parser);
    if (match == OUTPUT_MORE) {
        return false;
    }
    parser->stage = match == OUTPUT_YES ? OUTPUT_IN_TAIL : OUTPUT_IN_TEXT;
    if (parser->setup.one_call) {
        parser->stage = OUTPUT_ENDED;
    }
    return true;
}

static bool step_tail(struct output_parser *parser, bool final)
{
    const struct output_format *format = format_of(parser);
    size_t length = 0;
    enum output_match match = ask_tail(parser, format->tail, &length);
    if (match == OUTPUT_MORE) {
        /* A truncated end of a call is no text. */
        output_parser_skip(parser, final ? output_parser_text(parser).byte_count : 0);
        return false;
    }
    output_parser_skip(parser, length);
    output_parser_at_mark(parser);
    parser->stage = match == OUTPUT_YES && format->chain != NULL ? OUTPUT_IN_CHAIN : OUTPUT_IN_TEXT;
    return true;
}

static bool step_chain(struct output_parser *parser, bool final)
{
    const struct output_format *format = format_of(parser);
    struct output_header header;
    enum output_match match = ask_open(parser, format->chain, &header);
    if (match == OUTPUT_YES) {
        output_parser_begin_call(parser, &header);
        return true;
    }
    if (match == OUTPUT_MORE && !final) {
        return false;
    }
    size_t length = 0;
    enum output_match end = ask_tail(parser, format->finish, &length);
    if (end == OUTPUT_MORE && !final) {
        return false;
    }
    if (end == OUTPUT_MORE) {
        length = output_parser_text(parser).byte_count;
    }
    output_parser_skip(parser, length);
    parser->stage = OUTPUT_IN_TEXT;
    return true;
}

static bool step(struct output_parser *parser, bool final)
{
    const struct output_format *own = parser->setup.family->format;
    switch (parser->stage) {
    case OUTPUT_AT_START:
    case OUTPUT_IN_TEXT:
    case OUTPUT_IN_CHAIN:
        if (own != NULL && own->step != NULL) {
            return own->step(parser, final);
        }
        if (parser->stage == OUTPUT_IN_CHAIN) {
            return step_chain(parser, final);
        }
        return parser->stage == OUTPUT_AT_START ? step_start(parser, final)
                                                : step_text(parser, final);
    case OUTPUT_IN_REASONING:
        return step_reasoning(parser, final);
    case OUTPUT_IN_ARGUMENTS:
        return step_arguments(parser, final);
    case OUTPUT_IN_TAIL:
        return step_tail(parser, final);
    case OUTPUT_ENDED:
        break;
    }
    return false;
}

static void run(struct output_parser *parser, bool final)
{
    while (output_parser_text(parser).byte_count > 0 && !output_parser_failed(parser) &&
           step(parser, final)) {
    }
    if (parser->at > 0) {
        struct text_buffer *held = &parser->held;
        held->byte_count -= parser->at;
        memmove(held->bytes, held->bytes + parser->at, held->byte_count);
        parser->at = 0;
    }
}

bool output_parser_feed(struct output_parser *parser, const char *bytes, size_t byte_count)
{
    if (parser->stage != OUTPUT_ENDED && byte_count > 0) {
        parser->account.fed += byte_count;
        text_buffer_append(&parser->held, bytes, byte_count);
        run(parser, false);
    }
    return parser->stage == OUTPUT_ENDED;
}

void output_parser_finish(struct output_parser *parser, bool truncated)
{
    if (parser->stage == OUTPUT_ENDED) {
        return;
    }
    parser->truncated = truncated;
    run(parser, true);
    if (parser->stage == OUTPUT_IN_ARGUMENTS && format_of(parser)->arguments != NULL) {
        format_of(parser)->arguments(parser, true);
    }
    settle_blanks(parser, !parser->drop_blanks);
}
