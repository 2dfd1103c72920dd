/* json_file.h - the JSON of a model's files -> a tree, with the limits that jansson lacks.
 *
 * A tree takes 20 to 75 times the bytes of its text, so values and depth are counted before it is
 * built. Duplicate keys, NUL bytes, ill-formed UTF-8 and text after the end are refused. Errors
 * name path, line and column.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_JSON_FILE_H
#define ENGINE_FORMATS_JSON_FILE_H

#include "configs/error.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* What a text may hold at most. Depth is LIMIT_JSON_DEPTH. */
struct json_file_limits {
    uint64_t byte_count;
    uint64_t node_count; /* values, keys included */
    size_t flags;        /* of jansson's, beside JSON_REJECT_DUPLICATES */
};

/* The root is an object; the caller drops the reference. path is for messages. */
enum status json_file_parse(json_t **out, const char *bytes, uint64_t byte_count,
                            const struct json_file_limits *limits, const char *path,
                            struct error *err);

/* A file. ERR_NOT_FOUND when there is none. */
enum status json_file_read(json_t **out, const char *path, const struct json_file_limits *limits,
                           struct error *err);

#endif
