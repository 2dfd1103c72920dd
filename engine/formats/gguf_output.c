/* gguf_output.c - the head is sized first and then filled in, so that no write can miss its end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/gguf_output.h"

#include "configs/checked.h"
#include "engine/formats/gguf_entries.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 3
};

/* Where writing stands. Without bytes it only counts. */
struct writer {
    uint8_t *bytes;
    uint64_t at;
};

static void put(struct writer *writer, const void *bytes, uint64_t byte_count)
{
    if (writer->bytes != NULL && byte_count > 0) {
        memcpy(writer->bytes + writer->at, bytes, byte_count);
    }
    writer->at += byte_count;
}

/* Little-endian, 1 to 8 bytes. */
static void put_bits(struct writer *writer, uint64_t bits, uint32_t byte_count)
{
    uint8_t bytes[8];
    for (uint32_t i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(bits >> (8 * i));
    }
    put(writer, bytes, byte_count);
}

static void put_string(struct writer *writer, struct gguf_string string)
{
    put_bits(writer, string.byte_count, 8);
    put(writer, string.bytes, string.byte_count);
}

static void put_scalar(struct writer *writer, const struct gguf_entry *entry)
{
    uint64_t bits = entry->value.u;
    float single = (float)entry->value.f;
    uint32_t single_bits;
    switch (entry->type) {
    case GGUF_FLOAT32:
        memcpy(&single_bits, &single, sizeof single_bits);
        bits = single_bits;
        break;
    case GGUF_FLOAT64:
        memcpy(&bits, &entry->value.f, sizeof bits);
        break;
    case GGUF_INT8:
    case GGUF_INT16:
    case GGUF_INT32:
    case GGUF_INT64:
        bits = (uint64_t)entry->value.i;
        break;
    default:
        break;
    }
    put_bits(writer, bits, gguf_entries_scalar_bytes(entry->type));
}

static void put_array(struct writer *writer, const struct gguf_array *array)
{
    put_bits(writer, array->type, 4);
    put_bits(writer, array->element_count, 8);
    if (array->type != GGUF_STRING) {
        put(writer, array->bytes, array->element_count * gguf_entries_scalar_bytes(array->type));
        return;
    }
    for (uint64_t i = 0; i < array->element_count; i++) {
        put_string(writer, array->strings[i]);
    }
}

static void put_entry(struct writer *writer, const struct gguf_entry *entry)
{
    put_string(writer, entry->key);
    put_bits(writer, entry->type, 4);
    if (entry->type == GGUF_STRING) {
        put_string(writer, entry->value.string);
    } else if (entry->type == GGUF_ARRAY) {
        put_array(writer, &entry->value.array);
    } else {
        put_scalar(writer, entry);
    }
}

/* offset: in the data section. GGUF lists the innermost dimension first. */
static void put_tensor(struct writer *writer, const struct gguf_tensor *tensor, uint64_t offset)
{
    uint32_t dim_count = tensor->tensor.dim_count;
    put_string(writer, tensor->name);
    put_bits(writer, dim_count, 4);
    for (uint32_t i = 0; i < dim_count; i++) {
        put_bits(writer, tensor->tensor.shape[dim_count - 1 - i], 8);
    }
    put_bits(writer, tensor->ggml_type, 4);
    put_bits(writer, offset, 8);
}

uint64_t gguf_output_padding(uint64_t byte_count, uint32_t alignment)
{
    return (alignment - byte_count % alignment) % alignment;
}

static void put_head(struct writer *writer, const struct gguf_entry *entries, uint64_t entry_count,
                     struct gguf_tensor *tensors, uint64_t tensor_count, uint32_t alignment)
{
    static const uint8_t zeros[64];
    put(writer, "GGUF", 4);
    put_bits(writer, VERSION, 4);
    put_bits(writer, tensor_count, 8);
    put_bits(writer, entry_count, 8);
    for (uint64_t i = 0; i < entry_count; i++) {
        put_entry(writer, &entries[i]);
    }
    uint64_t offset = 0;
    for (uint64_t i = 0; i < tensor_count; i++) {
        tensors[i].offset = offset;
        put_tensor(writer, &tensors[i], offset);
        offset += tensors[i].byte_count + gguf_output_padding(tensors[i].byte_count, alignment);
    }
    uint64_t padding = gguf_output_padding(writer->at, alignment);
    while (padding > 0) {
        uint64_t part = padding < sizeof zeros ? padding : sizeof zeros;
        put(writer, zeros, part);
        padding -= part;
    }
}

/* What the tensors take with their padding. */
static bool sum_data(const struct gguf_tensor *tensors, uint64_t tensor_count, uint32_t alignment,
                     uint64_t *data_bytes)
{
    *data_bytes = 0;
    for (uint64_t i = 0; i < tensor_count; i++) {
        uint64_t padded;
        if (!checked_align_u64(tensors[i].byte_count, alignment, &padded) ||
            !checked_add_u64(*data_bytes, padded, data_bytes)) {
            return false;
        }
    }
    return true;
}

enum status gguf_output_make_head(struct gguf_output_head *out, const struct gguf_entry *entries,
                                  uint64_t entry_count, struct gguf_tensor *tensors,
                                  uint64_t tensor_count, uint32_t alignment, struct error *err)
{
    assert(alignment > 0 && (alignment & (alignment - 1)) == 0);
    struct writer writer = {0};
    uint64_t data_bytes;
    *out = (struct gguf_output_head){0};
    put_head(&writer, entries, entry_count, tensors, tensor_count, alignment);
    if (!sum_data(tensors, tensor_count, alignment, &data_bytes) ||
        !checked_add_u64(data_bytes, writer.at, &out->file_bytes)) {
        return error_set(err, ERR_INVALID, "the tensors do not fit a file: more than 2^64 bytes");
    }
    out->byte_count = writer.at;
    out->bytes = malloc(writer.at);
    if (out->bytes == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the %llu bytes in front of the tensors",
                         (unsigned long long)writer.at);
    }
    writer = (struct writer){.bytes = out->bytes};
    put_head(&writer, entries, entry_count, tensors, tensor_count, alignment);
    for (uint64_t i = 0; i < tensor_count; i++) {
        tensors[i].offset += out->byte_count;
    }
    return OK;
}
