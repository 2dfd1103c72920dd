/* Outside strings, every '{', '[', ',' and ':' announces one more value: an upper bound on the nodes
 * of the tree that needs no parser.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/json_file.h"

#include "configs/limits.h"
#include "engine/formats/file_map.h"

#include <ctype.h>

/* Where the string that opens at `at` ends: the index of its closing quote, or byte_count. */
static uint64_t end_of_string(const char *bytes, uint64_t byte_count, uint64_t at)
{
    for (at++; at < byte_count && bytes[at] != '"'; at++) {
        if (bytes[at] == '\\') {
            at++;
        }
    }
    return at < byte_count ? at : byte_count;
}

static enum status check_size(const char *bytes, uint64_t byte_count,
                              const struct json_file_limits *limits, const char *path,
                              struct error *err)
{
    uint64_t node_count = 1;
    uint64_t depth = 0;
    for (uint64_t at = 0; at < byte_count; at++) {
        char byte = bytes[at];
        if (byte == '"') {
            at = end_of_string(bytes, byte_count, at);
        } else if (byte == '{' || byte == '[') {
            node_count++;
            depth++;
        } else if (byte == ',' || byte == ':') {
            node_count++;
        } else if ((byte == '}' || byte == ']') && depth > 0) {
            depth--;
        }
        if (depth > LIMIT_JSON_DEPTH) {
            return error_set(err, ERR_FORMAT,
                             "%s: the JSON nests more than %u levels deep, at byte %llu", path,
                             LIMIT_JSON_DEPTH, (unsigned long long)at);
        }
        if (node_count > limits->node_count) {
            return error_set(err, ERR_FORMAT, "%s: the JSON holds more than %llu values", path,
                             (unsigned long long)limits->node_count);
        }
    }
    return OK;
}

/* jansson quotes the text it stopped at; a message is one printable line. */
static const char *printable(char *text)
{
    for (char *at = text; *at != '\0'; at++) {
        *at = isprint((unsigned char)*at) ? *at : '?';
    }
    return text;
}

enum status json_file_parse(json_t **out, const char *bytes, uint64_t byte_count,
                            const struct json_file_limits *limits, const char *path,
                            struct error *err)
{
    *out = NULL;
    if (byte_count > limits->byte_count) {
        return error_set(err, ERR_FORMAT, "%s: %llu bytes of JSON, limit %llu", path,
                         (unsigned long long)byte_count, (unsigned long long)limits->byte_count);
    }
    enum status status = check_size(bytes, byte_count, limits, path, err);
    if (status != OK) {
        return status;
    }
    json_error_t failure = {.text = "it is empty", .line = 1, .column = 0};
    json_t *root = byte_count > 0 ? json_loadb(bytes, (size_t)byte_count,
                                               JSON_REJECT_DUPLICATES | limits->flags, &failure)
                                  : NULL;
    if (root == NULL) {
        return error_set(err, ERR_FORMAT, "%s: line %d, column %d: not valid JSON: %.160s", path,
                         failure.line, failure.column, printable(failure.text));
    }
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(err, ERR_FORMAT, "%s: the JSON must be an object", path);
    }
    *out = root;
    return OK;
}

enum status json_file_read(json_t **out, const char *path, const struct json_file_limits *limits,
                           struct error *err)
{
    const uint8_t *bytes = NULL;
    uint64_t byte_count = 0;
    *out = NULL;
    enum status status = file_map_open(path, &bytes, &byte_count, err);
    if (status == OK) {
        status = json_file_parse(out, (const char *)bytes, byte_count, limits, path, err);
    }
    file_map_close(bytes, byte_count);
    return status;
}
