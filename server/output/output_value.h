/* output_value.h - an argument written as bare text -> JSON, by what the tool's schema says of it.
 *
 * Inside server/output only. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_OUTPUT_OUTPUT_VALUE_H
#define SERVER_OUTPUT_OUTPUT_VALUE_H

#include "server/output/output_format.h"

/* Bits: what a value may be. 0: the schema does not say. */
enum output_value_type {
    OUTPUT_VALUE_STRING = 1,
    OUTPUT_VALUE_NUMBER = 2,
    OUTPUT_VALUE_BOOLEAN = 4,
    OUTPUT_VALUE_NULL = 8,
    OUTPUT_VALUE_OBJECT = 16,
    OUTPUT_VALUE_ARRAY = 32,
};

uint32_t output_value_types(const json_t *tools, const char *tool, struct slice key);

/* A string's inside, as arguments; may be given in pieces. */
void output_value_give_text(struct output_parser *parser, struct slice text);

/* A whole value, as arguments: as it stands where it is JSON of a type that may be, else a string. */
void output_value_give(struct output_parser *parser, struct slice text, uint32_t types);

#endif
