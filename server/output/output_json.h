/* output_json.h - where a JSON object ends, found byte by byte.
 *
 * Follows RFC 8259, but for two leniences: control characters inside strings pass (models write
 * line breaks there), and escapes are only looked at as far as to find a string's end.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_OUTPUT_OUTPUT_JSON_H
#define SERVER_OUTPUT_OUTPUT_JSON_H

#include "configs/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct output_json {
    uint8_t state;
    uint8_t word_at; /* in true, false or null */
    const char *word;
    uint32_t depth;
    uint8_t is_object[(LIMIT_JSON_DEPTH + 7) / 8]; /* a bit per open bracket */
};

enum output_json_result {
    OUTPUT_JSON_MORE,
    OUTPUT_JSON_DONE, /* this byte closed the object */
    OUTPUT_JSON_BAD,  /* this byte cannot stand here */
};

/* At an object's opening brace. */
void output_json_begin(struct output_json *json);
enum output_json_result output_json_feed(struct output_json *json, char byte);
bool output_json_in_string(const struct output_json *json);

#endif
