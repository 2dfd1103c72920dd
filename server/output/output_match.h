/* output_match.h - small matchers over a slice of text, for the formats.
 *
 * Inside server/output only. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_OUTPUT_OUTPUT_MATCH_H
#define SERVER_OUTPUT_OUTPUT_MATCH_H

#include "server/output/output_format.h"

bool output_match_is_blank(char c);

/* The slice from `at` on; at: at most its length. */
struct slice output_match_from(struct slice text, size_t at);

/* Bytes of white space in front. */
size_t output_match_blanks(struct slice text);

/* Whether text begins with these bytes. */
enum output_match output_match_bytes(struct slice text, const char *bytes, size_t byte_count);
enum output_match output_match_text(struct slice text, const char *literal);
enum output_match output_match_mark(struct slice text, const struct output_mark *mark);

/* After white space: YES moves *at behind the mark (the literal). */
enum output_match output_match_past_mark(struct slice text, size_t *at,
                                         const struct output_mark *mark);
enum output_match output_match_past_text(struct slice text, size_t *at, const char *literal);

/* A mark of the parser's format, by its place in the format's row. */
const struct output_mark *output_match_mark_at(const struct output_parser *parser, uint32_t index);

#endif
