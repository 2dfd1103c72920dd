/* output_parser.h - what a model wrote -> content, reasoning and tool calls.
 *
 * Fed with text in pieces of any size: what comes out does not depend on how the text was cut, so
 * that a streamed answer and a whole one are the same. Nothing is lost: text that only resembles a
 * call comes out as content, and a beginning that might become a mark is held until that is known.
 * A call is given out once its name is known to be one of the request's tools; from there on its
 * arguments are given out as they come. White space beside marks belongs to them.
 *
 * Control tokens, which text never shows, are written into the parser's input as
 * OUTPUT_CONTROL_OPEN, the token's text, OUTPUT_CONTROL_CLOSE: bytes that no UTF-8 text has, so that
 * text cannot pass for them.
 * Thread: http; a parser belongs to its choice. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_OUTPUT_OUTPUT_PARSER_H
#define SERVER_OUTPUT_OUTPUT_PARSER_H

#include "server/output/output_family.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_CONTROL_OPEN  '\xFF'
#define OUTPUT_CONTROL_CLOSE '\xFE'

enum output_kind {
    OUTPUT_CONTENT,
    OUTPUT_REASONING,
    OUTPUT_CALL,      /* the name, whole: a call begins */
    OUTPUT_ARGUMENTS, /* of the call that began last: text of a JSON object */
};

/* Called for each piece, in order; bytes are good during the call only. */
typedef void (*output_take_fn)(void *context, enum output_kind kind, const char *bytes,
                               size_t byte_count);

struct output_setup {
    const struct output_family *family; /* borrowed, as long as the parser lives */
    const json_t *tools;                /* borrowed likewise; NULL: calls are text */
    bool reasoning_open;                /* the prompt has opened the reasoning */
    bool one_call;                      /* ends with the first call */
    bool forced;                        /* the prompt has begun the first call */
    bool show_control;                  /* control tokens that are no marks appear as text */
    output_take_fn take;
    void *take_context;
};

struct output_parser;

/* NULL: no memory. */
struct output_parser *output_parser_open(const struct output_setup *setup);
void output_parser_close(struct output_parser *parser); /* accepts NULL */

/* True when nothing more is wanted (one_call). False, too, when memory ran out: see failed. */
bool output_parser_feed(struct output_parser *parser, const char *bytes, size_t byte_count);

/* The end of the text: gives out whatever was held. truncated: the model had not ended. */
void output_parser_finish(struct output_parser *parser, bool truncated);

bool output_parser_failed(const struct output_parser *parser); /* memory */
uint32_t output_parser_call_count(const struct output_parser *parser);

/* Where the bytes went. text + arguments + markup is all that was fed, once finished (and not cut
 * short by one_call). */
struct output_account {
    size_t fed;
    size_t text;      /* content and reasoning */
    size_t arguments; /* source bytes of arguments */
    size_t markup;    /* marks, names, white space beside them, control tokens */
};
const struct output_account *output_parser_account(const struct output_parser *parser);

#endif
