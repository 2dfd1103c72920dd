/* A tensor's bytes are held against the file before they are added to anything, so no later sum
 * can wrap; ranges are compared in the order of their offsets, so overlap is between neighbours.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/gguf_tensors.h"

#include "configs/checked.h"
#include "configs/limits.h"
#include "engine/formats/gguf_types.h"

#include <stdlib.h>

/* Fills shape and byte_count; dims is where they stand in the file. */
static enum status size_tensor(const struct gguf_cursor *cursor, struct gguf_tensor *tensor,
                               const struct gguf_tensor_type *type, uint64_t dims_at)
{
    const uint64_t *shape = tensor->tensor.shape;
    uint64_t row_values = tensor_row_values(&tensor->tensor);
    if (row_values % type->block_values != 0) {
        return gguf_cursor_fail(cursor, dims_at, ERR_FORMAT,
                                "tensor %s: rows of %llu values are not whole %s blocks of %u",
                                gguf_cursor_show(tensor->name).text, (unsigned long long)row_values,
                                type->name, type->block_values);
    }
    uint64_t byte_count = row_values / type->block_values * type->block_bytes;
    for (uint32_t i = 0; i + 1 < tensor->tensor.dim_count; i++) {
        if (!checked_mul_u64(byte_count, shape[i], &byte_count)) {
            return gguf_cursor_fail(cursor, dims_at, ERR_FORMAT,
                                    "tensor %s: its size does not fit 64 bits",
                                    gguf_cursor_show(tensor->name).text);
        }
    }
    if (byte_count > cursor->file->byte_count) {
        return gguf_cursor_fail(cursor, dims_at, ERR_FORMAT,
                                "tensor %s: %llu bytes, but the file has %llu",
                                gguf_cursor_show(tensor->name).text, (unsigned long long)byte_count,
                                (unsigned long long)cursor->file->byte_count);
    }
    tensor->byte_count = byte_count;
    return OK;
}

static enum status read_shape(struct gguf_cursor *cursor, struct gguf_tensor *tensor)
{
    uint32_t dim_count = 0;
    enum status status = gguf_cursor_read_u32(cursor, "a tensor's dimension count", &dim_count);
    if (status != OK) {
        return status;
    }
    if (dim_count < 1 || dim_count > LIMIT_GGUF_DIMS) {
        return gguf_cursor_fail(cursor, cursor->at - 4, ERR_FORMAT,
                                "tensor %s: %u dimensions, limits 1 and %u",
                                gguf_cursor_show(tensor->name).text, dim_count, LIMIT_GGUF_DIMS);
    }
    tensor->tensor.dim_count = dim_count;
    for (uint32_t i = 0; i < dim_count; i++) {
        uint64_t dim = 0;
        status = gguf_cursor_read_u64(cursor, "a tensor's dimensions", &dim);
        if (status != OK) {
            return status;
        }
        if (dim < 1 || dim > UINT32_MAX) {
            return gguf_cursor_fail(cursor, cursor->at - 8, ERR_FORMAT,
                                    "tensor %s: dimension %u is %llu, limits 1 and %u",
                                    gguf_cursor_show(tensor->name).text, i, (unsigned long long)dim,
                                    UINT32_MAX);
        }
        tensor->tensor.shape[dim_count - 1 - i] = dim;
    }
    return OK;
}

