/* Typed access to metadata. Writers differ in how wide an integer they use for a count, so every
 * integer type is taken where its value fits; everything else must be of the type asked for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/gguf_cursor.h"
#include "engine/formats/gguf_entries.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *gguf_get_type_name(enum gguf_type type)
{
    static const char *const names[] = {
        [GGUF_UINT8] = "uint8",     [GGUF_INT8] = "int8",     [GGUF_UINT16] = "uint16",
        [GGUF_INT16] = "int16",     [GGUF_UINT32] = "uint32", [GGUF_INT32] = "int32",
        [GGUF_FLOAT32] = "float32", [GGUF_BOOL] = "bool",     [GGUF_STRING] = "string",
        [GGUF_ARRAY] = "array",     [GGUF_UINT64] = "uint64", [GGUF_INT64] = "int64",
        [GGUF_FLOAT64] = "float64",
    };
    return names[type];
}

/* "path: offset N: ", without the offset where there is none. */
struct place {
    char text[sizeof((struct gguf *)0)->path + 40];
};

static struct place place_of(const struct gguf *file, uint64_t offset)
{
    struct place place;
    if (offset == GGUF_NO_OFFSET) {
        snprintf(place.text, sizeof place.text, "%s: ", file->path);
    } else {
        snprintf(place.text, sizeof place.text, "%s: offset %llu: ", file->path,
                 (unsigned long long)offset);
    }
    return place;
}

/* The entry of a key, or NULL with *status saying whether its absence is an error. */
static const struct gguf_entry *find_entry(const struct gguf *file, const char *key, bool required,
                                           enum status *status, struct error *err)
{
    const struct gguf_entry *entry = gguf_find(file, key);
    *status = OK;
    if (entry == NULL && required) {
        uint64_t offset = file->bytes != NULL ? 24 : GGUF_NO_OFFSET; /* where keys start */
        *status =
            error_set(err, ERR_FORMAT, "%skey %s is missing", place_of(file, offset).text, key);
    }
    return entry;
}

static enum status wrong_type(const struct gguf *file, const struct gguf_entry *entry,
                              const char *key, const char *wanted, struct error *err)
{
    return error_set(err, ERR_FORMAT, "%skey %s has type %s, not %s",
                     place_of(file, entry->offset).text, key, gguf_get_type_name(entry->type),
                     wanted);
}

enum status gguf_get_u64(const struct gguf *file, const char *key, bool required, uint64_t min,
                         uint64_t max, uint64_t *out, struct error *err)
{
    enum status status = OK;
    const struct gguf_entry *entry = find_entry(file, key, required, &status, err);
    if (entry == NULL) {
        return status;
    }
    uint64_t value = entry->value.u;
    switch (entry->type) {
    case GGUF_UINT8:
    case GGUF_UINT16:
    case GGUF_UINT32:
    case GGUF_UINT64:
        break;
    case GGUF_INT8:
    case GGUF_INT16:
    case GGUF_INT32:
    case GGUF_INT64:
        if (entry->value.i < 0) {
            return error_set(err, ERR_FORMAT, "%skey %s is %lld, limits %llu and %llu",
                             place_of(file, entry->offset).text, key, (long long)entry->value.i,
                             (unsigned long long)min, (unsigned long long)max);
        }
        value = (uint64_t)entry->value.i;
        break;
    default:
        return wrong_type(file, entry, key, "an integer", err);
    }
    if (value < min || value > max) {
        return error_set(err, ERR_FORMAT, "%skey %s is %llu, limits %llu and %llu",
                         place_of(file, entry->offset).text, key, (unsigned long long)value,
                         (unsigned long long)min, (unsigned long long)max);
    }
    *out = value;
    return OK;
}

enum status gguf_get_u32(const struct gguf *file, const char *key, bool required, uint32_t min,
                         uint32_t max, uint32_t *out, struct error *err)
{
    uint64_t value = *out;
    enum status status = gguf_get_u64(file, key, required, min, max, &value, err);
    if (status == OK) {
        *out = (uint32_t)value;
    }
    return status;
}

enum status gguf_get_f32(const struct gguf *file, const char *key, bool required, float min,
                         float max, float *out, struct error *err)
{
    enum status status = OK;
    const struct gguf_entry *entry = find_entry(file, key, required, &status, err);
    if (entry == NULL) {
        return status;
    }
    if (entry->type != GGUF_FLOAT32 && entry->type != GGUF_FLOAT64) {
        return wrong_type(file, entry, key, "a float", err);
    }
    double value = entry->value.f;
    /* The comparison is written so that a NaN fails it. */
    if (!(value >= (double)min && value <= (double)max) || !isfinite(value)) {
        return error_set(err, ERR_FORMAT, "%skey %s is %g, limits %g and %g",
                         place_of(file, entry->offset).text, key, value, (double)min, (double)max);
    }
    *out = (float)value;
    return OK;
}

enum status gguf_get_bool(const struct gguf *file, const char *key, bool required, bool *out,
                          struct error *err)
{
    enum status status = OK;
    const struct gguf_entry *entry = find_entry(file, key, required, &status, err);
    if (entry == NULL) {
        return status;
    }
    if (entry->type != GGUF_BOOL) {
        return wrong_type(file, entry, key, "bool", err);
    }
    *out = entry->value.u != 0;
    return OK;
}

enum status gguf_get_string(const struct gguf *file, const char *key, bool required,
                            struct gguf_string *out, struct error *err)
{
    enum status status = OK;
    const struct gguf_entry *entry = find_entry(file, key, required, &status, err);
    if (entry == NULL) {
        return status;
    }
    if (entry->type != GGUF_STRING) {
        return wrong_type(file, entry, key, "string", err);
    }
    *out = entry->value.string;
    return OK;
}

enum status gguf_get_array(const struct gguf *file, const char *key, bool required,
                           enum gguf_type type, struct gguf_array *out, struct error *err)
{
    enum status status = OK;
    const struct gguf_entry *entry = find_entry(file, key, required, &status, err);
    if (entry == NULL) {
        return status;
    }
    if (entry->type != GGUF_ARRAY) {
        return wrong_type(file, entry, key, "array", err);
    }
    if (entry->value.array.type != type) {
        return error_set(err, ERR_FORMAT, "%skey %s is an array of %s, not of %s",
                         place_of(file, entry->offset).text, key,
                         gguf_get_type_name(entry->value.array.type), gguf_get_type_name(type));
    }
    *out = entry->value.array;
    return OK;
}
