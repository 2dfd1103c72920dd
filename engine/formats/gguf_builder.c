/* Entries and tensors grow by doubling; what they point to is held by the gguf's list of holdings,
 * one a key, string or array. After a failure every call does nothing, so callers need not look.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/gguf_builder.h"

#include "configs/limits.h"
#include "engine/formats/gguf_index.h"
#include "engine/formats/gguf_types.h"
#include "kernels/quant.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static bool sound(const struct gguf_builder *builder)
{
    return builder->error.status == OK;
}

static void fail_memory(struct gguf_builder *builder, const char *what)
{
    if (sound(builder)) {
        error_set(&builder->error, ERR_MEMORY, "%s: no memory for %s", builder->file.path, what);
    }
}

void gguf_builder_init(struct gguf_builder *builder, const char *path)
{
    *builder = (struct gguf_builder){0};
    gguf_keep_path(&builder->file, path);
}

void gguf_builder_release(struct gguf_builder *builder)
{
    gguf_close(&builder->file);
    *builder = (struct gguf_builder){0};
}

/* Room for one more of `items`, which are item_bytes each; NULL without memory (the old stay). */
static void *grow(void *items, uint64_t count, uint64_t *capacity, size_t item_bytes)
{
    if (count < *capacity) {
        return items;
    }
    uint64_t wanted = *capacity == 0 ? 64 : 2 * *capacity;
    void *grown = reallocarray(items, wanted, item_bytes);
    if (grown != NULL) {
        *capacity = wanted;
    }
    return grown;
}

static void hold(struct gguf_builder *builder, struct gguf_holding holding)
{
    struct gguf *file = &builder->file;
    uint64_t capacity = file->holding_count;
    struct gguf_holding *holdings = file->holdings;
    /* Powers of two and 0 are where the list is full: no capacity need be kept. */
    if ((capacity & (capacity - 1)) == 0) {
        holdings = reallocarray(file->holdings, capacity == 0 ? 1 : 2 * capacity, sizeof *holdings);
    }
    if (holdings == NULL) {
        gguf_let_go(&holding);
        fail_memory(builder, "a list of what it holds");
        return;
    }
    file->holdings = holdings;
    file->holdings[file->holding_count++] = holding;
}

void gguf_builder_own(struct gguf_builder *builder, void *memory)
{
    hold(builder, (struct gguf_holding){.memory = memory});
}

void gguf_builder_own_mapping(struct gguf_builder *builder, const void *bytes, uint64_t byte_count)
{
    if (byte_count > 0) { /* an empty file is no mapping */
        hold(builder, (struct gguf_holding){.memory = (void *)bytes, .mapped_bytes = byte_count});
    }
}

/* Memory that lives as long as the file; NULL after a failure. */
static void *take(struct gguf_builder *builder, uint64_t byte_count, const char *what)
{
    void *memory = sound(builder) ? malloc(byte_count > 0 ? byte_count : 1) : NULL;
    if (memory == NULL) {
        fail_memory(builder, what);
        return NULL;
    }
    gguf_builder_own(builder, memory);
    return sound(builder) ? memory : NULL;
}

static struct gguf_string copy_string(struct gguf_builder *builder, struct gguf_string string,
                                      const char *what)
{
    char *bytes = take(builder, string.byte_count, what);
    if (bytes == NULL) {
        return (struct gguf_string){"", 0};
    }
    memcpy(bytes, string.bytes, string.byte_count);
    return (struct gguf_string){bytes, string.byte_count};
}

/* A new entry with its key set, or NULL after a failure. */
static struct gguf_entry *add_entry(struct gguf_builder *builder, const char *key,
                                    enum gguf_type type)
{
    struct gguf_string name = copy_string(builder, (struct gguf_string){key, strlen(key)}, "a key");
    if (!sound(builder)) {
        return NULL;
    }
    struct gguf *file = &builder->file;
    struct gguf_entry *entries =
        grow(file->entries, file->entry_count, &builder->entry_capacity, sizeof *entries);
    if (entries == NULL) {
        fail_memory(builder, "keys");
        return NULL;
    }
    file->entries = entries;
    struct gguf_entry *entry = &entries[file->entry_count++];
    *entry = (struct gguf_entry){.key = name, .type = type, .offset = GGUF_NO_OFFSET};
    return entry;
}

