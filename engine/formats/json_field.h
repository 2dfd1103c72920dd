/* json_field.h - typed values of a JSON object, or one line that says what is wrong with them.
 *
 * Messages read "path: prefix.key: ...". Views are into the tree. Thread: any.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_JSON_FIELD_H
#define ENGINE_FORMATS_JSON_FIELD_H

#include "configs/error.h"
#include "engine/formats/gguf.h"

#include <jansson.h>
#include <stdbool.h>

/* Where an object stands, for messages. */
struct json_place {
    const char *path;
    const char *prefix; /* "model." or "" */
};

/* An absent key and a null leave *out alone; when `required`, they are refused. ERR_FORMAT for a
 * value of another type. */
enum status json_field_bool(const json_t *object, struct json_place place, const char *key,
                            bool *out, struct error *err);
enum status json_field_string(const json_t *object, struct json_place place, const char *key,
                              bool required, struct gguf_string *out, struct error *err);
enum status json_field_u32(const json_t *object, struct json_place place, const char *key,
                           bool required, uint32_t max, uint32_t *out, struct error *err);
enum status json_field_object(const json_t *object, struct json_place place, const char *key,
                              bool required, const json_t **out, struct error *err);
enum status json_field_array(const json_t *object, struct json_place place, const char *key,
                             bool required, const json_t **out, struct error *err);

enum {
    JSON_FIELD_QUOTE_BYTES = 64
};

/* The beginning of a text that a file gives, safe to print. */
const char *json_field_quote(struct gguf_string text, char out[JSON_FIELD_QUOTE_BYTES]);

#endif
