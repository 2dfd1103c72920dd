/* The header is parsed as JSON, each tensor checked alone, then all sorted by where their data
 * starts: each has to start where the one before it ends, and the last to end with the file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/safetensors.h"

#include "configs/checked.h"
#include "engine/formats/gguf_cursor.h"
#include "engine/formats/json_file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    LENGTH_BYTES = 8
};

static const char *const metadata_key = "__metadata__";

struct stored_type {
    const char *name;
    uint32_t bits; /* of one value */
    bool supported;
    enum dtype dtype;
};

static const struct stored_type types[] = {
    {"F32", 32, true, DTYPE_F32},       {"F16", 16, true, DTYPE_F16},
    {"BF16", 16, true, DTYPE_BF16},     {"BOOL", 8, false, DTYPE_COUNT},
    {"U8", 8, false, DTYPE_COUNT},      {"I8", 8, false, DTYPE_COUNT},
    {"U16", 16, false, DTYPE_COUNT},    {"I16", 16, false, DTYPE_COUNT},
    {"U32", 32, false, DTYPE_COUNT},    {"I32", 32, false, DTYPE_COUNT},
    {"U64", 64, false, DTYPE_COUNT},    {"I64", 64, false, DTYPE_COUNT},
    {"F64", 64, false, DTYPE_COUNT},    {"C64", 64, false, DTYPE_COUNT},
    {"F8_E4M3", 8, false, DTYPE_COUNT}, {"F8_E5M2", 8, false, DTYPE_COUNT},
    {"F8_E8M0", 8, false, DTYPE_COUNT}, {"F6_E2M3", 6, false, DTYPE_COUNT},
    {"F6_E3M2", 6, false, DTYPE_COUNT}, {"F4", 4, false, DTYPE_COUNT},
};

/* What parsing has in hand. */
struct reading {
    struct safetensors *file;
    const char *path;
    const uint8_t *data; /* behind the header */
    uint64_t data_bytes;
    struct error *err;
};

static enum status check_name(const struct reading *reading, const char *name)
{
    size_t byte_count = strlen(name);
    if (byte_count < 1 || byte_count > LIMIT_TENSOR_NAME) {
        return error_set(reading->err, ERR_FORMAT,
                         "%s: a tensor's name has %zu bytes, limits 1 and %u", reading->path,
                         byte_count, LIMIT_TENSOR_NAME);
    }
    for (size_t i = 0; i < byte_count; i++) {
        if (!isprint((unsigned char)name[i])) {
            return error_set(reading->err, ERR_FORMAT,
                             "%s: a tensor's name holds byte 0x%02x at %zu; only printable ASCII "
                             "is taken",
                             reading->path, (unsigned char)name[i], i);
        }
    }
    return OK;
}

/* Members are exactly dtype, shape and data_offsets. */
static enum status check_members(const struct reading *reading, const char *name,
                                 const json_t *description)
{
    if (!json_is_object(description) || json_object_size(description) != 3 ||
        !json_is_string(json_object_get(description, "dtype")) ||
        !json_is_array(json_object_get(description, "shape")) ||
        !json_is_array(json_object_get(description, "data_offsets"))) {
        return error_set(reading->err, ERR_FORMAT,
                         "%s: tensor %s: not an object of a string dtype, an array shape and an "
                         "array data_offsets",
                         reading->path, name);
    }
    return OK;
}

static const struct stored_type *find_type(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, name) == 0) {
            return &types[i];
        }
    }
    return NULL;
}

/* A number that is an integer of at least 0. */
static bool read_count(const json_t *number, uint64_t *out)
{
    *out = json_is_integer(number) ? (uint64_t)json_integer_value(number) : 0;
    return json_is_integer(number) && json_integer_value(number) >= 0;
}