void gguf_builder_set_u32(struct gguf_builder *builder, const char *key, uint32_t value)
{
    struct gguf_entry *entry = add_entry(builder, key, GGUF_UINT32);
    if (entry != NULL) {
        entry->value.u = value;
    }
}

void gguf_builder_change_u32(struct gguf_builder *builder, const char *key, uint32_t value)
{
    for (uint64_t i = 0; i < builder->file.entry_count; i++) {
        struct gguf_entry *entry = &builder->file.entries[i];
        if (gguf_string_equal(entry->key, key)) {
            assert(entry->type == GGUF_UINT32);
            entry->value.u = value;
        }
    }
}

void gguf_builder_set_u64(struct gguf_builder *builder, const char *key, uint64_t value)
{
    struct gguf_entry *entry = add_entry(builder, key, GGUF_UINT64);
    if (entry != NULL) {
        entry->value.u = value;
    }
}

void gguf_builder_set_f32(struct gguf_builder *builder, const char *key, float value)
{
    struct gguf_entry *entry = add_entry(builder, key, GGUF_FLOAT32);
    if (entry != NULL) {
        entry->value.f = (double)value;
    }
}

void gguf_builder_set_bool(struct gguf_builder *builder, const char *key, bool value)
{
    struct gguf_entry *entry = add_entry(builder, key, GGUF_BOOL);
    if (entry != NULL) {
        entry->value.u = value ? 1 : 0;
    }
}

void gguf_builder_set_bytes(struct gguf_builder *builder, const char *key,
                            struct gguf_string string)
{
    struct gguf_string copy = copy_string(builder, string, key);
    struct gguf_entry *entry = add_entry(builder, key, GGUF_STRING);
    if (entry != NULL) {
        entry->value.string = copy;
    }
}

void gguf_builder_set_string(struct gguf_builder *builder, const char *key, const char *text)
{
    gguf_builder_set_bytes(builder, key, (struct gguf_string){text, strlen(text)});
}

static void check_count(struct gguf_builder *builder, const char *key, uint64_t count)
{
    if (sound(builder) && count > LIMIT_GGUF_ARRAY) {
        error_set(&builder->error, ERR_FORMAT, "%s: %s has %llu values, limit %u",
                  builder->file.path, key, (unsigned long long)count, LIMIT_GGUF_ARRAY);
    }
}

void gguf_builder_set_strings(struct gguf_builder *builder, const char *key,
                              const struct gguf_string *values, uint64_t count)
{
    check_count(builder, key, count);
    uint64_t byte_count = 0;
    for (uint64_t i = 0; i < count && sound(builder); i++) {
        byte_count += values[i].byte_count;
    }
    char *bytes = take(builder, byte_count, key);
    struct gguf_string *strings =
        sound(builder) ? calloc(count + 1, sizeof *strings) : NULL; /* the entry's own */
    struct gguf_entry *entry = strings != NULL ? add_entry(builder, key, GGUF_ARRAY) : NULL;
    if (bytes == NULL || entry == NULL) {
        free(strings);
        fail_memory(builder, key);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        memcpy(bytes, values[i].bytes, values[i].byte_count);
        strings[i] = (struct gguf_string){bytes, values[i].byte_count};
        bytes += values[i].byte_count;
    }
    entry->value.array =
        (struct gguf_array){.type = GGUF_STRING, .element_count = count, .strings = strings};
}

/* Values of 1 or 4 bytes as they lie in memory, which is as GGUF stores them. */
static void set_packed(struct gguf_builder *builder, const char *key, enum gguf_type type,
                       const void *values, uint64_t count, size_t value_bytes)
{
    check_count(builder, key, count);
    uint8_t *bytes = take(builder, sound(builder) ? count * value_bytes : 0, key);
    struct gguf_entry *entry = add_entry(builder, key, GGUF_ARRAY);
    if (bytes == NULL || entry == NULL) {
        return;
    }
    if (count > 0) {
        memcpy(bytes, values, count * value_bytes);
    }
    entry->value.array = (struct gguf_array){.type = type, .element_count = count, .bytes = bytes};
}

