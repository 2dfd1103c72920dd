/* json_guard.c - outside strings, every '{', '[', ',' and ':' announces one more value: an upper
 * bound on the nodes of the tree that needs no parser. SPDX-License-Identifier: Apache-2.0 */
#include "server/json_guard.h"

#include "configs/limits.h"

#include <stdbool.h>
#include <string.h>

/* Where the string that opens at `at` ends: the index of its closing quote, or byte_count. */
static size_t end_of_string(const char *bytes, size_t byte_count, size_t at)
{
    for (at++; at < byte_count && bytes[at] != '"'; at++) {
        if (bytes[at] == '\\') {
            at++;
        }
    }
    return at < byte_count ? at : byte_count;
}

enum status json_guard_check(const char *bytes, size_t byte_count, struct refusal *refusal)
{
    if (byte_count > 0 && memchr(bytes, '\0', byte_count) != NULL) {
        return refusal_set(refusal, "invalid_json", NULL, "The body holds a NUL byte.");
    }
    size_t node_count = 1;
    size_t depth = 0;
    for (size_t at = 0; at < byte_count; at++) {
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
            return refusal_set(refusal, "invalid_json", NULL,
                               "The body nests more than %u levels deep, at byte %zu.",
                               LIMIT_JSON_DEPTH, at);
        }
        if (node_count > LIMIT_JSON_NODES) {
            return refusal_set(refusal, "invalid_json", NULL, "The body holds more than %u values.",
                               LIMIT_JSON_NODES);
        }
    }
    return OK;
}

/* In the client's words where the library's are about the library. */
static enum status refuse_text(const json_error_t *failure, struct refusal *refusal)
{
    switch (json_error_code(failure)) {
    case json_error_null_character:
        return refusal_set(refusal, "invalid_json", NULL,
                           "A string of the body holds \\u0000, which is not accepted (line %d, "
                           "column %d).",
                           failure->line, failure->column);
    case json_error_numeric_overflow:
        return refusal_set(refusal, "invalid_json", NULL,
                           "A number of the body is out of range: integers have 64 bits, signed "
                           "(line %d, column %d).",
                           failure->line, failure->column);
    default:
        return refusal_set(refusal, "invalid_json", NULL,
                           "The body is not valid JSON: %.160s (line %d, column %d).",
                           failure->text, failure->line, failure->column);
    }
}

enum status json_guard_load(json_t **out, const char *bytes, size_t byte_count,
                            struct refusal *refusal)
{
    enum status status = json_guard_check(bytes, byte_count, refusal);
    if (status != OK) {
        return status;
    }
    json_error_t failure = {.text = "the body is empty"};
    json_t *root =
        byte_count > 0 ? json_loadb(bytes, byte_count, JSON_REJECT_DUPLICATES, &failure) : NULL;
    if (root == NULL) {
        return refuse_text(&failure, refusal);
    }
    if (!json_is_object(root)) {
        json_decref(root);
        return refusal_set(refusal, "invalid_json", NULL, "The body must be a JSON object.");
    }
    *out = root;
    return OK;
}