enum status gguf_tensors_read_one(struct gguf_cursor *cursor, struct gguf_tensor *tensor)
{
    enum status status =
        gguf_cursor_read_name(cursor, "a tensor name", LIMIT_GGUF_NAME_BYTES, false, &tensor->name);
    uint64_t dims_at = cursor->at + 4;
    if (status == OK) {
        status = read_shape(cursor, tensor);
    }
    if (status == OK) {
        status = gguf_cursor_read_u32(cursor, "a tensor's type", &tensor->ggml_type);
    }
    if (status != OK) {
        return status;
    }
    const struct gguf_tensor_type *type = gguf_types_find(tensor->ggml_type);
    if (type == NULL) {
        return gguf_cursor_fail(cursor, cursor->at - 4, ERR_FORMAT, "tensor %s: type %u is unknown",
                                gguf_cursor_show(tensor->name).text, tensor->ggml_type);
    }
    tensor->type_name = type->name;
    tensor->supported = type->supported;
    tensor->tensor.dtype = type->dtype;
    status = size_tensor(cursor, tensor, type, dims_at);
    if (status != OK) {
        return status;
    }
    /* Relative to the data section for now; gguf_tensors_place makes it the file's. */
    status = gguf_cursor_read_u64(cursor, "a tensor's offset", &tensor->offset);
    if (status == OK && tensor->offset % cursor->file->alignment != 0) {
        return gguf_cursor_fail(cursor, cursor->at - 8, ERR_FORMAT,
                                "tensor %s: data offset %llu is not a multiple of the alignment %u",
                                gguf_cursor_show(tensor->name).text,
                                (unsigned long long)tensor->offset, cursor->file->alignment);
    }
    return status;
}

static int compare_places(const void *left, const void *right, void *tensors)
{
    const struct gguf_tensor *all = tensors;
    uint32_t i = *(const uint32_t *)left;
    uint32_t j = *(const uint32_t *)right;
    uint64_t a = all[i].offset;
    uint64_t b = all[j].offset;
    return a != b ? (a > b) - (a < b) : (i > j) - (i < j);
}

/* Refuses tensors that share bytes: no writer makes them, and by them a small file could claim more
 * weights than it has bytes. *end: where the last one ends. */
static enum status check_apart(const struct gguf_cursor *cursor, uint64_t *end)
{
    struct gguf *file = cursor->file;
    uint32_t *order = calloc(file->tensor_count + 1, sizeof *order);
    if (order == NULL) {
        return gguf_cursor_fail(cursor, cursor->at, ERR_MEMORY, "no memory to sort %llu tensors",
                                (unsigned long long)file->tensor_count);
    }
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        order[i] = (uint32_t)i;
    }
    qsort_r(order, file->tensor_count, sizeof *order, compare_places, file->tensors);
    enum status status = OK;
    for (uint64_t i = 0; i < file->tensor_count && status == OK; i++) {
        const struct gguf_tensor *tensor = &file->tensors[order[i]];
        if (i > 0 && tensor->offset < *end) {
            const struct gguf_tensor *before = &file->tensors[order[i - 1]];
            status =
                gguf_cursor_fail(cursor, tensor->offset, ERR_FORMAT,
                                 "tensor %s starts inside tensor %s, which ends at %llu",
                                 gguf_cursor_show(tensor->name).text,
                                 gguf_cursor_show(before->name).text, (unsigned long long)*end);
        }
        *end = tensor->offset + tensor->byte_count;
    }
    free(order);
    return status;
}

/* Makes offsets absolute and holds them against the file. The data section starts at the next
 * multiple of the alignment. */
enum status gguf_tensors_place(const struct gguf_cursor *cursor, uint64_t *end)
{
    struct gguf *file = cursor->file;
    uint64_t data_at = 0;
    bool fits = checked_align_u64(cursor->at, file->alignment, &data_at);
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        struct gguf_tensor *tensor = &file->tensors[i];
        uint64_t in_data = tensor->offset;
        uint64_t place = (uint64_t)((const uint8_t *)tensor->name.bytes - file->bytes);
        uint64_t tensor_end = 0;
        fits = fits && checked_add_u64(tensor->offset, data_at, &tensor->offset) &&
               checked_add_u64(tensor->offset, tensor->byte_count, &tensor_end);
        if (!fits || tensor_end > file->byte_count) {
            return gguf_cursor_fail(
                cursor, place, ERR_FORMAT,
                "tensor %s: %llu bytes at %llu of the data end beyond the file's %llu",
                gguf_cursor_show(tensor->name).text, (unsigned long long)tensor->byte_count,
                (unsigned long long)in_data, (unsigned long long)file->byte_count);
        }
        tensor->tensor.data = file->bytes + tensor->offset;
    }
    return check_apart(cursor, end);
}
