/* Entries and tensors are kept encoded or nearly so, and written in one pass whose running
 * position is counted, so that the places to patch are known without parsing what was written.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/gguf_writer.h"

#include "engine/formats/gguf_types.h"

#include <stdlib.h>
#include <string.h>

/* Where the file goes, and how far it has got. */
struct output {
    FILE *file;
    uint64_t at;
    bool good;
};

static void *take_memory(size_t byte_count)
{
    void *memory = calloc(1, byte_count > 0 ? byte_count : 1);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void *copy_memory(const void *bytes, size_t byte_count)
{
    void *memory = take_memory(byte_count);
    if (byte_count > 0) {
        memcpy(memory, bytes, byte_count);
    }
    return memory;
}

/* Room for one more element, doubling at powers of two. */
static void *grow_array(void *array, uint64_t count, size_t element_bytes)
{
    if (count != 0 && (count & (count - 1)) != 0) {
        return array;
    }
    void *grown = realloc(array, (count == 0 ? 1 : count * 2) * element_bytes);
    if (grown == NULL) {
        abort();
    }
    return grown;
}

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
    return alignment == 0 ? value : (value + alignment - 1) / alignment * alignment;
}

static size_t scalar_bytes(enum gguf_type type)
{
    switch (type) {
    case GGUF_UINT8:
    case GGUF_INT8:
    case GGUF_BOOL:
        return 1;
    case GGUF_UINT16:
    case GGUF_INT16:
        return 2;
    case GGUF_UINT32:
    case GGUF_INT32:
    case GGUF_FLOAT32:
        return 4;
    case GGUF_UINT64:
    case GGUF_INT64:
    case GGUF_FLOAT64:
        return 8;
    case GGUF_STRING:
    case GGUF_ARRAY:
        break;
    }
    abort();
}

void gguf_writer_init(struct gguf_writer *writer)
{
    *writer = (struct gguf_writer){.version = 3, .alignment = 32};
}

static void release_entry(struct gguf_writer_entry *entry)
{
    free(entry->key);
    free(entry->value);
}

static void release_tensor(struct gguf_writer_tensor *tensor)
{
    free(tensor->name);
    free(tensor->data);
}

void gguf_writer_release(struct gguf_writer *writer)
{
    for (uint64_t i = 0; i < writer->entry_count; i++) {
        release_entry(&writer->entries[i]);
    }
    for (uint64_t i = 0; i < writer->tensor_count; i++) {
        release_tensor(&writer->tensors[i]);
    }
    free(writer->entries);
    free(writer->tensors);
    *writer = (struct gguf_writer){0};
}

void gguf_writer_patch_u32(uint8_t *bytes, uint64_t at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        bytes[at + i] = (uint8_t)(value >> (8 * i));
    }
}

void gguf_writer_patch_u64(uint8_t *bytes, uint64_t at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        bytes[at + i] = (uint8_t)(value >> (8 * i));
    }
}

/* ---- entries ---- */

/* A string as the format has it: length, then bytes. Returns the bytes it takes. */
static size_t encode_string(uint8_t *out, struct gguf_string string)
{
    gguf_writer_patch_u64(out, 0, string.byte_count);
    if (string.byte_count > 0) {
        memcpy(out + 8, string.bytes, string.byte_count);
    }
    return 8 + string.byte_count;
}

void gguf_writer_add_raw(struct gguf_writer *writer, const char *key, uint64_t key_bytes,
                         uint32_t type, const void *value, uint64_t value_bytes)
{
    writer->entries = grow_array(writer->entries, writer->entry_count, sizeof *writer->entries);
    struct gguf_writer_entry *entry = &writer->entries[writer->entry_count++];
    *entry = (struct gguf_writer_entry){
        .key = copy_memory(key, key_bytes),
        .key_bytes = key_bytes,
        .value = take_memory(4 + value_bytes),
        .value_bytes = 4 + value_bytes,
    };
    gguf_writer_patch_u32(entry->value, 0, type);
    if (value_bytes > 0) {
        memcpy(entry->value + 4, value, value_bytes);
    }
}

void gguf_writer_add_scalar(struct gguf_writer *writer, const char *key, enum gguf_type type,
                            const void *value)
{
    gguf_writer_add_raw(writer, key, strlen(key), type, value, scalar_bytes(type));
}

