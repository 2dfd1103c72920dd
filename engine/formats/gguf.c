/* One pass over the header, then three checks over the whole: names distinct, tensors inside the
 * file, tensors apart. Every count is held against the bytes left divided by the smallest encoding
 * of one item before anything is allocated for it: memory is a small multiple of the header.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/gguf.h"

#include "configs/limits.h"
#include "engine/formats/file_map.h"
#include "engine/formats/gguf_entries.h"
#include "engine/formats/gguf_index.h"
#include "engine/formats/gguf_tensors.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION_OLDEST = 2, /* version 1 had 32-bit lengths; no published file uses it any more */
    VERSION_NEWEST = 3,
    ALIGNMENT_DEFAULT = 32,
    ALIGNMENT_MAX = 65536,
};

static enum status index_entries(const struct gguf_cursor *cursor)
{
    const struct gguf_entry *twice = NULL;
    if (!gguf_index_entries(cursor->file, &twice)) {
        return gguf_cursor_fail(cursor, cursor->at, ERR_MEMORY, "no memory for an index of keys");
    }
    return twice == NULL
               ? OK
               : gguf_cursor_fail(cursor, twice->offset, ERR_FORMAT, "key %s is given twice",
                                  gguf_cursor_show(twice->key).text);
}

static enum status index_tensors(const struct gguf_cursor *cursor)
{
    const struct gguf_tensor *twice = NULL;
    if (!gguf_index_tensors(cursor->file, &twice)) {
        return gguf_cursor_fail(cursor, cursor->at, ERR_MEMORY,
                                "no memory for an index of tensors");
    }
    return twice == NULL
               ? OK
               : gguf_cursor_fail(
                     cursor, (uint64_t)((const uint8_t *)twice->name.bytes - cursor->file->bytes),
                     ERR_FORMAT, "tensor %s is given twice", gguf_cursor_show(twice->name).text);
}

static enum status read_alignment(struct gguf_cursor *cursor)
{
    cursor->file->alignment = ALIGNMENT_DEFAULT;
    const struct gguf_entry *entry = gguf_find(cursor->file, "general.alignment");
    if (entry == NULL) {
        return OK;
    }
    if (entry->type != GGUF_UINT32) {
        return gguf_cursor_fail(cursor, entry->offset, ERR_FORMAT,
                                "general.alignment has type %d, not uint32", entry->type);
    }
    uint64_t alignment = entry->value.u;
    if (alignment < 8 || alignment > ALIGNMENT_MAX || (alignment & (alignment - 1)) != 0) {
        return gguf_cursor_fail(cursor, entry->offset, ERR_FORMAT,
                                "general.alignment %llu is not a power of two from 8 to %d",
                                (unsigned long long)alignment, ALIGNMENT_MAX);
    }
    cursor->file->alignment = (uint32_t)alignment;
    return OK;
}

static enum status check_count(const struct gguf_cursor *cursor, uint64_t offset, const char *what,
                               uint64_t count, uint64_t limit)
{
    if (count > limit) {
        return gguf_cursor_fail(cursor, offset, ERR_FORMAT, "%llu %s, limit %llu",
                                (unsigned long long)count, what, (unsigned long long)limit);
    }
    return OK;
}

static enum status check_room(const struct gguf_cursor *cursor, const char *what, uint64_t count,
                              uint64_t bytes_each)
{
    uint64_t left = gguf_cursor_left(cursor);
    if (count > left / bytes_each) {
        return gguf_cursor_fail(cursor, cursor->at, ERR_FORMAT,
                                "%llu %s of at least %llu bytes each, but only %llu bytes are left",
                                (unsigned long long)count, what, (unsigned long long)bytes_each,
                                (unsigned long long)left);
    }
    return OK;
}

