/* Scalars are widened to 64 bits as they are read; arrays of fixed-size elements stay packed in
 * the file and only arrays of strings, whose elements have no fixed place, are indexed. A count
 * is held against the bytes left before anything is allocated for it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/gguf_entries.h"

#include "configs/limits.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of one value of a type of fixed size; 0 for string, array and unknown types. */
uint32_t gguf_entries_scalar_bytes(uint32_t type)
{
    static const uint8_t bytes[] = {
        [GGUF_UINT8] = 1,  [GGUF_INT8] = 1,  [GGUF_UINT16] = 2,  [GGUF_INT16] = 2,
        [GGUF_UINT32] = 4, [GGUF_INT32] = 4, [GGUF_FLOAT32] = 4, [GGUF_BOOL] = 1,
        [GGUF_UINT64] = 8, [GGUF_INT64] = 8, [GGUF_FLOAT64] = 8,
    };
    return type < sizeof bytes ? bytes[type] : 0;
}

double gguf_entries_float(uint64_t bits, uint32_t byte_count)
{
    if (byte_count == 4) {
        uint32_t low = (uint32_t)bits;
        float value;
        memcpy(&value, &low, sizeof value);
        return (double)value;
    }
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

int64_t gguf_entries_sign_extend(uint64_t bits, uint32_t byte_count)
{
    uint64_t sign = UINT64_C(1) << (8 * byte_count - 1);
    return (int64_t)((bits ^ sign) - sign);
}

static enum status check_bools(const struct gguf_cursor *cursor, const uint8_t *bytes,
                               uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (bytes[i] > 1) {
            return gguf_cursor_fail(cursor, (uint64_t)(bytes - cursor->file->bytes) + i, ERR_FORMAT,
                                    "bool value %u, limit 1", bytes[i]);
        }
    }
    return OK;
}

static enum status read_scalar(struct gguf_cursor *cursor, struct gguf_entry *entry)
{
    uint32_t byte_count = gguf_entries_scalar_bytes(entry->type);
    enum status status = gguf_cursor_need(cursor, byte_count, "a value");
    if (status != OK) {
        return status;
    }
    const uint8_t *bytes = cursor->file->bytes + cursor->at;
    cursor->at += byte_count;
    uint64_t bits = gguf_cursor_load(bytes, byte_count);
    switch (entry->type) {
    case GGUF_INT8:
    case GGUF_INT16:
    case GGUF_INT32:
    case GGUF_INT64:
        entry->value.i = gguf_entries_sign_extend(bits, byte_count);
        return OK;
    case GGUF_FLOAT32:
    case GGUF_FLOAT64:
        entry->value.f = gguf_entries_float(bits, byte_count);
        return OK;
    case GGUF_BOOL:
        entry->value.u = bits;
        return check_bools(cursor, bytes, 1);
    default:
        entry->value.u = bits;
        return OK;
    }
}

static enum status read_array_strings(struct gguf_cursor *cursor, struct gguf_array *array)
{
    if (array->element_count > gguf_cursor_left(cursor) / 8) {
        return gguf_cursor_fail(
            cursor, cursor->at, ERR_FORMAT, "array of %llu strings, but only %llu bytes are left",
            (unsigned long long)array->element_count, (unsigned long long)gguf_cursor_left(cursor));
    }
    array->strings = calloc(array->element_count + 1, sizeof *array->strings);
    if (array->strings == NULL) {
        return gguf_cursor_fail(cursor, cursor->at, ERR_MEMORY,
                                "no memory for an array of %llu strings",
                                (unsigned long long)array->element_count);
    }
    enum status status = OK;
    for (uint64_t i = 0; i < array->element_count && status == OK; i++) {
        status = gguf_cursor_read_string(cursor, "a string in an array", LIMIT_GGUF_STRING,
                                         &array->strings[i]);
    }
    return status;
}

static enum status read_array(struct gguf_cursor *cursor, struct gguf_array *array)
{
    uint64_t start = cursor->at;
    uint32_t type = 0;
    enum status status = gguf_cursor_read_u32(cursor, "an array's element type", &type);
    if (status == OK) {
        status = gguf_cursor_read_u64(cursor, "an array's length", &array->element_count);
    }
    if (status != OK) {
        return status;
    }
    if (type != GGUF_STRING && gguf_entries_scalar_bytes(type) == 0) {
        return gguf_cursor_fail(cursor, start, ERR_FORMAT, "array elements of type %u, which is %s",
                                type, type == GGUF_ARRAY ? "array; arrays do not nest" : "unknown");
    }
    if (array->element_count > LIMIT_GGUF_ARRAY) {
        return gguf_cursor_fail(cursor, start + 4, ERR_FORMAT, "array of %llu elements, limit %u",
                                (unsigned long long)array->element_count, LIMIT_GGUF_ARRAY);
    }
    array->type = (enum gguf_type)type;
    array->bytes = cursor->file->bytes + cursor->at;
    if (type == GGUF_STRING) {
        return read_array_strings(cursor, array);
    }
    uint64_t byte_count =
        array->element_count * gguf_entries_scalar_bytes(type); /* the limit forbids a wrap */
    status = gguf_cursor_need(cursor, byte_count, "an array");
    if (status != OK) {
        return status;
    }
    cursor->at += byte_count;
    return type == GGUF_BOOL ? check_bools(cursor, array->bytes, array->element_count) : OK;
}

enum status gguf_entries_read_one(struct gguf_cursor *cursor, struct gguf_entry *entry)
{
    uint32_t type = 0;
    enum status status =
        gguf_cursor_read_name(cursor, "a key", LIMIT_GGUF_KEY_BYTES, true, &entry->key);
    if (status == OK) {
        status = gguf_cursor_read_u32(cursor, "a value's type", &type);
    }
    if (status != OK) {
        return status;
    }
    if (type > GGUF_FLOAT64) {
        return gguf_cursor_fail(cursor, cursor->at - 4, ERR_FORMAT,
                                "value type %u of key %s, limit %d", type,
                                gguf_cursor_show(entry->key).text, GGUF_FLOAT64);
    }
    entry->type = (enum gguf_type)type;
    entry->offset = cursor->at;
    if (type == GGUF_STRING) {
        return gguf_cursor_read_string(cursor, "a string value", LIMIT_GGUF_STRING,
                                       &entry->value.string);
    }
    return type == GGUF_ARRAY ? read_array(cursor, &entry->value.array)
                              : read_scalar(cursor, entry);
}
