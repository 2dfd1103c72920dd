/* Entries and tensors stay in the order of the file; an index is a permutation sorted by name. Equal
 * names keep the order of the file, so of two the later is the one to complain of.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/gguf_index.h"

#include <stdlib.h>
#include <string.h>

int gguf_index_compare(struct gguf_string a, struct gguf_string b)
{
    size_t shared = a.byte_count < b.byte_count ? a.byte_count : b.byte_count;
    int order = memcmp(a.bytes, b.bytes, shared);
    return order != 0 ? order : (a.byte_count > b.byte_count) - (a.byte_count < b.byte_count);
}

static int compare_named(struct gguf_string a, struct gguf_string b, uint32_t i, uint32_t j)
{
    int order = gguf_index_compare(a, b);
    return order != 0 ? order : (i > j) - (i < j);
}

static int compare_entry_keys(const void *left, const void *right, void *entries)
{
    const struct gguf_entry *all = entries;
    uint32_t i = *(const uint32_t *)left;
    uint32_t j = *(const uint32_t *)right;
    return compare_named(all[i].key, all[j].key, i, j);
}

static int compare_tensor_names(const void *left, const void *right, void *tensors)
{
    const struct gguf_tensor *all = tensors;
    uint32_t i = *(const uint32_t *)left;
    uint32_t j = *(const uint32_t *)right;
    return compare_named(all[i].name, all[j].name, i, j);
}

/* The numbers 0 .. count - 1 in the order of `compare`; NULL without memory. */
static uint32_t *make_index(uint64_t count, int (*compare)(const void *, const void *, void *),
                            void *items)
{
    uint32_t *index = calloc(count + 1, sizeof *index);
    if (index != NULL) {
        for (uint64_t i = 0; i < count; i++) {
            index[i] = (uint32_t)i;
        }
        qsort_r(index, count, sizeof *index, compare, items);
    }
    return index;
}

bool gguf_index_entries(struct gguf *file, const struct gguf_entry **twice)
{
    *twice = NULL;
    file->entry_index = make_index(file->entry_count, compare_entry_keys, file->entries);
    for (uint64_t i = 1; file->entry_index != NULL && i < file->entry_count; i++) {
        const struct gguf_entry *a = &file->entries[file->entry_index[i - 1]];
        const struct gguf_entry *b = &file->entries[file->entry_index[i]];
        if (gguf_index_compare(a->key, b->key) == 0) {
            *twice = b;
            break;
        }
    }
    return file->entry_index != NULL;
}

bool gguf_index_tensors(struct gguf *file, const struct gguf_tensor **twice)
{
    *twice = NULL;
    file->tensor_index = make_index(file->tensor_count, compare_tensor_names, file->tensors);
    for (uint64_t i = 1; file->tensor_index != NULL && i < file->tensor_count; i++) {
        const struct gguf_tensor *a = &file->tensors[file->tensor_index[i - 1]];
        const struct gguf_tensor *b = &file->tensors[file->tensor_index[i]];
        if (gguf_index_compare(a->name, b->name) == 0) {
            *twice = b;
            break;
        }
    }
    return file->tensor_index != NULL;
}
