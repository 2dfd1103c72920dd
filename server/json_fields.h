/* json_fields.h - typed reads from a JSON object, where a wrong type is an error, never a default.
 *
 * A reader keeps its first failure: later reads return their fallback and change nothing, so a
 * validator reads all fields in a row and looks at `status` once. null counts as absent.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_JSON_FIELDS_H
#define SERVER_JSON_FIELDS_H

#include "server/refusal.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_fields {
    const json_t *object;    /* borrowed */
    struct refusal *refusal; /* where the failure goes */
    const char *prefix;      /* in front of names in messages: "stream_options." */
    enum status status;
};

/* The field, or NULL when absent or null. */
const json_t *json_fields_find(const struct json_fields *fields, const char *name);

int64_t json_fields_integer(struct json_fields *fields, const char *name, int64_t min, int64_t max,
                            int64_t fallback);
double json_fields_number(struct json_fields *fields, const char *name, double min, double max,
                          double fallback);
bool json_fields_flag(struct json_fields *fields, const char *name, bool fallback);

/* Terminated text without NUL inside; NULL when absent. Borrowed from the object. */
const char *json_fields_text(struct json_fields *fields, const char *name, size_t bytes_max);

/* The field when it is an object (an array); NULL when absent. */
const json_t *json_fields_object(struct json_fields *fields, const char *name);
const json_t *json_fields_array(struct json_fields *fields, const char *name);

/* Records "<name> must be <what>, not <value>". */
void json_fields_refuse(struct json_fields *fields, const char *name, const json_t *value,
                        const char *what);

enum {
    JSON_FIELDS_SHOWN_BYTES = 72
};

/* A value as a message shows it: scalars cut to a few bytes, "an array", "an object". */
void json_fields_describe(const json_t *value, char shown[JSON_FIELDS_SHOWN_BYTES]);

#endif
