/* json_fields.c - every message has one form: field, what it must be, what was given.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/json_fields.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A string's first bytes in quotes, cut at a character, control bytes as dots. */
static void describe_text(const json_t *value, char shown[JSON_FIELDS_SHOWN_BYTES])
{
    const char *text = json_string_value(value);
    size_t byte_count = json_string_length(value);
    size_t kept = byte_count < 48 ? byte_count : 48;
    while (kept < byte_count && kept > 0 && ((unsigned char)text[kept] & 0xC0u) == 0x80u) {
        kept--;
    }
    snprintf(shown, JSON_FIELDS_SHOWN_BYTES, "\"%.*s\"%s", (int)kept, text,
             kept < byte_count ? "..." : "");
    for (char *at = shown; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7F) {
            *at = '.';
        }
    }
}

/* 2.0 where an integer is wanted must not be shown as 2. */
static void describe_real(double value, char shown[JSON_FIELDS_SHOWN_BYTES])
{
    snprintf(shown, JSON_FIELDS_SHOWN_BYTES, "%.9g", value);
    if (strspn(shown, "-0123456789") == strlen(shown)) {
        size_t byte_count = strlen(shown);
        snprintf(shown + byte_count, JSON_FIELDS_SHOWN_BYTES - byte_count, ".0");
    }
}

void json_fields_describe(const json_t *value, char shown[JSON_FIELDS_SHOWN_BYTES])
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        describe_text(value, shown);
        return;
    case JSON_INTEGER:
        snprintf(shown, JSON_FIELDS_SHOWN_BYTES, "%" JSON_INTEGER_FORMAT,
                 json_integer_value(value));
        return;
    case JSON_REAL:
        describe_real(json_real_value(value), shown);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(shown, JSON_FIELDS_SHOWN_BYTES, "%s", json_is_true(value) ? "true" : "false");
        return;
    case JSON_NULL:
        snprintf(shown, JSON_FIELDS_SHOWN_BYTES, "null");
        return;
    case JSON_ARRAY:
        snprintf(shown, JSON_FIELDS_SHOWN_BYTES, "an array");
        return;
    case JSON_OBJECT:
        break;
    }
    snprintf(shown, JSON_FIELDS_SHOWN_BYTES, "an object");
}

void json_fields_refuse(struct json_fields *fields, const char *name, const json_t *value,
                        const char *what)
{
    if (fields->status != OK) {
        return;
    }
    char path[REFUSAL_PARAM_BYTES];
    char shown[JSON_FIELDS_SHOWN_BYTES];
    snprintf(path, sizeof path, "%s%s", fields->prefix != NULL ? fields->prefix : "", name);
    json_fields_describe(value, shown);
    fields->status = refusal_set(fields->refusal, "invalid_value", path, "%s must be %s, not %s.",
                                 path, what, shown);
}

const json_t *json_fields_find(const struct json_fields *fields, const char *name)
{
    const json_t *value = json_object_get(fields->object, name);
    return json_is_null(value) ? NULL : value;
}

int64_t json_fields_integer(struct json_fields *fields, const char *name, int64_t min, int64_t max,
                            int64_t fallback)
{
    const json_t *value = json_fields_find(fields, name);
    if (value == NULL || fields->status != OK) {
        return fallback;
    }
    if (json_is_integer(value) && json_integer_value(value) >= min &&
        json_integer_value(value) <= max) {
        return json_integer_value(value);
    }
    char what[96];
    snprintf(what, sizeof what, "an integer from %" PRId64 " to %" PRId64, min, max);
    json_fields_refuse(fields, name, value, what);
    return fallback;
}

double json_fields_number(struct json_fields *fields, const char *name, double min, double max,
                          double fallback)
{
    const json_t *value = json_fields_find(fields, name);
    if (value == NULL || fields->status != OK) {
        return fallback;
    }
    double number = json_is_number(value) ? json_number_value(value) : (double)NAN;
    if (isfinite(number) && number >= min && number <= max) {
        return number;
    }
    char what[96];
    snprintf(what, sizeof what, "a number from %.9g to %.9g", min, max);
    json_fields_refuse(fields, name, value, what);
    return fallback;
}

bool json_fields_flag(struct json_fields *fields, const char *name, bool fallback)
{
    const json_t *value = json_fields_find(fields, name);
    if (value == NULL || fields->status != OK) {
        return fallback;
    }
    if (json_is_boolean(value)) {
        return json_is_true(value);
    }
    json_fields_refuse(fields, name, value, "true or false");
    return fallback;
}

const char *json_fields_text(struct json_fields *fields, const char *name, size_t bytes_max)
{
    const json_t *value = json_fields_find(fields, name);
    if (value == NULL || fields->status != OK) {
        return NULL;
    }
    if (json_is_string(value) && json_string_length(value) <= bytes_max) {
        return json_string_value(value);
    }
    char what[96];
    snprintf(what, sizeof what, "a string of at most %zu bytes", bytes_max);
    json_fields_refuse(fields, name, value, what);
    return NULL;
}

const json_t *json_fields_object(struct json_fields *fields, const char *name)
{
    const json_t *value = json_fields_find(fields, name);
    if (value != NULL && !json_is_object(value)) {
        json_fields_refuse(fields, name, value, "an object");
        return NULL;
    }
    return value;
}

const json_t *json_fields_array(struct json_fields *fields, const char *name)
{
    const json_t *value = json_fields_find(fields, name);
    if (value != NULL && !json_is_array(value)) {
        json_fields_refuse(fields, name, value, "an array");
        return NULL;
    }
    return value;
}