/* The shape, and how many values it holds. */
static enum status read_shape(const struct reading *reading, struct safetensors_tensor *tensor,
                              const json_t *shape, uint64_t *value_count)
{
    size_t dim_count = json_array_size(shape);
    if (dim_count > LIMIT_SAFETENSORS_DIMS) {
        return error_set(reading->err, ERR_FORMAT, "%s: tensor %s has %zu dimensions, limit %u",
                         reading->path, tensor->name, dim_count, LIMIT_SAFETENSORS_DIMS);
    }
    tensor->dim_count = (uint32_t)dim_count;
    *value_count = 1;
    for (size_t i = 0; i < dim_count; i++) {
        if (!read_count(json_array_get(shape, i), &tensor->shape[i])) {
            return error_set(reading->err, ERR_FORMAT,
                             "%s: tensor %s: dimension %zu is no integer of at least 0",
                             reading->path, tensor->name, i);
        }
        if (!checked_mul_u64(*value_count, tensor->shape[i], value_count)) {
            return error_set(reading->err, ERR_FORMAT,
                             "%s: tensor %s: its size does not fit 64 bits", reading->path,
                             tensor->name);
        }
    }
    return OK;
}

static enum status read_place(const struct reading *reading, struct safetensors_tensor *tensor,
                              const json_t *offsets)
{
    uint64_t begin = 0;
    uint64_t end = 0;
    if (json_array_size(offsets) != 2 || !read_count(json_array_get(offsets, 0), &begin) ||
        !read_count(json_array_get(offsets, 1), &end)) {
        return error_set(reading->err, ERR_FORMAT,
                         "%s: tensor %s: data_offsets are not two integers of at least 0",
                         reading->path, tensor->name);
    }
    if (begin > end || end > reading->data_bytes) {
        return error_set(reading->err, ERR_FORMAT,
                         "%s: tensor %s: data_offsets %llu to %llu, but the file has %llu bytes of "
                         "data",
                         reading->path, tensor->name, (unsigned long long)begin,
                         (unsigned long long)end, (unsigned long long)reading->data_bytes);
    }
    tensor->data = reading->data + begin;
    tensor->byte_count = end - begin;
    return OK;
}

static enum status read_tensor(const struct reading *reading, struct safetensors_tensor *tensor,
                               const char *name, const json_t *description)
{
    enum status status = check_name(reading, name);
    if (status == OK) {
        status = check_members(reading, name, description);
    }
    if (status != OK) {
        return status;
    }
    tensor->name = name;
    const char *type_name = json_string_value(json_object_get(description, "dtype"));
    const struct stored_type *type = find_type(type_name);
    if (type == NULL) {
        struct gguf_string text = {type_name, strlen(type_name)};
        return error_set(reading->err, ERR_FORMAT, "%s: tensor %s: dtype \"%s\" is unknown",
                         reading->path, name, gguf_cursor_show(text).text);
    }
    tensor->dtype_name = type->name;
    tensor->supported = type->supported;
    tensor->dtype = type->dtype;
    uint64_t value_count = 0;
    status = read_shape(reading, tensor, json_object_get(description, "shape"), &value_count);
    if (status == OK) {
        status = read_place(reading, tensor, json_object_get(description, "data_offsets"));
    }
    uint64_t bit_count = 0;
    if (status == OK && (!checked_mul_u64(value_count, type->bits, &bit_count) ||
                         bit_count % 8 != 0 || bit_count / 8 != tensor->byte_count)) {
        return error_set(reading->err, ERR_FORMAT,
                         "%s: tensor %s: %llu values of %s do not take the %llu bytes that its "
                         "data_offsets give",
                         reading->path, name, (unsigned long long)value_count, type->name,
                         (unsigned long long)tensor->byte_count);
    }
    return status;
}

/* Where the data starts, then where it ends: of two that start alike one has to be empty. */
static int compare_places(const void *left, const void *right)
{
    const struct safetensors_tensor *a = left;
    const struct safetensors_tensor *b = right;
    int order = (a->data > b->data) - (a->data < b->data);
    return order != 0 ? order : (a->byte_count > b->byte_count) - (a->byte_count < b->byte_count);
}