static enum status read_head(struct gguf_cursor *cursor)
{
    struct gguf *file = cursor->file;
    uint32_t magic = 0;
    enum status status = gguf_cursor_read_u32(cursor, "the magic number", &magic);
    if (status == OK && magic != 0x46554747) { /* "GGUF" */
        return gguf_cursor_fail(cursor, 0, ERR_FORMAT,
                                "magic number 0x%08x is not GGUF's 0x46554747", magic);
    }
    if (status == OK) {
        status = gguf_cursor_read_u32(cursor, "the version", &file->version);
    }
    if (status != OK) {
        return status;
    }
    if (file->version < VERSION_OLDEST || file->version > VERSION_NEWEST) {
        bool swapped = file->version != 0 && (file->version & 0xffff) == 0;
        return gguf_cursor_fail(cursor, 4, ERR_UNSUPPORTED, "GGUF version %u%s, limits %d and %d",
                                file->version, swapped ? " (a big-endian file?)" : "",
                                VERSION_OLDEST, VERSION_NEWEST);
    }
    status = gguf_cursor_read_u64(cursor, "the tensor count", &file->tensor_count);
    if (status == OK) {
        status = check_count(cursor, 8, "tensors", file->tensor_count, LIMIT_GGUF_TENSORS);
    }
    if (status == OK) {
        status = gguf_cursor_read_u64(cursor, "the key count", &file->entry_count);
    }
    return status != OK ? status
                        : check_count(cursor, 16, "keys", file->entry_count, LIMIT_GGUF_KEYS);
}

static enum status read_entries(struct gguf_cursor *cursor)
{
    struct gguf *file = cursor->file;
    enum status status = check_room(cursor, "keys", file->entry_count, GGUF_ENTRY_BYTES_MIN);
    if (status != OK) {
        return status;
    }
    file->entries = calloc(file->entry_count + 1, sizeof *file->entries);
    if (file->entries == NULL) {
        return gguf_cursor_fail(cursor, cursor->at, ERR_MEMORY, "no memory for %llu keys",
                                (unsigned long long)file->entry_count);
    }
    for (uint64_t i = 0; i < file->entry_count && status == OK; i++) {
        status = gguf_entries_read_one(cursor, &file->entries[i]);
    }
    if (status == OK) {
        status = index_entries(cursor);
    }
    return status == OK ? read_alignment(cursor) : status;
}

static enum status read_tensors(struct gguf_cursor *cursor)
{
    struct gguf *file = cursor->file;
    enum status status = check_room(cursor, "tensors", file->tensor_count, GGUF_TENSOR_BYTES_MIN);
    if (status != OK) {
        return status;
    }
    file->tensors = calloc(file->tensor_count + 1, sizeof *file->tensors);
    if (file->tensors == NULL) {
        return gguf_cursor_fail(cursor, cursor->at, ERR_MEMORY, "no memory for %llu tensors",
                                (unsigned long long)file->tensor_count);
    }
    for (uint64_t i = 0; i < file->tensor_count && status == OK; i++) {
        status = gguf_tensors_read_one(cursor, &file->tensors[i]);
    }
    return status == OK ? index_tensors(cursor) : status;
}

/* A file longer than its header says is not the file that was written (two downloads in one, a
 * resumed one gone wrong). Padding, which writers differ about, is zeros and short. */
static enum status check_tail(const struct gguf_cursor *cursor, uint64_t end)
{
    const struct gguf *file = cursor->file;
    uint64_t tail = file->byte_count - end;
    bool padding = tail <= ALIGNMENT_MAX;
    for (uint64_t i = end; i < file->byte_count && padding; i++) {
        padding = file->bytes[i] == 0;
    }
    if (!padding) {
        return gguf_cursor_fail(
            cursor, end, ERR_FORMAT,
            "%llu bytes follow the last tensor and are no padding (zeros, at most %d)",
            (unsigned long long)tail, ALIGNMENT_MAX);
    }
    return OK;
}

/* The end of a long path says more than its start. */
void gguf_keep_path(struct gguf *file, const char *path)
{
    size_t length = strlen(path);
    bool cut = length >= sizeof file->path;
    snprintf(file->path, sizeof file->path, "%s%s", cut ? "..." : "",
             cut ? path + length - (sizeof file->path - 4) : path);
}

enum status gguf_parse(struct gguf *out, const uint8_t *bytes, uint64_t byte_count,
                       const char *path, struct error *err)
{
    *out = (struct gguf){.bytes = bytes, .byte_count = byte_count};
    gguf_keep_path(out, path);
    struct gguf_cursor cursor = {.file = out, .err = err};
    uint64_t end = 0;
    enum status status = read_head(&cursor);
    if (status == OK) {
        status = read_entries(&cursor);
    }
    if (status == OK) {
        status = read_tensors(&cursor);
    }
    end = cursor.at;
    if (status == OK && out->tensor_count > 0) {
        status = gguf_tensors_place(&cursor, &end);
    }
    if (status == OK) {
        status = check_tail(&cursor, end);
    }
    if (status != OK) {
        gguf_close(out);
    }
    return status;
}

