/* output_format.h - what the formats of calls share with the parser that drives them.
 *
 * A format is a few matchers over the text at hand. Each says no, yes, or that it needs to see more;
 * a yes or no stays the same however much text follows, which is why the result cannot depend on
 * how the text was cut. Formats with a grammar of their own for arguments bring a step for it.
 * Inside server/output only. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_OUTPUT_OUTPUT_FORMAT_H
#define SERVER_OUTPUT_OUTPUT_FORMAT_H

#include "server/output/output_json.h"
#include "server/output/output_parser.h"

struct slice {
    const char *bytes;
    size_t byte_count;
};

enum output_match {
    OUTPUT_NO,
    OUTPUT_MORE, /* the text ends before it is decided */
    OUTPUT_YES,
};

/* The beginning of a call. */
struct output_header {
    const char *name; /* inside the text */
    size_t name_bytes;
    struct slice literal; /* the arguments, when they stand before the name; else empty */
    bool has_literal;     /* so literal is all of them */
    size_t byte_count;    /* of the text, up to where the arguments begin (or the rest goes on) */
    int variant;          /* the format's own, for its other matchers */
};

typedef enum output_match (*output_open_fn)(const struct output_parser *parser, struct slice text,
                                            struct output_header *out);
typedef enum output_match (*output_tail_fn)(const struct output_parser *parser, struct slice text,
                                            size_t *length);

enum {
    OUTPUT_WORDS_MAX = 4
};

struct output_format {
    const char *name;                    /* --tool-parser */
    const char *marks[OUTPUT_MARKS_MAX]; /* NULL after the last */
    uint32_t opening_count;              /* how many of them, from the first, may begin a call */
    bool opens_bare;                     /* a call may also begin the answer without any mark */
    output_open_fn open;                 /* at an opening mark, or at the answer's beginning */
    output_tail_fn tail;                 /* what follows the arguments */
    output_open_fn chain;  /* the next call of the same section; NULL: every call has its mark */
    output_tail_fn finish; /* the section's end, where no chained call follows */
    /* Takes arguments out of the text; NULL: they are one JSON object. YES: they ended. */
    enum output_match (*arguments)(struct output_parser *parser, bool final);
    /* Messages with headers instead of marks in running text (harmony); NULL for the others.
     * False: needs more. */
    bool (*step)(struct output_parser *parser, bool final);
    enum output_id_style id_style;
    const char *forced[2];         /* what makes the model go on with a call, around its name */
    const char *variant_word;      /* templates with this word want the other form; or NULL */
    const char *forced_variant[2]; /* which is this */
    /* The template has all words of a row: it is this format. Rows end with NULL. */
    const char *words[OUTPUT_WORDS_MAX][OUTPUT_WORDS_MAX];
};

struct output_thinking {
    const char *name; /* --reasoning-parser */
    const char *open;
    const char *close; /* NULL: harmony's channels, which the format of that name reads */
    const char *words[OUTPUT_WORDS_MAX][OUTPUT_WORDS_MAX];
};

enum output_stage {
    OUTPUT_AT_START, /* reasoning or a bare call may begin here */
    OUTPUT_IN_REASONING,
    OUTPUT_IN_TEXT,
    OUTPUT_IN_ARGUMENTS,
    OUTPUT_IN_TAIL,
    OUTPUT_IN_CHAIN,
    OUTPUT_ENDED, /* one_call has its call */
};

struct output_parser {
    struct output_setup setup;
    enum output_stage stage;
    bool bare_allowed;       /* nothing but reasoning has been written */
    struct text_buffer held; /* fed, not decided: from `at` on */
    size_t at;
    struct text_buffer blanks; /* white space that may yet belong to a mark */
    enum output_kind blanks_kind;
    bool drop_blanks; /* a mark has just been: white space is its */
    bool failed;
    bool truncated; /* as finish was told */
    uint32_t call_count;
    struct output_account account;
    int variant; /* the call's, from its header */
    struct output_json json;
    int step;            /* of a format's own grammar for arguments */
    int message;         /* of a format's own grammar for messages */
    bool written[2];     /* that format has given out content, reasoning */
    bool first;          /* no argument has been written yet */
    uint32_t value_type; /* of the argument being written */
    size_t searched;     /* bytes after `at` that hold no end of it */
    char call_name[128]; /* LIMIT_TOOL_NAME_BYTES and a terminator */
};

/* The text at hand. */
struct slice output_parser_text(const struct output_parser *parser);

/* Moves on over bytes that were markup, or source of arguments. */
void output_parser_skip(struct output_parser *parser, size_t byte_count);
void output_parser_skip_arguments(struct output_parser *parser, size_t byte_count);

/* Gives the next byte_count bytes out as content or reasoning, white space held back. Control
 * tokens among them appear as their text. */
void output_parser_text_out(struct output_parser *parser, enum output_kind kind, size_t byte_count);

/* Gives out the name, after which arguments may be given out. */
void output_parser_begin_call(struct output_parser *parser, const struct output_header *header);
void output_parser_arguments(struct output_parser *parser, const char *bytes, size_t byte_count);

/* White space beside a mark is dropped: what was held, and what comes. */
void output_parser_at_mark(struct output_parser *parser);

/* Gives out text up to the first of the marks: YES at one, MORE where one may begin, NO when the
 * text is used up. Control tokens that are no marks are dropped, or shown if the setup says so. */
enum output_match output_parser_text_until(struct output_parser *parser, enum output_kind kind,
                                           const struct output_mark *marks, uint32_t count,
                                           bool final);

#endif