static enum status check_cover(const struct reading *reading)
{
    struct safetensors *file = reading->file;
    qsort(file->tensors, file->tensor_count, sizeof *file->tensors, compare_places);
    const uint8_t *end = reading->data;
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        const struct safetensors_tensor *tensor = &file->tensors[i];
        if (tensor->data != end) {
            bool overlap = tensor->data < end;
            return error_set(
                reading->err, ERR_FORMAT,
                "%s: tensor %s starts at %llu of the data, %s %llu, where %s ends", reading->path,
                tensor->name, (unsigned long long)(tensor->data - reading->data),
                overlap ? "before" : "behind", (unsigned long long)(end - reading->data),
                i > 0 ? file->tensors[i - 1].name : "the header");
        }
        end = tensor->data + tensor->byte_count;
    }
    uint64_t used = (uint64_t)(end - reading->data);
    if (used != reading->data_bytes) {
        return error_set(reading->err, ERR_FORMAT,
                         "%s: %llu bytes of data, of which tensors take %llu", reading->path,
                         (unsigned long long)reading->data_bytes, (unsigned long long)used);
    }
    return OK;
}

static enum status check_metadata(const struct reading *reading)
{
    json_t *metadata = json_object_get(reading->file->header, metadata_key);
    if (metadata != NULL && !json_is_object(metadata)) {
        return error_set(reading->err, ERR_FORMAT, "%s: %s is no object", reading->path,
                         metadata_key);
    }
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value)) {
            return error_set(reading->err, ERR_FORMAT, "%s: %s holds values that are no strings",
                             reading->path, metadata_key);
        }
    }
    return OK;
}

static enum status read_tensors(const struct reading *reading)
{
    struct safetensors *file = reading->file;
    size_t count = json_object_size(file->header);
    if (count > (size_t)LIMIT_SAFETENSORS_TENSORS + 1) {
        return error_set(reading->err, ERR_FORMAT, "%s: %zu tensors, limit %u", reading->path,
                         count, LIMIT_SAFETENSORS_TENSORS);
    }
    file->tensors = calloc(count + 1, sizeof *file->tensors);
    if (file->tensors == NULL) {
        return error_set(reading->err, ERR_MEMORY, "%s: no memory for %zu tensors", reading->path,
                         count);
    }
    const char *name;
    json_t *description;
    json_object_foreach(file->header, name, description)
    {
        if (strcmp(name, metadata_key) == 0) {
            continue;
        }
        enum status status =
            read_tensor(reading, &file->tensors[file->tensor_count], name, description);
        if (status != OK) {
            return status;
        }
        file->tensor_count++;
    }
    return check_cover(reading);
}

/* The header's length, held against the file before anything is read by it. */
static enum status read_length(const struct reading *reading, const uint8_t *bytes,
                               uint64_t byte_count, uint64_t *length)
{
    if (byte_count < LENGTH_BYTES) {
        return error_set(reading->err, ERR_FORMAT,
                         "%s: %llu bytes; a safetensors file starts with a length of %d",
                         reading->path, (unsigned long long)byte_count, LENGTH_BYTES);
    }
    *length = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) {
        *length = *length << 8 | bytes[i];
    }
    if (*length > byte_count - LENGTH_BYTES) {
        return error_set(reading->err, ERR_FORMAT,
                         "%s: a header of %llu bytes, but only %llu bytes are left", reading->path,
                         (unsigned long long)*length,
                         (unsigned long long)(byte_count - LENGTH_BYTES));
    }
    return OK;
}

enum status safetensors_parse(struct safetensors *out, const uint8_t *bytes, uint64_t byte_count,
                              const char *path, struct error *err)
{
    static const struct json_file_limits limits = {
        .byte_count = LIMIT_SAFETENSORS_HEADER,
        .node_count = LIMIT_MODEL_JSON_NODES,
    };
    *out = (struct safetensors){0};
    struct reading reading = {.file = out, .path = path, .err = err};
    uint64_t length = 0;
    enum status status = read_length(&reading, bytes, byte_count, &length);
    if (status == OK) {
        status = json_file_parse(&out->header, (const char *)bytes + LENGTH_BYTES, length, &limits,
                                 path, err);
    }
    if (status == OK) {
        reading.data = bytes + LENGTH_BYTES + length;
        reading.data_bytes = byte_count - LENGTH_BYTES - length;
        status = check_metadata(&reading);
    }
    if (status == OK) {
        status = read_tensors(&reading);
    }
    if (status != OK) {
        safetensors_close(out);
    }
    return status;
}

void safetensors_close(struct safetensors *file)
{
    json_decref(file->header);
    free(file->tensors);
    *file = (struct safetensors){0};
}

const char *safetensors_metadata(const struct safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, metadata_key), key));
}