enum status gguf_open(struct gguf *out, const char *path, struct error *err)
{
    *out = (struct gguf){0};
    const uint8_t *bytes = NULL;
    uint64_t byte_count = 0;
    enum status status = file_map_open(path, &bytes, &byte_count, err);
    if (status != OK) {
        return status;
    }
    status = gguf_parse(out, bytes, byte_count, path, err);
    if (status == OK) {
        out->mapped = true;
    } else {
        file_map_close(bytes, byte_count);
    }
    return status;
}

void gguf_let_go(const struct gguf_holding *holding)
{
    if (holding->mapped_bytes > 0) {
        file_map_close(holding->memory, holding->mapped_bytes);
    } else {
        free(holding->memory);
    }
}

void gguf_close(struct gguf *file)
{
    if (file->entries != NULL) {
        for (uint64_t i = 0; i < file->entry_count; i++) {
            if (file->entries[i].type == GGUF_ARRAY) {
                free(file->entries[i].value.array.strings);
            }
        }
    }
    free(file->entries);
    free(file->tensors);
    free(file->entry_index);
    free(file->tensor_index);
    for (uint64_t i = 0; i < file->holding_count; i++) {
        gguf_let_go(&file->holdings[i]);
    }
    free(file->holdings);
    if (file->mapped) {
        file_map_close(file->bytes, file->byte_count);
    }
    *file = (struct gguf){0};
}

const struct gguf_entry *gguf_find(const struct gguf *file, const char *key)
{
    struct gguf_string wanted = {key, strlen(key)};
    uint64_t low = 0;
    uint64_t high = file->entry_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct gguf_entry *entry = &file->entries[file->entry_index[middle]];
        int order = gguf_index_compare(wanted, entry->key);
        if (order == 0) {
            return entry;
        }
        low = order > 0 ? middle + 1 : low;
        high = order < 0 ? middle : high;
    }
    return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *file, const char *name)
{
    struct gguf_string wanted = {name, strlen(name)};
    uint64_t low = 0;
    uint64_t high = file->tensor_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct gguf_tensor *tensor = &file->tensors[file->tensor_index[middle]];
        int order = gguf_index_compare(wanted, tensor->name);
        if (order == 0) {
            return tensor;
        }
        low = order > 0 ? middle + 1 : low;
        high = order < 0 ? middle : high;
    }
    return NULL;
}

/* The bits of element i, which is byte_count bytes wide. */
static uint64_t element_bits(const struct gguf_array *array, uint64_t i, uint32_t *byte_count)
{
    *byte_count = gguf_entries_scalar_bytes(array->type);
    assert(*byte_count > 0 && i < array->element_count);
    return gguf_cursor_load(array->bytes + i * *byte_count, *byte_count);
}

uint64_t gguf_array_u64(const struct gguf_array *array, uint64_t i)
{
    return (uint64_t)gguf_array_i64(array, i);
}

int64_t gguf_array_i64(const struct gguf_array *array, uint64_t i)
{
    uint32_t byte_count = 0;
    uint64_t bits = element_bits(array, i, &byte_count);
    switch (array->type) {
    case GGUF_INT8:
    case GGUF_INT16:
    case GGUF_INT32:
    case GGUF_INT64:
        return gguf_entries_sign_extend(bits, byte_count);
    default:
        assert(array->type != GGUF_FLOAT32 && array->type != GGUF_FLOAT64);
        return (int64_t)bits;
    }
}

double gguf_array_f64(const struct gguf_array *array, uint64_t i)
{
    uint32_t byte_count = 0;
    uint64_t bits = element_bits(array, i, &byte_count);
    switch (array->type) {
    case GGUF_FLOAT32:
    case GGUF_FLOAT64:
        return gguf_entries_float(bits, byte_count);
    case GGUF_UINT64:
        return (double)bits;
    default:
        return (double)gguf_array_i64(array, i);
    }
}

bool gguf_string_equal(struct gguf_string string, const char *text)
{
    return string.byte_count == strlen(text) && memcmp(string.bytes, text, string.byte_count) == 0;
}