void gguf_writer_add_u32(struct gguf_writer *writer, const char *key, uint32_t value)
{
    gguf_writer_add_scalar(writer, key, GGUF_UINT32, &value);
}

void gguf_writer_add_f32(struct gguf_writer *writer, const char *key, float value)
{
    gguf_writer_add_scalar(writer, key, GGUF_FLOAT32, &value);
}

void gguf_writer_add_bool(struct gguf_writer *writer, const char *key, bool value)
{
    uint8_t byte = value ? 1 : 0;
    gguf_writer_add_scalar(writer, key, GGUF_BOOL, &byte);
}

void gguf_writer_add_string(struct gguf_writer *writer, const char *key, const char *text)
{
    size_t text_bytes = strlen(text);
    uint8_t *value = take_memory(8 + text_bytes);
    encode_string(value, (struct gguf_string){text, text_bytes});
    gguf_writer_add_raw(writer, key, strlen(key), GGUF_STRING, value, 8 + text_bytes);
    free(value);
}

void gguf_writer_add_array(struct gguf_writer *writer, const char *key, enum gguf_type type,
                           const void *elements, uint64_t element_count)
{
    size_t byte_count = element_count * scalar_bytes(type);
    uint8_t *value = take_memory(12 + byte_count);
    gguf_writer_patch_u32(value, 0, type);
    gguf_writer_patch_u64(value, 4, element_count);
    if (byte_count > 0) {
        memcpy(value + 12, elements, byte_count);
    }
    gguf_writer_add_raw(writer, key, strlen(key), GGUF_ARRAY, value, 12 + byte_count);
    free(value);
}

void gguf_writer_add_strings(struct gguf_writer *writer, const char *key,
                             const struct gguf_string *strings, uint64_t string_count)
{
    size_t byte_count = 12;
    for (uint64_t i = 0; i < string_count; i++) {
        byte_count += 8 + strings[i].byte_count;
    }
    uint8_t *value = take_memory(byte_count);
    gguf_writer_patch_u32(value, 0, GGUF_STRING);
    gguf_writer_patch_u64(value, 4, string_count);
    size_t at = 12;
    for (uint64_t i = 0; i < string_count; i++) {
        at += encode_string(value + at, strings[i]);
    }
    gguf_writer_add_raw(writer, key, strlen(key), GGUF_ARRAY, value, byte_count);
    free(value);
}

bool gguf_writer_remove(struct gguf_writer *writer, const char *key)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < writer->entry_count; i++) {
        struct gguf_writer_entry entry = writer->entries[i];
        if (entry.key_bytes == strlen(key) && memcmp(entry.key, key, entry.key_bytes) == 0) {
            release_entry(&entry);
        } else {
            writer->entries[kept++] = entry;
        }
    }
    bool found = kept < writer->entry_count;
    /* grow_array doubles exactly at powers of two, so a shrunk array must not look full early. */
    writer->entry_count = kept;
    struct gguf_writer_entry *entries = NULL;
    for (uint64_t i = 0; i < kept; i++) {
        entries = grow_array(entries, i, sizeof *entries);
        entries[i] = writer->entries[i];
    }
    free(writer->entries);
    writer->entries = entries;
    return found;
}

/* ---- tensors ---- */

static struct gguf_writer_tensor *add_tensor(struct gguf_writer *writer, const char *name,
                                             uint32_t ggml_type, uint32_t dim_count,
                                             const uint64_t *dims, uint64_t byte_count)
{
    writer->tensors = grow_array(writer->tensors, writer->tensor_count, sizeof *writer->tensors);
    struct gguf_writer_tensor *tensor = &writer->tensors[writer->tensor_count++];
    *tensor = (struct gguf_writer_tensor){
        .name = copy_memory(name, strlen(name)),
        .name_bytes = strlen(name),
        .ggml_type = ggml_type,
        .dim_count = dim_count,
        .offset = writer->data_bytes,
        .byte_count = byte_count,
    };
    memcpy(tensor->dims, dims, dim_count * sizeof *dims);
    writer->data_bytes = align_up(writer->data_bytes + byte_count, writer->alignment);
    return tensor;
}

