/* output_call.h - calls written as JSON objects: {"name": NAME, "arguments": {...}}.
 *
 * Inside server/output only. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_OUTPUT_OUTPUT_CALL_H
#define SERVER_OUTPUT_OUTPUT_CALL_H

#include "server/output/output_format.h"

/* The object from its brace up to where its arguments begin. Members may stand in any order;
 * "parameters" is another word for "arguments"; id and type are passed over, any other member means
 * that it is no call. at: where it begins. */
enum output_match output_call_header(const struct output_parser *parser, struct slice text,
                                     size_t at, struct output_header *out);

/* The rest of that object, after its arguments, brace included. */
enum output_match output_call_tail(struct slice text, size_t *at);

/* A name that stands free, up to the first byte that no name has: YES, with *at there, when it is
 * a tool's. */
enum output_match output_call_name(const struct output_parser *parser, struct slice text,
                                   size_t *at, struct output_header *out);

/* Whether the request has a tool of that name. */
bool output_call_knows(const struct output_parser *parser, const char *name, size_t name_bytes);

/* Gives arguments out as they are there, until their object is closed: YES; NO where it breaks. */
enum output_match output_call_arguments(struct output_parser *parser);

#endif
