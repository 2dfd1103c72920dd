/* json_field.c - one lookup, one check of the type, one message.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/json_field.h"

static enum status find(const json_t *object, struct json_place place, const char *key,
                        bool required, const json_t **out, struct error *err)
{
    *out = json_object_get(object, key);
    if (json_is_null(*out)) {
        *out = NULL;
    }
    if (*out == NULL && required) {
        return error_set(err, ERR_FORMAT, "%s: %s%s: missing", place.path, place.prefix, key);
    }
    return OK;
}

static enum status wrong_type(struct json_place place, const char *key, const char *wanted,
                              struct error *err)
{
    return error_set(err, ERR_FORMAT, "%s: %s%s: not %s", place.path, place.prefix, key, wanted);
}

enum status json_field_bool(const json_t *object, struct json_place place, const char *key,
                            bool *out, struct error *err)
{
    const json_t *value = NULL;
    enum status status = find(object, place, key, false, &value, err);
    if (status == OK && value != NULL && !json_is_boolean(value)) {
        return wrong_type(place, key, "true or false", err);
    }
    if (status == OK && value != NULL) {
        *out = json_is_true(value);
    }
    return status;
}

enum status json_field_string(const json_t *object, struct json_place place, const char *key,
                              bool required, struct gguf_string *out, struct error *err)
{
    const json_t *value = NULL;
    enum status status = find(object, place, key, required, &value, err);
    if (status == OK && value != NULL && !json_is_string(value)) {
        return wrong_type(place, key, "a string", err);
    }
    if (status == OK && value != NULL) {
        *out = (struct gguf_string){json_string_value(value), json_string_length(value)};
    }
    return status;
}

enum status json_field_u32(const json_t *object, struct json_place place, const char *key,
                           bool required, uint32_t max, uint32_t *out, struct error *err)
{
    const json_t *value = NULL;
    enum status status = find(object, place, key, required, &value, err);
    if (status != OK || value == NULL) {
        return status;
    }
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > max) {
        return error_set(err, ERR_FORMAT, "%s: %s%s: not an integer of 0 to %u", place.path,
                         place.prefix, key, max);
    }
    *out = (uint32_t)number;
    return OK;
}

enum status json_field_object(const json_t *object, struct json_place place, const char *key,
                              bool required, const json_t **out, struct error *err)
{
    enum status status = find(object, place, key, required, out, err);
    if (status == OK && *out != NULL && !json_is_object(*out)) {
        return wrong_type(place, key, "an object", err);
    }
    return status;
}

enum status json_field_array(const json_t *object, struct json_place place, const char *key,
                             bool required, const json_t **out, struct error *err)
{
    enum status status = find(object, place, key, required, out, err);
    if (status == OK && *out != NULL && !json_is_array(*out)) {
        return wrong_type(place, key, "a list", err);
    }
    return status;
}

const char *json_field_quote(struct gguf_string text, char out[JSON_FIELD_QUOTE_BYTES])
{
    size_t length = 0;
    for (; length < text.byte_count && length < JSON_FIELD_QUOTE_BYTES - 1; length++) {
        unsigned char c = (unsigned char)text.bytes[length];
        out[length] = (char)(c < 0x20 || c > 0x7E ? '?' : c);
    }
    out[length] = '\0';
    return out;
}