struct gguf_writer_tensor *gguf_writer_add_raw_tensor(struct gguf_writer *writer, const char *name,
                                                      uint32_t ggml_type, uint32_t dim_count,
                                                      const uint64_t *dims, const void *data,
                                                      uint64_t byte_count)
{
    struct gguf_writer_tensor *tensor =
        add_tensor(writer, name, ggml_type, dim_count, dims, byte_count);
    tensor->data = take_memory(byte_count);
    if (data != NULL && byte_count > 0) {
        memcpy(tensor->data, data, byte_count);
    }
    return tensor;
}

struct gguf_writer_tensor *gguf_writer_add_rows(struct gguf_writer *writer, const char *name,
                                                enum dtype dtype, uint32_t dim_count,
                                                const uint64_t *shape, gguf_writer_row_fn row_fn,
                                                void *context)
{
    const struct gguf_tensor_type *type = gguf_types_from_dtype(dtype);
    uint64_t dims[TENSOR_DIMS_MAX] = {0};
    uint64_t row_count = 1;
    for (uint32_t i = 0; i < dim_count; i++) {
        dims[i] = shape[dim_count - 1 - i];
        row_count *= i > 0 ? dims[i] : 1;
    }
    uint64_t row_bytes = dims[0] / type->block_values * type->block_bytes;
    struct gguf_writer_tensor *tensor =
        add_tensor(writer, name, type->ggml_type, dim_count, dims, row_bytes * row_count);
    tensor->row_fn = row_fn;
    tensor->context = context;
    tensor->row_bytes = row_bytes;
    return tensor;
}

struct gguf_writer_tensor *gguf_writer_add_tensor(struct gguf_writer *writer, const char *name,
                                                  enum dtype dtype, uint32_t dim_count,
                                                  const uint64_t *shape, const void *data)
{
    struct gguf_writer_tensor *tensor =
        gguf_writer_add_rows(writer, name, dtype, dim_count, shape, NULL, NULL);
    tensor->data = take_memory(tensor->byte_count);
    if (data != NULL) {
        memcpy(tensor->data, data, tensor->byte_count);
    }
    return tensor;
}

struct gguf_writer_tensor *gguf_writer_find_tensor(struct gguf_writer *writer, const char *name)
{
    for (uint64_t i = 0; i < writer->tensor_count; i++) {
        struct gguf_writer_tensor *tensor = &writer->tensors[i];
        if (tensor->name_bytes == strlen(name) &&
            memcmp(tensor->name, name, tensor->name_bytes) == 0) {
            return tensor;
        }
    }
    return NULL;
}

bool gguf_writer_remove_tensor(struct gguf_writer *writer, const char *name)
{
    struct gguf_writer_tensor *gone = gguf_writer_find_tensor(writer, name);
    if (gone == NULL) {
        return false;
    }
    uint64_t offset = gone->offset;
    release_tensor(gone);
    struct gguf_writer_tensor *tensors = NULL;
    uint64_t kept = 0;
    for (struct gguf_writer_tensor *tensor = writer->tensors;
         tensor < writer->tensors + writer->tensor_count; tensor++) {
        if (tensor == gone) {
            continue;
        }
        tensors = grow_array(tensors, kept, sizeof *tensors);
        tensors[kept] = *tensor;
        if (tensor > gone) {
            tensors[kept].offset = offset;
            offset = align_up(offset + tensor->byte_count, writer->alignment);
        }
        kept++;
    }
    free(writer->tensors);
    writer->tensors = tensors;
    writer->tensor_count = kept;
    writer->data_bytes = offset;
    return true;
}

/* The end of an entry's value in its file. */
static uint64_t value_end(const struct gguf_entry *entry)
{
    if (entry->type == GGUF_STRING) {
        return entry->offset + 8 + entry->value.string.byte_count;
    }
    if (entry->type != GGUF_ARRAY) {
        return entry->offset + scalar_bytes(entry->type);
    }
    const struct gguf_array *array = &entry->value.array;
    uint64_t end = entry->offset + 12;
    if (array->type != GGUF_STRING) {
        return end + array->element_count * scalar_bytes(array->type);
    }
    for (uint64_t i = 0; i < array->element_count; i++) {
        end += 8 + array->strings[i].byte_count;
    }
    return end;
}

