/* Small enough that every byte can be cut, flipped and overwritten in turn.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/gguf_sample.h"

#include <stdlib.h>
#include <string.h>

static void add_scalars(struct gguf_writer *writer)
{
    const uint64_t number = 0x8182838485868788u; /* the low bytes of every width are negative */
    const double fraction = -2.5;
    gguf_writer_add_scalar(writer, "t.uint8", GGUF_UINT8, &number);
    gguf_writer_add_scalar(writer, "t.int8", GGUF_INT8, &number);
    gguf_writer_add_scalar(writer, "t.uint16", GGUF_UINT16, &number);
    gguf_writer_add_scalar(writer, "t.int16", GGUF_INT16, &number);
    gguf_writer_add_u32(writer, "t.uint32", 4096);
    gguf_writer_add_scalar(writer, "t.int32", GGUF_INT32, &number);
    gguf_writer_add_f32(writer, "t.float32", 1.5f);
    gguf_writer_add_scalar(writer, "t.uint64", GGUF_UINT64, &number);
    gguf_writer_add_scalar(writer, "t.int64", GGUF_INT64, &number);
    gguf_writer_add_scalar(writer, "t.float64", GGUF_FLOAT64, &fraction);
}

void gguf_sample_build(struct gguf_writer *writer)
{
    const struct gguf_string strings[] = {{"one", 3}, {"", 0}, {"three", 5}};
    const int32_t ints[] = {-1, 0, 7};
    float embedding[96];
    for (int i = 0; i < 96; i++) {
        embedding[i] = (float)i;
    }
    gguf_writer_add_string(writer, "general.architecture", "llama");
    gguf_writer_add_bool(writer, "t.bool", true);
    gguf_writer_add_strings(writer, "t.strings", strings, 3);
    gguf_writer_add_array(writer, "t.int32s", GGUF_INT32, ints, 3);
    add_scalars(writer);
    gguf_writer_add_tensor(writer, "token_embd.weight", DTYPE_F32, 2, (uint64_t[]){3, 32},
                           embedding);
    gguf_writer_add_tensor(writer, "blk.0.attn_q.weight", DTYPE_Q8_0, 2, (uint64_t[]){2, 64}, NULL);
    const uint16_t ones[] = {0x3c00, 0x3c00, 0x3c00, 0x3c00, 0x3c00};
    gguf_writer_add_tensor(writer, "output_norm.weight", DTYPE_F16, 1, (uint64_t[]){5}, ones);
}

static uint64_t sum_bytes(const void *bytes, uint64_t byte_count)
{
    const uint8_t *at = bytes;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < byte_count; i++) {
        sum += at[i];
    }
    return sum;
}

static uint64_t read_array(const struct gguf_array *array)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < array->element_count; i++) {
        if (array->type == GGUF_STRING) {
            sum += sum_bytes(array->strings[i].bytes, array->strings[i].byte_count);
        } else {
            sum += gguf_array_f64(array, i) > 0.0 ? 1 : 0;
        }
    }
    return sum;
}

static uint64_t read_entries(const struct gguf *file)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < file->entry_count; i++) {
        const struct gguf_entry *entry = &file->entries[i];
        sum += sum_bytes(entry->key.bytes, entry->key.byte_count);
        if (entry->type == GGUF_STRING) {
            sum += sum_bytes(entry->value.string.bytes, entry->value.string.byte_count);
        } else if (entry->type == GGUF_ARRAY) {
            sum += read_array(&entry->value.array);
        }
    }
    return sum;
}

static uint64_t read_tensors(const struct gguf *file)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        const struct gguf_tensor *tensor = &file->tensors[i];
        char name[80];
        snprintf(name, sizeof name, "%.*s", (int)tensor->name.byte_count, tensor->name.bytes);
        if (gguf_find_tensor(file, name) != tensor) {
            abort();
        }
        sum += sum_bytes(tensor->tensor.data, tensor->byte_count);
    }
    return sum;
}

static void read_typed(const struct gguf *file)
{
    uint64_t u64 = 0;
    uint32_t u32 = 0;
    float f32 = 0.0f;
    bool flag = false;
    struct gguf_string string;
    struct gguf_array array;
    struct error err;
    gguf_get_u64(file, "t.uint64", true, 0, UINT64_MAX, &u64, &err);
    gguf_get_u32(file, "t.int16", true, 1, 100, &u32, &err);
    gguf_get_f32(file, "t.float32", true, 0.0f, 1e9f, &f32, &err);
    gguf_get_bool(file, "t.bool", true, &flag, &err);
    gguf_get_string(file, "general.architecture", true, &string, &err);
    gguf_get_array(file, "t.strings", true, GGUF_STRING, &array, &err);
}

enum status gguf_sample_try(const uint8_t *bytes, uint64_t byte_count, struct error *err)
{
    uint8_t *copy = malloc(byte_count > 0 ? byte_count : 1);
    if (copy == NULL) {
        abort();
    }
    if (byte_count > 0) {
        memcpy(copy, bytes, byte_count);
    }
    struct gguf file;
    enum status status = gguf_parse(&file, copy, byte_count, "broken.gguf", err);
    if (status == OK) {
        volatile uint64_t sum = read_entries(&file) + read_tensors(&file);
        (void)sum;
        read_typed(&file);
        gguf_close(&file);
    }
    free(copy);
    return status;
}