void gguf_builder_set_u8s(struct gguf_builder *builder, const char *key, const uint8_t *values,
                          uint64_t count)
{
    set_packed(builder, key, GGUF_UINT8, values, count, sizeof *values);
}

void gguf_builder_set_u32s(struct gguf_builder *builder, const char *key, const uint32_t *values,
                           uint64_t count)
{
    set_packed(builder, key, GGUF_UINT32, values, count, sizeof *values);
}

void gguf_builder_set_i32s(struct gguf_builder *builder, const char *key, const int32_t *values,
                           uint64_t count)
{
    set_packed(builder, key, GGUF_INT32, values, count, sizeof *values);
}

void gguf_builder_set_f32s(struct gguf_builder *builder, const char *key, const float *values,
                           uint64_t count)
{
    set_packed(builder, key, GGUF_FLOAT32, values, count, sizeof *values);
}

void gguf_builder_set_bools(struct gguf_builder *builder, const char *key, const bool *values,
                            uint64_t count)
{
    set_packed(builder, key, GGUF_BOOL, values, count, sizeof *values);
}

const struct gguf_entry *gguf_builder_find(const struct gguf_builder *builder, const char *key)
{
    for (uint64_t i = 0; i < builder->file.entry_count; i++) {
        if (gguf_string_equal(builder->file.entries[i].key, key)) {
            return &builder->file.entries[i];
        }
    }
    return NULL;
}

void gguf_builder_add_tensor(struct gguf_builder *builder, const char *name,
                             const struct tensor *tensor)
{
    struct gguf_string copy =
        copy_string(builder, (struct gguf_string){name, strlen(name)}, "a tensor's name");
    if (!sound(builder)) {
        return;
    }
    struct gguf *file = &builder->file;
    struct gguf_tensor *tensors =
        grow(file->tensors, file->tensor_count, &builder->tensor_capacity, sizeof *tensors);
    if (tensors == NULL) {
        fail_memory(builder, "tensors");
        return;
    }
    const struct gguf_tensor_type *type = gguf_types_from_dtype(tensor->dtype);
    file->tensors = tensors;
    tensors[file->tensor_count++] = (struct gguf_tensor){
        .name = copy,
        .tensor = *tensor,
        .ggml_type = type->ggml_type,
        .type_name = type->name,
        .supported = true,
        .byte_count =
            tensor_row_count(tensor) * quant_row_bytes(tensor->dtype, tensor_row_values(tensor)),
        .offset = GGUF_NO_OFFSET,
    };
}

/* Names sorted and found to differ. */
static void index_all(struct gguf_builder *builder)
{
    struct gguf *file = &builder->file;
    const struct gguf_entry *entry = NULL;
    const struct gguf_tensor *tensor = NULL;
    if (!gguf_index_entries(file, &entry) || !gguf_index_tensors(file, &tensor)) {
        fail_memory(builder, "its indices");
    } else if (entry != NULL || tensor != NULL) {
        struct gguf_string name = entry != NULL ? entry->key : tensor->name;
        error_set(&builder->error, ERR_FORMAT, "%s: %s %.*s is given twice", file->path,
                  entry != NULL ? "key" : "tensor", (int)name.byte_count, name.bytes);
    }
}

enum status gguf_builder_finish(struct gguf_builder *builder, struct gguf *out, struct error *err)
{
    *out = (struct gguf){0};
    if (sound(builder)) {
        index_all(builder);
    }
    if (!sound(builder)) {
        enum status status = error_set(err, builder->error.status, "%s", builder->error.message);
        gguf_builder_release(builder);
        return status;
    }
    *out = builder->file;
    *builder = (struct gguf_builder){0};
    return OK;
}