void gguf_writer_copy(struct gguf_writer *writer, const struct gguf *file)
{
    for (uint64_t i = 0; i < file->entry_count; i++) {
        const struct gguf_entry *entry = &file->entries[i];
        gguf_writer_add_raw(writer, entry->key.bytes, entry->key.byte_count, entry->type,
                            file->bytes + entry->offset, value_end(entry) - entry->offset);
    }
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        const struct gguf_tensor *tensor = &file->tensors[i];
        uint64_t dims[TENSOR_DIMS_MAX];
        for (uint32_t d = 0; d < tensor->tensor.dim_count; d++) {
            dims[d] = tensor->tensor.shape[tensor->tensor.dim_count - 1 - d];
        }
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)tensor->name.byte_count, tensor->name.bytes);
        gguf_writer_add_raw_tensor(writer, name, tensor->ggml_type, tensor->tensor.dim_count, dims,
                                   tensor->tensor.data, tensor->byte_count);
    }
}

/* ---- writing ---- */

static void put(struct output *out, const void *bytes, uint64_t byte_count)
{
    if (byte_count > 0 && fwrite(bytes, 1, byte_count, out->file) != byte_count) {
        out->good = false;
    }
    out->at += byte_count;
}

static void put_u32(struct output *out, uint32_t value)
{
    uint8_t bytes[4];
    gguf_writer_patch_u32(bytes, 0, value);
    put(out, bytes, sizeof bytes);
}

static void put_u64(struct output *out, uint64_t value)
{
    uint8_t bytes[8];
    gguf_writer_patch_u64(bytes, 0, value);
    put(out, bytes, sizeof bytes);
}

static void put_zeros(struct output *out, uint64_t end)
{
    static const uint8_t zeros[64];
    while (out->at < end) {
        uint64_t missing = end - out->at;
        put(out, zeros, missing < sizeof zeros ? missing : sizeof zeros);
    }
}

static void put_tensor_info(struct output *out, struct gguf_writer_tensor *tensor)
{
    tensor->at = out->at;
    put_u64(out, tensor->name_bytes);
    put(out, tensor->name, tensor->name_bytes);
    put_u32(out, tensor->dim_count);
    for (uint32_t i = 0; i < tensor->dim_count; i++) {
        put_u64(out, tensor->dims[i]);
    }
    put_u32(out, tensor->ggml_type);
    put_u64(out, tensor->offset);
}

static void put_tensor_data(struct output *out, const struct gguf_writer_tensor *tensor)
{
    if (tensor->data != NULL) {
        put(out, tensor->data, tensor->byte_count);
        return;
    }
    uint8_t *row = take_memory(tensor->row_bytes);
    uint64_t row_count = tensor->row_bytes > 0 ? tensor->byte_count / tensor->row_bytes : 0;
    for (uint64_t i = 0; i < row_count && out->good; i++) {
        tensor->row_fn(tensor->context, tensor, i, row);
        put(out, row, tensor->row_bytes);
    }
    free(row);
}

bool gguf_writer_save(struct gguf_writer *writer, FILE *file)
{
    struct output out = {.file = file, .good = true};
    put(&out, "GGUF", 4);
    put_u32(&out, writer->version);
    put_u64(&out, writer->tensor_count);
    put_u64(&out, writer->entry_count);
    for (uint64_t i = 0; i < writer->entry_count; i++) {
        struct gguf_writer_entry *entry = &writer->entries[i];
        entry->at = out.at;
        put_u64(&out, entry->key_bytes);
        put(&out, entry->key, entry->key_bytes);
        put(&out, entry->value, entry->value_bytes);
    }
    for (uint64_t i = 0; i < writer->tensor_count; i++) {
        put_tensor_info(&out, &writer->tensors[i]);
    }
    writer->data_at = align_up(out.at, writer->alignment);
    if (writer->tensor_count > 0) {
        put_zeros(&out, writer->data_at);
    }
    for (uint64_t i = 0; i < writer->tensor_count && out.good; i++) {
        put_tensor_data(&out, &writer->tensors[i]);
        put_zeros(&out, align_up(out.at, writer->alignment));
    }
    return out.good && fflush(file) == 0;
}

uint8_t *gguf_writer_finish(struct gguf_writer *writer, uint64_t *byte_count)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&bytes, &size);
    if (file == NULL || !gguf_writer_save(writer, file) || fclose(file) != 0) {
        abort();
    }
    *byte_count = size;
    return (uint8_t *)bytes;
}
